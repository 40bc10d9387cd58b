//! A server's own folder below the system's temp folder, which its user may enter.
//!
//! The folder names the process that made it. A test that is killed cannot clean up, so whoever
//! starts a server next ends the servers of dead owners and removes their folders.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::process::{self, RunAs};

const PREFIX: &str = "latchkey-systems-";
const OWNER: &str = "owner";
const KEPT: &str = "kept";

/// A folder that is removed with this value, unless it was handed over with [`Folder::keep`].
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    owned: bool,
}

impl Folder {
    /// Makes a fresh folder that `run_as` owns and nobody else may enter.
    pub(crate) fn create(run_as: &RunAs) -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .context("cannot make a folder below the system's temp folder")?
            .keep();
        let folder = Self { path, owned: true };
        let pid = std::process::id();
        let ticks = process::start_ticks(pid).unwrap_or_default();
        std::fs::write(folder.path.join(OWNER), format!("{pid} {ticks}"))?;
        std::fs::set_permissions(&folder.path, std::fs::Permissions::from_mode(0o700))?;
        run_as.own(&folder.path)?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder inside, of the same user.
    pub(crate) fn make(&self, name: &str, run_as: &RunAs) -> Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::create_dir(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
        run_as.own(&path)?;
        Ok(path)
    }

    /// Leaves the folder in place when this value goes.
    pub(crate) fn keep(&mut self) -> Result<()> {
        std::fs::write(self.path.join(KEPT), "")?;
        self.owned = false;
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.owned {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Ends servers whose owner died without stopping them, and removes their folders.
pub fn sweep_abandoned() -> Result<()> {
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours && is_abandoned(&path) {
            end_servers_of(&path);
            let _ = std::fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

fn is_abandoned(path: &Path) -> bool {
    if path.join(KEPT).exists() {
        return false;
    }
    // A folder without the note may be in the making; one that we may not read is somebody else's.
    let Ok(owner) = std::fs::read_to_string(path.join(OWNER)) else { return false };
    let mut words = owner.split_whitespace();
    let Some(pid) = words.next().and_then(|word| word.parse::<u32>().ok()) else { return false };
    let ticks = words.next().and_then(|word| word.parse::<u64>().ok());
    process::start_ticks(pid) != ticks
}

pub(crate) fn end_servers_of(path: &Path) {
    let data = path.join("data");
    let Some(pid) = pid_in(&data.join("postmaster.pid")) else { return };
    if process::works_in(pid, &data) {
        // SIGQUIT: the data is thrown away, so nothing needs to be written.
        let _ = process::signal(pid, Signal::SIGQUIT);
        process::wait_until(Duration::from_secs(10), || !process::works_in(pid, &data));
    }
}

pub(crate) fn pid_in(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
}
