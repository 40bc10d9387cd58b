//! SQLite, driven where it is called.
//!
//! SQLite is a library: a statement about a few rows takes less time than handing it to another
//! thread and waiting for the answer there. A grant is some hundred statements, and everybody
//! else who writes waits for the one writer. So statements run on the thread that asks for them,
//! and only what takes long goes elsewhere: a commit to a disk that is slow to promise anything
//! to a thread that may wait, and a statement that is slow again and again has the runtime move
//! its other tasks away first.
//!
//! Writers that queue share a commit: each but the first runs in a savepoint of one transaction
//! of the file, and whoever finds nobody waiting commits for all. On a disk that takes
//! milliseconds to promise anything this decides how much a server can do.
//!
//! Invariants: what is not committed is undone before its connection is used again, also where
//! its future was dropped; nobody is answered before the commit that makes his work last; a
//! savepoint that is undone takes nobody else's work with it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use latchkey_domain::Clock;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, Statement, ToSql,
    config::DbConfig,
    types::{ToSqlOutput, Value as Stored, ValueRef},
};
use sea_orm::Value;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    error::{Result, StoreError},
    mutex::lock,
    pace::{Names, Pace},
    sql::Sql,
};

/// How many statements the writer and a reader keep prepared.
const PREPARED: usize = 200;
const PREPARED_TO_READ: usize = 64;

/// How long statements may run without letting other tasks of the thread go on.
const TURN: Duration = Duration::from_millis(1);

/// How long to wait before asking again for a lock that another process holds, and how often.
const ASK_AGAIN: Duration = Duration::from_millis(5);
const MOST_TRIES: u32 = 2000;

/// How many writers share a commit at most, and for how long the first may wait for the others.
const MOST_TOGETHER: usize = 32;
const LONGEST_TOGETHER: Duration = Duration::from_millis(25);

/// How long a caller waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connections to one file: one that writes, and some that read.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: Arc<tokio::sync::Mutex<Writer>>,
    /// How many wait for their turn to write.
    queue: Arc<AtomicUsize>,
    readers: Arc<Readers>,
    /// How long a writer waits for another process to let go of the file.
    patience: Duration,
    pace: Arc<Pace>,
}

/// The connection that writes.
#[derive(Debug)]
struct Writer {
    connection: Connection,
    /// Whoever is done and waits for the commit.
    done: Vec<oneshot::Sender<Committed>>,
    /// When the file's transaction began.
    since: Duration,
    /// Whether whoever writes now does so in a savepoint, because the work of others is open.
    has_savepoint: bool,
    /// Whether nothing is written any more.
    is_closed: bool,
}

/// How a commit went; the error in words.
type Committed = std::result::Result<(), Arc<str>>;

/// One that waits for its turn to write.
struct Queued(Arc<AtomicUsize>);

impl Queued {
    fn enter(queue: &Arc<AtomicUsize>) -> Self {
        queue.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(queue))
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Connections that read.
#[derive(Debug)]
struct Readers {
    path: PathBuf,
    patience: Duration,
    idle: Mutex<Vec<Connection>>,
    slots: Arc<Semaphore>,
}

impl Sqlite {
    /// Opens a file that is there and has its schema, for one writer and so many readers.
    pub(crate) fn open(
        path: &Path,
        readers: u32,
        patience: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let writer = connect(path, patience)?;
        let slots = usize::try_from(readers.max(1)).unwrap_or(1);
        let readers = Readers {
            path: path.to_owned(),
            patience,
            idle: Mutex::default(),
            slots: Arc::new(Semaphore::new(slots)),
        };
        Ok(Self {
            writer: Arc::new(tokio::sync::Mutex::new(Writer {
                connection: writer,
                done: Vec::new(),
                since: Duration::ZERO,
                has_savepoint: false,
                is_closed: false,
            })),
            queue: Arc::default(),
            readers: Arc::new(readers),
            patience,
            pace: Arc::new(Pace::new(clock)),
        })
    }

    /// Waits for its turn, in the order of asking, and takes the file's write lock unless those
    /// before it left it taken.
    pub(crate) async fn write(&self) -> Result<SqliteTx> {
        let queued = Queued::enter(&self.queue);
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        drop(queued);
        if writer.is_closed {
            return Err(StoreError::Unavailable("the database was closed".to_owned()));
        }
        if writer.done.is_empty() {
            // Only what could not be undone before is still open.
            roll_back(&writer.connection);
        }
        if writer.connection.is_autocommit() {
            self.begin_to_write(&mut writer.connection).await?;
            writer.since = self.pace.clock.monotonic();
        }
        writer.has_savepoint = !writer.done.is_empty();
        let begun =
            if writer.has_savepoint { run(&writer.connection, "SAVEPOINT one") } else { Ok(()) };
        let transaction = self.transaction(Held::Writer(writer));
        begun?;
        Ok(transaction)
    }

