//! Use cases: everything that people, connectors and timers can do with Latchkey.
//!
//! A use case is an `async fn(&App, &Actor, command) -> Result<view, AppError>`. It first asks
//! [`authorization`], then works in one transaction that writes the change, its audit record and
//! the work that follows from it. Surfaces (HTTP, command line, web) only translate to and from
//! these functions; this crate is the only caller of the store.

use std::sync::Arc;

use std::sync::OnceLock;

use latchkey_domain::{
    Clock, Rng,
    faults::{CrashPoints, NoCrashPoints},
};
use latchkey_protocol::sealing::SealingKey;
use latchkey_store::Store;

pub mod access_scopes;
pub mod activity;
pub mod actor;
pub mod attributes;
pub mod audit;
pub mod authenticate;
pub mod authorization;
pub mod automatic;
pub mod available_access;
pub mod bootstrap;
mod bundle_members;
pub mod bundles;
pub mod catalogue;
pub mod config;
pub mod connector_protocol;
pub mod connectors;
mod contents;
pub mod crash_points;
pub mod emergencies;
mod entitlements;
pub mod error;
pub mod explain;
pub mod flows;
pub mod groups;
mod indexed;
pub mod integrations;
pub mod inventory_view;
pub mod jobs;
pub mod lifecycle;
mod members;
pub mod nested_groups;
pub mod notifications;
pub mod outbound;
pub mod paging;
pub mod policy_as_code;
pub mod reconcile;
pub mod reports;
pub mod requests;
pub mod roles;
pub mod second_factor;
pub mod selectable;
pub mod server;
pub mod sessions;
pub mod settings;
pub mod sign_in;
mod targets;
pub mod texts;
pub mod tokens;
mod trail;
pub mod users;
pub mod what_if;
pub mod wildcard;

pub use actor::{Actor, ConnectorActor};
pub use authorization::Operation;
pub use config::AppConfig;
pub use error::{AppError, ErrorKind, FieldError};
pub use paging::{Page, PageRequest};

use connector_protocol::{Arriving, SealedSecrets};
use indexed::Indexed;
use requests::Waits;

pub use automatic::keep_automatic_access;
pub use indexed::keep_index_current;

/// What every use case works with: the store, the clock, randomness and the configuration.
/// Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    config: AppConfig,
    sealing_key: SealingKey,
    crash_points: OnceLock<Arc<dyn CrashPoints>>,
    sealed_secrets: SealedSecrets,
    arriving: Arriving,
    waits: Waits,
    indexed: Indexed,
}

impl App {
    /// An app over an open store. `clock` and `rng` must be those the store was opened with.
    pub fn new(store: Store, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, config: AppConfig) -> Self {
        let sealing_key = SealingKey::from_bytes(*store.keys().server_box_key());
        let crash_points = OnceLock::new();
        Self(Arc::new(Inner {
            store,
            clock,
            rng,
            config,
            sealing_key,
            crash_points,
            sealed_secrets: SealedSecrets::default(),
            arriving: Arriving::default(),
            waits: Waits::default(),
            indexed: Indexed::default(),
        }))
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The present time.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// Randomness.
    pub fn rng(&self) -> &dyn Rng {
        &*self.0.rng
    }

    /// The key that connectors seal generated credentials to.
    pub(crate) fn sealing_key(&self) -> &SealingKey {
        &self.0.sealing_key
    }

    /// Who waits for requests at this server.
    pub(crate) fn waits(&self) -> &Waits {
        &self.0.waits
    }

    /// Integrations' secrets as they were sealed to connectors.
    pub(crate) fn sealed_secrets(&self) -> &SealedSecrets {
        &self.0.sealed_secrets
    }

    /// Results of connectors that wait to be stored.
    pub(crate) fn arriving(&self) -> &Arriving {
        &self.0.arriving
    }

    /// The inventory and policy in memory.
    pub(crate) fn indexed(&self) -> &Indexed {
        &self.0.indexed
    }

    /// Has `crash_points` told of every point between two effects. The first call counts.
    pub fn set_crash_points(&self, crash_points: Arc<dyn CrashPoints>) {
        if self.0.crash_points.set(crash_points).is_err() {
            tracing::warn!("Crash points were set before; the first ones stay.");
        }
    }

    /// The process has come to the point `name` of [`crash_points`].
    pub(crate) fn crash_point(&self, name: &'static str) {
        match self.0.crash_points.get() {
            Some(listener) => listener.reached(name),
            None => NoCrashPoints.reached(name),
        }
    }

    /// The process's configuration.
    pub fn config(&self) -> &AppConfig {
        &self.0.config
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("config", &self.0.config).finish_non_exhaustive()
    }
}
