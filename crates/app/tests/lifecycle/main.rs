//! The course of a request through the app's use cases, on both databases, with a connector
//! that speaks the protocol and a target whose contents the test can read.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![expect(clippy::panic, reason = "a test says what is wrong by failing")]
#![expect(clippy::indexing_slicing, reason = "a test says what is wrong by failing")]

mod ground;
#[path = "../outbound/receiver.rs"]
#[expect(dead_code, reason = "nobody here answers in drips")]
mod receiver;

mod automatic;
mod browser;
mod bundles;
mod deciding;
mod delivery;
mod emergencies;
mod ending;
mod escalating;
mod explaining;
mod exploring;
mod extending;
mod floors;
mod granting;
mod notifications;
mod overlap;
mod owners;
mod programs;
mod reports;
mod second_factor;
mod sessions;
mod waiting;
mod what_if;