    async fn begin_to_write(&self, connection: &mut Connection) -> Result<()> {
        let mut tries = 1;
        loop {
            // Waiting within SQLite would stop the thread.
            connection.busy_timeout(Duration::ZERO)?;
            let begun = run(connection, "BEGIN IMMEDIATE");
            connection.busy_timeout(self.patience)?;
            match begun {
                Ok(()) => return Ok(()),
                Err(error) if is_busy(&error) && tries < MOST_TRIES => {
                    tries += 1;
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Begins to read one unchanging picture of the data.
    pub(crate) async fn read(&self) -> Result<SqliteTx> {
        let reader = self.reader().await?;
        run(reader.connection()?, "BEGIN")?;
        Ok(self.transaction(Held::Reader(reader)))
    }

    /// Reads without a transaction around each statement.
    pub(crate) async fn look(&self) -> Result<SqliteTx> {
        Ok(self.transaction(Held::Reader(self.reader().await?)))
    }

    async fn reader(&self) -> Result<Reader> {
        let slot = Arc::clone(&self.readers.slots).acquire_owned();
        let slot = tokio::time::timeout(PATIENCE, slot).await.ok().and_then(Result::ok);
        let busy = || StoreError::Unavailable("no connection came free in time".to_owned());
        let slot = slot.ok_or_else(busy)?;
        let idle = lock(&self.readers.idle).pop();
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let connection = connect(&self.readers.path, self.readers.patience)?;
            connection.set_prepared_statement_cache_capacity(PREPARED_TO_READ);
            connection.execute_batch("PRAGMA query_only = ON")?;
            connection
        };
        Ok(Reader { connection: Some(connection), home: Arc::clone(&self.readers), _slot: slot })
    }

    fn transaction(&self, connection: Held) -> SqliteTx {
        let pace = Arc::clone(&self.pace);
        SqliteTx {
            connection: Some(connection),
            turn: pace.clock.monotonic(),
            pace,
            writer: Arc::clone(&self.writer),
            queue: Arc::clone(&self.queue),
        }
    }

    /// Waits for the transaction that is writing now, and closes what is idle.
    pub(crate) async fn close(&self) {
        self.readers.slots.close();
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        writer.is_closed = true;
        if let Err(error) = commit_all(writer, &self.pace).await {
            tracing::error!(%error, "the last commit failed");
        }
        lock(&self.readers.idle).clear();
    }
}

fn connect(path: &Path, patience: Duration) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(patience)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")?;
    // Otherwise a statement is planned anew whenever another value is bound to its LIMIT.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Runs a statement without values or rows.
fn run(connection: &Connection, text: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(text)?.raw_execute().map(drop)
}

/// A connection that reads; goes home when dropped.
#[derive(Debug)]
struct Reader {
    connection: Option<Connection>,
    home: Arc<Readers>,
    _slot: OwnedSemaphorePermit,
}

impl Reader {
    fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(over)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // One whose transaction could not be ended is closed instead.
        if let Some(connection) = self.connection.take().filter(Connection::is_autocommit) {
            lock(&self.home.idle).push(connection);
        }
    }
}

/// Whose connection it is.
#[derive(Debug)]
enum Held {
    Writer(OwnedMutexGuard<Writer>),
    Reader(Reader),
}

impl Held {
    fn connection(&self) -> Result<&Connection> {
        match self {
            Self::Writer(writer) => Ok(&writer.connection),
            Self::Reader(reader) => reader.connection(),
        }
    }
}

fn over() -> StoreError {
    StoreError::Database("the transaction is over".to_owned())
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// An open transaction; rolled back when dropped.
#[derive(Debug)]
pub(crate) struct SqliteTx {
    connection: Option<Held>,
    /// Since when the thread has not been let go.
    turn: Duration,
    pace: Arc<Pace>,
    writer: Arc<tokio::sync::Mutex<Writer>>,
    queue: Arc<AtomicUsize>,
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(Held::Reader(reader)) => {
                if let Ok(connection) = reader.connection() {
                    roll_back(connection);
                }
            }
            Some(Held::Writer(mut writer)) => writer.undo_one(),
            None => {}
        }
    }
}

impl Writer {
    /// Undoes what was written last. Those that are done before it still wait for their commit,
    /// which the first of them sees to.
    fn undo_one(&mut self) {
        if !self.has_savepoint {
            return roll_back(&self.connection);
        }
        let undone = run(&self.connection, "ROLLBACK TO one")
            .and_then(|()| run(&self.connection, "RELEASE one"));
        if undone.is_err() {
            // A full disk, or the like: SQLite has undone everything.
            roll_back(&self.connection);
            self.answer(&Err("what it shared a commit with could not be undone alone".into()));
        }
    }

