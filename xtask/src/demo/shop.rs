//! The target: a PostgreSQL server with a shop's database, and the provisioner that the script in
//! docs/integrations/postgresql makes.

use std::fs;

use anyhow::{Context as _, Result};
use latchkey_systems::{Postgres, PostgresVersion};

use super::narrator::Narrator;
use crate::workspace::root;

/// The database's name.
pub(super) const DATABASE: &str = "shop";

/// What the connector logs in with.
#[derive(Debug)]
pub(super) struct ProvisionerSecret {
    pub(super) username: String,
    pub(super) password: String,
}

/// Starts PostgreSQL 18, or 15 where 18 cannot be had, and fills it.
pub(super) fn open(narrator: &mut Narrator) -> Result<(Postgres, ProvisionerSecret)> {
    let server = match Postgres::start(PostgresVersion::V18) {
        Ok(server) => server,
        Err(error) => {
            narrator.say(&format!("PostgreSQL 18 is not to be had ({error:#}), so 15 it is"));
            Postgres::start(PostgresVersion::V15)?
        }
    };
    narrator.say(&format!(
        "PostgreSQL {} on port {}, passwords checked by scram-sha-256",
        server.sql("postgres", "SHOW server_version")?,
        server.port()
    ));
    server.sql("postgres", "CREATE ROLE shop_owner NOLOGIN")?;
    server.sql("postgres", "CREATE DATABASE shop OWNER shop_owner")?;
    server.sql(DATABASE, include_str!("shop.sql"))?;
    let counted = server.sql(
        DATABASE,
        "SELECT count(*) || ' tables in ' || count(DISTINCT relnamespace) || ' schemas, '
             || sum(reltuples)::bigint || ' rows'
         FROM pg_class WHERE relkind = 'r' AND pg_get_userbyid(relowner) = 'shop_owner'",
    )?;
    narrator.say(&counted);
    let secret = make_provisioner(&server)?;
    narrator.say(&format!(
        "docs/integrations/postgresql/provisioner.sql made {}, which is no superuser: {}",
        secret.username,
        server.sql(
            "postgres",
            "SELECT string_agg(rolname || ' super=' || rolsuper || ' createrole='
                 || rolcreaterole, ', ' ORDER BY rolname)
             FROM pg_roles WHERE rolname LIKE 'latchkey_%' AND NOT rolsuper"
        )?
    ));
    Ok((server, secret))
}

/// Runs the documented script with its three lines edited, as an Admin would.
fn make_provisioner(server: &Postgres) -> Result<ProvisionerSecret> {
    let file = root()?.join("docs/integrations/postgresql/provisioner.sql");
    let script = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let secret = ProvisionerSecret {
        username: "latchkey_connector".to_owned(),
        password: server.password().chars().rev().collect(),
    };
    let set = |name: &str, value: &str| format!("SET latchkey.{name} = '{value}';");
    let mut edited = String::new();
    for line in script.lines() {
        let line = match line.split(" = ").next() {
            Some("SET latchkey.login") => set("login", &secret.username),
            Some("SET latchkey.password") => set("password", &secret.password),
            Some("SET latchkey.owners") => set("owners", "shop_owner"),
            _ => line.to_owned(),
        };
        edited.push_str(&line);
        edited.push('\n');
    }
    server.sql(DATABASE, &edited).context("docs/integrations/postgresql/provisioner.sql")?;
    Ok(secret)
}
