//! A database for one test, of either kind, gone afterwards. It is empty: whoever uses it
//! migrates it.

use std::{fmt, path::PathBuf};

use anyhow::Context;
use latchkey_domain::Rng;
use latchkey_systems::{Postgres, PostgresVersion};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// Which kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A file in a folder of its own.
    Sqlite,
    /// A database of its own on a server that tests share.
    Postgres(PostgresVersion),
}

impl DatabaseKind {
    /// The two kinds that every store test runs on.
    pub const BOTH: [Self; 2] = [Self::Sqlite, Self::Postgres(PostgresVersion::V15)];
}

/// A database that lasts as long as this value.
pub struct TestDatabase {
    kind: DatabaseKind,
    place: Place,
}

enum Place {
    File { folder: TempDir },
    Server { server: &'static Postgres, name: String },
}

impl TestDatabase {
    /// Makes an empty database.
    pub async fn create(kind: DatabaseKind) -> anyhow::Result<Self> {
        let place = match kind {
            DatabaseKind::Sqlite => Place::File { folder: tempfile::tempdir()? },
            DatabaseKind::Postgres(version) => {
                let server =
                    tokio::task::spawn_blocking(move || Postgres::shared(version)).await??;
                let name = new_name();
                run(server, &format!("CREATE DATABASE {name}")).await?;
                Place::Server { server, name }
            }
        };
        Ok(Self { kind, place })
    }

    /// Which kind it is.
    pub fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// The URL that opens it: `sqlite:PATH` or `postgres://…`.
    pub fn url(&self) -> String {
        match &self.place {
            Place::File { .. } => {
                format!("sqlite:{}", self.sqlite_file().unwrap_or_default().display())
            }
            Place::Server { server, name } => server.url(name),
        }
    }

    /// The file, where it is one. It exists once somebody has opened the database.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        match &self.place {
            Place::File { folder } => Some(folder.path().join("latchkey.db")),
            Place::Server { .. } => None,
        }
    }
}

impl fmt::Debug for TestDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDatabase").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Place::Server { server, name } = &self.place else { return };
        let (server, name) = (*server, name.clone());
        // A runtime cannot be started inside the test's own, so the work gets its own thread.
        let dropped = std::thread::spawn(move || -> anyhow::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run(server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")))
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            tracing::warn!("A test database could not be dropped; it goes with its server.");
        }
    }
}

/// A name that no other test process uses.
fn new_name() -> String {
    let mut bytes = [0; 8];
    crate::random::machine_random().fill(&mut bytes);
    format!("latchkey_test_{}", hex::encode(bytes))
}

async fn run(server: &Postgres, statement: &str) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls)
        .await
        .context("the shared PostgreSQL of the tests does not answer")?;
    let serve = tokio::spawn(connection);
    client.batch_execute(statement).await.with_context(|| statement.to_owned())?;
    drop(client);
    serve.await?.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_postgres_database_lasts_as_long_as_its_value() {
        let database = TestDatabase::create(DatabaseKind::Postgres(PostgresVersion::V15));
        let database = database.await.unwrap();
        let url = database.url();
        assert!(tokio_postgres::connect(&url, NoTls).await.is_ok());
        drop(database);
        assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
    }
}
