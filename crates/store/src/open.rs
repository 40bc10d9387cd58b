//! Finding, opening and upgrading the database.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use latchkey_domain::{Clock, Rng, ids::InstallationId};
use sea_orm::{
    DatabaseConnection, DbBackend,
    sqlx::{
        ConnectOptions, PgPool, SqlitePool,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    error::{Result, StoreError},
    keys::KeyRing,
    listen, migrate,
    sqlite::Sqlite,
    tx::{Database, Inner, Store},
    wake::WakeUps,
};

/// How long a caller waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a writer waits for another process to let go of the file.
const BUSY: Duration = Duration::from_secs(10);

/// Which database.
#[derive(Debug, Clone)]
pub enum DatabaseUrl {
    /// An embedded SQLite file; made if it is not there.
    Sqlite(PathBuf),
    /// A PostgreSQL database, as `postgres://user:password@host:port/database`.
    Postgres(SecretString),
}

/// Why a database URL was refused. Does not repeat it: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database URL is not understood; use sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"
)]
pub struct DatabaseUrlError;

impl DatabaseUrl {
    /// Reads `sqlite:PATH`, `sqlite://PATH`, `postgres://…` or `postgresql://…`.
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        text.parse()
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"))
        {
            if path.is_empty() || path.contains('?') {
                return Err(DatabaseUrlError);
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(SecretString::from(text)));
        }
        Err(DatabaseUrlError)
    }
}

/// How to open the database.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Which database.
    pub database: DatabaseUrl,
    /// The keys; must be those the database was made with.
    pub keys: KeyRing,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub rng: Arc<dyn Rng>,
    /// How many connections may be open at once: half of them for writers on PostgreSQL, one on
    /// SQLite, and the others for readers; at least one of each. PostgreSQL has one more, which
    /// listens for hints.
    pub max_connections: u32,
}

/// The ways into the database, and what runs beside them.
struct Ways {
    database: Database,
    installation_id: InstallationId,
    wake: WakeUps,
    background: Vec<JoinHandle<()>>,
}

/// What bringing the schema up to date takes.
struct Upgrade<'a> {
    keys: &'a KeyRing,
    clock: &'a Arc<dyn Clock>,
    rng: &'a dyn Rng,
}

impl Upgrade<'_> {
    async fn run(&self, database: &DatabaseConnection) -> Result<InstallationId> {
        migrate::run(database, self.keys, self.clock.now(), self.rng).await
    }
}

impl Store {
    /// Opens the database, makes or upgrades its schema, and checks that it belongs to the key.
    /// Several processes may do so at once; one upgrades, the others wait.
    pub async fn open(options: StoreOptions) -> Result<Self> {
        let StoreOptions { database, keys, clock, rng, max_connections } = options;
        let upgrade = Upgrade { keys: &keys, clock: &clock, rng: rng.as_ref() };
        let (backend, ways) = match &database {
            DatabaseUrl::Sqlite(path) => {
                (DbBackend::Sqlite, open_sqlite(path, max_connections, &upgrade).await?)
            }
            DatabaseUrl::Postgres(url) => {
                (DbBackend::Postgres, open_postgres(url, max_connections, &upgrade).await?)
            }
        };
        let Ways { database, installation_id, wake, background } = ways;
        tracing::info!(
            installation.id = %installation_id,
            database.system = backend.as_str(),
            "the database is open"
        );
        Ok(Self(Arc::new(Inner {
            backend,
            database,
            keys,
            clock,
            rng,
            installation_id,
            wake,
            background,
        })))
    }

    /// Closes every connection, after the transactions that are open now.
    pub async fn close(&self) {
        match &self.0.database {
            Database::Sqlite(sqlite) => sqlite.close().await,
            Database::Postgres { readers, writer } => {
                for pool in [readers, writer] {
                    if let Err(error) = pool.close_by_ref().await {
                        tracing::warn!(%error, "a connection pool was not closed cleanly");
                    }
                }
            }
        }
    }
}

async fn open_sqlite(path: &Path, max_connections: u32, upgrade: &Upgrade<'_>) -> Result<Ways> {
    // Made here, so that nobody else can read it; the journal files get the same mode.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(|error| {
        StoreError::Unavailable(format!("{} cannot be opened: {error}", path.display()))
    })?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .disable_statement_logging();
    let schema: SqlitePool =
        SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    let schema = DatabaseConnection::from(schema);
    let installation_id = upgrade.run(&schema).await?;
    let sqlite =
        Sqlite::open(path, max_connections.saturating_sub(1), BUSY, Arc::clone(upgrade.clock))?;
    schema.close().await?;
    Ok(Ways {
        database: Database::Sqlite(sqlite),
        installation_id,
        wake: WakeUps::new(None),
        background: Vec::new(),
    })
}

async fn open_postgres(
    url: &SecretString,
    max_connections: u32,
    upgrade: &Upgrade<'_>,
) -> Result<Ways> {
    let options = PgConnectOptions::from_str(url.expose_secret())
        // The text of the error may repeat the URL, and with it the password.
        .map_err(|_| StoreError::Database(DatabaseUrlError.to_string()))?
        .application_name("latchkey")
        .options([
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "60s"),
        ])
        .disable_statement_logging();
    let pool = |size: u32| PgPoolOptions::new().max_connections(size).acquire_timeout(PATIENCE);
    let half = (max_connections / 2).max(1);
    // Isolation is a property of the connection, so that no transaction pays a round trip for it.
    let writer: PgPool = pool(half)
        .connect_with(options.clone().options([
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_read_only", "off"),
        ]))
        .await?;
    let readers: PgPool = pool(half)
        .connect_with(options.clone().options([
            ("default_transaction_isolation", "repeatable read"),
            ("default_transaction_read_only", "on"),
        ]))
        .await?;
    let pool_of_writers = DatabaseConnection::from(writer.clone());
    let installation_id = upgrade.run(&pool_of_writers).await?;
    let database = Database::Postgres { readers: readers.into(), writer: pool_of_writers };
    let (sender, receiver) = mpsc::unbounded_channel();
    let wake = WakeUps::new(Some(sender));
    let background = vec![
        tokio::spawn(listen::tell_others(writer.clone(), receiver)),
        tokio::spawn(listen::hear_others(pool(1).connect_lazy_with(options), wake.clone())),
    ];
    Ok(Ways { database, installation_id, wake, background })
}
