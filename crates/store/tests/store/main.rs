//! Behaviour of the store, each test on SQLite and on PostgreSQL.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop there"
)]

mod activity;
mod audit;
mod fixtures;
mod inventory;
mod jobs;
mod lists;
mod nested_groups;
mod opening;
mod outage;
mod people;
mod requests;
mod secrets;
mod sign_in;
mod tasks;
mod transactions;
mod vocabulary;
