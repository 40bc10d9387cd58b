//! What tests stand on: a clock that is set, randomness that repeats, databases of both kinds,
//! and waiting on a condition with a deadline instead of sleeping.
//!
//! This crate knows neither the store nor the app, so that their own tests can use it.

mod clock;
mod database;
mod random;
mod wait;

pub use clock::TestClock;
pub use database::{DatabaseKind, TestDatabase};
pub use latchkey_systems as systems;
pub use random::SeededRng;
pub use wait::{wait_for, wait_until};
