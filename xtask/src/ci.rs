//! Everything that has to hold before a change lands, cheapest first, tests last so that their
//! closing lines end the output.

use anyhow::Result;

use crate::steps::Steps;
use crate::workspace::{cargo, watch};
use crate::{contract, layers, licences, openapi, test_run};

pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::default();
    let result = run_steps(&mut steps);
    steps.print_times();
    result
}

fn run_steps(steps: &mut Steps) -> Result<()> {
    steps.run("format", || watch(&mut cargo(&["fmt", "--all", "--check"])?))?;
    steps.run("layers", layers::check)?;
    steps.run("licences", licences::check)?;
    steps.run("clippy", || {
        watch(&mut cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])?)
    })?;
    steps.run("documentation", || {
        watch(
            cargo(&["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"])?
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })?;
    steps.run("openapi document", || openapi::run(false))?;
    steps.run("contract", contract::check)?;
    steps.run("tests", || test_run::run("ci", &[]))
}
