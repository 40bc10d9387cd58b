//! Builds the programs as they are shipped and measures them.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::workspace::{capture, cargo, root, target_folder, watch};

/// What only a build with crash points contains.
const CRASH_WORD: &[u8] = b"LATCHKEY_FAULT_CRASH";

pub(crate) fn run(name: &str, arguments: &[String]) -> Result<()> {
    println!("Building the release programs (only the first time takes long)");
    if name == "inventory" {
        build_with_rivals()?;
    } else {
        build_release()?;
    }
    let release = target_folder()?.join("release");
    let commit =
        capture(Command::new("git").current_dir(root()?).args(["describe", "--always", "--dirty"]))
            .unwrap_or_else(|_| "unknown".to_owned());
    let mut bench = Command::new(release.join("latchkey-bench"));
    bench
        .arg(name)
        .arg("--program")
        .arg(release.join("latchkey"))
        .arg("--out")
        .arg(root()?.join("target/bench").join(format!("{name}.json")))
        .arg("--provisioner")
        .arg(root()?.join("docs/integrations/postgresql/provisioner.sql"))
        .args(["--commit", commit.trim()])
        .args(arguments);
    watch(&mut bench)
}

/// Builds the measurements with the policy engines that `inventory` is measured beside; no shipped
/// program is built with them. Of the same crates as the shipped ones, so that what they are made
/// of is built alike, and once.
fn build_with_rivals() -> Result<()> {
    watch(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "--workspace",
        "--exclude",
        "latchkey-e2e",
        "--bin",
        "latchkey-bench",
        "--features",
        "latchkey-bench/rivals",
    ])?)
}

/// Builds in the release profile, and searches the shipped program for crash points.
pub(crate) fn build_release() -> Result<()> {
    watch(&mut cargo(&[
        "build",
        "--release",
        "--locked",
        "--workspace",
        "--exclude",
        "latchkey-e2e",
        "--bin",
        "latchkey",
        "--bin",
        "latchkey-bench",
    ])?)?;
    let file = target_folder()?.join("release").join("latchkey");
    let program = std::fs::read(&file).with_context(|| file.display().to_string())?;
    if program.windows(CRASH_WORD.len()).any(|window| window == CRASH_WORD) {
        bail!("the release build of latchkey contains crash points");
    }
    Ok(())
}
