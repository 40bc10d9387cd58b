//! A Latchkey of the measurement's own: SQLite with `synchronous=FULL`, the connector inside.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use latchkey_systems::{Program, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::statistics::Stopwatch;
use crate::target::{DATABASE, Shop};

const REQUESTS: &str = "/api/user/v4/access-requests";
/// How long a client waits between two looks at its request.
const LOOK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Latchkey {
    program: PathBuf,
    folder: TempDir,
    address: SocketAddr,
    server: Program,
    http: reqwest::Client,
    admin: String,
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) token: String,
}

/// What everybody asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    resource: String,
    permission: String,
}

/// The parts of one grant, in milliseconds from the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) created: f64,
    pub(crate) active: f64,
    pub(crate) details: f64,
    pub(crate) login: f64,
}

impl Latchkey {
    pub(crate) async fn start(program: &Path) -> Result<Self> {
        let folder = TempDir::new()?;
        let made = admin(
            program,
            folder.path(),
            &["bootstrap", "--email", "admin@example.com", "--first-name", "A", "--last-name", "B"],
        )?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let server = serve(program, folder.path(), address)?;
        let this = Self {
            program: program.to_owned(),
            folder,
            address,
            server,
            http: reqwest::Client::builder().pool_max_idle_per_host(64).build()?,
            admin: text(&made, "token")?,
        };
        this.ready().await?;
        Ok(this)
    }

