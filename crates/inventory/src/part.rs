//! Rows of one integration, immutable: what a segment is made of.
//!
//! Invariant: rows ascend by (when first seen, id), which is the order of lists, and no two have
//! one id.

use std::{cmp::Ordering, collections::BTreeMap};

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    inventory::{Resource, ResourceStatus, RiskLevel},
};

use crate::{
    TooLarge,
    bits::Bits,
    columns::{Composed, Leading, Names, TextColumn},
    facts::{Facts, FactsBuilder},
    ids::Ids,
    postings::Postings,
    texts::Texts,
};

/// The most resources that one integration may have here.
pub const MOST_RESOURCES: u32 = 8_000_000;

pub(crate) const STATUSES: [ResourceStatus; 3] =
    [ResourceStatus::Active, ResourceStatus::Error, ResourceStatus::Deleted];
pub(crate) const RISKS: [RiskLevel; 4] =
    [RiskLevel::Low, RiskLevel::Medium, RiskLevel::High, RiskLevel::Critical];

/// The number of a status in [`STATUSES`].
fn status_number(status: ResourceStatus) -> u8 {
    match status {
        ResourceStatus::Active => 0,
        ResourceStatus::Error => 1,
        ResourceStatus::Deleted => 2,
    }
}

/// The number of a risk in [`RISKS`]; one past them for none.
fn risk_number(risk: Option<RiskLevel>) -> u8 {
    match risk {
        Some(RiskLevel::Low) => 0,
        Some(RiskLevel::Medium) => 1,
        Some(RiskLevel::High) => 2,
        Some(RiskLevel::Critical) => 3,
        None => 4,
    }
}

/// Where a row stands in lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) created_at: Timestamp,
    pub(crate) id: ResourceId,
}

/// The rows.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) ids: Ids,
    /// When rows were first seen: the first row of each run of one time.
    seen: Vec<(u32, Timestamp)>,
    /// Resource types, ascending.
    pub(crate) types: Texts,
    type_of_row: Vec<u32>,
    pub(crate) rows_of_type: Postings,
    /// Status in the lowest two bits, risk above.
    flags: Vec<u8>,
    pub(crate) rows_of_status: Postings,
    pub(crate) rows_of_risk: Postings,
    pub(crate) names: Names,
    paths: Leading,
    sources: Leading,
    pub(crate) facts: Facts,
    /// Rows whose resource can be given access to.
    pub(crate) active: Bits,
    /// Rows whose resource is not gone.
    pub(crate) present: Bits,
}

/// A resource without its tags and facts, as it waits for the end.
#[derive(Debug)]
struct Pending {
    id: ResourceId,
    created_at: Timestamp,
    resource_type: u32,
    flags: u8,
    source_id: Box<str>,
    path: Box<str>,
    name: Box<str>,
}

/// Collects the resources of a part, in any order.
#[derive(Debug, Default)]
pub(crate) struct PartBuilder {
    pending: Vec<Pending>,
    types: hashbrown::HashMap<String, u32>,
    facts: FactsBuilder,
}

impl PartBuilder {
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn push(&mut self, resource: &Resource) -> Result<(), TooLarge> {
        if self.pending.len() >= MOST_RESOURCES as usize {
            return Err(TooLarge);
        }
        let next = u32::try_from(self.types.len()).map_err(|_| TooLarge)?;
        let resource_type = *self.types.entry_ref(resource.resource_type.as_str()).or_insert(next);
        self.facts.push(resource)?;
        self.pending.push(Pending {
            id: resource.id.clone(),
            created_at: resource.created_at,
            resource_type,
            flags: status_number(resource.status) | risk_number(resource.risk) << 2,
            source_id: resource.source_id.as_str().into(),
            path: resource.path.as_str().into(),
            name: resource.name.as_str().into(),
        });
        Ok(())
    }

