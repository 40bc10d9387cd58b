//! The server's side of the connector protocol: heartbeats, leases and results.
//!
//! A task carries no state of its own: what a principal should hold is read when the task is
//! leased, so a repeat is always up to date. A result counts only for the newest lease of its
//! task; everything that follows from it is one transaction.

mod discovered;
mod leasing;
mod presence;
mod results;
mod targets;
mod together;

pub use discovered::inventory_changed;
pub use leasing::lease_tasks;
pub use presence::heartbeat;
pub use results::task_result;
pub(crate) use targets::SealedSecrets;
pub(crate) use together::Arriving;

use std::time::Duration;

/// How long a task belongs to the process that leased it, unless a heartbeat renews it.
pub const LEASE: Duration = Duration::from_secs(10);

/// The longest a lease request may wait for work.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);
