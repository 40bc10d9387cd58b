//! What is wrong with a flow that somebody wants to save.
//!
//! The wire format's own shape (words of an enum, exactly one kind of target) is checked before;
//! here are the rules that hold for every version of the format. A flow that passes can be
//! evaluated: no condition without a meaning, no group that could never be satisfied.

use std::fmt;

use crate::{
    flow::{
        ApproverGroup, Condition, ConditionSet, FlowPolicy, FlowTarget, FlowTrigger,
        IntegrationTarget, LogicalOperator, MatchOperator, RequestScope, ResourceScopeType,
    },
    policy::{
        ends::LONGEST_DURATION_SEC,
        matching::{MANAGER, OWNER, WEBHOOK},
        programs::{MOST_PROGRAMS, programs},
        timeframe::Window,
    },
};

/// The longest name of a flow, in characters.
pub const LONGEST_NAME: usize = 255;
/// The most tiers of escalation.
pub const MOST_TIERS: usize = 5;

/// One thing that is wrong, with the member it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowProblem {
    /// Path of the member, such as `access_targets[0].integration.permissions`.
    pub field: String,
    /// What is wrong, and what to do.
    pub message: &'static str,
}

/// Everything that is wrong with the flow, in the order of its members.
pub fn validate_flow(name: &str, policy: &FlowPolicy) -> Vec<FlowProblem> {
    let mut problems = Problems(Vec::new());
    problems.check(!name.trim().is_empty(), "name", "give the flow a name");
    problems.check(
        name.chars().count() <= LONGEST_NAME,
        "name",
        "the name has more than 255 characters; shorten it",
    );
    condition_set(&mut problems, "requestors", &policy.requestors);
    request_for(&mut problems, policy);
    problems.check(!policy.access_targets.is_empty(), "access_targets", "give at least one target");
    for (place, target) in policy.access_targets.iter().enumerate() {
        if let FlowTarget::Integration(target) = target {
            integration_target(
                &mut problems,
                &format!("access_targets[{place}].integration"),
                target,
            );
        }
    }
    deciders(&mut problems, policy);
    if let Some(minutes) = policy.grant_duration_in_min {
        problems.check(
            minutes >= 1 && i64::from(minutes) * 60 <= LONGEST_DURATION_SEC,
            "grant_duration_in_min",
            "the duration must be from 1 to 2147483647 minutes; leave it out for no end",
        );
    }
    if let Some(timeframe) = &policy.timeframe
        && let Err(error) = Window::parse(timeframe)
    {
        let message = match error.member(timeframe) {
            "days_of_week" => "give at least one day of the week",
            "time_zone" => "this is no time zone; use an IANA name such as Europe/Berlin or UTC",
            _ if timeframe.start_time == timeframe.end_time => {
                "start and end are equal; for the whole day leave the timeframe out"
            }
            _ => "write a time of day as HH:MM or HH:MM:SS, and not the same for start and end",
        };
        problems.add(format!("timeframe.{}", error.member(timeframe)), message);
    }
    problems.check(
        policy.trigger != FlowTrigger::Automatic || !policy.settings.justification_required,
        "settings.justification_required",
        "an automatic flow has nobody to justify it; set this to false",
    );
    problems.0
}

/// Everything that is wrong with the part of an integration at `field`, of a flow or a bundle.
pub fn validate_integration_target(field: &str, target: &IntegrationTarget) -> Vec<FlowProblem> {
    let mut problems = Problems(Vec::new());
    integration_target(&mut problems, field, target);
    problems.0
}

fn request_for(problems: &mut Problems, policy: &FlowPolicy) {
    let Some(request_for) = &policy.request_for else { return };
    problems.check(
        !request_for.request_scopes.is_empty(),
        "request_for.request_scopes",
        "give at least one of self, others, direct_reports",
    );
    if !request_for.request_scopes.contains(&RequestScope::Others) {
        return;
    }
    match &request_for.grantees {
        Some(grantees) => condition_set(problems, "request_for.grantees", grantees),
        None => problems.add(
            "request_for.grantees",
            "say by conditions who the others may be, or leave out the scope others",
        ),
    }
}

fn deciders(problems: &mut Problems, policy: &FlowPolicy) {
    if let Some(approvers) = &policy.approver_policy {
        let field = "approver_policy.approver_groups";
        problems.check(
            !approvers.approver_groups.is_empty(),
            field,
            "give at least one group; leave approver_policy out if nobody has to agree",
        );
        approver_groups(problems, field, &approvers.approver_groups);
    }
    if let Some(escalation) = &policy.escalation_policy {
        problems.check(
            policy.approver_policy.is_some() || policy.trigger == FlowTrigger::Automatic,
            "escalation_policy",
            "there is nothing to escalate without an approver_policy",
        );
        problems.check(
            escalation.interval_in_min >= 1,
            "escalation_policy.interval_in_min",
            "the interval must be at least 1 minute",
        );
        let field = "escalation_policy.approver_groups";
        problems.check(
            (1..=MOST_TIERS).contains(&escalation.approver_groups.len()),
            field,
            "give one to five tiers",
        );
        approver_groups(problems, field, &escalation.approver_groups);
    }
    problems.check(
        programs(policy, usize::MAX).len() <= MOST_PROGRAMS,
        "approver_policy.approver_groups",
        "one flow may ask at most 10 programs, those of its escalation counted in",
    );
}

