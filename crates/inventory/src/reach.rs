//! What targets reach: sets of rows, each once, whoever names it.
//!
//! Flows name the same things over and over: all tables of the shop, whatever is tagged `dev`.
//! What is reached is kept apart from the permissions that are given on it, so that the same rows
//! with other permissions are the same reach. Numbers of reaches stay from one policy to the
//! next, so what was worked out about them stays as well.

use std::{fmt::Write as _, sync::Arc};

use hashbrown::HashMap;
use latchkey_aql::Query;
use latchkey_domain::{
    flow::{IntegrationTarget, ResourceScope, ResourceScopeType, ScopeMode},
    ids::IntegrationId,
};

use crate::{bits::Bits, facts::Keyed, part::Part};

/// A set of rows that something is given on.
#[derive(Debug)]
pub(crate) enum Reach {
    /// Resources of one type of one integration.
    Part { integration_id: IntegrationId, resource_type: String, scopes: Vec<ResourceScope> },
    /// What a query selects, permissions and all.
    Query(Query),
    /// What a target covers and a query does not select, permissions and all.
    Left(IntegrationTarget, Query),
}

impl Reach {
    pub(crate) fn of_target(target: &IntegrationTarget) -> Self {
        Self::Part {
            integration_id: target.integration_id.clone(),
            resource_type: target.resource_type.clone(),
            scopes: target.resources_scopes.clone().unwrap_or_default(),
        }
    }

    /// What is the same for equal reaches alone. Texts stand behind their lengths, so that none
    /// can pass for two.
    fn key(&self) -> String {
        let mut key = String::new();
        let mut text = |text: &str| {
            let _ = write!(key, "{}:{text}", text.len());
        };
        match self {
            Self::Query(query) => {
                text("query");
                text(&query.to_string());
            }
            Self::Part { integration_id, resource_type, scopes } => {
                text("part");
                text(integration_id.as_str());
                text(resource_type);
                for scope in scopes {
                    scope_key(scope, &mut text);
                }
            }
            Self::Left(target, query) => {
                text("left");
                text(target.integration_id.as_str());
                text(&target.resource_type);
                text(&target.permissions.len().to_string());
                target.permissions.iter().for_each(|permission| text(permission));
                for scope in target.resources_scopes.iter().flatten() {
                    scope_key(scope, &mut text);
                }
                text("without");
                text(&query.to_string());
            }
        }
        key
    }
}

fn scope_key(scope: &ResourceScope, text: &mut impl FnMut(&str)) {
    text(match scope.scope_mode {
        ScopeMode::IncludeResources => "include",
        ScopeMode::ExcludeResources => "exclude",
    });
    text(match scope.scope_type {
        ResourceScopeType::AponoId => "id",
        ResourceScopeType::Name => "name",
        ResourceScopeType::Tag => "tag",
    });
    text(if scope.key.is_some() { "keyed" } else { "plain" });
    text(scope.key.as_deref().unwrap_or_default());
    text(&scope.values.len().to_string());
    scope.values.iter().for_each(|value| text(value));
}

/// Every reach that a policy, or one before it, names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reaches {
    /// Numbers mean the same in tables of one generation.
    pub(crate) generation: u64,
    by_number: Vec<Arc<Reach>>,
    by_key: HashMap<String, u32>,
    by_integration: HashMap<IntegrationId, Vec<u32>>,
    queries: Vec<u32>,
}

impl Reaches {
    /// An empty table of a later generation.
    pub(crate) fn anew(&self) -> Self {
        Self { generation: self.generation + 1, ..Self::default() }
    }

    /// The number of a reach, new or known.
    pub(crate) fn number(&mut self, reach: Reach) -> u32 {
        let key = reach.key();
        if let Some(known) = self.by_key.get(&key) {
            return *known;
        }
        let number = self.len();
        match &reach {
            Reach::Part { integration_id, .. }
            | Reach::Left(IntegrationTarget { integration_id, .. }, _) => {
                self.by_integration.entry(integration_id.clone()).or_default().push(number);
            }
            Reach::Query(_) => self.queries.push(number),
        }
        self.by_number.push(Arc::new(reach));
        self.by_key.insert(key, number);
        number
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.by_number.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Reach> {
        self.by_number.get(number as usize).map(|reach| &**reach)
    }

    /// The reaches from `first` on that can touch an integration.
    pub(crate) fn in_integration(
        &self,
        integration: &IntegrationId,
        first: u32,
    ) -> impl Iterator<Item = u32> + '_ {
        let own = self.by_integration.get(integration).map_or(&[][..], Vec::as_slice);
        self.queries.iter().chain(own).copied().filter(move |number| *number >= first)
    }
}

/// The rows of a type that scopes leave. Including scopes are alternatives, and without any of
/// them everything is included; excluding ones take away afterwards.
pub(crate) fn rows_in_scopes(part: &Part, type_rows: &Bits, scopes: &[ResourceScope]) -> Bits {
    let of_mode = |mode| scopes.iter().filter(move |scope| scope.scope_mode == mode);
    let mut rows = if of_mode(ScopeMode::IncludeResources).next().is_none() {
        type_rows.clone()
    } else {
        let mut included = Bits::none(part.rows());
        for scope in of_mode(ScopeMode::IncludeResources) {
            add_selected(part, scope, &mut included);
        }
        included.intersect(type_rows);
        included
    };
    let mut excluded: Option<Bits> = None;
    for scope in of_mode(ScopeMode::ExcludeResources) {
        add_selected(part, scope, excluded.get_or_insert_with(|| Bits::none(part.rows())));
    }
    if let Some(excluded) = excluded {
        rows.subtract(&excluded);
    }
    rows
}

/// Adds the rows that have one of the scope's values.
fn add_selected(part: &Part, scope: &ResourceScope, rows: &mut Bits) {
    match scope.scope_type {
        ResourceScopeType::AponoId => {
            let ids = scope.values.iter().filter_map(|id| part.ids.find(id));
            ids.for_each(|row| rows.insert(row));
        }
        ResourceScopeType::Name => {
            scope.values.iter().for_each(|name| part.names.add_equal(name, rows));
        }
        ResourceScopeType::Tag => {
            if let Some(key) = scope.key.as_deref().and_then(|key| part.facts.key(key)) {
                for value in &scope.values {
                    part.facts.equals(Keyed::Tags, key, value, rows);
                }
            }
        }
    }
}
