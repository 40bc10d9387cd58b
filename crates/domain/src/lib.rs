//! What Latchkey is about, free of databases, networks and clocks: the entities, the request
//! states, and the policy that decides who may have what, for how long, and who has to agree.
//!
//! Invariant of this crate: everything here is a pure function of its arguments. Time comes in
//! as a [`jiff::Timestamp`], randomness through [`clock::Rng`], and nothing is awaited.

pub mod access_scope;
pub mod activity;
pub mod audit;
pub mod bundle;
pub mod clock;
pub mod emergency;
pub mod faults;
pub mod flow;
pub mod form;
pub mod ids;
pub mod integration;
pub mod inventory;
pub mod network;
pub mod people;
pub mod policy;
pub mod provisioning;
pub mod report;
pub mod request;
pub mod resource_tags;
pub mod second_factor;
pub mod session;
pub mod settings;
pub mod sign_in;

pub use clock::{Clock, Rng};
