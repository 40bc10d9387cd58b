//! The long runs: what would make every change wait, and still has to hold.

use anyhow::Result;

use crate::test_run;

pub(crate) fn run() -> Result<()> {
    test_run::run_with("soak", &[], &[("LATCHKEY_TEST_SOAK", "1")])
}
