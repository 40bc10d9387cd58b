//! Demo.
use anyhow::Result;
pub(crate) fn run(_once: bool) -> Result<()> {
    Ok(())
}
