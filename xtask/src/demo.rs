//! One access from the request to the proof that it is gone, against a real database, with what
//! really happened shown at each step.
//!
//! Everything runs as a person would run it: the programs of the development build, a connector
//! as a process of its own, `psql` as the temporary login. A step whose evidence is not as it
//! should be ends the demo with an error.

mod installation;
mod narrator;
mod psql;
mod shop;
mod story;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use latchkey_systems::{LeftRunning, Postgres};
use serde::{Deserialize, Serialize};

use self::installation::Installation;
use self::narrator::Narrator;
use crate::steps::Stopwatch;
use crate::workspace::{build_latchkey, target_folder};

const KEPT_DATABASE: &str = "demo-postgresql";

/// What an earlier demo left running.
#[derive(Serialize, Deserialize)]
struct Left {
    programs: Vec<LeftRunning>,
    folder: PathBuf,
}

pub(crate) fn run(once: bool) -> Result<()> {
    println!("Building latchkey (only the first time takes minutes)");
    build_latchkey()?;
    stop_earlier()?;
    let watch = Stopwatch::start();
    let mut narrator = Narrator::default();

    narrator.chapter("A shop's database");
    let (server, secret) = shop::open(&mut narrator)?;
    narrator.chapter("A Latchkey server, three people, and a connector beside the database");
    let installation = Installation::start(&mut narrator)?;
    let told = story::tell(&mut narrator, &server, &secret, &installation);
    told.inspect_err(|_| eprintln!("{}", installation.log_ends()))?;
    println!("\nAll of it took {:.0} s after the build.", watch.elapsed().as_secs_f64());

    if once {
        installation.stop()?;
        return Ok(());
    }
    leave_running(server, installation)
}

/// Hands the URL and the tokens to whoever looks on, and ends without stopping anything.
fn leave_running(server: Postgres, installation: Installation) -> Result<()> {
    println!("\nThe server goes on at {}", installation.url());
    println!("  API description: {}/openapi.json", installation.url());
    for (who, token) in installation.tokens() {
        println!("  token of {who}: {token}");
    }
    println!("  the shop's database as superuser: psql {}", server.url("shop"));
    println!("  logs: {}", installation.folder().display());
    println!("End it with `cargo xtask stop`.");
    server.keep_running(KEPT_DATABASE)?;
    let left = installation.leave()?;
    fs::write(note()?, serde_json::to_string_pretty(&left)?)?;
    Ok(())
}

/// Stops what an earlier demo left running; says whether there was one.
pub(crate) fn stop_earlier() -> Result<bool> {
    let note = note()?;
    let Ok(text) = fs::read_to_string(&note) else { return Ok(false) };
    let left: Left = serde_json::from_str(&text).context("the note about an earlier demo")?;
    for program in left.programs {
        program.stop()?;
    }
    let _ = fs::remove_dir_all(left.folder);
    fs::remove_file(note)?;
    Ok(true)
}

fn note() -> Result<PathBuf> {
    let folder = target_folder()?.join("demo");
    fs::create_dir_all(&folder)?;
    Ok(folder.join("running.json"))
}
