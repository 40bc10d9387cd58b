//! A target: a PostgreSQL database of a shop with an owner and a least-privilege provisioner.

use std::time::Duration;

use latchkey_testkit::{
    systems::{Postgres, PostgresVersion},
    wait_until,
};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::caller::PATIENCE;

/// The shop's database on some server.
#[derive(Debug)]
pub struct Shop {
    pub database: String,
    pub provisioner: String,
    pub password: String,
    owner: String,
    host: String,
    port: u16,
    superuser_url: String,
}

impl Shop {
    /// A shop on the server that tests share.
    pub async fn open() -> Self {
        let version = PostgresVersion::V15;
        let server = tokio::task::spawn_blocking(move || Postgres::shared(version));
        Self::open_on(server.await.unwrap().unwrap()).await
    }

    /// A shop on this server.
    pub async fn open_on(server: &Postgres) -> Self {
        let tag: String =
            server.sql("postgres", "SELECT substr(md5(random()::text), 1, 10)").unwrap();
        let database = format!("shop_{tag}");
        let (owner, provisioner) = (format!("shop_owner_{tag}"), format!("shop_prov_{tag}"));
        let password = format!("prov-{tag}");
        let admin = connect(&server.url("postgres")).await.unwrap();
        for statement in [
            format!("CREATE ROLE {owner} NOLOGIN"),
            format!("CREATE ROLE {provisioner} LOGIN CREATEROLE PASSWORD '{password}'"),
            format!("GRANT {owner} TO {provisioner}"),
            format!("CREATE DATABASE {database} OWNER {owner}"),
            format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
        ] {
            admin.batch_execute(&statement).await.unwrap();
        }
        let superuser_url = server.url(&database);
        let shop = Self {
            database,
            provisioner,
            password,
            owner: owner.clone(),
            host: server.host().to_owned(),
            port: server.port(),
            superuser_url,
        };
        shop.sql(&format!(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC;
             SET ROLE {owner};
             CREATE SCHEMA sales;
             CREATE TABLE sales.orders (id serial PRIMARY KEY, what text NOT NULL);
             CREATE TABLE sales.customers (id serial PRIMARY KEY, name text NOT NULL);
             INSERT INTO sales.orders (what) SELECT 'thing ' || n FROM generate_series(1, 100) n;
             INSERT INTO sales.customers (name) VALUES ('Ada'), ('Bob');"
        ))
        .await;
        shop
    }

    /// `integration_config`.
    pub fn config(&self) -> Value {
        json!({
            "hostname": self.host,
            "port": self.port.to_string(),
            "dbname": self.database,
            "sslmode": "disable",
            "databases": self.database,
        })
    }

    /// `parameters` of the platform's secret store.
    pub fn secret(&self) -> Value {
        json!({ "username": self.provisioner, "password": self.password })
    }

    /// Where it is and how its provisioner logs in, as the recipes call it.
    pub fn variables(&self) -> [(String, String); 5] {
        [
            ("SHOP_HOST", self.host.clone()),
            ("SHOP_PORT", self.port.to_string()),
            ("SHOP_DATABASE", self.database.clone()),
            ("SHOP_USER", self.provisioner.clone()),
            ("SHOP_PASSWORD", self.password.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    /// Runs statements as the superuser.
    pub async fn sql(&self, statements: &str) {
        connect(&self.superuser_url).await.unwrap().batch_execute(statements).await.unwrap();
    }

    /// Makes tables `sales.NAME` for each of the names.
    pub async fn add_tables(&self, names: impl IntoIterator<Item = String>) {
        let create = |name| format!("CREATE TABLE sales.{name} (id serial PRIMARY KEY);");
        let statements: String = std::iter::once(format!("SET ROLE {};", self.owner))
            .chain(names.into_iter().map(create))
            .collect();
        self.sql(&statements).await;
    }

    /// Makes tables `sales.many_1` and so on; every tenth says `env=prod` in its comment.
    pub async fn add_many_tables(&self, count: usize) {
        // Each table keeps locks until its transaction ends, so a thousand a transaction.
        for first in (1..=count).step_by(1000) {
            let last = count.min(first + 999);
            self.sql(&format!(
                "SET ROLE {};
                 DO $$ BEGIN FOR n IN {first}..{last} LOOP
                   EXECUTE format('CREATE TABLE sales.many_%s (id int)', n);
                   IF n % 10 = 0 THEN
                     EXECUTE format('COMMENT ON TABLE sales.many_%s IS %L', n, 'env=prod');
                   END IF;
                 END LOOP; END $$",
                self.owner
            ))
            .await;
        }
    }

    /// Principals of Latchkey that may log in and read this table at this moment.
    pub async fn readers(&self, table: &str) -> Vec<String> {
        let admin = connect(&self.superuser_url).await.unwrap();
        let rows = admin
            .query(
                "SELECT rolname FROM pg_roles
                 WHERE rolname LIKE 'lk\\_u\\_%' AND rolcanlogin
                   AND (rolvaliduntil IS NULL OR rolvaliduntil > now())
                   AND has_table_privilege(oid, $1::text, 'SELECT')",
                &[&table],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Logs in.
    pub async fn login(
        &self,
        credentials: &(String, String),
    ) -> Result<Client, tokio_postgres::Error> {
        let (user, password) = credentials;
        connect(&format!(
            "postgres://{user}:{password}@{}:{}/{}",
            self.host, self.port, self.database
        ))
        .await
    }

    /// Principals of Latchkey that may log in and are of this shop, and hold some right there.
    pub async fn principals(&self) -> Vec<String> {
        let admin = connect(&self.superuser_url).await.unwrap();
        let rows = admin
            .query(
                "SELECT DISTINCT u.rolname FROM pg_roles u JOIN pg_auth_members m ON m.member = u.oid
                 JOIN pg_roles g ON g.oid = m.roleid
                 JOIN pg_shdepend d ON d.refobjid = g.oid AND d.refclassid = 'pg_authid'::regclass
                 JOIN pg_database b ON b.datname = current_database()
                 WHERE u.rolname LIKE 'lk\\_u\\_%' AND (d.dbid = b.oid OR d.objid = b.oid)
                 ORDER BY 1",
                &[],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until nobody whom Latchkey made holds anything here.
    pub async fn wait_until_empty(&self) {
        let mut left = Vec::new();
        let emptied = wait_until("an empty target", PATIENCE, async || {
            left = self.principals().await;
            left.is_empty()
        })
        .await;
        emptied.unwrap_or_else(|error| panic!("{error}: {left:?} still hold something"));
    }
}

/// Connects; the connection is served until the client is dropped.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Waits until an open session has been ended by the server.
pub async fn wait_until_cut(client: &Client, within: Duration) {
    let cut = wait_until("the end of an open session", within, async || {
        client.simple_query("SELECT 1").await.is_err()
    });
    cut.await.unwrap();
}
