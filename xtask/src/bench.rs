//! Measurements.
use anyhow::{Result, bail};
pub(crate) fn run(name: &str) -> Result<()> {
    bail!("there is no benchmark named {name}")
}
