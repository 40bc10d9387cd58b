//! `psql` as the temporary login: single statements, and a session that stays open.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use latchkey_systems::{psql_program, wait_until};

/// How to log in, as the access details say.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) host: String,
    pub(super) port: String,
    pub(super) database: String,
    pub(super) username: String,
    pub(super) password: String,
}

/// What a statement came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) worked: bool,
    pub(super) text: String,
}

impl Login {
    fn command(&self) -> Result<Command> {
        let mut command = Command::new(psql_program()?);
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", &self.host, "-p", &self.port, "-U", &self.username])
            .args(["-d", &self.database])
            .env("PGPASSWORD", &self.password)
            .env("PGCONNECT_TIMEOUT", "10");
        Ok(command)
    }

    /// Connects, runs one statement, disconnects.
    pub(super) fn run(&self, sql: &str) -> Result<Outcome> {
        let output = self.command()?.args(["-c", sql]).stdin(Stdio::null()).output()?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Outcome { worked: output.status.success(), text: text.trim().to_owned() })
    }

    /// Connects and stays connected.
    pub(super) fn open(&self) -> Result<OpenSession> {
        let mut child = self
            .command()?
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start psql")?;
        let input = child.stdin.take().context("psql reads statements")?;
        let mut session = OpenSession { child, input };
        session.send("SELECT 1")?;
        Ok(session)
    }
}

/// A session that somebody left open.
pub(super) struct OpenSession {
    child: Child,
    input: ChildStdin,
}

impl OpenSession {
    fn send(&mut self, sql: &str) -> Result<()> {
        writeln!(self.input, "{sql};").context("psql has ended")
    }

    /// Types one more statement and returns what the session died of; `None` when it lives on.
    pub(super) fn use_again(mut self) -> Result<Option<String>> {
        // A session that was cut may refuse the write already.
        let _ = self.send("SELECT count(*) FROM sales.orders");
        let child = &mut self.child;
        if !wait_until(Duration::from_secs(10), || child.try_wait().is_ok_and(|end| end.is_some()))
        {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        drop(self.input);
        let output = self.child.wait_with_output()?;
        Ok(Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}
