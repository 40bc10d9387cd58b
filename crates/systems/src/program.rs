//! Our own long-running programs as a person starts them: a server, a connector. They log to a
//! file, are stopped by pid, and may be left running for somebody to look at.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::process;

const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A process that this one started; it is stopped with this value.
#[derive(Debug)]
pub struct Program {
    child: Option<Child>,
    log: PathBuf,
}

/// A process that was left running, named for good by its pid and start time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct LeftRunning {
    pid: u32,
    start_ticks: u64,
}

impl Program {
    /// Starts `command` in its own process group, with no standard input and both outputs added to
    /// the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child: Some(child), log: log.to_owned() })
    }

    /// The pid while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?),
            None => Ok(None),
        }
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end (SIGTERM) and waits; kills it when it does not.
    pub fn stop(&mut self) -> Result<()> {
        self.end(&[Signal::SIGTERM, Signal::SIGKILL])
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.end(&[Signal::SIGKILL])
    }

    /// Leaves it running when this process ends.
    pub fn leave(mut self) -> Result<LeftRunning> {
        let child = self.child.take().context("the program has ended")?;
        let pid = child.id();
        let start_ticks = process::start_ticks(pid).context("the program has ended")?;
        Ok(LeftRunning { pid, start_ticks })
    }

    fn end(&mut self, signals: &[Signal]) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = i32::try_from(child.id()).context("a pid is a small number")?;
        for how in signals {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            process::signal(pid, *how)?;
            if process::wait_until(STOP_LIMIT, || child.try_wait().is_ok_and(|end| end.is_some())) {
                return Ok(());
            }
        }
        anyhow::bail!("process {pid} does not end")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

impl LeftRunning {
    /// Whether it still runs.
    pub fn is_running(self) -> bool {
        process::start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// The pid.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Asks it to end and waits; kills it when it does not. Never touches another process that
    /// got the same pid later.
    pub fn stop(self) -> Result<()> {
        let pid = i32::try_from(self.pid).context("a pid is a small number")?;
        for how in [Signal::SIGTERM, Signal::SIGKILL] {
            if !self.is_running() {
                return Ok(());
            }
            process::signal(pid, how)?;
            process::wait_until(STOP_LIMIT, || !self.is_running());
        }
        Ok(())
    }
}
