//! Runs all tests against real servers that it starts itself and stops again.

use anyhow::Result;
use latchkey_systems::{Durability, Postgres, PostgresVersion};

use crate::steps::Stopwatch;
use crate::workspace::{cargo, watch};

pub(crate) fn run(profile: &str, arguments: &[String]) -> Result<()> {
    run_with(profile, arguments, &[])
}

/// The same with more variables for the tests.
pub(crate) fn run_with(
    profile: &str,
    arguments: &[String],
    variables: &[(&str, &str)],
) -> Result<()> {
    install_nextest()?;
    let mut servers = Vec::new();
    for version in PostgresVersion::ALL {
        let watch = Stopwatch::start();
        // Tests kill processes, never the machine, so nothing is lost without fsync.
        let server = Postgres::start_with(version, Durability::Unsynced)?;
        println!(
            "PostgreSQL {} listens on port {} after {:.1} s",
            version.major(),
            server.port(),
            watch.elapsed().as_secs_f64()
        );
        servers.push(server);
    }
    let mut nextest = cargo(&["nextest", "run", "--locked", "--workspace", "--profile", profile])?;
    nextest.args(arguments).envs(variables.iter().copied());
    for server in &servers {
        nextest.env(server.version().variable(), server.coordinates());
    }
    let result = watch(&mut nextest);
    for mut server in servers {
        server.stop()?;
    }
    result
}

fn install_nextest() -> Result<()> {
    let present =
        cargo(&["nextest", "--version"])?.output().is_ok_and(|output| output.status.success());
    if present {
        return Ok(());
    }
    println!("installing cargo-nextest; this takes some minutes, once");
    watch(&mut cargo(&["install", "cargo-nextest", "--locked"])?)
}
