//! Admin connections that are kept between operations, so that a grant costs its statements and
//! not a login. One pool serves all integrations of a process; connections are told apart by
//! everything that decides where they lead and as whom, so a changed secret never meets an old
//! connection.
//!
//! Invariant: only a connection that its user gave back, outside a transaction, is used again.
//! Work that is dropped midway takes its connection with it, and the server rolls back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use latchkey_domain::provisioning::{FaultClass, TargetFault};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::error::SqlState;

use super::{
    connection::{Connection, Login},
    fault::{Failure, refused},
    settings::{Endpoint, Settings},
};
use crate::Work;

/// Connections unused for this long are closed.
const IDLE: Duration = Duration::from_secs(30);

/// How many connections may be open at once to one database of one server. Nobody holds one
/// while waiting for sessions to end, so these are enough to keep a server busy.
const AT_ONCE: usize = 16;

/// How many are opened at once: a login costs the server a process and both sides 4,096 rounds
/// of HMAC.
const OPENING: usize = 4;

/// After a server refused one more connection, this long passes before more are tried again.
const REGROW: Duration = Duration::from_secs(10);

/// Between two tries where the server gives not even one connection.
const PAUSE: Duration = Duration::from_millis(250);

/// Everything that decides where a connection leads and as whom, as one value.
pub(super) type Key = [u8; 32];

/// The connections of this process.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<HashMap<Key, Shelf>>);

#[derive(Debug)]
struct Shelf {
    idle: Vec<Connection>,
    slots: Arc<Semaphore>,
    opening: Arc<Semaphore>,
    /// How many slots are out of use because the server refused a connection.
    refused: usize,
    /// When it last did.
    refused_at: Duration,
}

impl Shelf {
    fn new() -> Self {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        let opening = Arc::new(Semaphore::new(OPENING));
        Self { idle: Vec::new(), slots, opening, refused: 0, refused_at: Duration::ZERO }
    }

    fn is_in_use(&self) -> bool {
        !self.idle.is_empty() || self.slots.available_permits() + self.refused < AT_ONCE
    }
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
        let login = Login {
            username: &settings.username,
            password: &settings.password,
            role: settings.role.as_deref(),
        };
        loop {
            let (slots, opening) = self.shelf(key, work);
            let slot = wait(slots, work).await?;
            if let Some(connection) = self.idle(key) {
                return Ok(Leased { connection, key, slot });
            }
            let _opening = wait(opening, work).await?;
            // One may have come back meanwhile.
            if let Some(connection) = self.idle(key) {
                return Ok(Leased { connection, key, slot });
            }
            match Connection::open(settings, endpoint, database, &login, work).await {
                Ok(connection) => {
                    connection.plan(work).await?;
                    return Ok(Leased { connection, key, slot });
                }
                Err(failure) if failure.code == Some(SqlState::TOO_MANY_CONNECTIONS) => {
                    if self.shrink(key, slot, work) {
                        continue;
                    }
                    // Not even one: somebody else has them all.
                    if work.lease_left().is_none_or(|left| left < PAUSE * 4) {
                        return Err(failure);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// A connection that somebody gave back.
    fn idle(&self, key: Key) -> Option<Connection> {
        let kept = lock(&self.0).get_mut(&key).and_then(|shelf| shelf.idle.pop());
        kept.filter(|connection| !connection.is_closed())
    }

    /// The places among which one has to be had for a connection, and for opening one.
    fn shelf(&self, key: Key, work: &Work) -> (Arc<Semaphore>, Arc<Semaphore>) {
        let mut shelves = lock(&self.0);
        let now = work.clock.monotonic();
        for shelf in shelves.values_mut() {
            shelf.idle.retain(|connection| {
                !connection.is_closed() && now.saturating_sub(connection.last_used) < IDLE
            });
        }
        shelves.retain(|other, shelf| *other == key || shelf.is_in_use());
        let own = shelves.entry(key).or_insert_with(Shelf::new);
        if own.refused > 0 && now.saturating_sub(own.refused_at) >= REGROW {
            own.slots.add_permits(std::mem::take(&mut own.refused));
        }
        (Arc::clone(&own.slots), Arc::clone(&own.opening))
    }

    /// The server gives us no more connections: for a while there is one place less, and whoever
    /// wanted one waits for another's. `false` where this was the last place.
    fn shrink(&self, key: Key, place: OwnedSemaphorePermit, work: &Work) -> bool {
        let mut shelves = lock(&self.0);
        let Some(own) = shelves.get_mut(&key).filter(|own| own.refused + 1 < AT_ONCE) else {
            return false;
        };
        place.forget();
        own.refused += 1;
        own.refused_at = work.clock.monotonic();
        true
    }

    /// Takes back a connection that is outside any transaction.
    pub(super) fn give_back(&self, leased: Leased, work: &Work) {
        let Leased { mut connection, key, slot } = leased;
        if !connection.is_closed() {
            connection.last_used = work.clock.monotonic();
            let mut shelves = lock(&self.0);
            if let Some(shelf) = shelves.get_mut(&key) {
                shelf.idle.push(connection);
            }
        }
        drop(slot);
    }

    /// Closes every idle connection of the integration's server, so that the next one is new.
    pub(super) fn forget_idle(&self) {
        let mut shelves = lock(&self.0);
        for shelf in shelves.values_mut() {
            shelf.idle.clear();
        }
    }
}

/// Waits for a place for as long as the lease lasts.
async fn wait(places: Arc<Semaphore>, work: &Work) -> Result<OwnedSemaphorePermit, Failure> {
    let limit = work.lease_left().unwrap_or_default();
    let place = tokio::time::timeout(limit, places.acquire_owned()).await;
    place.ok().and_then(Result::ok).ok_or_else(|| {
        TargetFault::new(
            FaultClass::Transient,
            "too much work for this database at once; it is tried again",
        )
        .into()
    })
}

fn lock(shelves: &Mutex<HashMap<Key, Shelf>>) -> MutexGuard<'_, HashMap<Key, Shelf>> {
    shelves.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key of connections to `database` at `endpoint`.
pub(super) fn key(settings: &Settings, endpoint: &Endpoint, database: &str) -> Key {
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
