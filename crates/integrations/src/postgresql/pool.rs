//! Admin connections that are kept between operations, so that a grant costs its statements and
//! not a login. One pool serves all integrations of a process; connections are told apart by
//! everything that decides where they lead and as whom, so a changed secret never meets an old
//! connection.
//!
//! Invariant: only a connection that its user gave back, outside a transaction, is used again.
//! Work that is dropped midway takes its connection with it, and the server rolls back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use latchkey_domain::provisioning::{FaultClass, TargetFault};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    connection::{Connection, Login},
    fault::{Failure, refused},
    settings::{Endpoint, Settings},
};
use crate::Work;

/// Connections unused for this long are closed.
const IDLE: Duration = Duration::from_secs(30);

/// How many connections may be open at once to one database of one server.
const AT_ONCE: usize = 8;

type Key = [u8; 32];

/// The connections of this process.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<HashMap<Key, Shelf>>);

#[derive(Debug)]
struct Shelf {
    idle: Vec<Connection>,
    slots: Arc<Semaphore>,
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Leased {
    /// The connection.
    pub connection: Connection,
    key: Key,
    slot: OwnedSemaphorePermit,
}

impl std::ops::Deref for Leased {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Pool {
    /// A connection to `database` of the primary, as the provisioner.
    pub(super) async fn take(
        &self,
        settings: &Settings,
        database: &str,
        work: &Work,
    ) -> Result<Leased, Failure> {
        self.take_at(settings, &settings.primary, database, work).await
    }

    /// A connection to `database` at `endpoint`, as the provisioner.
    pub(super) async fn take_at(
        &self,
        settings: &Settings,
        endpoint: &Endpoint,
        database: &str,
        work: &Work,
    ) -> Result<Leased, Failure> {
        let key = key(settings, endpoint, database);
        let slots = {
            let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = work.clock.monotonic();
            for shelf in shelves.values_mut() {
                shelf.idle.retain(|connection| {
                    !connection.is_closed() && now.saturating_sub(connection.last_used) < IDLE
                });
            }
            shelves.retain(|other, shelf| {
                *other == key || !shelf.idle.is_empty() || shelf.slots.available_permits() < AT_ONCE
            });
            let own = shelves.entry(key).or_insert_with(|| Shelf {
                idle: Vec::new(),
                slots: Arc::new(Semaphore::new(AT_ONCE)),
            });
            Arc::clone(&own.slots)
        };
        let limit = work.lease_left().unwrap_or_default();
        let slot = tokio::time::timeout(limit, slots.acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| {
                Failure::from(TargetFault::new(
                    FaultClass::Transient,
                    "too much work for this database at once; it is tried again",
                ))
            })?;
        let kept = {
            let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            shelves.get_mut(&key).and_then(|shelf| shelf.idle.pop())
        };
        if let Some(connection) = kept.filter(|connection| !connection.is_closed()) {
            return Ok(Leased { connection, key, slot });
        }
        let login = Login {
            username: &settings.username,
            password: &settings.password,
            role: settings.role.as_deref(),
        };
        let connection = Connection::open(settings, endpoint, database, &login, work).await?;
        Ok(Leased { connection, key, slot })
    }

    /// Takes back a connection that is outside any transaction.
    pub(super) fn give_back(&self, leased: Leased, work: &Work) {
        let Leased { mut connection, key, slot } = leased;
        if !connection.is_closed() {
            connection.last_used = work.clock.monotonic();
            let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(shelf) = shelves.get_mut(&key) {
                shelf.idle.push(connection);
            }
        }
        drop(slot);
    }

    /// Closes every idle connection of the integration's server, so that the next one is new.
    pub(super) fn forget_idle(&self) {
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for shelf in shelves.values_mut() {
            shelf.idle.clear();
        }
    }
}

/// Everything that decides where a connection leads and as whom.
fn key(settings: &Settings, endpoint: &Endpoint, database: &str) -> Key {
    let mut hash = Sha256::new();
    let port = endpoint.port.to_string();
    for part in [
        endpoint.host.as_str(),
        &port,
        database,
        &settings.username,
        settings.password.expose_secret(),
        settings.role.as_deref().unwrap_or_default(),
        &format!("{:?}", settings.tls),
        settings.root_certificates.as_deref().unwrap_or_default(),
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// A name that the installation may use at all in the database it was configured for.
pub(super) fn managed<'a>(settings: &Settings, database: &'a str) -> Result<&'a str, Failure> {
    if settings.manages(database) {
        Ok(database)
    } else {
        Err(refused(format!(
            "the database {database:?} is not among those that the integration manages \
             (its parameter \"databases\")"
        )))
    }
}
