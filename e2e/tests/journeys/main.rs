//! Journeys through the public surface: real processes, real databases, real targets.
//!
//! The program under test is `latchkey-faults`, which is `latchkey` with places to crash at and a
//! clock that can be set; without orders it behaves the same.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod automatic;
mod caller;
mod drivers;
mod installation;
mod process;
mod shifted_clock;
mod shop;

mod clients;
mod clocks;
mod command_line;
mod coverage;
mod ends;
mod fuzz;
mod kill_sweep;
mod large_inventory;
mod main_job;
mod overlap;
mod policy_as_code;
mod recipes;
mod secrets;
mod sharing;
