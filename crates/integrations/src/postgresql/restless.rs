//! Which integrations have to be swept every few seconds, and until when: a login that had begun
//! when a password was replaced may end with the old one for as long as the server lets it try.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use latchkey_domain::ids::IntegrationId;

/// The end for each, on the clock's monotonic reading.
#[derive(Debug, Default)]
pub(super) struct Restless(Mutex<HashMap<IntegrationId, Duration>>);

impl Restless {
    /// Until when the integration is to be swept often.
    pub(super) fn until(&self, integration: &IntegrationId) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(integration).copied()
    }

    /// A marker asks for it.
    pub(super) fn note(&self, integration: &IntegrationId, until: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(integration.clone()).or_default();
        *known = until.max(*known);
    }

    /// No marker asks for it any more.
    pub(super) fn rest(&self, integration: &IntegrationId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(integration);
    }
}
