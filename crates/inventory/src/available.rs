//! What a person may ask for: the union of what their flows give, with filters, without looking
//! at flows or rows one by one.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, OnceLock},
};

use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    inventory::{Entitlement, Permission, Resource},
};

use crate::{
    bits::Bits,
    lexicon::Loose,
    policy::PersonFlows,
    segment::View,
    snapshot::{Held, Reached, Snapshot},
    spread::{rows_of, spread},
    tiles::{Slots, Tiles, slots_where},
    walk::{Picked, Position, entitlements_after, resources_after},
};

/// A filter on a text, without letter case: texts are compared as they are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextFilter {
    /// The whole text.
    Exact(String),
    /// Its beginning.
    Prefix(String),
    /// Its end.
    Suffix(String),
    /// Any part of it.
    Contains(String),
}

impl TextFilter {
    fn parts(&self) -> (Loose, &str) {
        match self {
            Self::Exact(text) => (Loose::Exact, text),
            Self::Prefix(text) => (Loose::Prefix, text),
            Self::Suffix(text) => (Loose::Suffix, text),
            Self::Contains(text) => (Loose::Contains, text),
        }
    }

    /// Whether a text is as wanted.
    pub fn passes(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        match self {
            Self::Exact(wanted) => text == wanted.to_lowercase(),
            Self::Prefix(wanted) => text.starts_with(&wanted.to_lowercase()),
            Self::Suffix(wanted) => text.ends_with(&wanted.to_lowercase()),
            Self::Contains(wanted) => text.contains(&wanted.to_lowercase()),
        }
    }
}

/// Which entitlements to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only in this integration.
    pub integration_id: Option<IntegrationId>,
    /// Only in integrations with such a name.
    pub integration_name: Option<TextFilter>,
    /// Only of these resource types; empty for all.
    pub resource_types: Vec<String>,
    /// Only resources with such a name.
    pub resource_name: Option<TextFilter>,
    /// Only permissions with one of such names; empty for all.
    pub permission_names: Vec<TextFilter>,
}

/// What a person may ask for, of one snapshot.
#[derive(Debug)]
pub struct Available<'s> {
    parts: Vec<(&'s Held, Vec<PartAvailable<'s>>)>,
}

/// How much of what a person may ask for has one permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet<'s> {
    /// The integration.
    pub integration_id: &'s IntegrationId,
    /// The permission, with its resource type.
    pub permission: &'s Permission,
    /// On how many resources.
    pub resources: u64,
}

#[derive(Debug)]
struct PartAvailable<'s> {
    view: &'s View,
    /// For each permission's place: the rows on which the person may ask for it. Places that have
    /// the same rows share them.
    places: Vec<Option<Arc<Bits>>>,
    /// Rows with anything; worked out when a page is asked for.
    any: OnceLock<Bits>,
}

impl Snapshot {
    /// What the flows give, as far as it passes the filter. The flows have to be of this
    /// snapshot's policy.
    pub fn available(&self, flows: &PersonFlows, filter: &Filter) -> Available<'_> {
        let wanted = self.held.values().filter(|held| {
            let Held { segment, .. } = &***held;
            filter.integration_id.as_ref().is_none_or(|id| id == segment.integration_id())
                && filter
                    .integration_name
                    .as_ref()
                    .is_none_or(|wanted| wanted.passes(segment.integration_name()))
        });
        let wanted: Vec<&Held> = wanted.map(|held| &**held).collect();
        let rows = rows_of(wanted.iter().copied());
        let parts = spread(&wanted, rows, |held| -> Vec<PartAvailable<'_>> {
            let parts = held.segment.views.iter().zip(&held.reached);
            parts.map(|(view, reached)| PartAvailable::new(view, reached, flows, filter)).collect()
        });
        Available { parts: wanted.into_iter().zip(parts).collect() }
    }
}

