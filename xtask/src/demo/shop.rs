//! The target: a PostgreSQL server with a shop's database, and the provisioner that the script in
//! docs/integrations/postgresql makes.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use latchkey_systems::{Postgres, PostgresVersion, psql_program};

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

fn make_provisioner(server: &Postgres) -> Result<ProvisionerSecret> {
    let script = root()?.join("docs/integrations/postgresql/provisioner.sql");
    let secret = ProvisionerSecret {
        username: "latchkey_login".to_owned(),
        password: server.password().chars().rev().collect(),
    };
    let output = Command::new(psql_program()?)
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1"])
        .args(["-v", &format!("login={}", secret.username)])
        .args(["-v", &format!("password={}", secret.password)])
        .args(["-v", "owners=shop_owner"])
        .arg("-f")
        .arg(&script)
        .arg(server.url(DATABASE))
        .stdin(Stdio::null())
        .output()
        .context("cannot start psql")?;
    if !output.status.success() {
        bail!("the provisioner's script failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(secret)
}
