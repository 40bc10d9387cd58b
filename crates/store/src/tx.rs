//! One transaction at a time: [`Store::read`] and [`Store::write`].
//!
//! On SQLite one writer at a time takes the write lock at its beginning, so that it never has
//! to give up half-way; readers see the last commit. On PostgreSQL writers work side by side at
//! READ COMMITTED and lock the rows they decide about; readers see one snapshot.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use latchkey_domain::{Clock, Rng, ids::InstallationId};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement,
    TransactionTrait,
};
use tokio::task::JoinHandle;

use crate::{
    error::{Result, StoreError},
    keys::KeyRing,
    sql::{Row, Sql},
    sqlite::{Sqlite, SqliteTx},
    wake::{Hint, Wake, WakeUps},
};

/// The database of one installation. Cloning shares it.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) backend: DbBackend,
    pub(crate) database: Database,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) installation_id: InstallationId,
    pub(crate) wake: WakeUps,
    pub(crate) background: Vec<JoinHandle<()>>,
}

/// The ways into the database.
pub(crate) enum Database {
    /// PostgreSQL, whose writers work side by side.
    Postgres {
        /// For reading.
        readers: DatabaseConnection,
        /// For writing.
        writer: DatabaseConnection,
    },
    /// SQLite, which has one writer.
    Sqlite(Sqlite),
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.background {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("installation_id", &self.0.installation_id)
            .field("backend", &self.0.backend)
            .finish_non_exhaustive()
    }
}

/// One open transaction, with every statement of this crate as a method. All of its effects
/// happen together or not at all.
///
/// Once the database has refused a statement the transaction is lost, on both kinds of database:
/// whatever follows is refused, and so is the commit. A taken name ([`StoreError::Duplicate`])
/// is such a refusal; a lost claim or version ([`StoreError::Conflict`]) is not, though few
/// callers have a use for going on.
pub struct Tx {
    conn: Open,
    /// Whether the database has refused a statement. PostgreSQL would answer a commit then as
    /// if all were well, and undo everything.
    lost: bool,
    now: Timestamp,
    store: Arc<Inner>,
    hints: HashSet<Hint>,
}

/// The open transaction of a [`Tx`].
enum Open {
    Pooled(DatabaseTransaction),
    Sqlite(SqliteTx),
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("now", &self.now).finish_non_exhaustive()
    }
}

const LOST: &str = "an earlier statement of the same transaction was refused";

impl Store {
    /// Runs `f` on one unchanging picture of the data. What it writes is refused or undone.
    pub async fn read<T, E: From<StoreError>>(
        &self,
        f: impl AsyncFnOnce(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let conn = match &self.0.database {
            Database::Postgres { readers, .. } => Open::pooled(readers).await?,
            Database::Sqlite(sqlite) => Open::Sqlite(sqlite.read().await?),
        };
        let mut tx = self.tx(conn);
        // Dropped, it is rolled back before its connection is used again; nothing was written, so
        // nobody has to wait for that.
        f(&mut tx).await
    }

    /// Runs `f` and commits if it returns `Ok`; undoes everything if it returns an error. What
    /// waits for the work that was queued is woken after the commit.
    pub async fn write<T, E: From<StoreError>>(
        &self,
        f: impl AsyncFnOnce(&mut Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let conn = match &self.0.database {
            Database::Postgres { writer, .. } => Open::pooled(writer).await?,
            Database::Sqlite(sqlite) => Open::Sqlite(sqlite.write().await?),
        };
        let mut tx = self.tx(conn);
        let outcome = f(&mut tx).await.and_then(|value| {
            if tx.lost { Err(StoreError::Database(LOST.to_owned()).into()) } else { Ok(value) }
        });
        let Tx { conn, hints, .. } = tx;
        match outcome {
            Ok(value) => {
                conn.commit().await?;
                for hint in hints {
                    self.0.wake.give(hint);
                }
                Ok(value)
            }
            Err(error) => {
                conn.roll_back().await;
                Err(error)
            }
        }
    }

    /// Runs one query by itself, without a transaction around it; returns the first row.
    pub(crate) async fn row(&self, sql: Sql) -> Result<Option<Row>> {
        match &self.0.database {
            Database::Postgres { readers, .. } => {
                let statement = statement(self.0.backend, sql);
                Ok(readers.query_one_raw(statement).await?.map(Row::from))
            }
            Database::Sqlite(sqlite) => {
                let found = sqlite.look().await?.rows(&sql, true).await?;
                Ok(found.into_iter().next().map(Row::Sqlite))
            }
        }
    }

    fn tx(&self, conn: Open) -> Tx {
        Tx { conn, lost: false, now: self.now(), store: Arc::clone(&self.0), hints: HashSet::new() }
    }

    /// The clock's time, cut to whole microseconds, as every stored time is.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.0.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// Names the installation; made with the database.
    pub fn installation_id(&self) -> &InstallationId {
        &self.0.installation_id
    }

    /// The keys of the installation.
    pub fn keys(&self) -> &KeyRing {
        &self.0.keys
    }

    /// Hints that work has arrived.
    pub fn wake(&self) -> &WakeUps {
        &self.0.wake
    }

    /// Whether other servers may share the database.
    pub fn is_postgres(&self) -> bool {
        self.0.backend == DbBackend::Postgres
    }

    /// What the database's own clock says now, in whole microseconds; `None` where it has none
    /// because it is a file (SQLite).
    pub async fn database_time(&self) -> Result<Option<Timestamp>> {
        if !self.is_postgres() {
            return Ok(None);
        }
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS t";
        let row = self.row(Sql::new(sql)).await?;
        row.map(|row| row.time("t")).transpose()
    }

    /// Whether the database answers, within five seconds.
    pub async fn ping(&self) -> Result<()> {
        let answer = self.row(Sql::new("SELECT 1"));
        match tokio::time::timeout(Duration::from_secs(5), answer).await {
            Ok(answered) => answered.map(drop),
            Err(_) => Err(StoreError::Unavailable("no answer within 5 seconds".to_owned())),
        }
    }
}

impl Tx {
    /// The clock's time when the transaction began, in whole microseconds. The same through the
    /// whole transaction.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The installation whose data this is.
    pub fn installation_id(&self) -> &InstallationId {
        &self.store.installation_id
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.store.keys
    }

    pub(crate) fn rng(&self) -> &dyn Rng {
        self.store.rng.as_ref()
    }

    /// Has waiters of this kind woken once the transaction is committed.
    pub(crate) fn wake_after(&mut self, wake: Wake) {
        self.tell_after(Hint::Work(wake));
    }

    /// Has whoever waits for this told once the transaction is committed.
    pub(crate) fn tell_after(&mut self, hint: Hint) {
        self.hints.insert(hint);
    }

    /// `FOR UPDATE` where writers work side by side; empty on SQLite, which has one writer.
    pub(crate) fn for_update(&self) -> &'static str {
        if self.store.backend == DbBackend::Postgres { " FOR UPDATE" } else { "" }
    }

    /// `FOR UPDATE` that passes over rows somebody else is taking.
    pub(crate) fn skip_locked(&self) -> &'static str {
        if self.store.backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" }
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) async fn exec(&mut self, sql: Sql) -> Result<u64> {
        self.check()?;
        let backend = self.store.backend;
        let done = match &mut self.conn {
            Open::Pooled(conn) => {
                let done = conn.execute_raw(statement(backend, sql)).await;
                done.map(|done| done.rows_affected()).map_err(StoreError::from)
            }
            Open::Sqlite(conn) => conn.exec(&sql).await,
        };
        self.noted(done)
    }