fn approver_groups(problems: &mut Problems, field: &str, groups: &[ApproverGroup]) {
    for (place, group) in groups.iter().enumerate() {
        let field = format!("{field}[{place}].approvers");
        problems.check(!group.approvers.is_empty(), &field, "give at least one condition");
        for (place, condition) in group.approvers.iter().enumerate() {
            let field = format!("{field}[{place}]");
            condition_values(problems, &field, condition);
            approver_values(problems, &field, condition);
        }
        let negative = group.approvers.iter().filter(|one| one.operator().is_negative()).count();
        if negative == 0 {
            continue;
        }
        if negative == group.approvers.len() {
            problems.add(
                field,
                "is_not and does_not_contain only narrow others; add a condition that says who \
                 approves",
            );
        } else if group.logical_operator == LogicalOperator::Or {
            problems.add(
                field,
                "is_not and does_not_contain in an OR group would ask nearly everybody; use AND",
            );
        }
    }
}

fn condition_set(problems: &mut Problems, field: &str, set: &ConditionSet) {
    problems.check(
        !set.conditions.is_empty(),
        &format!("{field}.conditions"),
        "give at least one condition",
    );
    for (place, condition) in set.conditions.iter().enumerate() {
        let field = format!("{field}.conditions[{place}]");
        condition_values(problems, &field, condition);
        problems.check(
            condition.attribute_type != OWNER,
            &format!("{field}.type"),
            "only an approver can be an owner",
        );
        needs_values(problems, &field, condition);
    }
}

/// Manager and owner stand for somebody by themselves; a program is named by its address. Whether
/// that can be called is asked where calls are made.
fn approver_values(problems: &mut Problems, field: &str, condition: &Condition) {
    match condition.attribute_type.as_str() {
        MANAGER | OWNER => problems.check(
            condition.values().is_empty(),
            &format!("{field}.values"),
            "an approver of this type stands for one person by itself; leave the values out",
        ),
        WEBHOOK => {
            problems.check(
                condition.operator() == MatchOperator::Is,
                &format!("{field}.match_operator"),
                "a program is asked at its address; use is",
            );
            problems.check(
                !condition.values().is_empty(),
                &format!("{field}.values"),
                "give the address of the program, such as https://approve.example.com/latchkey",
            );
        }
        _ => needs_values(problems, field, condition),
    }
}

fn needs_values(problems: &mut Problems, field: &str, condition: &Condition) {
    problems.check(
        !condition.values().is_empty(),
        &format!("{field}.values"),
        "give at least one value to compare with",
    );
}

fn condition_values(problems: &mut Problems, field: &str, condition: &Condition) {
    problems.check(
        !condition.attribute_type.trim().is_empty(),
        &format!("{field}.type"),
        "say what the condition looks at, such as user or group",
    );
    problems.check(
        condition.values().iter().all(|value| !value.trim().is_empty()),
        &format!("{field}.values"),
        "a blank value would be part of every text; leave it out",
    );
}

fn integration_target(problems: &mut Problems, field: &str, target: &IntegrationTarget) {
    problems.check(
        !target.resource_type.trim().is_empty(),
        &format!("{field}.resource_type"),
        "give a resource type",
    );
    problems.check(
        !target.permissions.is_empty(),
        &format!("{field}.permissions"),
        "give at least one permission",
    );
    for (place, scope) in target.resources_scopes.iter().flatten().enumerate() {
        let field = format!("{field}.resources_scopes[{place}]");
        let has_key = scope.key.as_deref().is_some_and(|key| !key.trim().is_empty());
        if scope.scope_type == ResourceScopeType::Tag {
            problems.check(has_key, &format!("{field}.key"), "name the tag to compare");
        } else {
            problems.check(
                !has_key,
                &format!("{field}.key"),
                "a key goes with the type TAG only; leave it out",
            );
        }
        problems.check(
            !scope.values.is_empty(),
            &format!("{field}.values"),
            "give at least one value",
        );
    }
}

struct Problems(Vec<FlowProblem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, message: &'static str) {
        self.0.push(FlowProblem { field: field.into(), message });
    }

    fn check(&mut self, holds: bool, field: &str, message: &'static str) {
        if !holds {
            self.add(field, message);
        }
    }
}

impl fmt::Display for FlowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
