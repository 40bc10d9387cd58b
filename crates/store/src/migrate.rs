//! Bringing a database up to date, and refusing one that is not ours.
//!
//! Everything happens in one transaction under a lock: a step that fails, or a process that
//! dies, leaves the database as it was, and a second process waits and then finds it done.

use jiff::Timestamp;
use latchkey_domain::{Rng, ids::InstallationId};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};

use crate::{
    error::{Result, StoreError},
    keys::KeyRing,
    schema::{LATEST, ON_SQLITE, STEPS},
    sql::{Row, micros, values},
};

const INSTALLATION: &str = "installation_id";
const MASTER_KEY: &str = "master_key_id";

/// Applies the missing steps; returns the installation's id.
pub(crate) async fn run(
    database: &DatabaseConnection,
    keys: &KeyRing,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<InstallationId> {
    let sqlite = database.get_database_backend() == DbBackend::Sqlite;
    let options = TransactionOptions {
        sqlite_transaction_mode: sqlite.then_some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let conn = database.begin_with_options(options).await?;
    if !sqlite {
        // The number means nothing; it only has to be the same in every server.
        conn.execute_unprepared(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
             SELECT pg_advisory_xact_lock(7021873094512)",
        )
        .await?;
    }
    conn.execute_unprepared(
        "CREATE TABLE IF NOT EXISTS schema_migrations (\
         version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)",
    )
    .await?;
    let found = one(&conn, "SELECT COALESCE(MAX(version), 0) AS n FROM schema_migrations", [])
        .await?
        .map_or(Ok(0), |row| row.int("n"))?;
    if found > LATEST {
        return Err(StoreError::Newer { found, known: LATEST });
    }
    if found > 0 {
        check_key(&conn, keys).await?;
    }
    for step in STEPS.iter().filter(|step| step.version > found) {
        conn.execute_unprepared(step.sql).await?;
        for (_, sql) in ON_SQLITE.iter().filter(|(version, _)| sqlite && *version == step.version) {
            conn.execute_unprepared(sql).await?;
        }
        exec(
            &conn,
            "INSERT INTO schema_migrations (version, name, applied_at) VALUES ($1, $2, $3)",
            values![step.version, step.name, micros(now)],
        )
        .await?;
        tracing::info!(
            schema.version = step.version,
            schema.step = step.name,
            "a step of the \
            schema was applied"
        );
    }
    if found == 0 {
        let installation = InstallationId::generate(now, rng);
        for (key, value) in [(INSTALLATION, installation.as_str()), (MASTER_KEY, keys.id())] {
            let sql = "INSERT INTO meta (key, value) VALUES ($1, $2)";
            exec(&conn, sql, values![key, value]).await?;
        }
        exec(&conn, "INSERT INTO counters (name, value) VALUES ($1, 0)", values!["request"])
            .await?;
    }
    let installation = meta(&conn, INSTALLATION).await?;
    conn.commit().await?;
    Ok(InstallationId::new(installation))
}

async fn check_key(conn: &DatabaseTransaction, keys: &KeyRing) -> Result<()> {
    let expected = meta(conn, MASTER_KEY).await?;
    if expected == keys.id() {
        return Ok(());
    }
    Err(StoreError::WrongKey { expected, given: keys.id().to_owned() })
}

async fn meta(conn: &DatabaseTransaction, key: &str) -> Result<String> {
    match one(conn, "SELECT value FROM meta WHERE key = $1", values![key]).await? {
        Some(row) => row.text("value"),
        None => Err(StoreError::corrupt(format!("the entry {key} of the table meta"))),
    }
}

async fn one(
    conn: &DatabaseTransaction,
    sql: &str,
    values: impl IntoIterator<Item = sea_orm::Value>,
) -> Result<Option<Row>> {
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), sql, values);
    Ok(conn.query_one_raw(statement).await?.map(Row::from))
}

async fn exec(
    conn: &DatabaseTransaction,
    sql: &str,
    values: impl IntoIterator<Item = sea_orm::Value>,
) -> Result<()> {
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), sql, values);
    conn.execute_raw(statement).await?;
    Ok(())
}
