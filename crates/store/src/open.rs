//! Finding, opening and upgrading the database.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use latchkey_domain::{Clock, Rng};
use secrecy::SecretString;

use crate::{error::Result, keys::KeyRing, tx::Store};

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
    /// How many connections may be open at once; at least 2 are used.
    pub max_connections: u32,
}

impl Store {
    /// Opens the database, makes or upgrades its schema, and checks that it belongs to the key.
    /// Several processes may do so at once; one upgrades, the others wait.
    pub async fn open(options: StoreOptions) -> Result<Self> {
        let _ = options;
        unimplemented!()
    }
}
