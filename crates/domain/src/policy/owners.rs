//! Who owns what a request asks for.
//!
//! A resource's owner is named by the tag that the integration's `owners_mapping` points at, and
//! where the resource lacks that tag by the integration's `owner`. What names an owner is a
//! condition like any other, so an owner may be a person, a group, or everybody who has a value
//! of an attribute.
//!
//! Invariants: an owner speaks for what they own and for nothing else of the request; a resource
//! whose owner cannot be told has nobody who speaks for it, and a tag that names nobody does not
//! fall back to the integration's owner, or whoever can break a tag could choose who approves.
//! Tags that people in the target can write ([`is_written_in_target`]) name no owner.

use std::collections::BTreeMap;

use crate::{
    flow::{Condition, MatchOperator},
    ids::IntegrationId,
    integration::Integration,
    inventory::Resource,
    policy::matching::{MANAGER, OWNER, PersonFacts, WEBHOOK, matches},
};

/// Begins the names of tags that were read from what people in the target can write.
pub const WRITTEN_IN_TARGET: &str = "comment/";

/// The owners of everything that one request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    rules: Vec<Condition>,
    ownerless: Vec<String>,
}

impl Owners {
    /// Where nothing is asked for: nobody owns it.
    pub const NONE: &'static Self = &Self { rules: Vec::new(), ownerless: Vec::new() };

    /// The owners of these resources. An integration that is not there owns nothing.
    pub fn of<'a>(
        resources: impl IntoIterator<Item = &'a Resource>,
        integrations: &BTreeMap<IntegrationId, Integration>,
    ) -> Self {
        let mut owners = Self::default();
        for resource in resources {
            let rule = integrations
                .get(&resource.integration_id)
                .and_then(|integration| owner_of(resource, integration));
            match rule {
                Some(rule) if !owners.rules.contains(&rule) => owners.rules.push(rule),
                Some(_) => {}
                None => owners.is_missing_for(&resource.path),
            }
        }
        owners
    }

    /// Notes that nobody can be said to own what is at `path`: it is gone, or its owner is not
    /// written down.
    pub fn is_missing_for(&mut self, path: &str) {
        if !self.ownerless.iter().any(|known| known == path) {
            self.ownerless.push(path.to_owned());
        }
    }

    /// What names the owners, each once.
    pub fn rules(&self) -> &[Condition] {
        &self.rules
    }

    /// Paths of what has no owner.
    pub fn ownerless(&self) -> &[String] {
        &self.ownerless
    }

    /// Whether the person owns any of it.
    pub fn include(&self, person: PersonFacts<'_>) -> bool {
        self.rules.iter().any(|rule| matches(person, rule))
    }

    /// Whether it is known of everything who owns it, and the person owns none of it.
    pub fn exclude(&self, person: PersonFacts<'_>) -> bool {
        self.ownerless.is_empty() && !self.rules.is_empty() && !self.include(person)
    }

    /// Whether an owner of each part is among those for whom `counts` holds.
    pub fn are_all(&self, counts: impl Fn(&Condition) -> bool) -> bool {
        self.ownerless.is_empty() && !self.rules.is_empty() && self.rules.iter().all(counts)
    }
}

/// Whether the tag was read from something that people in the target can write, such as a
/// comment, and so says nothing about who has a say.
pub fn is_written_in_target(key: &str) -> bool {
    key.starts_with(WRITTEN_IN_TARGET)
}

/// What names the owner of a resource; `None` where that cannot be told.
fn owner_of(resource: &Resource, integration: &Integration) -> Option<Condition> {
    let mapping = integration.owners_mapping.as_ref();
    let tagged = mapping.filter(|mapping| !is_written_in_target(&mapping.key_name));
    let tagged = tagged.and_then(|mapping| {
        let value = resource.tag(&mapping.key_name)?.trim();
        (!value.is_empty()).then(|| (mapping, vec![value.to_owned()]))
    });
    let rule = if let Some((mapping, values)) = tagged {
        condition(&mapping.attribute_type, mapping.source_integration_id.as_ref(), values)
    } else {
        let owner = integration.owner.as_ref()?;
        let values = owner.attribute_value.clone();
        condition(&owner.attribute_type, owner.source_integration_id.as_ref(), values)
    };
    Some(rule).filter(names_somebody)
}

fn condition(kind: &str, source: Option<&IntegrationId>, values: Vec<String>) -> Condition {
    Condition {
        source_integration_id: source.cloned(),
        attribute_type: kind.to_owned(),
        match_operator: Some(MatchOperator::Is),
        values: Some(values),
        pinned_ids: Vec::new(),
    }
}

/// Whether the rule looks at people at all: a manager, an owner or a program has no owner's say.
fn names_somebody(rule: &Condition) -> bool {
    !matches!(rule.attribute_type.as_str(), MANAGER | OWNER | WEBHOOK)
}
