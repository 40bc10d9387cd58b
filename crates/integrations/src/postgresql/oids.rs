//! Which oid each principal's role had when this process last saw it. Somebody who drops a role
//! by hand takes the oid along, while its open sessions are known by nothing else.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use latchkey_domain::ids::IntegrationId;

/// Above this many, all are forgotten; the next sweep sees those again that are there.
const MOST: usize = 50_000;

/// The oids by principal.
#[derive(Debug, Default)]
pub(super) struct Oids(Mutex<HashMap<(IntegrationId, String), u32>>);

impl Oids {
    /// The oid that the principal's role has, or had.
    pub(super) fn find(&self, integration: &IntegrationId, principal: &str) -> Option<u32> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&(integration.clone(), principal.to_owned())).copied()
    }

    /// Notes an oid.
    pub(super) fn note(&self, integration: &IntegrationId, principal: &str, oid: u32) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST {
            seen.clear();
        }
        seen.insert((integration.clone(), principal.to_owned()), oid);
    }

    /// The principal is gone, and so are its sessions.
    pub(super) fn forget(&self, integration: &IntegrationId, principal: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(&(integration.clone(), principal.to_owned()));
    }
}
