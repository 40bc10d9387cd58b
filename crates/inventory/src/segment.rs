//! What is known of one integration, at one version of it.
//!
//! A segment is immutable; a change makes a new one that shares what did not change. It is made
//! of parts: a large one from the last whole discovery, and small ones with what changed since,
//! which hide the older rows of the same resources.
//!
//! Invariant: of all parts together, at most one row of a resource is not hidden.

use std::{collections::BTreeMap, sync::Arc};

use latchkey_domain::{
    ids::{IntegrationId, PermissionId, ResourceId},
    inventory::{Permission, Resource},
};

use crate::{
    TooLarge,
    bits::Bits,
    part::{Part, PartBuilder, Place},
};

/// So many changed resources make a part that is not touched again. A push builds the last part
/// anew, so this bounds what a push takes.
const PART_OF_CHANGES: usize = 128;
/// With more parts than this, building the segment anew pays.
const MANY_PARTS: usize = 8;

/// The permissions of an integration, by resource type, each list ascending by id.
pub(crate) type Permissions = BTreeMap<String, Arc<[Permission]>>;

/// What is known of one integration.
#[derive(Debug, Clone)]
pub struct Segment {
    integration_id: IntegrationId,
    integration_name: String,
    version: i64,
    permissions: Arc<Permissions>,
    pub(crate) views: Vec<Arc<View>>,
}

/// A part as it is seen in a segment: without the rows that a later part replaced, and with the
/// permissions that its types have.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) part: Arc<Part>,
    /// Rows that count no more.
    pub(crate) hidden: Bits,
    /// The permissions of each of the part's types.
    pub(crate) permissions: Vec<Arc<[Permission]>>,
    /// For the first, second … permission of whatever type: the rows that have one, without
    /// hidden rows and deleted resources.
    pub(crate) slots: Vec<Arc<Bits>>,
}

impl View {
    fn new(part: Arc<Part>, hidden: Bits, permissions: &Permissions) -> Self {
        let none: Arc<[Permission]> = Arc::from([]);
        let permissions: Vec<Arc<[Permission]>> = part
            .types
            .all()
            .map(|kind| permissions.get(part.types.get(kind)).unwrap_or(&none).clone())
            .collect();
        let most = permissions.iter().map(|own| own.len()).max().unwrap_or_default();
        let mut slots: Vec<Arc<Bits>> = Vec::with_capacity(most);
        let mut before = None;
        for slot in 0..most {
            let kinds: Vec<u32> = (0u32..)
                .zip(&permissions)
                .filter(|(_, own)| own.len() > slot)
                .map(|(kind, _)| kind)
                .collect();
            let rows = match slots.last() {
                Some(last) if before.as_ref() == Some(&kinds) => Arc::clone(last),
                _ => {
                    let mut rows = part.rows_of_type.rows_of(kinds.iter().copied());
                    rows.intersect(&part.present);
                    rows.subtract(&hidden);
                    Arc::new(rows)
                }
            };
            slots.push(rows);
            before = Some(kinds);
        }
        Self { part, hidden, permissions, slots }
    }

    /// The permissions that a row's type has.
    pub(crate) fn permissions_of(&self, row: u32) -> &[Permission] {
        self.permissions.get(self.part.type_of(row) as usize).map_or(&[], |own| own)
    }

    /// The row of a resource, unless it is hidden.
    pub(crate) fn find(&self, id: &ResourceId) -> Option<u32> {
        self.part.ids.find(id.as_str()).filter(|row| !self.hidden.contains(*row))
    }

    fn bytes(&self) -> usize {
        let mut bytes = self.part.bytes() + self.hidden.bytes();
        let mut last = None;
        for slot in &self.slots {
            if !last.is_some_and(|last| Arc::ptr_eq(last, slot)) {
                bytes += slot.bytes();
            }
            last = Some(slot);
        }
        bytes
    }
}

