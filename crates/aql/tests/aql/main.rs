//! The language as its manual tells it, and laws over queries and entitlements of any kind.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![expect(clippy::panic, reason = "a test says what is wrong by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what is wrong by failing")]

mod builders;
mod laws;

mod completing;
mod drawing;
mod evaluating;
mod long_run;
mod parsing;
mod printing;
mod rejecting;
