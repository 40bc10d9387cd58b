//! One server for many test processes.
//!
//! A runner that starts a process a test would start a server a test. So a server is either named
//! by a variable (`cargo xtask test` starts and stops it), or started by the first process that
//! needs it and kept: a note in the checkout's `target/systems` says where it is, and a file lock
//! keeps two processes from starting it at once.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{Durability, Postgres, PostgresVersion, is_running};
use crate::{folder, install};

static SHARED: Mutex<Vec<&'static Postgres>> = Mutex::new(Vec::new());

/// The note about a kept server.
#[derive(Serialize, Deserialize)]
struct Kept {
    folder: PathBuf,
    coordinates: String,
}

pub(super) fn shared(version: PostgresVersion) -> Result<&'static Postgres> {
    let mut servers = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = servers.iter().find(|server| server.version == version) {
        return Ok(server);
    }
    let server = match std::env::var(version.variable()) {
        Ok(coordinates) => from_coordinates(version, &coordinates)
            .with_context(|| format!("the variable {}", version.variable()))?,
        Err(_) => find_or_start_kept(version)?,
    };
    let server: &'static Postgres = Box::leak(Box::new(server));
    servers.push(server);
    Ok(server)
}

fn from_coordinates(version: PostgresVersion, coordinates: &str) -> Result<Postgres> {
    let mut parts = coordinates.splitn(4, ':');
    let mut next = || parts.next().context("is to be host:port:superuser:password");
    let host = next()?.to_owned();
    let port = next()?.parse().context("its second part is to be a port")?;
    let superuser = next()?.to_owned();
    let password = next()?.to_owned();
    Ok(Postgres { version, host, port, superuser, password, instance: None })
}

fn find_or_start_kept(version: PostgresVersion) -> Result<Postgres> {
    let name = format!("postgresql-{}", version.major());
    let (note, lock) = note_and_lock(&name)?;
    lock.lock()?;
    if let Some(kept) = read_note(&note) {
        if is_running(&kept.folder.join("data")) {
            return from_coordinates(version, &kept.coordinates);
        }
        end(&note, &kept)?;
    }
    let server = Postgres::start_with(version, Durability::Unsynced)?;
    let coordinates = server.coordinates();
    leave_with_note(server, &note)?;
    from_coordinates(version, &coordinates)
}

pub(super) fn keep_running(server: Postgres, name: &str) -> Result<()> {
    let (note, lock) = note_and_lock(name)?;
    lock.lock()?;
    if let Some(kept) = read_note(&note) {
        end(&note, &kept)?;
    }
    leave_with_note(server, &note)
}

fn leave_with_note(mut server: Postgres, note: &Path) -> Result<()> {
    let coordinates = server.coordinates();
    let mut instance = server.instance.take().context("only an owned server can be kept")?;
    instance.folder.keep()?;
    // Without its handle the process is nobody's: it goes on when we end.
    instance.child = None;
    let kept = Kept { folder: instance.folder.path().to_owned(), coordinates };
    let fresh = note.with_extension("new");
    std::fs::write(&fresh, serde_json::to_string_pretty(&kept)?)?;
    std::fs::rename(fresh, note)?;
    Ok(())
}

/// Stops every server of this checkout that was kept running; says how many there were.
pub fn stop_kept() -> Result<usize> {
    let mut stopped = 0;
    for entry in std::fs::read_dir(install::state_folder()?)?.flatten() {
        let note = entry.path();
        if note.extension().is_some_and(|extension| extension == "json")
            && let Some(kept) = read_note(&note)
        {
            end(&note, &kept)?;
            stopped += 1;
        }
    }
    Ok(stopped)
}

fn end(note: &Path, kept: &Kept) -> Result<()> {
    folder::end_servers_of(&kept.folder);
    let _ = std::fs::remove_dir_all(&kept.folder);
    std::fs::remove_file(note)?;
    Ok(())
}

fn note_and_lock(name: &str) -> Result<(PathBuf, std::fs::File)> {
    let state = install::state_folder()?;
    let lock = std::fs::File::create(state.join(format!("{name}.lock")))?;
    Ok((state.join(format!("{name}.json")), lock))
}

fn read_note(note: &Path) -> Option<Kept> {
    serde_json::from_str(&std::fs::read_to_string(note).ok()?).ok()
}
