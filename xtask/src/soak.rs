//! The long runs: what would make every change wait, and still has to hold.

use anyhow::Result;

use crate::{bench, test_run};

pub(crate) fn run() -> Result<()> {
    bench::build_release()?;
    test_run::run_with("soak", &[], &[("LATCHKEY_TEST_SOAK", "1")])
}
