//! Why a person may ask for an entitlement, or may not: flow by flow, condition by condition,
//! target by target, value by value. As data, so that every surface says it in its own form.
//!
//! Worked out by the plain evaluator alone. It holds people's groups and attributes: who is no
//! viewer sees only flows whose requestor conditions they meet.

use latchkey_aql::{Expr, Query, Subject};
use latchkey_domain::{
    bundle::BundleTarget,
    flow::{
        AccessFlow, Condition, ConditionSet, FlowTarget, FlowTrigger, IntegrationTarget,
        LogicalOperator, MatchOperator, ResourceScope, ScopeMode,
    },
    ids::{AccessScopeId, BundleId, FlowId},
    inventory::Entitlement,
    policy::{
        grantees::may_ask_for,
        matching::{PersonFacts, matches, meets},
        selection::is_usable_by,
        targets::{Contents, covers, covers_resource, is_grantable},
    },
};

use crate::{decision::EntitlementRef, snapshot::Snapshot};

/// What one flow says to a person who asks for an entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct WhyFlow {
    /// The flow.
    pub flow_id: FlowId,
    /// Its name.
    pub flow_name: String,
    /// Whether the person may ask by it: all that follows is in order.
    pub gives: bool,
    /// Whether it is switched on.
    pub active: bool,
    /// Whether it is asked for, not automatic.
    pub self_serve: bool,
    /// Whether both people are active.
    pub people_active: bool,
    /// Who may ask.
    pub requestors: WhySet,
    /// Whether it lets the requestor ask for this grantee.
    pub for_grantee: bool,
    /// The conditions on others as grantees, where it has any.
    pub grantees: Option<WhySet>,
    /// The names of the floors that keep it from giving this.
    pub below_floors: Vec<String>,
    /// What it gives.
    pub targets: Vec<WhyTarget>,
}

/// Whether a person meets conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhySet {
    /// Whether they are met.
    pub met: bool,
    /// How the conditions combine.
    pub logical_operator: LogicalOperator,
    /// Each condition.
    pub conditions: Vec<WhyCondition>,
}

/// Whether a person meets a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyCondition {
    /// Whether it is met.
    pub met: bool,
    /// What of the person it looks at.
    pub attribute_type: String,
    /// How.
    pub operator: MatchOperator,
    /// Each value: one that is met is enough for a positive operator, all are needed for a
    /// negative one.
    pub values: Vec<WhyValue>,
}

/// Whether something holds for one value alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyValue {
    /// The value as it was sent.
    pub value: String,
    /// Whether the condition holds with it alone.
    pub met: bool,
}

/// Whether a target covers an entitlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyTarget {
    /// Whether it does.
    pub covers: bool,
    /// Why.
    pub why: WhyTargetKind,
}

/// Why a target covers an entitlement, by kind of target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyTargetKind {
    /// Resources of one type of one integration.
    Integration {
        /// Whether access can be given on the resource at all.
        grantable: bool,
        /// Whether it is this integration.
        same_integration: bool,
        /// Whether it is this type.
        same_type: bool,
        /// Each permission that is named, and whether it is this one.
        permissions: Vec<WhyValue>,
        /// Whether the resource is among the target's, whatever the permission.
        in_scopes: bool,
        /// Each rule over resources.
        scopes: Vec<WhyScope>,
    },
    /// A bundle.
    Bundle {
        /// Which.
        id: BundleId,
        /// Whether there is such a bundle.
        known: bool,
        /// What it holds.
        targets: Vec<WhyTarget>,
    },
    /// An access scope.
    AccessScope {
        /// Which.
        id: AccessScopeId,
        /// Whether access can be given on the resource at all.
        grantable: bool,
        /// Its query; `None` if there is none that can be read.
        query: Option<WhyExpr>,
    },
}

/// Whether a rule over resources selects a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyScope {
    /// Whether it does; an excluding one then takes it out.
    pub selects: bool,
    /// Keep or leave out.
    pub scope_mode: ScopeMode,
    /// Each value.
    pub values: Vec<WhyValue>,
}

/// Whether a part of a query holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhyExpr {
    /// Whether it does. Nothing holds for a deleted resource.
    pub holds: bool,
    /// The part as it is written.
    pub text: String,
    /// Its own parts; for a condition with several values, each of them.
    pub parts: Vec<WhyExpr>,
}

impl Snapshot {
    /// Why `requestor` may ask for the entitlement for `grantee`, or may not: every flow that
    /// gives it, and every flow that is for them, in the order of the policy. What is left out
    /// neither concerns them nor gives it.
    pub fn explain(
        &self,
        requestor: PersonFacts<'_>,
        grantee: PersonFacts<'_>,
        entitlement: &Entitlement,
    ) -> Vec<WhyFlow> {
        let named = EntitlementRef {
            integration: &entitlement.resource.integration_id,
            resource: &entitlement.resource.id,
            permission: &entitlement.permission.id,
        };
        let theirs = self.policy.flows_for(requestor, grantee);
        let mut numbers = self.numbers_that_give(named, None);
        numbers.extend(theirs.flows.iter());
        numbers.sort_unstable();
        numbers.dedup();
        let flows = numbers.into_iter().filter_map(|number| self.policy.flow(number));
        flows.map(|flow| self.explain_flow(flow, requestor, grantee, entitlement)).collect()
    }