impl<'s> PartAvailable<'s> {
    fn new(view: &'s View, reached: &Reached, flows: &PersonFlows, filter: &Filter) -> Self {
        let Reached { tiles, giving } = reached;
        let allowed = allowed_slots(view, filter);
        let words = view.slots.len().div_ceil(64);
        let mut slots_of_tile: Vec<u64> = vec![0; tiles.all().len() * words];
        for given in giving.all() {
            let place = given.tile as usize * words + given.word as usize;
            if flows.grants.contains(given.grant)
                && let Some(own) = slots_of_tile.get_mut(place)
            {
                let allowed = allowed.get(tiles.kind_of(given.tile) as usize);
                let allowed = allowed.and_then(|own| own.get(given.word as usize));
                *own |= given.slots & allowed.copied().unwrap_or_default();
            }
        }
        let mut places = vec![None; view.slots.len()];
        for (word, own) in places.chunks_mut(64).enumerate() {
            let of_tile = |tile: u32| {
                slots_of_tile.get(tile as usize * words + word).copied().unwrap_or_default()
            };
            for (slots, rows) in rows_by_slots(view, tiles, of_tile) {
                let rows = Arc::new(rows);
                for (slot, place) in own.iter_mut().enumerate() {
                    if slots >> slot & 1 == 0 {
                        continue;
                    }
                    match place {
                        None => *place = Some(Arc::clone(&rows)),
                        Some(known) => Arc::make_mut(known).unite(&rows),
                    }
                }
            }
        }
        if let Some(wanted) = &filter.resource_name {
            let (loose, text) = wanted.parts();
            let named = view.part.names.lexicon().loosely(loose, text);
            let named = view.part.names.rows_with(&named);
            for rows in places.iter_mut().flatten() {
                Arc::make_mut(rows).intersect(&named);
            }
        }
        Self { view, places, any: OnceLock::new() }
    }

    /// Each permission's place with its rows.
    fn places(&self) -> impl Iterator<Item = (usize, &Arc<Bits>)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(slot, rows)| Some((slot, rows.as_ref()?)))
    }

    fn any(&self) -> &Bits {
        self.any.get_or_init(|| {
            let mut any = Bits::none(self.view.part.rows());
            self.places().for_each(|(_, rows)| any.unite(rows));
            any
        })
    }

    fn count(&self) -> u64 {
        self.places().map(|(_, rows)| rows.count()).sum()
    }
}

/// The rows of tiles with the same permissions' places, united, without hidden ones.
fn rows_by_slots(
    view: &View,
    tiles: &Tiles,
    slots_of_tile: impl Fn(u32) -> u64,
) -> BTreeMap<u64, Bits> {
    let mut all: BTreeMap<u64, Bits> = BTreeMap::new();
    for (kind, numbers) in tiles.by_kind() {
        let mut of_kind = OfKind::new(view.part.rows(), tiles.rows_of_kind(kind));
        for number in numbers {
            of_kind.add(tiles, *number, slots_of_tile(*number));
        }
        for (slots, rows) in of_kind.rows {
            match all.entry(slots) {
                Entry::Vacant(place) => drop(place.insert(rows)),
                Entry::Occupied(mut known) => known.get_mut().unite(&rows),
            }
        }
    }
    for rows in all.values_mut() {
        rows.subtract(&view.hidden);
    }
    all
}

/// What is united of the tiles of one type, the largest first.
///
/// A permission that is given on every row of the type is settled, and tiles that give no other
/// are not looked at any more: mostly few large tiles give nearly everything, and thousands of
/// small ones nothing more. Whether a permission is settled is looked up as soon as tiles were
/// united that cost as much as the look.
struct OfKind {
    universe: u32,
    /// How many rows there are to give.
    size: u64,
    rows: BTreeMap<u64, Bits>,
    settled: u64,
    /// What was united since the last look, in words.
    spent: u64,
}

/// What a row of a list costs to unite, in words of a set.
const ROW_COST: u64 = 4;

impl OfKind {
    fn new(universe: u32, size: u64) -> Self {
        Self { universe, size, rows: BTreeMap::new(), settled: 0, spent: 0 }
    }

    fn words(&self) -> u64 {
        u64::from(self.universe / 64) + 1
    }

    fn add(&mut self, tiles: &Tiles, tile: u32, slots: u64) {
        let slots = slots & !self.settled;
        if slots == 0 {
            return;
        }
        let rows = self.rows.entry(slots).or_insert_with(|| Bits::none(self.universe));
        tiles.add_rows(tile, rows);
        let count = tiles.count(tile);
        if count == self.size {
            self.settled |= slots;
            return;
        }
        self.spent += self.words().min(count * ROW_COST);
        let given = self.rows.keys().fold(0, |given, slots| given | slots) & !self.settled;
        let look = u64::from(given.count_ones()) * self.rows.len() as u64 * self.words();
        if self.spent >= look {
            self.spent = 0;
            self.look(given);
        }
    }

