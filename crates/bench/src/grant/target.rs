//! The target of every side: one PostgreSQL server, `fsync` on, passwords checked, with the
//! demo's shop in it and the provisioner that the documented script makes.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use latchkey_systems::{Postgres, PostgresVersion};
use tokio_postgres::{Client, Config, NoTls, config::SslMode};

/// The database's name.
pub(super) const DATABASE: &str = "shop";

/// The table that every grant is about, as SQL names it.
pub(super) const TABLE: &str = "sales.orders";

const LOGIN: &str = "latchkey_connector";

/// The role that does the work.
pub(super) const PROVISIONER: &str = "latchkey_provisioner";

/// The server, and what the provisioner logs in with.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) server: Postgres,
    pub(super) username: String,
    pub(super) password: String,
}

/// How somebody logs in.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) username: String,
    pub(super) password: String,
}

impl Target {
    /// Starts the server and fills it.
    pub(super) fn open(provisioner: &Path, version: PostgresVersion) -> Result<Self> {
        let server = Postgres::start(version)?;
        server.sql("postgres", "CREATE ROLE shop_owner NOLOGIN")?;
        server.sql("postgres", "CREATE DATABASE shop OWNER shop_owner")?;
        server.sql(DATABASE, include_str!("../../../../xtask/src/demo/shop.sql"))?;
        let password: String = server.password().chars().rev().collect();
        let script =
            fs::read_to_string(provisioner).with_context(|| provisioner.display().to_string())?;
        let set = |name: &str, value: &str| format!("SET latchkey.{name} = '{value}';");
        let edited: Vec<String> = script
            .lines()
            .map(|line| match line.split(" = ").next() {
                Some("SET latchkey.login") => set("login", LOGIN),
                Some("SET latchkey.password") => set("password", &password),
                Some("SET latchkey.owners") => set("owners", "shop_owner"),
                _ => line.to_owned(),
            })
            .collect();
        server.sql(DATABASE, &edited.join("\n")).context("the provisioner's script")?;
        Ok(Self { server, username: LOGIN.to_owned(), password })
    }

    /// A connection of the superuser, to look with.
    pub(super) async fn watcher(&self) -> Result<Client> {
        self.connect(self.server.superuser(), self.server.password()).await
    }

    /// A connection that does what the provisioner may do.
    pub(super) async fn provisioner(&self) -> Result<Client> {
        let client = self.connect(&self.username, &self.password).await?;
        client.batch_execute(&format!("SET ROLE {PROVISIONER}")).await?;
        Ok(client)
    }

    /// The login of a principal on this server.
    pub(super) fn login(&self, username: String, password: String) -> Login {
        Login { host: self.server.host().to_owned(), port: self.server.port(), username, password }
    }

    async fn connect(&self, username: &str, password: &str) -> Result<Client> {
        connect(&self.login(username.to_owned(), password.to_owned())).await
    }
}

/// Logs in and reads the table that was granted: only then is a grant of use to anybody.
pub(super) async fn use_login(login: &Login) -> Result<()> {
    let client = connect(login).await?;
    let rows = client.simple_query(&format!("SELECT 1 FROM {TABLE} LIMIT 1")).await?;
    if rows.is_empty() {
        bail!("{} read nothing", login.username);
    }
    Ok(())
}

async fn connect(login: &Login) -> Result<Client> {
    let (client, connection) = Config::new()
        .host(&login.host)
        .port(login.port)
        .dbname(DATABASE)
        .user(&login.username)
        .password(&login.password)
        .ssl_mode(SslMode::Disable)
        .connect(NoTls)
        .await
        .with_context(|| format!("{} cannot log in", login.username))?;
    tokio::spawn(async move {
        // A connection that was cut shows in the next statement.
        let _ = connection.await;
    });
    Ok(client)
}

/// How many roles have a name that begins like this and no character of it is a pattern.
pub(super) async fn count_roles(watcher: &Client, prefix: &str) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_roles WHERE starts_with(rolname::text, $1)";
    Ok(watcher.query_one(sql, &[&prefix]).await?.get(0))
}
