//! What this process last saw in each target, as far as it takes to tell what changed since.
//!
//! In memory only: a process that does not know what was there tells everything it finds, and the
//! server's own discovery runs put the rest right.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latchkey_domain::{ids::IntegrationId, provisioning::DiscoveredResource};

/// A look at one target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The target's mark before the look.
    pub(crate) mark: Option<u64>,
    /// What was found; `None` if nothing but the mark was looked at.
    pub(crate) resources: Option<Arc<Fingerprints>>,
}

/// What each resource came to, by its native id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fingerprints(HashMap<Box<str>, u64>);

impl Fingerprints {
    /// Takes in a resource; whether it is new or another than in `former`.
    pub(crate) fn add(&mut self, resource: &DiscoveredResource, former: Option<&Self>) -> bool {
        let now = fingerprint(resource);
        self.0.insert(resource.source_id.as_str().into(), now);
        former.is_none_or(|former| former.0.get(resource.source_id.as_str()) != Some(&now))
    }

    /// The native ids in `former` that are not here.
    pub(crate) fn gone_since(&self, former: Option<&Self>) -> Vec<String> {
        let former = former.into_iter().flat_map(|former| former.0.keys());
        let mut gone: Vec<String> =
            former.filter(|id| !self.0.contains_key(*id)).map(ToString::to_string).collect();
        gone.sort_unstable();
        gone
    }
}

fn fingerprint(resource: &DiscoveredResource) -> u64 {
    let DiscoveredResource { resource_type, source_id, name, path, tags, context } = resource;
    let mut hasher = DefaultHasher::new();
    (resource_type, source_id, name, path, tags, context).hash(&mut hasher);
    hasher.finish()
}

/// The newest look at each target.
#[derive(Debug, Default)]
pub(crate) struct Inventories(Mutex<BTreeMap<IntegrationId, Seen>>);

impl Inventories {
    /// The newest look, if there was one.
    pub(crate) fn get(&self, integration: &IntegrationId) -> Option<Seen> {
        self.lock().get(integration).cloned()
    }

    /// Keeps a look.
    pub(crate) fn put(&self, integration: &IntegrationId, seen: Seen) {
        self.lock().insert(integration.clone(), seen);
    }

    /// Forgets a target.
    pub(crate) fn forget(&self, integration: &IntegrationId) {
        self.lock().remove(integration);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IntegrationId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