    /// Stops the server, lets `change` work on its folder, and starts it again; returns the
    /// seconds until it was ready.
    pub(crate) async fn restart_after(
        &mut self,
        change: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<f64> {
        self.server.stop()?;
        change(self.folder.path())?;
        let watch = Stopwatch::start();
        self.server = serve(&self.program, self.folder.path(), self.address)?;
        self.ready().await?;
        Ok(watch.seconds())
    }

    async fn ready(&self) -> Result<()> {
        let watch = Stopwatch::start();
        let url = format!("http://{}/readyz", self.address);
        while !self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if watch.elapsed() > PATIENCE {
                bail!("the server is not ready; its log:\n{}", self.server.log());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Resident memory of the server in MB (10^6 bytes).
    pub(crate) fn resident_megabytes(&self) -> Result<f64> {
        let pid = self.server.pid().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kibibytes * 1024.0 / 1_000_000.0)
    }

    /// Makes people; only those with `tokens` get one.
    pub(crate) fn people(&self, prefix: &str, count: usize, tokens: bool) -> Result<Vec<Person>> {
        let mut people = Vec::with_capacity(count);
        for number in 0..count {
            let email = format!("{prefix}{number}@example.com");
            let names = ["--email", &email, "--first-name", "Bench", "--last-name", "Person"];
            admin(
                &self.program,
                self.folder.path(),
                &[["user", "create"].as_slice(), &names].concat(),
            )?;
            let token = if tokens {
                let words = ["token", "create", "--email", &email];
                text(&admin(&self.program, self.folder.path(), &words)?, "token")?
            } else {
                String::new()
            };
            people.push(Person { email, token });
        }
        Ok(people)
    }

    /// Connects the shop and waits for its inventory; returns the integration's id.
    pub(crate) async fn connect(&self, shop: &Shop) -> Result<String> {
        let made = self
            .post(
                &self.admin,
                "/api/admin/v4/integrations",
                &json!({
                    "name": "Shop", "type": "postgresql", "connector_id": "local",
                    "integration_config": {
                        "hostname": shop.server.host(), "port": shop.server.port().to_string(),
                        "dbname": DATABASE, "databases": DATABASE, "sslmode": "disable",
                        "role": "latchkey_provisioner",
                    },
                    "secret_store_config": { "apono": { "parameters": {
                        "username": Shop::connector(), "password": shop.password,
                    } } },
                }),
            )
            .await?;
        let id = text(&made, "id")?;
        let path = format!("/api/admin/v4/integrations/{id}");
        let found =
            self.until(&self.admin, &path, "status", &["ACTIVE", "WARNING", "ERROR"]).await?;
        if text(&found, "status")? == "ERROR" {
            bail!("the integration failed: {found}");
        }
        Ok(id)
    }

    /// A flow without approvers for everybody whose address begins with `prefix`; returns its id.
    pub(crate) async fn flow(&self, integration: &str, prefix: &str) -> Result<String> {
        let everybody = json!({ "logical_operator": "OR", "conditions": [
            { "type": "user", "match_operator": "starts_with", "values": [prefix] },
        ] });
        let made = self
            .post(
                &self.admin,
                "/api/admin/v2/access-flows",
                &json!({
                    "name": format!("Bench {prefix}"), "active": true, "trigger": "SELF_SERVE",
                    "requestors": everybody,
                    "request_for": { "request_scopes": ["self", "others"], "grantees": everybody },
                    "request_for_others": true,
                    "access_targets": [{ "integration": {
                        "integration_reference": integration,
                        "resource_type": "postgresql-table",
                        "permissions": ["READ_ONLY"], "resources_scopes": null,
                    } }],
                    "approver_policy": null, "grant_duration_in_min": 600,
                    "settings": {
                        "justification_required": false, "require_approver_reason": false,
                        "requestor_cannot_approve_himself": false, "require_mfa": false,
                        "labels": [],
                    },
                }),
            )
            .await?;
        text(&made, "id")
    }

    pub(crate) async fn delete_flow(&self, id: &str) -> Result<()> {
        let url = format!("http://{}/api/admin/v2/access-flows/{id}", self.address);
        checked(self.http.delete(url).bearer_auth(&self.admin).send().await?).await?;
        Ok(())
    }

    /// The one table, as it is on offer to somebody.
    pub(crate) async fn wanted(&self, person: &Person) -> Result<Wanted> {
        let path = "/api/user/v1/available-access/entitlements?resource_name=orders&permission_name=READ_ONLY";
        let listed = self.get(&person.token, path).await?;
        let at = |pointer: &str| {
            listed
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("no {pointer} in {listed}"))
        };
        Ok(Wanted {
            resource: at("/items/0/resource/id")?,
            permission: at("/items/0/permission/id")?,
        })
    }

    /// Files a request and returns it.
    pub(crate) async fn ask(
        &self,
        person: &Person,
        wanted: &Wanted,
        seconds: u32,
        grantee: Option<&str>,
    ) -> Result<Value> {
        let made = self
            .post(
                &person.token,
                REQUESTS,
                &json!({
                    "entitlements": [{ "resource_id": wanted.resource, "permission_id": wanted.permission }],
                    "justification": "A measurement", "duration_in_sec": seconds, "grantee": grantee,
                }),
            )
            .await?;
        made.get(0).cloned().context("the answer is an array of requests")
    }

    /// From create to a usable login; returns the request and the parts of the time.
    pub(crate) async fn grant(
        &self,
        shop: &Shop,
        person: &Person,
        wanted: &Wanted,
    ) -> Result<(String, Parts)> {
        let watch = Stopwatch::start();
        let id = text(&self.ask(person, wanted, 3600, None).await?, "id")?;
        let created = watch.milliseconds();
        let found = self
            .until(&person.token, &format!("{REQUESTS}/{id}"), "status", &["Active", "Failed"])
            .await?;
        if text(&found, "status")? == "Failed" {
            bail!("request {id} failed");
        }
        let active = watch.milliseconds();
        let sessions = self
            .get(&person.token, &format!("/api/user/v1/access-sessions?request_ids={id}"))
            .await?;
        let session =
            sessions.pointer("/items/0/id").and_then(Value::as_str).context("a session")?;
        let given = self
            .get(&person.token, &format!("/api/user/v1/access-sessions/{session}/access-details"))
            .await?;
        let parameters = given.get("parameters").context("connection parameters")?;
        let details = watch.milliseconds();
        shop.log_in(&text(parameters, "username")?, &text(parameters, "password")?).await?;
        Ok((id, Parts { created, active, details, login: watch.milliseconds() }))
    }

    /// From revoke to the receipt, in milliseconds: a request is Revoked only when it is stored.
    pub(crate) async fn revoke(&self, person: &Person, id: &str) -> Result<f64> {
        let watch = Stopwatch::start();
        let url = format!("http://{}{REQUESTS}/{id}/revoke", self.address);
        checked(self.http.post(url).bearer_auth(&person.token).send().await?).await?;
        self.until(&person.token, &format!("{REQUESTS}/{id}"), "status", &["Revoked"]).await?;
        Ok(watch.milliseconds())
    }

    async fn until(&self, token: &str, path: &str, member: &str, values: &[&str]) -> Result<Value> {
        let watch = Stopwatch::start();
        loop {
            let found = self.get(token, path).await?;
            if found
                .get(member)
                .and_then(Value::as_str)
                .is_some_and(|value| values.contains(&value))
            {
                return Ok(found);
            }
            if watch.elapsed() > PATIENCE {
                bail!("{path} did not become {}: {found}", values.join(" or "));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn get(&self, token: &str, path: &str) -> Result<Value> {
        let url = format!("http://{}{path}", self.address);
        checked(self.http.get(url).bearer_auth(token).send().await?).await
    }

    async fn post(&self, token: &str, path: &str, body: &Value) -> Result<Value> {
        let url = format!("http://{}{path}", self.address);
        checked(self.http.post(url).bearer_auth(token).json(body).send().await?)
            .await
            .with_context(|| path.to_owned())
    }
}

fn serve(program: &Path, folder: &Path, address: SocketAddr) -> Result<Program> {
    let mut command = Command::new(program);
    command
        .args(["serve", "--listen", &address.to_string(), "--data"])
        .arg(folder)
        .env("LATCHKEY_LOG_FILTER", "warn");
    Program::start(&mut command, &folder.join("server.log"))
}

fn admin(program: &Path, folder: &Path, words: &[&str]) -> Result<Value> {
    let output = Command::new(program)
        .arg("admin")
        .args(words)
        .arg("--data")
        .arg(folder)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("latchkey admin {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    let printed = String::from_utf8(output.stdout)?;
    serde_json::from_str(printed.lines().last().unwrap_or_default())
        .context("latchkey admin printed no JSON")
}

async fn checked(answer: reqwest::Response) -> Result<Value> {
    let status = answer.status();
    let body = answer.text().await?;
    if !status.is_success() {
        bail!("the server answered {status}: {body}");
    }
    Ok(serde_json::from_str(&body).unwrap_or_default())
}

/// A text member of an object.
pub(crate) fn text(object: &Value, member: &str) -> Result<String> {
    object
        .get(member)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("no text `{member}` in {object}"))
}
