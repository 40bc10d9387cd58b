//! Flows that say what is not enforced yet.

use latchkey_domain::{
    flow::{
        ApprovalMode, Condition, EscalationPolicy, FlowPolicy, FlowTarget, LogicalOperator,
        MatchOperator, RequestFor, RequestScope,
    },
    ids::{AccessScopeId, BundleId},
    policy::unbuilt::{UNBUILT, unsupported_members},
};

use crate::builders::{any_of, approver_policy, approvers, condition, policy, program_is, user_is};

fn foreign(kind: &str) -> Condition {
    condition(kind, MatchOperator::Is, &["Berlin"])
}

fn tiers(approver: Vec<Condition>) -> EscalationPolicy {
    let group = approvers(LogicalOperator::Or, approver);
    EscalationPolicy { interval_in_min: 30, approver_groups: vec![group] }
}

/// This list only shrinks. Whoever builds the enforcement of a member takes it out here.
#[test]
fn these_members_are_not_enforced_yet() {
    assert_eq!(UNBUILT, [""; 0]);
}

#[test]
fn everything_else_is_enforced() {
    let mut rich = FlowPolicy {
        requestors: any_of(vec![user_is("alice"), foreign("okta_city"), foreign("manager")]),
        request_for: Some(RequestFor {
            request_scopes: vec![
                RequestScope::Myself,
                RequestScope::Others,
                RequestScope::DirectReports,
            ],
            grantees: Some(any_of(vec![foreign("okta_city")])),
        }),
        approver_policy: Some(approver_policy(
            ApprovalMode::AllOf,
            vec![approvers(
                LogicalOperator::And,
                vec![
                    user_is("bob"),
                    foreign("pagerduty_shift"),
                    program_is(&["https://approve.example.com/"]),
                    condition("group", MatchOperator::IsNot, &["contractors"]),
                    Condition { values: None, match_operator: None, ..foreign("manager") },
                    condition("manager", MatchOperator::IsNot, &[]),
                    condition("Owner", MatchOperator::Is, &[]),
                ],
            )],
        )),
        escalation_policy: Some(tiers(vec![user_is("bob")])),
        access_targets: vec![
            FlowTarget::Bundle(BundleId::new("b")),
            FlowTarget::AccessScope(AccessScopeId::new("s")),
        ],
        timeframe: Some(crate::timeframe::office_hours()),
        grant_duration_in_min: None,
        ..policy()
    };
    rich.settings.justification_required = true;
    rich.settings.require_approver_reason = true;
    rich.settings.requestor_cannot_approve_himself = true;
    rich.settings.require_mfa = true;
    rich.settings.labels = vec!["break-glass".to_owned()];
    rich.settings.max_extensions = 2;
    rich.settings.extension_duration_in_min = 30;
    assert_eq!(unsupported_members(&rich), [""; 0]);
}
