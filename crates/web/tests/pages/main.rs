//! The pages as browsers meet them: the router of pages over that of the API, on both databases.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at what is not as it says"
)]

mod browsing;
mod guards;
mod journey;
