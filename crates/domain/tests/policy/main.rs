//! What the policy promises, as laws over random models and as examples of each rule. Numbers in
//! names (`a04_…`) are those of the attacks that a test stands for.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a builder that cannot build stops the test, as it should"
)]

mod approvals;
mod automatic;
mod builders;
mod claims;
mod deciding;
mod digest;
mod ends;
mod extensions;
mod floors;
mod form;
mod grantees;
mod matching;
mod owners;
mod programs;
mod selection;
mod states;
mod targets;
mod texts;
mod timeframe;
mod validation;
