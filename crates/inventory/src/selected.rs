//! What a query or targets select in a snapshot: how much, which, page by page.

use std::sync::{Arc, OnceLock};

use latchkey_aql::Query;
use latchkey_domain::{
    bundle::BundleTarget,
    flow::IntegrationTarget,
    ids::{IntegrationId, PermissionId, ResourceId},
    inventory::Entitlement,
};

use crate::{
    bits::Bits,
    query::evaluate,
    reach::rows_in_scopes,
    segment::{Segment, View},
    selection::{Rows, Selection},
    snapshot::Snapshot,
    spread::spread,
    walk::{Picked, Position, entitlements_after},
};

/// A set of entitlements of one snapshot.
#[derive(Debug)]
pub struct Selected<'s> {
    snapshot: &'s Snapshot,
    parts: Vec<(&'s Segment, Vec<PartSelected>)>,
}

#[derive(Debug)]
struct PartSelected {
    selection: Selection,
    count: u64,
    /// Rows with anything selected; worked out when a page is asked for.
    rows: OnceLock<Bits>,
}

impl Snapshot {
    /// What the query selects: exactly the entitlements of which
    /// [`latchkey_aql::Query::selects`] says so.
    pub fn select(&self, query: &Query) -> Selected<'_> {
        self.selected(|segment, view| evaluate(&query.expr, segment, view))
    }

    /// What the query selects and access can be given on: what an access scope with this query
    /// covers.
    pub fn select_grantable(&self, query: &Query) -> Selected<'_> {
        self.selected(|segment, view| grantable_of(query, segment, view))
    }

    /// What the target covers: exactly the entitlements of which
    /// [`latchkey_domain::policy::targets::covers`] says so.
    pub fn covered(&self, target: &IntegrationTarget) -> Selected<'_> {
        self.selected(|segment, view| of_target(target, segment, view))
    }

    /// What any of the targets covers. An access scope covers what its query selects and can be
    /// given; one that the policy does not know, nothing.
    pub fn covered_by_any(&self, targets: &[BundleTarget]) -> Selected<'_> {
        self.selected(|segment, view| {
            let parts = targets.iter().map(|target| match target {
                BundleTarget::Integration(target) => of_target(target, segment, view),
                BundleTarget::AccessScope(id) => match self.policy.find_query(id) {
                    Some(query) => grantable_of(query, segment, view),
                    None => Selection::NONE,
                },
            });
            parts.fold(Selection::NONE, |any, one| any.or(&one))
        })
    }

    fn selected(&self, select: impl Fn(&Segment, &View) -> Selection + Sync) -> Selected<'_> {
        let of_segment = |segment: &&'_ Segment| -> Vec<PartSelected> {
            let of_part = |view: &Arc<View>| {
                let selection = select(segment, view);
                let count = selection.count(view);
                PartSelected { selection, count, rows: OnceLock::new() }
            };
            segment.views.iter().map(of_part).collect()
        };
        let segments: Vec<&Segment> = self.segments().map(|segment| &**segment).collect();
        let selected = spread(&segments, self.rows(), of_segment);
        Selected { snapshot: self, parts: segments.into_iter().zip(selected).collect() }
    }
}

/// What a query selects of the rows that access can be given on.
fn grantable_of(query: &Query, segment: &Segment, view: &View) -> Selection {
    let active = Selection::Even(view.part.active.clone().into());
    evaluate(&query.expr, segment, view).and(&active)
}

/// What a target covers.
pub(crate) fn of_target(target: &IntegrationTarget, segment: &Segment, view: &View) -> Selection {
    let part = &*view.part;
    let kind = part.find_type(&target.resource_type);
    let Some(kind) = kind.filter(|_| *segment.integration_id() == target.integration_id) else {
        return Selection::NONE;
    };
    let mut of_type = part.rows_of_type.rows(kind);
    of_type.intersect(&part.active);
    let scopes = target.resources_scopes.as_deref().unwrap_or_default();
    let rows: Rows = rows_in_scopes(part, &of_type, scopes).into();
    let permissions = view.permissions.get(kind as usize).map_or(&[][..], |own| own);
    let at = |slot: usize| match permissions.get(slot) {
        Some(permission) if target.permissions.contains(&permission.name) => rows.clone(),
        _ => Rows::None,
    };
    Selection::Split((0..view.slots.len()).map(at).collect())
}

impl Selected<'_> {
    /// How many entitlements there are.
    pub fn count(&self) -> u64 {
        self.parts.iter().flat_map(|(_, parts)| parts).map(|part| part.count).sum()
    }

    /// Whether an entitlement is among them.
    pub fn contains(
        &self,
        integration: &IntegrationId,
        resource: &ResourceId,
        permission: &PermissionId,
    ) -> bool {
        let Some(found) = self.snapshot.find(integration, resource, permission) else {
            return false;
        };
        let mut parts = self.parts.iter();
        let own = parts.find(|(segment, _)| segment.integration_id() == integration);
        own.is_some_and(|own| own.has(found.part, found.row, found.slot))
    }

    /// The first `limit` entitlements after a position, in the order of lists.
    pub fn page(&self, after: Option<&Position>, limit: usize) -> Vec<Entitlement> {
        let mut found = Vec::new();
        for part in &self.parts {
            let id = part.0.integration_id();
            if after.is_none_or(|after| after.integration_id <= *id) {
                let after = after.filter(|after| after.integration_id == *id);
                entitlements_after(part.0, part, after, limit, &mut found);
            }
        }
        found
    }
}

impl Picked for (&Segment, Vec<PartSelected>) {
    fn next(&self, part: usize, from: u32) -> Option<u32> {
        let (view, own) = self.0.views.get(part).zip(self.1.get(part))?;
        own.rows.get_or_init(|| own.selection.rows(view)).next_from(from)
    }

    fn has(&self, part: usize, row: u32, slot: usize) -> bool {
        let view = self.0.views.get(part).and_then(|view| view.slots.get(slot));
        view.is_some_and(|rows| rows.contains(row))
            && self.1.get(part).is_some_and(|own| own.selection.at(slot).contains(row))
    }
}