    /// What one flow says.
    pub fn explain_flow(
        &self,
        flow: &AccessFlow,
        requestor: PersonFacts<'_>,
        grantee: PersonFacts<'_>,
        entitlement: &Entitlement,
    ) -> WhyFlow {
        let policy = &flow.policy;
        let targets: Vec<WhyTarget> =
            policy.access_targets.iter().map(|target| self.target(target, entitlement)).collect();
        let others = policy.request_for.as_ref().and_then(|request| request.grantees.as_ref());
        let floor = self.floor_on(entitlement);
        let is_barred = floor.bars(policy);
        WhyFlow {
            flow_id: flow.id.clone(),
            flow_name: flow.name.clone(),
            gives: is_usable_by(flow, requestor, grantee)
                && !is_barred
                && targets.iter().any(|target| target.covers),
            active: flow.active,
            self_serve: policy.trigger == FlowTrigger::SelfServe,
            people_active: requestor.user.is_active() && grantee.user.is_active(),
            requestors: set(requestor, &policy.requestors),
            for_grantee: may_ask_for(policy, requestor, grantee),
            grantees: others.map(|others| set(grantee, others)),
            below_floors: if is_barred { floor.names.into_iter().collect() } else { Vec::new() },
            targets,
        }
    }

    fn target(&self, target: &FlowTarget, entitlement: &Entitlement) -> WhyTarget {
        match target {
            FlowTarget::Integration(target) => part(target, entitlement),
            FlowTarget::AccessScope(id) => self.scope(id, entitlement),
            FlowTarget::Bundle(id) => {
                let held = self.policy.find_bundle(id);
                let of_target = |target: &BundleTarget| match target {
                    BundleTarget::Integration(target) => part(target, entitlement),
                    BundleTarget::AccessScope(id) => self.scope(id, entitlement),
                };
                let targets: Vec<WhyTarget> =
                    held.unwrap_or_default().iter().map(of_target).collect();
                let covers = targets.iter().any(|target| target.covers);
                let known = held.is_some();
                WhyTarget { covers, why: WhyTargetKind::Bundle { id: id.clone(), known, targets } }
            }
        }
    }

    fn scope(&self, id: &AccessScopeId, entitlement: &Entitlement) -> WhyTarget {
        let segment = self.segment(&entitlement.resource.integration_id);
        let query = segment.zip(self.policy.find_query(id)).map(|(segment, query)| {
            let integration_name = segment.integration_name();
            expr(&query.expr, &Subject { entitlement, integration_name })
        });
        let grantable = is_grantable(entitlement);
        let covers = grantable && query.as_ref().is_some_and(|query| query.holds);
        let why = WhyTargetKind::AccessScope { id: id.clone(), grantable, query };
        WhyTarget { covers, why }
    }
}

fn set(person: PersonFacts<'_>, set: &ConditionSet) -> WhySet {
    WhySet {
        met: meets(person, set),
        logical_operator: set.logical_operator,
        conditions: set.conditions.iter().map(|one| condition(person, one)).collect(),
    }
}

fn condition(person: PersonFacts<'_>, condition: &Condition) -> WhyCondition {
    let alone = |(at, value): (usize, &String)| {
        let pin = condition.pinned_ids.get(at).cloned().flatten();
        let alone = Condition {
            values: Some(vec![value.clone()]),
            pinned_ids: vec![pin],
            ..condition.clone()
        };
        WhyValue { value: value.clone(), met: matches(person, &alone) }
    };
    WhyCondition {
        met: matches(person, condition),
        attribute_type: condition.attribute_type.clone(),
        operator: condition.operator(),
        values: condition.values().iter().enumerate().map(alone).collect(),
    }
}

fn part(target: &IntegrationTarget, entitlement: &Entitlement) -> WhyTarget {
    let Entitlement { resource, permission } = entitlement;
    let names = target.permissions.iter();
    let scope = |scope: &ResourceScope| {
        let alone = |value: &String| {
            // A target of nothing but this value, and everything else as it is.
            let only = ResourceScope {
                scope_mode: ScopeMode::IncludeResources,
                values: vec![value.clone()],
                ..scope.clone()
            };
            let alone = IntegrationTarget {
                integration_id: resource.integration_id.clone(),
                resource_type: resource.resource_type.clone(),
                permissions: Vec::new(),
                resources_scopes: Some(vec![only]),
            };
            WhyValue { value: value.clone(), met: covers_resource(&alone, resource) }
        };
        let values: Vec<WhyValue> = scope.values.iter().map(alone).collect();
        let selects = values.iter().any(|value| value.met);
        WhyScope { selects, scope_mode: scope.scope_mode, values }
    };
    WhyTarget {
        covers: covers(target, entitlement),
        why: WhyTargetKind::Integration {
            grantable: is_grantable(entitlement),
            same_integration: target.integration_id == resource.integration_id,
            same_type: target.resource_type == resource.resource_type,
            permissions: names
                .map(|name| WhyValue { value: name.clone(), met: *name == permission.name })
                .collect(),
            in_scopes: covers_resource(target, resource),
            scopes: target.resources_scopes.iter().flatten().map(scope).collect(),
        },
    }
}

fn expr(part: &Expr, subject: &Subject<'_>) -> WhyExpr {
    let parts: Vec<WhyExpr> = match part {
        Expr::Or(parts) | Expr::And(parts) => parts.iter().map(|one| expr(one, subject)).collect(),
        Expr::Not(inner) => vec![expr(inner, subject)],
        Expr::Condition(condition) if condition.values.len() > 1 => {
            let alone = |value: &String| {
                let values = vec![value.clone()];
                let alone = latchkey_aql::Condition { values, ..condition.clone() };
                expr(&Expr::Condition(alone), subject)
            };
            condition.values.iter().map(alone).collect()
        }
        Expr::Condition(_) => Vec::new(),
    };
    let query = Query { expr: part.clone() };
    WhyExpr { holds: query.selects(subject), text: query.to_string(), parts }
}
