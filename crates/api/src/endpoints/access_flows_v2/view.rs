//! From a stored flow to the wire.

use std::collections::BTreeMap;

use latchkey_app::flows::FlowView;
use latchkey_domain::{
    flow,
    ids::{AccessScopeId, BundleId, IntegrationId},
};

use super::wire;

/// Names of integrations by id.
type Names = BTreeMap<IntegrationId, String>;
/// Names of bundles by id.
type BundleNames = BTreeMap<BundleId, String>;
/// Names of access scopes by id.
type ScopeNames = BTreeMap<AccessScopeId, String>;

impl From<FlowView> for wire::AccessFlow {
    fn from(view: FlowView) -> Self {
        let (flow, names) = (view.flow, view.integration_names);
        let policy = flow.policy;
        Self {
            id: flow.id.into(),
            name: flow.name,
            description: flow.description,
            active: flow.active,
            trigger: policy.trigger.into(),
            requestors: set(policy.requestors, &names),
            request_for: policy.request_for.map(|request_for| wire::RequestFor {
                request_scopes: request_for.request_scopes.into_iter().map(Into::into).collect(),
                grantees: request_for.grantees.map(|grantees| set(grantees, &names)),
            }),
            access_targets: policy
                .access_targets
                .into_iter()
                .map(|one| target(one, &names, &view.bundle_names, &view.access_scope_names))
                .collect(),
            approver_policy: policy.approver_policy.map(|policy| wire::ApproverPolicy {
                approval_mode: policy.approval_mode.into(),
                approver_groups: groups(policy.approver_groups, &names),
            }),
            escalation_policy: policy.escalation_policy.map(|policy| wire::EscalationPolicy {
                interval_in_min: number(policy.interval_in_min),
                approver_groups: groups(policy.approver_groups, &names),
            }),
            grant_duration_in_min: policy.grant_duration_in_min.map(number),
            timeframe: policy.timeframe.map(Into::into),
            settings: policy.settings.into(),
            creation_date: flow.created_at.into(),
            update_date: flow.updated_at.map(Into::into),
        }
    }
}

fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn name_of(id: &IntegrationId, names: &Names) -> String {
    names.get(id).cloned().unwrap_or_else(|| id.to_string())
}

fn set(set: flow::ConditionSet, names: &Names) -> wire::ConditionSet {
    wire::ConditionSet {
        logical_operator: set.logical_operator.into(),
        conditions: set.conditions.into_iter().map(|one| condition(one, names)).collect(),
    }
}

fn condition(condition: flow::Condition, names: &Names) -> wire::Condition {
    let source = condition.source_integration_id;
    wire::Condition {
        source_integration_name: source.as_ref().map(|id| name_of(id, names)),
        source_integration_id: source.map(Into::into),
        attribute_type: condition.attribute_type,
        match_operator: condition.match_operator.map(Into::into),
        values: condition.values,
    }
}

fn groups(groups: Vec<flow::ApproverGroup>, names: &Names) -> Vec<wire::ApproverGroup> {
    let group = |group: flow::ApproverGroup| wire::ApproverGroup {
        logical_operator: group.logical_operator.into(),
        approvers: group.approvers.into_iter().map(|one| condition(one, names)).collect(),
    };
    groups.into_iter().map(group).collect()
}

fn target(
    target: flow::FlowTarget,
    names: &Names,
    bundles: &BundleNames,
    scopes: &ScopeNames,
) -> wire::Target {
    let mut shown = wire::Target::default();
    match target {
        flow::FlowTarget::Integration(target) => {
            shown.integration = Some(integration_target(target, names));
        }
        flow::FlowTarget::Bundle(id) => {
            let bundle_name = bundles.get(&id).cloned().unwrap_or_else(|| id.to_string());
            shown.bundle = Some(wire::BundleTarget { bundle_id: id.into(), bundle_name });
        }
        flow::FlowTarget::AccessScope(id) => {
            shown.access_scope = Some(access_scope_target(id, scopes));
        }
    }
    shown
}

/// A part of an integration with the integration's name.
pub(crate) fn integration_target(
    target: flow::IntegrationTarget,
    names: &Names,
) -> wire::IntegrationTarget {
    wire::IntegrationTarget {
        integration_name: name_of(&target.integration_id, names),
        integration_id: target.integration_id.into(),
        resource_type: target.resource_type,
        permissions: target.permissions,
        resources_scopes: target
            .resources_scopes
            .map(|scopes| scopes.into_iter().map(Into::into).collect()),
    }
}

/// An access scope with its name.
pub(crate) fn access_scope_target(
    id: AccessScopeId,
    names: &ScopeNames,
) -> wire::AccessScopeTarget {
    wire::AccessScopeTarget {
        access_scope_name: names.get(&id).cloned().unwrap_or_else(|| id.to_string()),
        access_scope_id: id.into(),
    }
}

impl From<flow::ResourceScope> for wire::ResourceScope {
    fn from(scope: flow::ResourceScope) -> Self {
        Self {
            scope_mode: scope.scope_mode.into(),
            scope_type: scope.scope_type.into(),
            key: scope.key,
            values: scope.values,
        }
    }
}

impl From<flow::Timeframe> for wire::Timeframe {
    fn from(timeframe: flow::Timeframe) -> Self {
        Self {
            start_time: timeframe.start_time,
            end_time: timeframe.end_time,
            days_of_week: timeframe.days_of_week.into_iter().map(Into::into).collect(),
            time_zone: timeframe.time_zone,
        }
    }
}

impl From<flow::FlowSettings> for wire::Settings {
    fn from(settings: flow::FlowSettings) -> Self {
        Self {
            justification_required: settings.justification_required,
            require_approver_reason: settings.require_approver_reason,
            requestor_cannot_approve_himself: settings.requestor_cannot_approve_himself,
            require_mfa: settings.require_mfa,
            labels: settings.labels,
            max_extensions: Some(number(settings.max_extensions)),
            extension_duration_in_min: Some(number(settings.extension_duration_in_min)),
        }
    }
}