    /// Looks which of the places are given on every row.
    fn look(&mut self, given: u64) {
        for slot in (0..64).filter(|slot| given >> slot & 1 == 1) {
            let mut with = self.rows.iter().filter(|(slots, _)| *slots >> slot & 1 == 1);
            let Some((_, first)) = with.next() else { continue };
            let mut union = first.clone();
            with.for_each(|(_, rows)| union.unite(rows));
            if union.count() == self.size {
                self.settled |= 1 << slot;
            }
        }
    }
}

/// The permissions that pass the filter, for each type of the part.
fn allowed_slots(view: &View, filter: &Filter) -> Vec<Slots> {
    let types = view.part.types.all().zip(&view.permissions);
    types
        .map(|(kind, permissions)| {
            let kind = view.part.types.get(kind);
            let is_wanted = filter.resource_types.is_empty()
                || filter.resource_types.iter().any(|wanted| wanted == kind);
            let names = &filter.permission_names;
            slots_where(permissions, |_, permission| {
                is_wanted
                    && (names.is_empty() || names.iter().any(|name| name.passes(&permission.name)))
            })
        })
        .collect()
}

impl Available<'_> {
    /// How many entitlements there are.
    pub fn count(&self) -> u64 {
        self.parts.iter().flat_map(|(_, parts)| parts).map(PartAvailable::count).sum()
    }

    /// The first `limit` entitlements after a position, in the order of lists.
    pub fn page(&self, after: Option<&Position>, limit: usize) -> Vec<Entitlement> {
        let mut found = Vec::new();
        for (held, parts) in &self.parts {
            let id = held.segment.integration_id();
            if after.is_none_or(|after| after.integration_id <= *id) {
                let after = after.filter(|after| after.integration_id == *id);
                entitlements_after(&held.segment, parts, after, limit, &mut found);
            }
        }
        found
    }

    /// The first `limit` resources of an integration with anything to ask for, after the one with
    /// this time and id, in the order of lists.
    pub fn resources(
        &self,
        integration: &IntegrationId,
        after: Option<(jiff::Timestamp, &ResourceId)>,
        limit: usize,
    ) -> Vec<Resource> {
        let mut found = Vec::new();
        let own = self.parts.iter().find(|(held, _)| held.segment.integration_id() == integration);
        if let Some((held, parts)) = own {
            resources_after(&held.segment, parts, after, limit, &mut found);
        }
        found
    }
}

impl<'s> Available<'s> {
    /// How much there is of each permission, by integration, type and permission; those without
    /// anything are left out.
    pub fn facets(&self) -> Vec<Facet<'s>> {
        let mut facets = BTreeMap::<_, Facet<'s>>::new();
        for (held, parts) in &self.parts {
            let integration_id = held.segment.integration_id();
            for part in parts {
                for (kind, permissions) in part.view.part.types.all().zip(&part.view.permissions) {
                    let of_type = part.view.part.rows_of_type.rows(kind);
                    for (slot, rows) in part.places() {
                        let Some(permission) = permissions.get(slot) else { continue };
                        let key = (integration_id, &permission.resource_type, &permission.id);
                        let facet = facets.entry(key).or_insert(Facet {
                            integration_id,
                            permission,
                            resources: 0,
                        });
                        facet.resources += of_type.count_common(rows);
                    }
                }
            }
        }
        facets.into_values().filter(|facet| facet.resources > 0).collect()
    }
}

impl Picked for Vec<PartAvailable<'_>> {
    fn next(&self, part: usize, from: u32) -> Option<u32> {
        self.get(part)?.any().next_from(from)
    }

    fn has(&self, part: usize, row: u32, slot: usize) -> bool {
        let rows = self.get(part).and_then(|own| own.places.get(slot));
        rows.is_some_and(|rows| rows.as_ref().is_some_and(|rows| rows.contains(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_case_does_not_count() {
        assert!(TextFilter::Contains("PROD".to_owned()).passes("my-prod-db"));
        assert!(TextFilter::Exact("Ana".to_owned()).passes("ANA"));
        assert!(!TextFilter::Exact("Ana".to_owned()).passes("Anabel"));
    }
}