    /// The part. Of resources with one id, the one that was pushed last counts.
    pub(crate) fn build(self) -> Result<Part, TooLarge> {
        let Self { pending, types, facts } = self;
        let row = |pushed: u32| pending.get(pushed as usize);
        let pushed = || (0u32..).zip(&pending).map(|(pushed, _)| pushed);
        let mut order: Vec<u32> = pushed().collect();
        // Equal ids come together, the latest first.
        order.sort_unstable_by(|one, other| {
            row(*one).map(|row| &row.id).cmp(&row(*other).map(|row| &row.id)).then(other.cmp(one))
        });
        order.dedup_by(|one, other| row(*one).map(|row| &row.id) == row(*other).map(|row| &row.id));
        order.sort_by(|one, other| {
            row(*one).map(|row| row.created_at).cmp(&row(*other).map(|row| row.created_at))
        });
        let rows: Vec<&Pending> = order.iter().filter_map(|pushed| row(*pushed)).collect();
        let count = u32::try_from(rows.len()).map_err(|_| TooLarge)?;

        let mut type_names: Vec<(&str, u32)> =
            types.iter().map(|(name, number)| (name.as_str(), *number)).collect();
        type_names.sort_unstable();
        let mut type_place = vec![0u32; type_names.len()];
        for (place, (_, number)) in (0u32..).zip(&type_names) {
            if let Some(own) = type_place.get_mut(*number as usize) {
                *own = place;
            }
        }
        let type_of_row: Vec<u32> = rows
            .iter()
            .map(|row| type_place.get(row.resource_type as usize).copied().unwrap_or_default())
            .collect();
        let rows_of_type =
            Postings::build(type_names.len(), count, || type_of_row.iter().copied().zip(0u32..))?;
        let flags: Vec<u8> = rows.iter().map(|row| row.flags).collect();
        let by = |number: fn(u8) -> u8, values: usize| {
            Postings::build(values, count, || {
                flags.iter().map(move |flags| u32::from(number(*flags))).zip(0u32..)
            })
        };
        let rows_of_status = by(|flags| flags & 3, STATUSES.len())?;
        let rows_of_risk = by(|flags| flags >> 2, RISKS.len() + 1)?;
        let mut seen: Vec<(u32, Timestamp)> = Vec::new();
        for (row, pending) in (0u32..).zip(&rows) {
            if seen.last().is_none_or(|(_, last)| *last != pending.created_at) {
                seen.push((row, pending.created_at));
            }
        }
        seen.shrink_to_fit();
        let texts = |text: fn(&Pending) -> &str| -> Vec<&str> {
            rows.iter().map(|row| text(row)).collect()
        };
        let (names, paths) = (texts(|row| &row.name), texts(|row| &row.path));
        let ids = texts(|row| row.id.as_str());
        let active = rows_of_status.rows(0);
        Ok(Part {
            ids: Ids::build(&ids)?,
            seen,
            types: Texts::build(type_names.iter().map(|(name, _)| *name))?,
            rows_of_type,
            type_of_row,
            present: rows_of_status.rows(2).complement(),
            active,
            rows_of_status,
            rows_of_risk,
            flags,
            names: Names::build(&names)?,
            paths: Leading::build(&paths, &names)?,
            sources: Leading::build(&texts(|row| &row.source_id), &paths)?,
            facts: facts.build(&order)?,
        })
    }
}

impl Part {
    /// How many rows there are.
    pub(crate) fn rows(&self) -> u32 {
        self.active.len()
    }

    pub(crate) fn paths(&self) -> Composed<'_, Names> {
        Composed { leading: &self.paths, tail: &self.names }
    }

    /// The number of a row's type in [`Self::types`].
    pub(crate) fn type_of(&self, row: u32) -> u32 {
        self.type_of_row.get(row as usize).copied().unwrap_or_default()
    }

    pub(crate) fn find_type(&self, name: &str) -> Option<u32> {
        self.types.find(self.types.all(), name)
    }

    fn created_at(&self, row: u32) -> Timestamp {
        let run = self.seen.partition_point(|(first, _)| *first <= row).saturating_sub(1);
        self.seen.get(run).map_or(Timestamp::UNIX_EPOCH, |(_, at)| *at)
    }

    /// Where a row stands in lists.
    pub(crate) fn place(&self, row: u32) -> Place {
        Place { created_at: self.created_at(row), id: self.ids.get(row) }
    }

    /// The first row that stands at `place` or after it.
    pub(crate) fn first_from(&self, place: &Place) -> u32 {
        let run = self.seen.partition_point(|(_, at)| *at < place.created_at);
        let end_of = |run: usize| self.seen.get(run).map_or(self.rows(), |(first, _)| *first);
        let (mut low, mut high) = match self.seen.get(run) {
            Some((first, at)) if *at == place.created_at => (*first, end_of(run + 1)),
            _ => return end_of(run),
        };
        while low < high {
            let middle = low + (high - low) / 2;
            match self.ids.get(middle).cmp(&place.id) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal | Ordering::Greater => high = middle,
            }
        }
        low
    }

    pub(crate) fn status(&self, row: u32) -> ResourceStatus {
        let number = self.flags.get(row as usize).map_or(2, |flags| flags & 3);
        STATUSES.get(usize::from(number)).copied().unwrap_or(ResourceStatus::Deleted)
    }

    /// The whole resource of a row.
    pub(crate) fn resource(&self, row: u32, integration_id: &IntegrationId) -> Resource {
        let flags = self.flags.get(row as usize).copied().unwrap_or_default();
        let Place { created_at, id } = self.place(row);
        let mut resource = Resource {
            id,
            integration_id: integration_id.clone(),
            resource_type: self.types.get(self.type_of(row)).to_owned(),
            source_id: with_sources(self, |sources| sources.text(row)),
            name: self.names.text(row),
            path: self.paths().text(row),
            tags: BTreeMap::default(),
            user_tags: BTreeMap::default(),
            context: BTreeMap::default(),
            status: self.status(row),
            risk: RISKS.get(usize::from(flags >> 2)).copied(),
            created_at,
        };
        self.facts.restore(row, &mut resource);
        resource
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.ids.bytes()
            + self.seen.capacity() * size_of::<(u32, Timestamp)>()
            + self.types.bytes()
            + self.type_of_row.capacity() * 4
            + self.rows_of_type.bytes()
            + self.flags.capacity()
            + self.rows_of_status.bytes()
            + self.rows_of_risk.bytes()
            + self.names.bytes()
            + self.paths.bytes()
            + self.sources.bytes()
            + self.facts.bytes()
            + self.active.bytes()
            + self.present.bytes()
    }
}

/// Answers by the column of native ids, which end with the path, which ends with the name.
pub(crate) fn with_sources<T>(
    part: &Part,
    answer: impl FnOnce(Composed<'_, Composed<'_, Names>>) -> T,
) -> T {
    let paths = part.paths();
    answer(Composed { leading: &part.sources, tail: &paths })
}
