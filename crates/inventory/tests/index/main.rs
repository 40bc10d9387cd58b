//! The index beside the plain evaluators, on random inventories, queries, flows and people.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "in tests a failure is a panic")]

mod available;
mod changes;
mod comparing;
mod deciding;
mod explaining;
mod large;
mod people;
mod queries;
mod random;
mod targets;
