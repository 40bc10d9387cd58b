//! Project commands: what a developer and the build server run, in one place and in Rust.
//!
//! Nothing here asks a question, so that everything runs without a terminal. `xtask` depends on no
//! crate of the product but `latchkey-systems`, so it builds in seconds on a fresh checkout; it
//! talks to the product the way a person does: by its command line and over HTTP.

mod bench;
mod ci;
mod contract;
mod demo;
mod fuzz_aql;
mod http;
mod layers;
mod licences;
mod openapi;
mod soak;
mod steps;
mod test_run;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Project commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, bring up a shop's database, a server, a connector and three people, and
    /// show one access from the request to the proof that it is gone.
    Demo {
        /// End everything after the last step instead of leaving the server running.
        #[arg(long)]
        once: bool,
    },
    /// Install and start what the tests need, run all tests, stop it again.
    Test {
        /// The nextest profile.
        #[arg(long, default_value = "default")]
        profile: String,
        /// Passed on to `cargo nextest run`, such as a filter.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Everything that has to hold before a change lands.
    Ci,
    /// Compare openapi/api.json with the contract documents.
    Contract,
    /// Check that openapi/api.json is what the code says.
    Openapi {
        /// Write the file instead of comparing it.
        #[arg(long)]
        write: bool,
    },
    /// Check which crate may use which, and that the shipped binary has no crash points.
    Layers,
    /// Check licences, banned crates and sources of all dependencies by deny.toml.
    Licences,
    /// Measure; prints a table and writes target/bench/NAME.json.
    Bench {
        /// Which measurement: `grant` or `api`.
        name: String,
        /// Passed on, such as `--quick`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The long runs: every crash point on every database, thousands of principals.
    Soak,
    /// Fuzz the query language: with cargo-fuzz where it is installed, otherwise with random texts.
    FuzzAql {
        /// For how long, all targets together.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// The seed that random texts begin with, to repeat what failed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Stop a demo that was left running, and the database servers that single test runs keep.
    Stop,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo { once } => demo::run(once),
        Command::Test { profile, arguments } => test_run::run(&profile, &arguments),
        Command::Ci => ci::run(),
        Command::Contract => contract::check(),
        Command::Openapi { write } => openapi::run(write),
        Command::Layers => layers::check(),
        Command::Licences => licences::check(),
        Command::Bench { name, arguments } => bench::run(&name, &arguments),
        Command::Soak => soak::run(),
        Command::FuzzAql { seconds, seed } => fuzz_aql::run(seconds, seed),
        Command::Stop => {
            demo::stop_earlier()?;
            let stopped = latchkey_systems::stop_kept()?;
            latchkey_systems::sweep_abandoned()?;
            println!("stopped {stopped} database servers");
            Ok(())
        }
    }
}
