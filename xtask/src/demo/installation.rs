//! A Latchkey of the demo's own: a data folder, a server, a connector process, three people.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use latchkey_systems::{Program, free_port, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use super::Left;
use super::narrator::Narrator;
use crate::http::Client;
use crate::workspace::program;

/// The connector's id.
pub(super) const CONNECTOR: &str = "shop-floor";
const PREFERRED: &str = "127.0.0.1:8470";

/// Somebody with a token.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    pub(super) token: String,
}

pub(super) struct Installation {
    address: SocketAddr,
    folder: TempDir,
    server: Program,
    connector: Program,
    pub(super) admin: Person,
    pub(super) requestor: Person,
    pub(super) approver: Person,
}

impl Installation {
    /// Makes the people by `latchkey admin`, then starts server and connector.
    pub(super) fn start(narrator: &mut Narrator) -> Result<Self> {
        let made = tempfile::Builder::new().prefix("latchkey-demo-").tempdir()?;
        let folder = made.path().to_owned();
        let admin = person(&folder, narrator, "Ada", "ada@example.com", "bootstrap")?;
        let requestor = person(&folder, narrator, "Rosa", "rosa@example.com", "user")?;
        let approver = person(&folder, narrator, "Abel", "abel@example.com", "user")?;
        command_line(&folder, &["admin", "group", "create", "--name", "Shop data owners"])?;
        command_line(
            &folder,
            &[
                "admin",
                "group",
                "add-member",
                "--group",
                "Shop data owners",
                "--email",
                approver.email,
            ],
        )?;
        narrator.say("Abel is the one member of the group \"Shop data owners\"");

        let address = free_address()?;
        let mut serve = Command::new(program("latchkey")?);
        serve.args(["serve", "--listen", &address.to_string(), "--data"]).arg(&folder);
        let mut server = Program::start(&mut serve, &folder.join("server.log"))?;
        let mut anybody = Client::new(address, None)?;
        await_program(&mut server, "the server", || {
            anybody.call("GET", "/readyz", None).is_ok_and(|answer| answer.status == 200)
        })?;
        narrator.evidence(
            &format!("latchkey serve --listen {address}"),
            &format!("pid {}, /readyz answers 200", server.pid().unwrap_or_default()),
        );

        let issued =
            command_line(&folder, &["admin", "connector-token", "create", "--id", CONNECTOR])?;
        let mut connect = Command::new(program("latchkey")?);
        connect
            .args([
                "connector",
                "--server",
                &format!("http://{address}"),
                "--id",
                CONNECTOR,
                "--data",
            ])
            .arg(folder.join("connector"))
            .env("LATCHKEY_CONNECTOR_TOKEN", text_of(&issued, "token")?);
        let mut connector = Program::start(&mut connect, &folder.join("connector.log"))?;
        let mut as_admin = Client::new(address, Some(&admin.token))?;
        let path = format!("/api/admin/v3/connectors/{CONNECTOR}");
        await_program(&mut connector, "the connector", || {
            as_admin.get(&path).is_ok_and(|connector| {
                connector.get("status").and_then(Value::as_str) == Some("CONNECTED")
            })
        })?;
        narrator.evidence(
            &format!("latchkey connector --id {CONNECTOR}"),
            &format!("pid {}, status CONNECTED", connector.pid().unwrap_or_default()),
        );
        Ok(Self { address, folder: made, server, connector, admin, requestor, approver })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The last lines of both logs, for a step that went wrong.
    pub(super) fn log_ends(&self) -> String {
        let end = |program: &Program| {
            let log = program.log();
            let lines: Vec<&str> = log.lines().collect();
            lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
        };
        format!("server:\n{}\nconnector:\n{}", end(&self.server), end(&self.connector))
    }

    pub(super) fn client(&self, person: &Person) -> Result<Client> {
        Client::new(self.address, Some(&person.token))
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [&self.admin, &self.requestor, &self.approver]
            .into_iter()
            .map(|person| (person.email, person.token.as_str()))
    }

    /// Runs `latchkey …` on this installation and returns what it printed.
    pub(super) fn command_line(&self, words: &[&str]) -> Result<String> {
        run_command_line(self.folder.path(), words)
    }

    pub(super) fn stop(mut self) -> Result<()> {
        self.connector.stop()?;
        self.server.stop()
    }

    pub(super) fn leave(self) -> Result<Left> {
        let programs = vec![self.connector.leave()?, self.server.leave()?];
        Ok(Left { programs, folder: self.folder.keep() })
    }
}

fn person(
    folder: &Path,
    narrator: &Narrator,
    name: &'static str,
    email: &'static str,
    how: &str,
) -> Result<Person> {
    let names = ["--email", email, "--first-name", name, "--last-name", "Example"];
    let made = if how == "bootstrap" {
        command_line(folder, &[&["admin", "bootstrap"], names.as_slice()].concat())?
    } else {
        command_line(folder, &[&["admin", "user", "create"], names.as_slice()].concat())?;
        command_line(folder, &["admin", "token", "create", "--email", email])?
    };
    narrator.say(&format!("{name} <{email}> has the id {}", text_of(&made, "user_id")?));
    Ok(Person { name, email, token: text_of(&made, "token")? })
}

/// Runs `latchkey admin …` and reads the JSON object on its last line.
fn command_line(folder: &Path, words: &[&str]) -> Result<Value> {
    let printed = run_command_line(folder, words)?;
    let last = printed.lines().last().unwrap_or_default();
    serde_json::from_str(last)
        .with_context(|| format!("`latchkey {}` printed no JSON last", words.join(" ")))
}

fn run_command_line(folder: &Path, words: &[&str]) -> Result<String> {
    let output = Command::new(program("latchkey")?)
        .args(words)
        .arg("--data")
        .arg(folder)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!(
            "`latchkey {}` ended with {}: {}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Waits for a program to do its part; its log is the error when it ends before.
fn await_program(program: &mut Program, name: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
    let mut end = None;
    let in_time = wait_until(Duration::from_secs(30), || {
        end = program.ended().ok().flatten();
        end.is_some() || ready()
    });
    match end {
        Some(status) => bail!("{name} ended with {status}; its log:\n{}", program.log()),
        None if !in_time => bail!("{name} was not ready in 30 s; its log:\n{}", program.log()),
        None => Ok(()),
    }
}

fn free_address() -> Result<SocketAddr> {
    if std::net::TcpListener::bind(PREFERRED).is_ok() {
        return Ok(PREFERRED.parse()?);
    }
    Ok(SocketAddr::from(([127, 0, 0, 1], free_port()?)))
}

/// A text member of a JSON object.
pub(super) fn text_of(object: &Value, member: &str) -> Result<String> {
    object
        .get(member)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("no text `{member}` in {object}"))
}
