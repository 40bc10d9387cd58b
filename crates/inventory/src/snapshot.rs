//! The inventory and the policy at one instant.
//!
//! A snapshot never changes, so whatever is asked of one snapshot fits together. It is cheap to
//! take and to keep.

use std::{collections::BTreeMap, sync::Arc};

use latchkey_aql::Subject;
use latchkey_domain::{
    bundle::BundleTarget,
    ids::{AccessScopeId, BundleId, IntegrationId, PermissionId, ResourceId},
    inventory::{Entitlement, Permission, Resource},
    policy::{floors::Floor, targets::Contents},
};

use crate::{giving::Giving, policy::Policy, segment::Segment, spread::rows_of, tiles::Tiles};

/// A segment with what the policy reaches in it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) segment: Arc<Segment>,
    /// For each of the segment's parts.
    pub(crate) reached: Vec<Reached>,
}

/// What a policy reaches in a part.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    pub(crate) tiles: Arc<Tiles>,
    pub(crate) giving: Arc<Giving>,
}

impl Held {
    /// Works out what the policy reaches in the segment, as far as `before` does not know it;
    /// with `is_same_policy`, what that knows was worked out by the same policy.
    pub(crate) fn new(
        segment: &Arc<Segment>,
        policy: &Policy,
        before: Option<&Self>,
        is_same_policy: bool,
    ) -> Self {
        // Queries look at names and permissions as well as at rows.
        let same = before.filter(|before| {
            before.segment.permissions() == segment.permissions()
                && before.segment.integration_name() == segment.integration_name()
        });
        let reached = segment.views.iter().map(|view| {
            let known = same.and_then(|same| {
                let mut parts = same.segment.views.iter().zip(&same.reached);
                parts.find(|(known, _)| Arc::ptr_eq(&known.part, &view.part))
            });
            let known = known.map(|(_, reached)| reached);
            if let Some(known) = known.filter(|_| is_same_policy) {
                return known.clone();
            }
            let tiles = match known {
                Some(known) if known.tiles.knows(&policy.reaches) => Arc::clone(&known.tiles),
                _ => {
                    let before = known.map(|known| &*known.tiles);
                    Arc::new(Tiles::build(segment, view, &policy.reaches, before))
                }
            };
            let giving = Arc::new(Giving::build(policy, view, &tiles));
            Reached { tiles, giving }
        });
        Self { reached: reached.collect(), segment: Arc::clone(segment) }
    }

    pub(crate) fn bytes(&self) -> usize {
        let reached = self.reached.iter();
        self.segment.bytes()
            + reached.map(|one| one.tiles.bytes() + one.giving.bytes()).sum::<usize>()
    }
}

/// The inventory and the policy at one instant.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub(crate) held: BTreeMap<IntegrationId, Arc<Held>>,
    pub(crate) policy: Arc<Policy>,
}

/// An entitlement's place in a snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'s> {
    pub(crate) held: &'s Held,
    pub(crate) part: usize,
    pub(crate) row: u32,
    pub(crate) slot: usize,
}

/// What bundles and access scopes hold by this snapshot's rules, by the plain evaluator.
impl Contents for Snapshot {
    fn bundle(&self, id: &BundleId) -> Option<&[BundleTarget]> {
        self.policy.find_bundle(id)
    }

    fn scope_selects(&self, id: &AccessScopeId, entitlement: &Entitlement) -> bool {
        let segment = self.segment(&entitlement.resource.integration_id);
        segment.zip(self.policy.find_query(id)).is_some_and(|(segment, query)| {
            let integration_name = segment.integration_name();
            query.selects(&Subject { entitlement, integration_name })
        })
    }

    fn floor_on(&self, entitlement: &Entitlement) -> Floor {
        let floors = &self.policy.rules().floors;
        match self.segment(&entitlement.resource.integration_id) {
            Some(segment) => {
                let integration_name = segment.integration_name();
                floors.on(&Subject { entitlement, integration_name })
            }
            // Nobody knows what its queries would say.
            None => floors.all(),
        }
    }
}

impl Snapshot {
    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// An integration's segment.
    pub fn segment(&self, integration: &IntegrationId) -> Option<&Arc<Segment>> {
        self.held.get(integration).map(|held| &held.segment)
    }

    /// Every segment, by integration.
    pub fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.held.values().map(|held| &held.segment)
    }

    /// A resource of whatever integration, with its permissions.
    pub fn find_resource(&self, id: &ResourceId) -> Option<(Resource, &[Permission])> {
        self.segments().find_map(|segment| segment.find(id))
    }

    /// An entitlement.
    pub fn find_entitlement(
        &self,
        integration: &IntegrationId,
        resource: &ResourceId,
        permission: &PermissionId,
    ) -> Option<Entitlement> {
        let Found { held, part, row, slot } = self.find(integration, resource, permission)?;
        let view = held.segment.views.get(part)?;
        let permission = view.permissions_of(row).get(slot)?.clone();
        Some(Entitlement { resource: view.part.resource(row, integration), permission })
    }

    /// Where an entitlement is; resources that are gone are found as well.
    pub(crate) fn find(
        &self,
        integration: &IntegrationId,
        resource: &ResourceId,
        permission: &PermissionId,
    ) -> Option<Found<'_>> {
        let held = &**self.held.get(integration)?;
        let mut views = held.segment.views.iter().enumerate();
        let (part, row) = views.find_map(|(part, view)| Some((part, view.find(resource)?)))?;
        let permissions = held.segment.views.get(part)?.permissions_of(row);
        let slot = permissions.binary_search_by(|one| one.id.cmp(permission)).ok()?;
        Some(Found { held, part, row, slot })
    }

    /// How many rows there are in all segments, hidden ones included.
    pub(crate) fn rows(&self) -> u64 {
        rows_of(self.held.values().map(|held| &**held))
    }

    /// Bytes on the heap, shared ones included.
    pub fn bytes(&self) -> usize {
        self.held.values().map(|held| held.bytes()).sum::<usize>() + self.policy.bytes()
    }
}