/// Takes an integration's resources, page by page, and makes its segment.
#[derive(Debug)]
pub struct SegmentBuilder {
    integration_id: IntegrationId,
    integration_name: String,
    version: i64,
    permissions: Arc<Permissions>,
    rows: PartBuilder,
}

/// Permissions by type, in the order of lists.
fn by_type(permissions: Vec<Permission>) -> Permissions {
    let mut by_type: BTreeMap<String, BTreeMap<PermissionId, Permission>> = BTreeMap::new();
    for permission in permissions {
        let own = by_type.entry(permission.resource_type.clone()).or_default();
        own.insert(permission.id.clone(), permission);
    }
    by_type.into_iter().map(|(kind, own)| (kind, own.into_values().collect())).collect()
}

impl SegmentBuilder {
    /// For an integration with this name and these permissions. `version` grows with every
    /// change of what is indexed of the integration.
    pub fn new(
        integration_id: IntegrationId,
        integration_name: impl Into<String>,
        version: i64,
        permissions: Vec<Permission>,
    ) -> Self {
        Self {
            integration_id,
            integration_name: integration_name.into(),
            version,
            permissions: Arc::new(by_type(permissions)),
            rows: PartBuilder::default(),
        }
    }

    /// Takes resources, in any order; of several with one id the last counts. Deleted ones may
    /// be left out. Fails past [`crate::MOST_RESOURCES`].
    pub fn push<'r>(
        &mut self,
        resources: impl IntoIterator<Item = &'r Resource>,
    ) -> Result<(), TooLarge> {
        resources.into_iter().try_for_each(|resource| self.rows.push(resource))
    }

    /// The segment.
    pub fn finish(self) -> Result<Segment, TooLarge> {
        let Self { integration_id, integration_name, version, permissions, rows } = self;
        let part = rows.build()?;
        let hidden = Bits::none(part.rows());
        let views = vec![Arc::new(View::new(Arc::new(part), hidden, &permissions))];
        Ok(Segment { integration_id, integration_name, version, permissions, views })
    }
}

impl Segment {
    /// The integration.
    pub fn integration_id(&self) -> &IntegrationId {
        &self.integration_id
    }

    /// Its name.
    pub fn integration_name(&self) -> &str {
        &self.integration_name
    }

    /// The version of what is indexed.
    pub fn version(&self) -> i64 {
        self.version
    }

    pub(crate) fn permissions(&self) -> &Arc<Permissions> {
        &self.permissions
    }

    /// How many resources it has, those that are gone from the target left out.
    pub fn resources(&self) -> u64 {
        let present = |view: &Arc<View>| {
            let mut rows = view.part.present.clone();
            rows.subtract(&view.hidden);
            rows.count()
        };
        self.views.iter().map(present).sum()
    }

    /// A resource, with its permissions.
    pub fn find(&self, id: &ResourceId) -> Option<(Resource, &[Permission])> {
        self.views.iter().find_map(|view| {
            let row = view.find(id)?;
            let resource = view.part.resource(row, &self.integration_id);
            Some((resource, view.permissions_of(row)))
        })
    }

    /// The segment after a change: `upserts` are new or changed, `removed` are forgotten
    /// altogether. Costs what the change is large, not what the segment is. When
    /// [`Self::wants_rebuild`] says so, build the segment anew when there is time.
    pub fn with_changes(
        &self,
        version: i64,
        upserts: &[Resource],
        removed: &[ResourceId],
    ) -> Result<Self, TooLarge> {
        let ids = || upserts.iter().map(|one| &one.id).chain(removed);
        let mut views: Vec<Arc<View>> = Vec::with_capacity(self.views.len() + 1);
        for view in &self.views {
            let rows: Vec<u32> = ids().filter_map(|id| view.find(id)).collect();
            if rows.is_empty() {
                views.push(Arc::clone(view));
                continue;
            }
            let mut hidden = view.hidden.clone();
            for row in rows {
                hidden.insert(row);
            }
            views.push(Arc::new(View::new(Arc::clone(&view.part), hidden, &self.permissions)));
        }
        let mut rows = PartBuilder::default();
        if views.len() > 1
            && let Some(last) = views.pop_if(|last| (last.part.rows() as usize) < PART_OF_CHANGES)
        {
            for row in last.hidden.complement().iter() {
                rows.push(&last.part.resource(row, &self.integration_id))?;
            }
        }
        upserts.iter().try_for_each(|resource| rows.push(resource))?;
        if rows.len() > 0 {
            let part = rows.build()?;
            let hidden = Bits::none(part.rows());
            views.push(Arc::new(View::new(Arc::new(part), hidden, &self.permissions)));
        }
        Ok(Self { version, views, ..self.clone() })
    }