    /// Commits what is open, and tells everybody who waits for it.
    fn commit(&mut self) -> Committed {
        let committed = if self.connection.is_autocommit() {
            // Nothing is open, or SQLite has undone it by itself.
            Err("the transaction was undone".into())
        } else {
            run(&self.connection, "COMMIT").map_err(|error| error.to_string().into())
        };
        roll_back(&self.connection);
        self.answer(&committed);
        committed
    }

    fn answer(&mut self, committed: &Committed) {
        for waiting in self.done.drain(..) {
            let _ = waiting.send(committed.clone());
        }
    }
}

/// Commits for everybody who is done, if anybody is. Where the disk is slow, a thread that may
/// wait for it does so.
async fn commit_all(mut writer: OwnedMutexGuard<Writer>, pace: &Arc<Pace>) -> Result<()> {
    if writer.done.is_empty() {
        return Ok(());
    }
    let is_slow = pace.are_commits_slow();
    let pace = Arc::clone(pace);
    let mut commit = move || pace.commit(|| writer.commit());
    let committed = if is_slow {
        let committed = tokio::task::spawn_blocking(commit).await;
        committed.map_err(|_| "the server is stopping".into()).and_then(|committed| committed)
    } else {
        commit()
    };
    committed.map_err(|error: Arc<str>| StoreError::Unavailable(error.to_string()))
}

fn roll_back(connection: &Connection) {
    // A full disk, or the like, has ended it already.
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a transaction could not be rolled back");
    }
}

impl SqliteTx {
    fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(over)?.connection()
    }

    /// Lets other tasks of this thread go on, after a while.
    async fn breathe(&mut self) {
        if self.pace.clock.monotonic().saturating_sub(self.turn) >= TURN {
            tokio::task::yield_now().await;
            self.turn = self.pace.clock.monotonic();
        }
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) async fn exec(&mut self, sql: &Sql) -> Result<u64> {
        self.breathe().await;
        let connection = self.connection()?;
        self.pace.run(&sql.text, |_| {
            let mut statement = prepare(connection, sql)?;
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
            Ok((connection.changes(), None))
        })
    }

    /// Runs a query; returns its rows, or the first one only.
    pub(crate) async fn rows(&mut self, sql: &Sql, first_only: bool) -> Result<Vec<SqliteRow>> {
        self.breathe().await;
        let connection = self.connection()?;
        self.pace.run(&sql.text, |names| {
            let mut statement = prepare(connection, sql)?;
            let names = names.unwrap_or_else(|| {
                statement.column_names().into_iter().map(Box::from).collect::<Names>()
            });
            let mut found = Vec::new();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                let values = (0..names.len())
                    .map(|at| row.get_ref(at)?.try_into().map_err(rusqlite::Error::from))
                    .collect::<rusqlite::Result<_>>()?;
                found.push(SqliteRow { names: Arc::clone(&names), values });
                if first_only {
                    break;
                }
            }
            Ok((found, Some(names)))
        })
    }

    /// Makes it last, together with those who wrote just before and after it.
    pub(crate) async fn commit(mut self) -> Result<()> {
        let Some(Held::Writer(mut writer)) = self.connection.take() else { return Ok(()) };
        if writer.has_savepoint
            && let Err(error) = run(&writer.connection, "RELEASE one")
        {
            writer.undo_one();
            return Err(error.into());
        }
        let (sender, committed) = oneshot::channel();
        writer.done.push(sender);
        let open_for = self.pace.clock.monotonic().saturating_sub(writer.since);
        let may_wait = writer.done.len() < MOST_TOGETHER && open_for < LONGEST_TOGETHER;
        if may_wait && self.queue.load(Ordering::SeqCst) > 0 {
            if writer.done.len() == 1 {
                // Whoever is waiting now may go away, so somebody sees to the commit in any case.
                let (lock, pace) = (Arc::clone(&self.writer), Arc::clone(&self.pace));
                tokio::spawn(async move { commit_all(lock.lock_owned().await, &pace).await });
            }
            drop(writer);
        } else {
            // Whether it went well is told to all alike.
            let _ = commit_all(writer, &self.pace).await;
        }
        match committed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
            Err(_) => Err(StoreError::Unavailable("the server is stopping".to_owned())),
        }
    }
}

