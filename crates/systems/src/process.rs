//! Processes that this crate starts: as whom they run, and how they are found and ended.
//!
//! Only processes that this crate started are ever signalled: by pid, and only while the pid still
//! names a process that works in the folder we gave it.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User};

/// How often a condition is looked at while waiting for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The system user a server runs as.
#[derive(Debug, Clone)]
pub(crate) struct RunAs {
    user: Option<(Uid, Gid)>,
}

impl RunAs {
    /// Servers that refuse root run as `name` when we are root, else as ourselves.
    pub(crate) fn unprivileged(name: &str) -> Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self { user: None });
        }
        let user = User::from_name(name)
            .with_context(|| format!("cannot look up the system user {name}"))?
            .with_context(|| {
                format!("there is no system user {name}: install its Debian package, or run as a user other than root")
            })?;
        Ok(Self { user: Some((user.uid, user.gid)) })
    }

    /// A command that runs as this user, with nothing of our environment but the path.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        if let Some((uid, gid)) = self.user {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    /// Hands a file or folder to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.user {
            nix::unistd::chown(path, Some(uid), Some(gid))
                .with_context(|| format!("cannot hand {} to the server's user", path.display()))?;
        }
        Ok(())
    }

    /// Whether this is another user than ourselves.
    pub(crate) fn is_another(&self) -> bool {
        self.user.is_some()
    }
}

/// Whether `pid` is alive and works in `folder`.
pub(crate) fn works_in(pid: i32, folder: &Path) -> bool {
    let Ok(cwd) = std::fs::read_link(format!("/proc/{pid}/cwd")) else { return false };
    folder.canonicalize().is_ok_and(|folder| folder == cwd)
}

/// When a process started, in clock ticks since boot: with the pid it names one process for good.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the program's name, may hold spaces; it ends at the last parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Sends a signal; a process that has ended already is no error.
pub(crate) fn signal(pid: i32, signal: Signal) -> Result<()> {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot signal process {pid}")),
    }
}

/// Looks at `condition` until it holds; `false` when it did not within `limit`.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let mut waited = Duration::ZERO;
    while !condition() {
        if waited >= limit {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
    true
}

/// Runs a command to its end; an error carries what it printed.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<String> {
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .with_context(|| format!("{what}: cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{what} failed with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
