//! Pages of entitlements, in the order of lists: integrations by id, resources by when they were
//! first seen and id, permissions by id.
//!
//! A page ends at a position, which names the last entitlement and not a number of rows: the next
//! page begins after it whatever changed meanwhile.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, PermissionId, ResourceId},
    inventory::{Entitlement, Resource},
};

use crate::{
    part::Place,
    segment::{Cursors, Segment, View},
};

/// Where an entitlement stands in the order of lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Its integration.
    pub integration_id: IntegrationId,
    /// When its resource was first seen.
    pub created_at: Timestamp,
    /// Its resource.
    pub resource_id: ResourceId,
    /// Its permission.
    pub permission_id: PermissionId,
}

impl Position {
    /// Where the entitlement stands.
    pub fn of(entitlement: &Entitlement) -> Self {
        let Entitlement { resource, permission } = entitlement;
        Self {
            integration_id: resource.integration_id.clone(),
            created_at: resource.created_at,
            resource_id: resource.id.clone(),
            permission_id: permission.id.clone(),
        }
    }
}

/// What is selected of a segment.
pub(crate) trait Picked {
    /// The part's first row at or after `from` that has anything selected and is not hidden.
    fn next(&self, part: usize, from: u32) -> Option<u32>;

    /// Whether the permission at this place is selected on the row.
    fn has(&self, part: usize, row: u32, slot: usize) -> bool;
}

/// The entitlements of a segment after a position, until `limit` are found.
pub(crate) fn entitlements_after(
    segment: &Segment,
    picked: &impl Picked,
    after: Option<&Position>,
    limit: usize,
    found: &mut Vec<Entitlement>,
) {
    let place =
        after.map(|after| Place { created_at: after.created_at, id: after.resource_id.clone() });
    let mut rows = Rows::after(segment, picked, place.as_ref());
    while found.len() < limit
        && let Some((part, row, view)) = rows.next()
    {
        let resource = view.part.resource(row, segment.integration_id());
        let is_last_seen = after.filter(|after| after.resource_id == resource.id);
        for (slot, permission) in view.permissions_of(row).iter().enumerate() {
            let is_new = is_last_seen.is_none_or(|after| permission.id > after.permission_id);
            if is_new && found.len() < limit && picked.has(part, row, slot) {
                found.push(Entitlement {
                    resource: resource.clone(),
                    permission: permission.clone(),
                });
            }
        }
    }
}

/// The resources of a segment of which anything is selected, after the resource with this time
/// and id, until `limit` are found.
pub(crate) fn resources_after(
    segment: &Segment,
    picked: &impl Picked,
    after: Option<(Timestamp, &ResourceId)>,
    limit: usize,
    found: &mut Vec<Resource>,
) {
    let place = after.map(|(created_at, id)| Place { created_at, id: id.clone() });
    let mut rows = Rows::after(segment, picked, place.as_ref());
    while found.len() < limit
        && let Some((_, row, view)) = rows.next()
    {
        let resource = view.part.resource(row, segment.integration_id());
        if after.is_none_or(|(_, id)| *id != resource.id) {
            found.push(resource);
        }
    }
}

/// The rows of a segment of which anything is selected, from a place on, in the order of lists.
struct Rows<'s, P> {
    segment: &'s Segment,
    picked: &'s P,
    cursors: Cursors,
}

impl<'s, P: Picked> Rows<'s, P> {
    fn after(segment: &'s Segment, picked: &'s P, place: Option<&Place>) -> Self {
        Self { segment, picked, cursors: segment.cursors(place) }
    }
}

impl<'s, P: Picked> Iterator for Rows<'s, P> {
    /// The part, the row in it, and how it is looked at.
    type Item = (usize, u32, &'s View);

    fn next(&mut self) -> Option<Self::Item> {
        let picked = self.picked;
        let (part, row) =
            self.segment.next_place(&mut self.cursors, |part, from| picked.next(part, from))?;
        Some((part, row, self.segment.views.get(part)?))
    }
}