    /// Runs a query; returns the first row.
    pub(crate) async fn row(&mut self, sql: Sql) -> Result<Option<Row>> {
        self.check()?;
        let backend = self.store.backend;
        let found = match &mut self.conn {
            Open::Pooled(conn) => {
                let found = conn.query_one_raw(statement(backend, sql)).await;
                found.map(|row| row.map(Row::Pooled)).map_err(StoreError::from)
            }
            Open::Sqlite(conn) => {
                let found = conn.rows(&sql, true).await;
                found.map(|rows| rows.into_iter().next().map(Row::Sqlite))
            }
        };
        self.noted(found)
    }

    /// Runs a query; returns its rows, read by `read`.
    pub(crate) async fn rows<T>(
        &mut self,
        sql: Sql,
        mut read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.check()?;
        let backend = self.store.backend;
        match &mut self.conn {
            Open::Pooled(conn) => {
                let found = conn.query_all_raw(statement(backend, sql)).await;
                let found = self.noted(found.map_err(StoreError::from))?;
                found.into_iter().map(|row| read(&Row::Pooled(row))).collect()
            }
            Open::Sqlite(conn) => {
                let found = conn.rows(&sql, false).await;
                let found = self.noted(found)?;
                found.into_iter().map(|row| read(&Row::Sqlite(row))).collect()
            }
        }
    }

    /// Remembers a refusal.
    fn noted<T>(&mut self, answer: Result<T>) -> Result<T> {
        self.lost |= answer.is_err();
        answer
    }

    /// Runs a query for one number; 0 without a row.
    pub(crate) async fn number(&mut self, sql: Sql) -> Result<i64> {
        self.row(sql).await?.map_or(Ok(0), |row| row.int("n"))
    }

    /// Runs a query for a count.
    pub(crate) async fn count(&mut self, sql: Sql) -> Result<u64> {
        self.row(sql).await?.map_or(Ok(0), |row| row.count("n"))
    }

    /// Refuses to go on where the transaction is lost.
    fn check(&self) -> Result<()> {
        if self.lost { Err(StoreError::Database(LOST.to_owned())) } else { Ok(()) }
    }
}

fn statement(backend: DbBackend, sql: Sql) -> Statement {
    Statement::from_sql_and_values(backend, sql.text, sql.values)
}

impl Open {
    async fn pooled(pool: &DatabaseConnection) -> Result<Self> {
        Ok(Self::Pooled(pool.begin().await?))
    }

    async fn commit(self) -> Result<()> {
        match self {
            Self::Pooled(conn) => Ok(conn.commit().await?),
            Self::Sqlite(conn) => conn.commit().await,
        }
    }

    async fn roll_back(self) {
        match self {
            Self::Pooled(conn) => {
                if let Err(failure) = conn.rollback().await {
                    tracing::debug!(error = %failure, "a transaction could not be rolled back in \
                        words; its connection is closed instead");
                }
            }
            Self::Sqlite(conn) => drop(conn),
        }
    }
}
