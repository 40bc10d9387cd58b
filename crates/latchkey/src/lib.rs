//! The program `latchkey`: server, connector and command line in one.
//!
//! This crate reads the configuration, hands clock, randomness and keys to the others, and runs
//! the loops of a process. What the product does is in the crates it puts together.

use std::process::ExitCode;

use clap::Parser;

mod admin;
mod agent;
mod answer;
mod apply;
mod aql;
mod audit;
pub mod cli;
pub mod config;
mod doctor;
mod duration;
mod entitlement_list;
mod export;
mod fault;
#[cfg(feature = "faults")]
pub mod faults;
mod installation;
mod listener;
mod local_link;
mod mail;
mod policy_diff;
mod policy_file;
mod policy_folder;
mod policy_yaml;
mod report;
mod serve;
mod shared_clock;
mod slot;
pub mod surroundings;
pub mod system;
mod telemetry;
mod what_if;

use cli::{Cli, Command};
use fault::Fault;
use surroundings::Surroundings;

/// Runs the command that the arguments name, with the machine's own clock, and tells how it
/// ended: 0 well, 1 badly (standard error says why), 2 wrong usage, or a trial that found changes.
pub fn main(surroundings: Surroundings) -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Fault::new(format!("cannot start threads: {error}"))),
    };
    // Fails only when a provider is there already, and then that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ended = runtime.block_on(run(cli.command, surroundings));
    // What still runs belongs to nobody any more.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(fault) => fail(&fault),
    }
}

async fn run(command: Command, surroundings: Surroundings) -> Result<ExitCode, Fault> {
    match command {
        Command::Serve(args) => serve::run(args, surroundings).await,
        Command::Connector(args) => agent::run(args, surroundings).await,
        Command::Admin(command) => admin::run(command, surroundings).await,
        Command::Audit(command) => audit::run(command, surroundings).await,
        Command::Report(command) => report::run(command, surroundings).await,
        Command::Aql(command) => aql::run(command, surroundings).await,
        Command::Apply(args) => apply::run(args, surroundings).await,
        Command::Export(args) => export::run(args, surroundings).await,
        Command::WhatIf(args) => what_if::run(args, surroundings).await,
        Command::Doctor(args) => doctor::run(args, surroundings).await,
        Command::Openapi => {
            answer::text(latchkey_api::openapi_text())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn fail(fault: &Fault) -> ExitCode {
    use std::io::Write;
    // Without standard error nobody is there to be told.
    let _ = writeln!(std::io::stderr(), "error: {fault}");
    ExitCode::FAILURE
}