    /// Whether changes have piled up so that building the segment anew pays.
    pub fn wants_rebuild(&self) -> bool {
        self.views.len() > MANY_PARTS
            || self.views.iter().any(|view| view.hidden.count() * 4 > u64::from(view.part.rows()))
    }

    /// The same, built anew from itself.
    pub fn rebuilt(&self) -> Result<Self, TooLarge> {
        let mut rows = PartBuilder::default();
        for view in &self.views {
            for row in view.hidden.complement().iter() {
                rows.push(&view.part.resource(row, &self.integration_id))?;
            }
        }
        let part = rows.build()?;
        let hidden = Bits::none(part.rows());
        let view = View::new(Arc::new(part), hidden, &self.permissions);
        Ok(Self { views: vec![Arc::new(view)], ..self.clone() })
    }

    /// The same under another name of the integration.
    #[must_use]
    pub fn renamed(&self, version: i64, name: impl Into<String>) -> Self {
        Self { version, integration_name: name.into(), ..self.clone() }
    }

    /// The same with other permissions.
    #[must_use]
    pub fn with_permissions(&self, version: i64, permissions: Vec<Permission>) -> Self {
        let permissions = Arc::new(by_type(permissions));
        let view = |view: &Arc<View>| {
            let part = Arc::clone(&view.part);
            Arc::new(View::new(part, view.hidden.clone(), &permissions))
        };
        let views = self.views.iter().map(view).collect();
        Self { version, views, permissions: Arc::clone(&permissions), ..self.clone() }
    }

    /// Bytes on the heap, without what the index works out about it.
    pub fn bytes(&self) -> usize {
        self.views.iter().map(|view| view.bytes()).sum()
    }

    /// The first place in the order of lists at or after `from`, or after it where `past` is
    /// set, over all parts: `next` gives a part's first selected row at or after a row.
    pub(crate) fn next_place(
        &self,
        at: &mut Cursors,
        next: impl Fn(usize, u32) -> Option<u32>,
    ) -> Option<(usize, u32)> {
        let mut best: Option<(Place, usize, u32)> = None;
        for (number, view) in self.views.iter().enumerate() {
            let from = at.rows.get(number).copied().unwrap_or_default();
            let Some(row) = next(number, from) else {
                at.set(number, u32::MAX);
                continue;
            };
            at.set(number, row);
            if self.views.len() == 1 {
                at.set(number, row.saturating_add(1));
                return Some((number, row));
            }
            let place = view.part.place(row);
            if best.as_ref().is_none_or(|(least, _, _)| place < *least) {
                best = Some((place, number, row));
            }
        }
        let (_, number, row) = best?;
        at.set(number, row.saturating_add(1));
        Some((number, row))
    }

    /// Where a walk begins: in each part, the first row at or after `place`.
    pub(crate) fn cursors(&self, place: Option<&Place>) -> Cursors {
        let first = |view: &Arc<View>| place.map_or(0, |place| view.part.first_from(place));
        Cursors { rows: self.views.iter().map(first).collect() }
    }
}

/// How far a walk is in each part.
#[derive(Debug)]
pub(crate) struct Cursors {
    rows: Vec<u32>,
}

impl Cursors {
    fn set(&mut self, part: usize, row: u32) {
        if let Some(own) = self.rows.get_mut(part) {
            *own = row;
        }
    }
}
