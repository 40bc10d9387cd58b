//! What can go wrong between a use case and its data, in words that say what to do.

use rusqlite::ffi;
use sea_orm::{DbErr, RuntimeErr, sqlx};

use crate::keys::KeyError;

/// The result of a statement.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row changed since it was read, or a lease was lost. Read again, then decide again.
    #[error("{what} was changed by somebody else meanwhile; read it again and repeat")]
    Conflict {
        /// What changed, such as `access request`.
        what: &'static str,
    },
    /// The name or key is taken.
    #[error("{what} is taken; choose another")]
    Duplicate {
        /// What is taken, such as `group name`.
        what: &'static str,
    },
    /// Other rows still name this one, or it names one that is not there.
    #[error("{what} is still in use, or names something that does not exist")]
    InUse {
        /// The constraint that says so.
        what: String,
    },
    /// The database does not answer, is full, or is busy. What was asked is not known to have
    /// happened; trying again later may work.
    #[error("the database is not available ({0}); it will be tried again")]
    Unavailable(String),
    /// The database was written by a newer version of the program.
    #[error(
        "the database has schema version {found}, and this program knows versions up to {known}; \
         start a newer latchkey, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The database's schema version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The database belongs to another master key.
    #[error(
        "the database was written with master key {expected}, but the key given is {given}; put \
         the right master.key in place (or set LATCHKEY_MASTER_KEY_FILE to it)"
    )]
    WrongKey {
        /// The key id that the database names.
        expected: String,
        /// The id of the key that was given.
        given: String,
    },
    /// Stored data that cannot be: it was changed by something other than Latchkey.
    #[error("{0} is damaged in the database; restore it from a backup, or run `latchkey doctor`")]
    Corrupt(String),
    /// The master key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Anything else the database said.
    #[error("the database refused a statement: {0}")]
    Database(String),
}

impl StoreError {
    /// Whether the same call may work later, without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict { .. })
    }

    /// An error about a stored value that cannot be read.
    pub(crate) fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }
}

/// Unique indexes and keys, and what people call what they guard.
const UNIQUE: &[(&str, &str)] = &[
    ("user_emails", "e-mail address"),
    ("users_source", "identity in this source"),
    ("groups_name", "group name"),
    ("groups_source", "group in this source"),
    ("integrations_name", "integration name"),
    ("access_flows_name", "access flow name"),
    ("access_scopes_name", "access scope name"),
    ("bundles_name", "bundle name"),
    ("activity_reports_name", "report name"),
    ("connectors", "connector id"),
    ("sessions_live", "live session of this grantee in this integration"),
    ("jobs_dedupe", "job"),
    ("tasks_open", "task"),
    ("requests_number", "request number"),
];

/// The columns by which SQLite names the same indexes.
const UNIQUE_COLUMNS: &[(&str, &str)] = &[
    ("user_emails.email", "user_emails"),
    ("users.source_integration_id", "users_source"),
    ("user_groups.name_lower", "groups_name"),
    ("user_groups.source_integration_id", "groups_source"),
    ("integrations.name_lower", "integrations_name"),
    ("access_flows.name_lower", "access_flows_name"),
    ("access_scopes.name_lower", "access_scopes_name"),
    ("bundles.name_lower", "bundles_name"),
    ("activity_reports.name_lower", "activity_reports_name"),
    ("connectors.id", "connectors"),
    ("access_sessions.integration_id", "sessions_live"),
    ("jobs.dedupe_key", "jobs_dedupe"),
    ("tasks.open_key", "tasks_open"),
    ("requests.number", "requests_number"),
];

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::ConnectionAcquire(_) => {
                Self::Unavailable("no connection came free in time".to_owned())
            }
            DbErr::Conn(error) | DbErr::Exec(error) | DbErr::Query(error) => match error {
                RuntimeErr::SqlxError(error) => Self::from(&*error),
                RuntimeErr::Internal(text) => Self::Database(text),
            },
            DbErr::Type(text) | DbErr::Json(text) => Self::Corrupt(text),
            other => Self::Database(other.to_string()),
        }
    }
}

impl From<&sqlx::Error> for StoreError {
    fn from(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => from_database(error.as_ref()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.to_string()),
            sqlx::Error::ColumnDecode { index, .. } => Self::Corrupt(format!("column {index}")),
            other => Self::Database(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::from(&error)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(failure, message) => {
                let message = message.unwrap_or_else(|| failure.to_string());
                match failure.extended_code {
                    ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                        Self::Duplicate { what: taken_column(&message) }
                    }
                    ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Self::InUse { what: "the row".to_owned() },
                    code if is_passing(code) => Self::Unavailable(message),
                    _ => Self::Database(message),
                }
            }
            rusqlite::Error::FromSqlConversionFailure(column, ..) => {
                Self::Corrupt(format!("column {column}"))
            }
            other => Self::Database(other.to_string()),
        }
    }
}

/// Whether an error code of SQLite may go away by itself. The extended codes keep the primary
/// code in the low byte: busy, locked, I/O error, full, cannot open.
fn is_passing(code: i32) -> bool {
    matches!(code & 0xff, 5 | 6 | 10 | 13 | 14)
}

/// Reads what the database server said. Never repeats the row's values, which PostgreSQL puts
/// into a separate detail field.
fn from_database(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    if error.is_unique_violation() {
        return StoreError::Duplicate { what: taken(error) };
    }
    if error.is_foreign_key_violation() {
        let what = error.constraint().unwrap_or("the row").to_owned();
        return StoreError::InUse { what };
    }
    // PostgreSQL: serialization failure, deadlock, lock and statement time-outs, connection
    // exceptions (class 08), resources (53), operator intervention (57).
    let postgres = matches!(code.as_ref(), "40001" | "40P01" | "55P03" | "25006")
        || (code.len() == 5
            && ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)));
    let sqlite = code.len() < 5 && code.parse().is_ok_and(is_passing);
    if postgres || sqlite {
        return StoreError::Unavailable(error.message().to_owned());
    }
    StoreError::Database(error.message().to_owned())
}

fn taken(error: &dyn sqlx::error::DatabaseError) -> &'static str {
    error.constraint().and_then(guarded).unwrap_or_else(|| taken_column(error.message()))
}

/// What people call what this index guards.
fn guarded(index: &str) -> Option<&'static str> {
    UNIQUE
        .iter()
        .find(|(name, _)| index == *name || index.strip_suffix("_pkey") == Some(*name))
        .map(|(_, what)| *what)
}

/// What is taken, by the text of SQLite: `UNIQUE constraint failed: groups.name_lower`.
fn taken_column(text: &str) -> &'static str {
    UNIQUE_COLUMNS
        .iter()
        .find(|(column, index)| text.contains(column) || text.contains(index))
        .and_then(|(_, index)| guarded(index))
        .unwrap_or("the id")
}
