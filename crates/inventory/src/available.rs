//! What a person may ask for: the union of what their flows give, with filters, without looking
//! at flows or rows one by one.

use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    inventory::{Entitlement, Permission, Resource},
};

use crate::{
    bits::Bits,
    classes::{Classes, NO},
    lexicon::Loose,
    policy::PersonFlows,
    segment::View,
    snapshot::{Held, Reached, Snapshot},
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
    classes: &'s Classes,
    /// For each word of permissions' places: those that the person may ask for, by class.
    words: Vec<Vec<u64>>,
    /// The rows that pass the filter; `None` for all.
    rows: Option<Bits>,
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
        let parts = wanted.map(|held| {
            let parts = held.segment.views.iter().zip(&held.reached);
            let parts =
                parts.map(|(view, reached)| PartAvailable::new(view, reached, flows, filter));
            (&**held, parts.collect())
        });
        Available { parts: parts.collect() }
    }
}

impl<'s> PartAvailable<'s> {
    fn new(view: &'s View, reached: &'s Reached, flows: &PersonFlows, filter: &Filter) -> Self {
        let Reached { classes, giving } = reached;
        let allowed = allowed_slots(view, filter);
        let count = view.slots.len().div_ceil(64);
        let mut tiles: Vec<Vec<u64>> = vec![vec![0; classes.tiles().len()]; count];
        for given in giving.all() {
            if flows.grants.contains(given.grant)
                && let Some(own) = tiles
                    .get_mut(given.word as usize)
                    .and_then(|own| own.get_mut(given.tile as usize))
            {
                let kind = classes.tiles().get(given.tile as usize).map_or(NO, |tile| tile.kind);
                let allowed =
                    allowed.get(kind as usize).and_then(|own| own.get(given.word as usize));
                *own |= given.slots & allowed.copied().unwrap_or_default();
            }
        }
        let by_class = |tiles: &Vec<u64>| {
            let mut classed: Vec<u64> = Vec::with_capacity(classes.len());
            for (parent, tile, _) in classes.iter() {
                let above = classed.get(parent as usize).copied().unwrap_or_default();
                classed.push(above | tiles.get(tile as usize).copied().unwrap_or_default());
            }
            classed
        };
        let words = tiles.iter().map(by_class).collect();
        let rows = filter.resource_name.as_ref().map(|wanted| {
            let (loose, text) = wanted.parts();
            view.part.names.rows_with(&view.part.names.lexicon().loosely(loose, text))
        });
        Self { view, classes, words, rows }
    }

    fn is_in(&self, row: u32) -> bool {
        !self.view.hidden.contains(row) && self.rows.as_ref().is_none_or(|rows| rows.contains(row))
    }

    fn has_any(&self, class: u32) -> bool {
        self.words.iter().any(|word| word.get(class as usize).is_some_and(|slots| *slots != 0))
    }

    /// Shows the words of permissions' places, with how many rows have them.
    fn each(&self, mut show: impl FnMut(u32, usize, u64, u64)) {
        for (number, word) in self.words.iter().enumerate() {
            let slots = |row: u32| {
                let class = self.classes.class_of(row);
                word.get(class as usize).copied().unwrap_or_default()
            };
            if let Some(rows) = &self.rows {
                for row in rows.iter() {
                    let slots = slots(row);
                    if slots != 0 && !self.view.hidden.contains(row) {
                        show(self.view.part.type_of(row), number, slots, 1);
                    }
                }
                continue;
            }
            for ((_, tile, size), slots) in self.classes.iter().zip(word) {
                if *slots != 0 && size > 0 {
                    let kind = self.classes.tiles().get(tile as usize).map_or(NO, |tile| tile.kind);
                    show(kind, number, *slots, u64::from(size));
                }
            }
            for row in self.view.hidden.iter() {
                let slots = slots(row);
                if slots != 0 {
                    show(self.view.part.type_of(row), number, slots, u64::MAX);
                }
            }
        }
    }

    fn count(&self) -> u64 {
        let mut count = 0u64;
        self.each(|_, _, slots, rows| {
            count = count.wrapping_add(u64::from(slots.count_ones()).wrapping_mul(rows));
        });
        count
    }
}

/// The permissions that pass the filter, for each type of the part.
fn allowed_slots(view: &View, filter: &Filter) -> Vec<crate::classes::Slots> {
    let types = view.part.types.all().zip(&view.permissions);
    types
        .map(|(kind, permissions)| {
            let kind = view.part.types.get(kind);
            let is_wanted = filter.resource_types.is_empty()
                || filter.resource_types.iter().any(|wanted| wanted == kind);
            let names = &filter.permission_names;
            crate::classes::slots_where(permissions, |_, permission| {
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
        let mut facets = std::collections::BTreeMap::<_, Facet<'s>>::new();
        for (held, parts) in &self.parts {
            let integration_id = held.segment.integration_id();
            for part in parts {
                part.each(|kind, word, slots, rows| {
                    let permissions = part.view.permissions.get(kind as usize).map(|own| &**own);
                    for (slot, permission) in permissions.unwrap_or_default().iter().enumerate() {
                        if slot / 64 == word && slots >> (slot % 64) & 1 == 1 {
                            let key = (integration_id, &permission.resource_type, &permission.id);
                            let facet = facets.entry(key).or_insert(Facet {
                                integration_id,
                                permission,
                                resources: 0,
                            });
                            facet.resources = facet.resources.wrapping_add(rows);
                        }
                    }
                });
            }
        }
        facets.into_values().filter(|facet| facet.resources > 0).collect()
    }
}

impl Picked for Vec<PartAvailable<'_>> {
    fn next(&self, part: usize, from: u32) -> Option<u32> {
        let own = self.get(part)?;
        let classes = own.classes.by_row();
        let ahead = (from..).zip(classes.get(from as usize..)?);
        let mut rows = ahead.filter(|(row, class)| own.has_any(**class) && own.is_in(*row));
        rows.next().map(|(row, _)| row)
    }

    fn has(&self, part: usize, row: u32, slot: usize) -> bool {
        let Some(own) = self.get(part) else { return false };
        let class = own.classes.class_of(row);
        let word = own.words.get(slot / 64).and_then(|word| word.get(class as usize));
        word.is_some_and(|slots| slots >> (slot % 64) & 1 == 1) && own.is_in(row)
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
