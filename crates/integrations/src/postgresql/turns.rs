//! Lets one piece of work of this process at a time be at a principal. At an end the server's
//! task and the sweep come together: the second finds the work done, instead of doing all of it
//! in step with the first. Between processes the target's own locks do this.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use latchkey_domain::ids::IntegrationId;
use tokio::sync::OwnedMutexGuard;

use super::fault::Failure;
use crate::Work;

type Name = (IntegrationId, String);

/// Above this many names, those that nobody uses are forgotten.
const MANY: usize = 1_000;

/// Who is being worked on.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Name, Arc<tokio::sync::Mutex<()>>>>);

/// A turn at one principal; it ends when this is dropped.
pub(super) type Turn = OwnedMutexGuard<()>;

impl Turns {
    /// Waits for a turn, for as long as the lease lasts.
    pub(super) async fn wait(
        &self,
        integration: &IntegrationId,
        principal: &str,
        work: &Work,
    ) -> Result<Turn, Failure> {
        let lock = self.of(integration, principal);
        loop {
            work.check_lease()?;
            // A heartbeat may prolong the lease meanwhile.
            let left = work.lease_left().unwrap_or_default();
            if let Ok(turn) = tokio::time::timeout(left, Arc::clone(&lock).lock_owned()).await {
                return Ok(turn);
            }
        }
    }

    /// A turn, if nobody has it.
    pub(super) fn take(&self, integration: &IntegrationId, principal: &str) -> Option<Turn> {
        self.of(integration, principal).try_lock_owned().ok()
    }

    fn of(&self, integration: &IntegrationId, principal: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.len() > MANY {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry((integration.clone(), principal.to_owned())).or_default())
    }
}
