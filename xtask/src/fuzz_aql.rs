//! Fuzzes the query language for a bounded time: with cargo-fuzz where it is installed, and
//! otherwise with random texts from seeds, by the same laws.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{
    steps::Steps,
    workspace::{cargo, root, watch},
};

/// The fuzz targets of crates/aql/fuzz, with the longest text that each tries, in bytes: a little
/// more than a query may have, but where a try is slow because it reads the text many times.
const TARGETS: &[(&str, u32)] = &[("parse", 8400), ("format", 8400), ("complete", 512)];

pub(crate) fn run(seconds: u64, seed: Option<u64>) -> Result<()> {
    let missing = missing();
    if missing.is_empty() && seed.is_none() {
        return fuzz(seconds);
    }
    if seed.is_none() {
        println!("To fuzz with coverage as the guide, first run:");
        for install in &missing {
            println!("  {install}");
        }
    }
    println!("Trying random texts by the same laws for {seconds} s");
    long_run(seconds, seed)
}

/// What has to be run before the targets can be.
fn missing() -> Vec<&'static str> {
    let works = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let mut missing = Vec::new();
    if !works("rustup", &["run", "nightly", "rustc", "--version"]) {
        missing.push("rustup toolchain install nightly --profile minimal");
    }
    if !works("cargo-fuzz", &["--version"]) {
        missing.push("cargo install cargo-fuzz --locked");
    }
    if !works("c++", &["--version"]) {
        missing.push("apt-get install g++");
    }
    missing
}

/// Runs each target for its share of the time. Texts that a target has found worth keeping stay in
/// `corpus`, and those that break a law in `artifacts`.
fn fuzz(seconds: u64) -> Result<()> {
    let folder = root()?.join("crates/aql/fuzz");
    let share = (seconds / TARGETS.len() as u64).max(1);
    let mut steps = Steps::default();
    for (target, longest) in TARGETS {
        steps.run(target, || {
            let mut command = Command::new("rustup");
            command.current_dir(&folder).stdin(Stdio::null());
            command.args(["run", "nightly", "cargo", "fuzz", "run", "--fuzz-dir", ".", target]);
            command.args(["--", "-dict=aql.dict", "-timeout=10"]);
            command.arg(format!("-max_len={longest}"));
            watch(command.arg(format!("-max_total_time={share}")))
        })?;
    }
    steps.print_times();
    Ok(())
}

fn long_run(seconds: u64, seed: Option<u64>) -> Result<()> {
    let mut command = cargo(&["test", "--locked", "--package", "latchkey-aql", "--test", "aql"])?;
    command.args(["--", "--exact", "--nocapture"]);
    command.arg("long_run::the_laws_hold_for_as_long_as_is_asked_for");
    command.env("LATCHKEY_AQL_SECONDS", seconds.to_string());
    // Every run goes elsewhere.
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 32);
    command.env("LATCHKEY_AQL_SEED", seed.to_string());
    if watch(&mut command).is_err() {
        bail!("a law of AQL is broken; `cargo xtask fuzz-aql --seconds 0 --seed SEED` repeats it");
    }
    Ok(())
}
