//! What is asked in one case, and of which rows.

use latchkey_aql::{Expr, FieldName, Query};
use latchkey_domain::{
    bundle::BundleTarget,
    flow::{
        Condition, ConditionSet, FlowTarget, IntegrationTarget, LogicalOperator, MatchOperator,
        ResourceScopeType,
    },
    policy::floors::FloorRule,
};
use latchkey_inventory::{Floors, Rules};
use proptest::prelude::*;

use crate::{
    people::rules,
    random::{Inventory, inventory, query},
};

/// How many people and groups there are.
pub const PEOPLE: usize = 5;
pub const GROUPS: usize = 3;

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// What was discovered first.
    pub before: Inventory,
    /// What was discovered then: what is not in it any more is gone.
    pub now: Inventory,
    pub queries: Vec<Query>,
    pub rules: Rules,
    /// Which people are in each group.
    pub members: Vec<Vec<bool>>,
    /// Whom each flow is for.
    requestors: Vec<Requestors>,
}

/// Conditions on people by their numbers, until the people are there.
#[derive(Debug, Clone)]
struct Requestors {
    logical_operator: LogicalOperator,
    conditions: Vec<(bool, MatchOperator, Vec<usize>)>,
}

fn requestors() -> impl Strategy<Value = Requestors> {
    let operator = prop::sample::select(vec![MatchOperator::Is, MatchOperator::IsNot]);
    let condition = (any::<bool>(), operator, prop::collection::vec(0..PEOPLE, 1..3));
    let logical_operator = prop::sample::select(vec![LogicalOperator::And, LogicalOperator::Or]);
    (logical_operator, prop::collection::vec(condition, 0..3))
        .prop_map(|(logical_operator, conditions)| Requestors { logical_operator, conditions })
}

/// Any case.
pub fn case() -> impl Strategy<Value = Case> {
    let members = prop::collection::vec(prop::collection::vec(any::<bool>(), PEOPLE), GROUPS);
    let queries = prop::collection::vec(query(), 1..8);
    let requestors = prop::collection::vec(requestors(), 8);
    (inventory(), inventory(), queries, rules(), members, requestors).prop_map(
        |(before, now, queries, rules, members, requestors)| Case {
            before,
            now,
            queries,
            rules,
            members,
            requestors,
        },
    )
}

/// A text as a database can hold it: PostgreSQL has no zero byte in texts.
pub fn storable(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

/// The ids that stored rows have.
#[derive(Debug, Default)]
pub struct Ids {
    pub resources: Vec<String>,
    pub permissions: Vec<String>,
    pub people: Vec<String>,
    pub groups: Vec<String>,
}

/// Most words stand for one of the ids, the others for themselves.
fn settled(ids: &[String], word: &str) -> String {
    let number = word.bytes().map(usize::from).sum::<usize>() % (ids.len() + 1);
    ids.get(number).cloned().unwrap_or_else(|| storable(word))
}

impl Case {
    /// The case with the ids of rows in place of words, and without texts that cannot be stored.
    pub fn settle(&mut self, ids: &Ids) {
        self.queries.iter_mut().for_each(|query| settle_expr(&mut query.expr, ids));
        for (_, query) in &mut self.rules.access_scopes {
            settle_expr(&mut query.expr, ids);
        }
        let floors = self.rules.floors.each().map(|(rule, query)| {
            let query = query.cloned().map_or_else(
                || rule.query.clone(),
                |mut query| {
                    settle_expr(&mut query.expr, ids);
                    query.to_string()
                },
            );
            FloorRule { query, ..rule.clone() }
        });
        self.rules.floors = Floors::new(floors.collect());
        for target in self.rules.bundles.iter_mut().flat_map(|bundle| &mut bundle.targets) {
            if let BundleTarget::Integration(target) = target {
                settle_target(target, ids);
            }
        }
        for (flow, requestors) in self.rules.flows.iter_mut().zip(&self.requestors) {
            flow.policy.requestors = requestors.settled(ids);
            flow.policy.request_for = None;
            flow.policy.settings.require_mfa = false;
            for target in &mut flow.policy.access_targets {
                if let FlowTarget::Integration(target) = target {
                    settle_target(target, ids);
                }
            }
        }
    }
}

impl Requestors {
    fn settled(&self, ids: &Ids) -> ConditionSet {
        let condition = |(is_user, operator, numbers): &(bool, MatchOperator, Vec<usize>)| {
            let known = if *is_user { &ids.people } else { &ids.groups };
            let pins: Vec<String> =
                numbers.iter().map(|number| known[number % known.len()].clone()).collect();
            Condition {
                source_integration_id: None,
                attribute_type: if *is_user { "user" } else { "group" }.to_owned(),
                match_operator: Some(*operator),
                values: Some(pins.clone()),
                pinned_ids: pins.into_iter().map(Some).collect(),
            }
        };
        ConditionSet {
            logical_operator: self.logical_operator,
            conditions: self.conditions.iter().map(condition).collect(),
        }
    }
}

fn settle_expr(expr: &mut Expr, ids: &Ids) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => {
            for part in parts {
                settle_expr(part, ids);
            }
        }
        Expr::Not(inner) => settle_expr(inner, ids),
        Expr::Condition(condition) => {
            if let Some(key) = &mut condition.field.key {
                *key = storable(key);
            }
            for value in &mut condition.values {
                *value = match condition.field.name {
                    FieldName::Resource => settled(&ids.resources, value),
                    FieldName::Permission => settled(&ids.permissions, value),
                    _ => storable(value),
                };
            }
        }
    }
}

fn settle_target(target: &mut IntegrationTarget, ids: &Ids) {
    target.permissions.iter_mut().for_each(|name| *name = storable(name));
    for scope in target.resources_scopes.iter_mut().flatten() {
        if let Some(key) = &mut scope.key {
            *key = storable(key);
        }
        for value in &mut scope.values {
            *value = match scope.scope_type {
                ResourceScopeType::AponoId => settled(&ids.resources, value),
                _ => storable(value),
            };
        }
    }
}
