//! Measurements of the built program, from outside: over HTTP and at the target.
//!
//! `cargo xtask bench NAME` builds the programs in the release profile and runs this one. Each
//! measurement prints one table and writes one JSON file; see [`report`] for its form. Numbers are
//! raw samples of this machine in this run, never carried over from another.

mod by_hand;
mod grant;
mod latchkey;
mod openbao;
mod report;
mod statistics;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

#[derive(Debug, Parser)]
struct Arguments {
    /// Which measurement: `grant`.
    name: String,
    /// The release build of `latchkey`.
    #[arg(long)]
    program: PathBuf,
    /// Where the JSON goes.
    #[arg(long)]
    out: PathBuf,
    /// The documented script that makes the provisioner.
    #[arg(long)]
    provisioner: PathBuf,
    /// The commit that was built.
    #[arg(long)]
    commit: String,
    /// Fewer operations, to see whether the measurement itself works.
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    // The one TLS provider of the project; nothing here leaves the loopback addresses.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = match arguments.name.as_str() {
        "grant" => runtime.block_on(grant::measure(arguments))?,
        other => bail!("there is no measurement named {other}; there is: grant"),
    };
    report.print();
    report.write(&arguments.out)
}
