//! The agent beside the target systems.
//!
//! It dials out to the server, leases tasks, runs them through the integration modules, and
//! reports what it read back. What it gave, it ends on time: before a grant it writes the ends
//! into a journal on its own disk, and at each end it acts, whether or not the server answers.
//! What it may read and run is decided on its machine, by `connector.toml`.
//!
//! The way to the server is the trait [`ServerLink`]: [`HttpLink`] in a process of its own, an
//! implementation over the use cases inside the server.

mod agent;
mod ceilings;
mod cloud;
mod config;
mod crash;
mod discovery;
mod expiry;
mod folder;
mod heartbeat;
mod http;
mod inventories;
pub mod journal;
mod keys;
mod leases;
mod link;
mod pace;
mod per_target;
mod report;
mod secrets;
mod server_clock;
mod state;
mod targets;
mod task;
mod watching;

pub use agent::{Connector, ConnectorHandle, ConnectorOptions, LinkStatus, StartError, Timing};
pub use ceilings::Ceilings;
pub use cloud::{CloudProvider, Surroundings};
pub use config::{ConfigError, ConnectorConfig, STORES, StoreRules};
pub use crash::CRASH_POINTS;
pub use folder::FolderError;
pub use http::{HttpLink, ServerAddressError};
pub use link::{LinkError, ServerLink};
pub use secrets::{ENVIRONMENT_PREFIX, Variables};