/// Prepares a statement and binds its values: `$3` is the third, wherever it stands.
fn prepare<'a>(connection: &'a Connection, sql: &Sql) -> Result<rusqlite::CachedStatement<'a>> {
    let mut statement = connection.prepare_cached(&sql.text)?;
    for at in 1..=statement.parameter_count() {
        let value = value_for(&statement, at, &sql.values).ok_or_else(|| {
            StoreError::Database(format!("no value for placeholder {at} of a statement"))
        })?;
        statement.raw_bind_parameter(at, Bound(value))?;
    }
    Ok(statement)
}

fn value_for<'a>(statement: &Statement<'_>, at: usize, values: &'a [Value]) -> Option<&'a Value> {
    let number: usize = statement.parameter_name(at)?.strip_prefix('$')?.parse().ok()?;
    values.get(number.checked_sub(1)?)
}

/// A value on its way into a statement.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.0 {
            Value::Bool(value) => value.map(|value| ValueRef::Integer(i64::from(value))),
            Value::Int(value) => value.map(|value| ValueRef::Integer(i64::from(value))),
            Value::BigInt(value) => value.map(ValueRef::Integer),
            Value::Double(value) => value.map(ValueRef::Real),
            Value::String(value) => value.as_ref().map(|text| ValueRef::Text(text.as_bytes())),
            Value::Bytes(value) => value.as_ref().map(|bytes| ValueRef::Blob(bytes)),
            other => {
                let kind = format!("a value of this kind is not bound: {other:?}");
                return Err(rusqlite::Error::ToSqlConversionFailure(kind.into()));
            }
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

/// A row that was read.
#[derive(Debug)]
pub(crate) struct SqliteRow {
    names: Names,
    values: Vec<Stored>,
}

impl SqliteRow {
    fn value(&self, column: &str) -> Result<&Stored> {
        let at = self.names.iter().position(|name| &**name == column);
        let missing = || StoreError::Database(format!("no column {column} in a row"));
        at.and_then(|at| self.values.get(at)).ok_or_else(missing)
    }

    pub(crate) fn opt_text(&self, column: &str) -> Result<Option<String>> {
        match self.value(column)? {
            Stored::Null => Ok(None),
            Stored::Text(text) => Ok(Some(text.clone())),
            _ => Err(StoreError::corrupt(format!("column {column}"))),
        }
    }

    pub(crate) fn opt_int(&self, column: &str) -> Result<Option<i64>> {
        match self.value(column)? {
            Stored::Null => Ok(None),
            Stored::Integer(number) => Ok(Some(*number)),
            _ => Err(StoreError::corrupt(format!("column {column}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one table, whose disk counts as slow.
    fn with_slow_commits(folder: &Path) -> Sqlite {
        let path = folder.join("test.db");
        let connection = Connection::open(&path).unwrap();
        let setup = "PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER UNIQUE)";
        connection.execute_batch(setup).unwrap();
        let clock = Arc::new(latchkey_testkit::TestClock::default());
        let sqlite = Sqlite::open(&path, 1, Duration::from_secs(1), clock).unwrap();
        sqlite.pace.take_commits_for_slow();
        sqlite
    }

    async fn insert(sqlite: &Sqlite, number: i64) -> Result<()> {
        let mut tx = sqlite.write().await?;
        tx.exec(&Sql::with("INSERT INTO t (n) VALUES ($1)", vec![Value::from(number)])).await?;
        tx.commit().await
    }

    async fn count(sqlite: &Sqlite) -> Option<i64> {
        let mut tx = sqlite.read().await.unwrap();
        let rows = tx.rows(&Sql::new("SELECT count(*) AS n FROM t"), true).await.unwrap();
        rows[0].opt_int("n").unwrap()
    }

    #[tokio::test]
    async fn a_slow_disk_commits_elsewhere_and_nobody_takes_others_along() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = with_slow_commits(folder.path());
        // Writers that queue; every third is refused and undone alone.
        let each = (0..60).map(|number| insert(&sqlite, if number % 3 == 2 { 0 } else { number }));
        let outcomes = futures::future::join_all(each).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 40);
        assert_eq!(count(&sqlite).await, Some(40));
        // One that is dropped while it commits is in or out, and keeps nobody.
        for number in 1000..1020 {
            let mut dropped = Box::pin(insert(&sqlite, number));
            let _ = futures::poll!(&mut dropped);
            drop(dropped);
            insert(&sqlite, number + 1000).await.unwrap();
        }
        assert!(count(&sqlite).await >= Some(60));
        sqlite.close().await;
    }

    #[test]
    fn sqlite_is_built_as_the_workspace_says() {
        let connection = Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare("PRAGMA compile_options").unwrap();
        let options = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let options: Vec<String> = options.map(Result::unwrap).collect();
        assert!(options.contains(&"STMTJRNL_SPILL=-1".to_owned()), "{options:?}");
        assert!(!options.contains(&"ENABLE_STAT4".to_owned()), "{options:?}");
    }
}
