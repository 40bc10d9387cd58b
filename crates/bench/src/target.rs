//! The PostgreSQL server that all sides work on, with `fsync` on.

use std::path::Path;

use anyhow::{Context as _, Result};
use latchkey_systems::{Postgres, PostgresVersion};
use tokio_postgres::{Client, NoTls};

/// The database.
pub(crate) const DATABASE: &str = "shop";
/// The table everybody is given.
pub(crate) const TABLE: &str = "sales.orders";
/// The group role that the rivals hand out.
pub(crate) const GROUP: &str = "bench_readers";
/// The rivals' provisioner.
pub(crate) const RIVAL: &str = "bench_provisioner";
const CONNECTOR: &str = "latchkey_connector";

/// The server, and the passwords of the two provisioners.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) server: Postgres,
    pub(crate) password: String,
    pub(crate) version: String,
}

impl Shop {
    pub(crate) fn open(provisioner: &Path) -> Result<Self> {
        let server = Postgres::start(PostgresVersion::V18)?;
        let password: String = server.password().chars().rev().collect();
        server.sql("postgres", "CREATE ROLE shop_owner NOLOGIN")?;
        server.sql("postgres", "CREATE DATABASE shop OWNER shop_owner")?;
        server.sql(
            DATABASE,
            &format!(
                "CREATE SCHEMA sales AUTHORIZATION shop_owner;
                 SET ROLE shop_owner;
                 CREATE TABLE {TABLE} (id int PRIMARY KEY, state text NOT NULL);
                 INSERT INTO {TABLE} SELECT n, 'sent' FROM generate_series(1, 20000) n;
                 RESET ROLE;
                 CREATE ROLE {GROUP} NOLOGIN;
                 GRANT USAGE ON SCHEMA sales TO {GROUP};
                 GRANT SELECT ON {TABLE} TO {GROUP};
                 CREATE ROLE {RIVAL} LOGIN CREATEROLE PASSWORD '{password}';
                 GRANT {GROUP} TO {RIVAL} WITH ADMIN OPTION;
                 GRANT pg_signal_backend TO {RIVAL};
                 GRANT USAGE ON SCHEMA sales TO {RIVAL} WITH GRANT OPTION;
                 GRANT SELECT ON {TABLE} TO {RIVAL} WITH GRANT OPTION;"
            ),
        )?;
        let script = std::fs::read_to_string(provisioner)
            .with_context(|| provisioner.display().to_string())?
            .replace("'change-me';", &format!("'{password}';"))
            .replace("latchkey.owners = ''", "latchkey.owners = 'shop_owner'");
        server.sql(DATABASE, &script)?;
        let version = server.sql("postgres", "SHOW server_version")?;
        Ok(Self { server, password, version })
    }

    /// The login the connector uses.
    pub(crate) fn connector() -> &'static str {
        CONNECTOR
    }

    /// Logs in and reads one row: what "usable" means on every side.
    pub(crate) async fn log_in(&self, username: &str, password: &str) -> Result<()> {
        let client = self.connect(username, password).await?;
        client.simple_query(&format!("SELECT 1 FROM {TABLE} LIMIT 1")).await?;
        Ok(())
    }

    pub(crate) async fn connect(&self, username: &str, password: &str) -> Result<Client> {
        let url = self.server.url_as(username, password, DATABASE);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// How many principals of Latchkey exist.
    pub(crate) async fn principals(&self, superuser: &Client) -> Result<i64> {
        let row = superuser
            .query_one("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'lk\\_u\\_%'", &[])
            .await?;
        Ok(row.try_get(0)?)
    }

    pub(crate) async fn superuser(&self) -> Result<Client> {
        self.connect(self.server.superuser(), self.server.password()).await
    }
}
