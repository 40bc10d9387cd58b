//! The committed OpenAPI document is what the code says.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::workspace::{build_latchkey, capture, program, root};

pub(crate) fn run(write: bool) -> Result<()> {
    let file = root()?.join("openapi").join("api.json");
    build_latchkey()?;
    let made = capture(Command::new(program("latchkey")?).arg("openapi"))?;
    if write {
        std::fs::write(&file, &made)?;
        println!("wrote openapi/api.json");
        return Ok(());
    }
    let committed = std::fs::read_to_string(&file)
        .context("openapi/api.json is missing: run `cargo xtask openapi --write`")?;
    if committed == made {
        println!("openapi/api.json is what the code says");
        return Ok(());
    }
    let line = committed
        .lines()
        .zip(made.lines())
        .position(|(committed, made)| committed != made)
        .map_or_else(|| "its end".to_owned(), |index| format!("line {}", index + 1));
    bail!(
        "openapi/api.json differs from the code at {line}: run `cargo xtask openapi --write` and commit it"
    )
}
