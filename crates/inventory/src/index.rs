//! The index: the present snapshot, and the ways to change it.
//!
//! Readers take the present snapshot and never wait for a writer. Writers take turns, work out
//! the next snapshot from the present one, and put it in place: a change is seen whole or not at
//! all, and is seen by whoever asks after the call that made it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    inventory::Resource,
};

use crate::{
    TooLarge,
    policy::{Policy, Rules},
    segment::Segment,
    snapshot::{Held, Snapshot},
    spread::spread,
};

/// The index of one server.
#[derive(Debug, Default)]
pub struct Index {
    present: RwLock<Arc<Snapshot>>,
    /// Held by the writer whose turn it is.
    turn: Mutex<()>,
}

impl Index {
    /// What is indexed now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Snapshot) -> T) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.snapshot());
        let outcome = change(&mut next);
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        outcome
    }

    /// Puts an integration's segment in place of the one there is; one that is older than that is
    /// not taken, and the answer is false.
    pub fn put(&self, segment: Segment) -> bool {
        self.change(|next| next.put(segment))
    }

    /// Changes some resources of an integration, which then is at `version`. `None` if the
    /// integration is not indexed, or is at this version or a later one: then read it anew.
    pub fn push(
        &self,
        integration: &IntegrationId,
        version: i64,
        upserts: &[Resource],
        removed: &[ResourceId],
    ) -> Result<Option<Arc<Segment>>, TooLarge> {
        self.change(|next| {
            let Some(held) = next.held.get(integration) else { return Ok(None) };
            if held.segment.version() >= version {
                return Ok(None);
            }
            let segment = held.segment.with_changes(version, upserts, removed)?;
            next.put(segment);
            Ok(next.segment(integration).cloned())
        })
    }

    /// Builds an integration's segment anew from itself, if changes have piled up and no other
    /// change comes meanwhile; says whether it did. Readers and writers do not wait for it.
    pub fn tidy(&self, integration: &IntegrationId) -> Result<bool, TooLarge> {
        let before = self.snapshot();
        let Some(old) = before.segment(integration).filter(|segment| segment.wants_rebuild())
        else {
            return Ok(false);
        };
        let rebuilt = old.rebuilt()?;
        Ok(self.change(|next| {
            let is_same = next.segment(integration).is_some_and(|now| Arc::ptr_eq(now, old));
            is_same && next.put(rebuilt)
        }))
    }

    /// Forgets an integration.
    pub fn remove(&self, integration: &IntegrationId) {
        self.change(|next| next.held.remove(integration));
    }

    /// Puts other rules in place.
    pub fn set_rules(&self, rules: Rules) {
        self.change(|next| *next = next.with_rules(rules));
    }

    /// The version of each integration that is indexed: what to compare with the database's.
    pub fn versions(&self) -> BTreeMap<IntegrationId, i64> {
        let snapshot = self.snapshot();
        snapshot.held.iter().map(|(id, held)| (id.clone(), held.segment.version())).collect()
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.snapshot().bytes()
    }
}

impl Snapshot {
    /// The same inventory under other rules: what would be, if they were in place.
    #[must_use]
    pub fn with_rules(&self, rules: Rules) -> Self {
        let policy = Arc::new(Policy::new(rules, Some(&self.policy)));
        let before: Vec<(&IntegrationId, &Arc<Held>)> = self.held.iter().collect();
        let held = spread(&before, self.rows(), |(id, held)| {
            (
                IntegrationId::clone(id),
                Arc::new(Held::new(&held.segment, &policy, Some(held), false)),
            )
        });
        Self { held: held.into_iter().collect(), policy }
    }

    fn put(&mut self, segment: Segment) -> bool {
        let id = segment.integration_id().clone();
        let before = self.held.get(&id);
        if before.is_some_and(|before| before.segment.version() > segment.version()) {
            return false;
        }
        let before = before.map(|before| &**before);
        let held = Held::new(&Arc::new(segment), &self.policy, before, true);
        self.held.insert(id, Arc::new(held));
        true
    }
}
