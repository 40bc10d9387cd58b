//! From the wire to the command: shapes only. Rules between members are the app's and the
//! domain's; here is what a type cannot say, such as "exactly one member".

use latchkey_app::flows as app;
use latchkey_domain::flow;

use super::wire;
use crate::{
    body::refused,
    error::{ApiError, FieldError},
};

/// The command that a body says; 400 naming every member that breaks a rule.
pub(crate) fn command(input: wire::AccessFlowInput) -> Result<app::FlowCommand, ApiError> {
    let mut errors = Vec::new();
    let mut number = |field: &str, number: i32, least: u32| {
        let read = u32::try_from(number).ok().filter(|number| *number >= least);
        if read.is_none() {
            errors.push(refused(field, &format!("must be {least} or more")));
        }
        read.unwrap_or(least)
    };
    let grant_duration_in_min =
        input.grant_duration_in_min.map(|minutes| number("grant_duration_in_min", minutes, 1));
    let settings = flow::FlowSettings {
        justification_required: input.settings.justification_required,
        require_approver_reason: input.settings.require_approver_reason,
        requestor_cannot_approve_himself: input.settings.requestor_cannot_approve_himself,
        require_mfa: input.settings.require_mfa,
        labels: input.settings.labels,
        max_extensions: number(
            "settings.max_extensions",
            input.settings.max_extensions.unwrap_or(0),
            0,
        ),
        extension_duration_in_min: number(
            "settings.extension_duration_in_min",
            input.settings.extension_duration_in_min.unwrap_or(0),
            0,
        ),
        require_justification_on_request_again: false,
    };
    let escalation_policy = input.escalation_policy.map(|policy| app::EscalationPolicyInput {
        interval_in_min: number("escalation_policy.interval_in_min", policy.interval_in_min, 1),
        approver_groups: policy.approver_groups.into_iter().map(group).collect(),
    });
    let access_targets = targets(input.access_targets, &mut errors);
    if let Some(first) = errors.first() {
        let message = format!("{}: {}", first.field, first.message);
        return Err(ApiError::bad_request(message).with_errors(errors));
    }
    Ok(app::FlowCommand {
        name: input.name,
        description: input.description,
        active: input.active,
        trigger: input.trigger.into(),
        requestors: set(input.requestors),
        request_for: input.request_for.map(|request_for| app::RequestForInput {
            request_scopes: request_for.request_scopes.into_iter().map(Into::into).collect(),
            grantees: request_for.grantees.map(set),
        }),
        request_for_others: input.request_for_others,
        access_targets,
        approver_policy: input.approver_policy.map(|policy| app::ApproverPolicyInput {
            approval_mode: policy.approval_mode.into(),
            approver_groups: policy.approver_groups.into_iter().map(group).collect(),
        }),
        escalation_policy,
        grant_duration_in_min,
        timeframe: input.timeframe.map(Into::into),
        settings,
    })
}

fn set(set: wire::ConditionSetInput) -> app::ConditionSetInput {
    app::ConditionSetInput {
        logical_operator: set.logical_operator.into(),
        conditions: set.conditions.into_iter().map(condition).collect(),
    }
}

fn condition(condition: wire::ConditionInput) -> app::ConditionInput {
    app::ConditionInput {
        source_integration_reference: condition.source_integration_reference,
        attribute_type: condition.attribute_type,
        match_operator: condition.match_operator.map(Into::into),
        values: condition.values,
    }
}

fn group(group: wire::ApproverGroupInput) -> app::ApproverGroupInput {
    app::ApproverGroupInput {
        logical_operator: group.logical_operator.into(),
        approvers: group.approvers.into_iter().map(condition).collect(),
    }
}

fn targets(sent: Vec<wire::TargetInput>, errors: &mut Vec<FieldError>) -> Vec<app::TargetInput> {
    let mut targets = Vec::with_capacity(sent.len());
    for (at, target) in sent.into_iter().enumerate() {
        match (target.integration, target.bundle, target.access_scope) {
            (Some(target), None, None) => {
                targets.push(app::TargetInput::Integration(target.into()));
            }
            (None, Some(target), None) => {
                targets.push(app::TargetInput::Bundle(target.bundle_reference));
            }
            (None, None, Some(target)) => {
                targets.push(app::TargetInput::AccessScope(target.access_scope_reference));
            }
            _ => errors.push(refused(
                &format!("access_targets[{at}]"),
                "fill exactly one of integration, bundle and access_scope",
            )),
        }
    }
    targets
}

impl From<wire::IntegrationTargetInput> for app::IntegrationTargetInput {
    fn from(target: wire::IntegrationTargetInput) -> Self {
        Self {
            integration_reference: target.integration_reference,
            resource_type: target.resource_type,
            permissions: target.permissions,
            resources_scopes: target
                .resources_scopes
                .map(|scopes| scopes.into_iter().map(Into::into).collect()),
        }
    }
}

impl From<wire::ResourceScope> for flow::ResourceScope {
    fn from(scope: wire::ResourceScope) -> Self {
        Self {
            scope_mode: scope.scope_mode.into(),
            scope_type: scope.scope_type.into(),
            key: scope.key,
            values: scope.values,
        }
    }
}

impl From<wire::Timeframe> for flow::Timeframe {
    fn from(timeframe: wire::Timeframe) -> Self {
        Self {
            start_time: timeframe.start_time,
            end_time: timeframe.end_time,
            days_of_week: timeframe.days_of_week.into_iter().map(Into::into).collect(),
            time_zone: timeframe.time_zone,
        }
    }
}
