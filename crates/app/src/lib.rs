//! Use cases: everything that people, connectors and timers can do with Latchkey.
//!
//! A use case is an `async fn(&App, &Actor, command) -> Result<view, AppError>`. It first asks
//! [`authorization`], then works in one transaction that writes the change, its audit record and
//! the work that follows from it. Surfaces (HTTP, command line, web) only translate to and from
//! these functions; this crate is the only caller of the store.

use std::sync::Arc;

use latchkey_domain::{Clock, Rng};
use latchkey_store::Store;

pub mod actor;
pub mod authorization;
pub mod config;
pub mod error;
pub mod paging;

pub use actor::{Actor, ConnectorActor};
pub use authorization::Operation;
pub use config::AppConfig;
pub use error::{AppError, ErrorKind, FieldError};
pub use paging::{Page, PageRequest};

/// What every use case works with: the store, the clock, randomness and the configuration.
/// Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    config: AppConfig,
}

impl App {
    /// An app over an open store. `clock` and `rng` must be those the store was opened with.
    pub fn new(store: Store, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, config: AppConfig) -> Self {
        Self(Arc::new(Inner { store, clock, rng, config }))
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
