//! What is refused when a flow is saved.

use latchkey_domain::{
    flow::{
        ApprovalMode, ConditionSet, EscalationPolicy, FlowPolicy, FlowTarget, FlowTrigger,
        IntegrationTarget, LogicalOperator, MatchOperator, RequestFor, RequestScope, ResourceScope,
        ResourceScopeType, ScopeMode,
    },
    policy::validation::validate_flow,
};

use crate::{
    builders::{
        any_of, approved_by, approver_policy, approvers, condition, everybody, group_is, policy,
        program_is, tables, user_is,
    },
    timeframe::office_hours,
};

use ResourceScopeType::{AponoId, Name, Tag};

/// The members that are wrong with it.
fn fields(policy: &FlowPolicy) -> Vec<String> {
    validate_flow("reads", policy).into_iter().map(|problem| problem.field).collect()
}

fn target(change: impl Fn(&mut IntegrationTarget)) -> FlowPolicy {
    let mut made = policy();
    if let FlowTarget::Integration(target) = &mut made.access_targets[0] {
        change(target);
    }
    made
}

fn scope(kind: ResourceScopeType, key: Option<&str>, values: &[&str]) -> FlowPolicy {
    target(|target| {
        target.resources_scopes = Some(vec![ResourceScope {
            scope_mode: ScopeMode::IncludeResources,
            scope_type: kind,
            key: key.map(str::to_owned),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        }]);
    })
}

#[test]
fn a_sound_flow_is_accepted() {
    assert_eq!(fields(&policy()), [""; 0]);
    let mut rich = FlowPolicy {
        approver_policy: Some(approved_by(&["bob"])),
        escalation_policy: Some(EscalationPolicy {
            interval_in_min: 30,
            approver_groups: vec![approvers(LogicalOperator::Or, vec![user_is("carol")])],
        }),
        timeframe: Some(office_hours()),
        request_for: Some(RequestFor {
            request_scopes: vec![RequestScope::Myself, RequestScope::Others],
            grantees: Some(everybody()),
        }),
        grant_duration_in_min: None,
        ..scope(Tag, Some("env"), &["prod"])
    };
    rich.settings.justification_required = true;
    assert_eq!(fields(&rich), [""; 0]);
}

#[test]
fn a_flow_needs_a_name_requestors_and_targets() {
    assert_eq!(validate_flow(" ", &policy())[0].field, "name");
    assert_eq!(validate_flow(&"x".repeat(256), &policy())[0].field, "name");
    let empty = ConditionSet { logical_operator: LogicalOperator::And, conditions: vec![] };
    assert_eq!(
        fields(&FlowPolicy { requestors: empty, access_targets: vec![], ..policy() }),
        ["requestors.conditions", "access_targets"]
    );
}

#[test]
fn conditions_on_people_need_values_and_cannot_be_owners() {
    let with = |kind, values: &[&str]| FlowPolicy {
        requestors: any_of(vec![condition(kind, MatchOperator::Is, values)]),
        ..policy()
    };
    assert_eq!(fields(&with("user", &[])), ["requestors.conditions[0].values"]);
    assert_eq!(fields(&with("group", &["dev", " "])), ["requestors.conditions[0].values"]);
    assert_eq!(fields(&with("opsgenie_schedule", &[])), ["requestors.conditions[0].values"]);
    assert_eq!(fields(&with("manager", &[])), ["requestors.conditions[0].values"]);
    assert_eq!(fields(&with("opsgenie_schedule", &["shop"])), [""; 0]);
    assert_eq!(fields(&with(" ", &["x"])), ["requestors.conditions[0].type"]);
    assert_eq!(fields(&with("Owner", &["x"])), ["requestors.conditions[0].type"]);
}

#[test]
fn an_approver_of_type_manager_or_owner_takes_no_values_and_others_need_them() {
    let with = |kind, values: &[&str]| {
        let group =
            approvers(LogicalOperator::Or, vec![condition(kind, MatchOperator::Is, values)]);
        let approvers = approver_policy(ApprovalMode::AnyOf, vec![group]);
        fields(&FlowPolicy { approver_policy: Some(approvers), ..policy() })
    };
    let values = "approver_policy.approver_groups[0].approvers[0].values";
    for kind in ["manager", "Owner"] {
        assert_eq!(with(kind, &[]), [""; 0]);
        assert_eq!(with(kind, &["bob"]), [values]);
    }
    assert_eq!(with("webhook", &[]), [values]);
    assert_eq!(with("webhook", &["https://approve.example.com/"]), [""; 0]);
    for kind in ["user", "group", "okta_city"] {
        assert_eq!(with(kind, &[]), [values]);
        assert_eq!(with(kind, &["bob"]), [""; 0]);
    }
}

#[test]
fn a_program_is_named_by_is_and_a_flow_asks_ten_of_them_at_most() {
    let groups = "approver_policy.approver_groups";
    let with = |operator, urls: &[&str], later: &[&str]| {
        let group =
            |condition| vec![approvers(LogicalOperator::And, vec![user_is("bob"), condition])];
        let asked = group(condition("webhook", operator, urls));
        let later = group(program_is(later));
        fields(&FlowPolicy {
            approver_policy: Some(approver_policy(ApprovalMode::AnyOf, asked)),
            escalation_policy: Some(EscalationPolicy {
                interval_in_min: 1,
                approver_groups: later,
            }),
            ..policy()
        })
    };
    let operator = format!("{groups}[0].approvers[1].match_operator");
    for wrong in [MatchOperator::IsNot, MatchOperator::Contains, MatchOperator::StartsWith] {
        assert_eq!(with(wrong, &["https://a"], &["https://b"]), [operator.as_str()]);
    }
    let urls: Vec<String> = (0..11).map(|n| format!("https://{n}.example.com/")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    assert_eq!(with(MatchOperator::Is, &urls[..6], &urls[4..10]), [""; 0]);
    assert_eq!(with(MatchOperator::Is, &urls[..6], &urls[6..]), [groups]);
}

#[test]
fn targets_name_type_permissions_and_scopes_that_mean_something() {
    let field = "access_targets[0].integration";
    let scopes = "access_targets[0].integration.resources_scopes[0]";
    assert_eq!(
        fields(&target(|target| target.resource_type.clear())),
        [format!("{field}.resource_type")]
    );
    assert_eq!(
        fields(&target(|target| target.permissions.clear())),
        [format!("{field}.permissions")]
    );
    assert_eq!(fields(&scope(Tag, None, &["prod"])), [format!("{scopes}.key")]);
    assert_eq!(fields(&scope(Tag, Some(" "), &["prod"])), [format!("{scopes}.key")]);
    assert_eq!(fields(&scope(Name, Some("env"), &["orders"])), [format!("{scopes}.key")]);
    assert_eq!(fields(&scope(AponoId, Some("env"), &["1"])), [format!("{scopes}.key")]);
    assert_eq!(fields(&scope(Name, None, &[])), [format!("{scopes}.values")]);
    assert_eq!(
        fields(&FlowPolicy { access_targets: vec![tables(&["A"]); 3], ..policy() }),
        [""; 0]
    );
}

#[test]
fn others_need_to_be_said_and_grantees_without_others_are_let_be() {
    let request_for = |scopes: &[RequestScope], grantees| FlowPolicy {
        request_for: Some(RequestFor { request_scopes: scopes.to_vec(), grantees }),
        ..policy()
    };
    let empty = ConditionSet { logical_operator: LogicalOperator::Or, conditions: vec![] };
    assert_eq!(fields(&request_for(&[], None)), ["request_for.request_scopes"]);
    assert_eq!(fields(&request_for(&[RequestScope::Others], None)), ["request_for.grantees"]);
    assert_eq!(
        fields(&request_for(&[RequestScope::Others], Some(empty.clone()))),
        ["request_for.grantees.conditions"]
    );
    assert_eq!(fields(&request_for(&[RequestScope::Myself], Some(empty))), [""; 0]);
}

#[test]
fn negative_conditions_only_narrow_an_and_group() {
    let not = || condition("group", MatchOperator::IsNot, &["contractors"]);
    let with = |operator, conditions| FlowPolicy {
        approver_policy: Some(approver_policy(
            ApprovalMode::AnyOf,
            vec![approvers(operator, conditions)],
        )),
        ..policy()
    };
    let field = ["approver_policy.approver_groups[0].approvers"];
    assert_eq!(fields(&with(LogicalOperator::And, vec![group_is("owners"), not()])), [""; 0]);
    assert_eq!(fields(&with(LogicalOperator::Or, vec![group_is("owners"), not()])), field);
    assert_eq!(fields(&with(LogicalOperator::And, vec![not()])), field);
    assert_eq!(fields(&with(LogicalOperator::Or, vec![not(), not()])), field);
    assert_eq!(fields(&with(LogicalOperator::Or, vec![])), field);
    assert_eq!(
        fields(&FlowPolicy {
            approver_policy: Some(approver_policy(ApprovalMode::AllOf, vec![])),
            ..policy()
        }),
        ["approver_policy.approver_groups"]
    );
}

#[test]
fn escalation_has_one_to_five_tiers_and_something_to_escalate() {
    let tiers = |n| {
        Some(EscalationPolicy {
            interval_in_min: 30,
            approver_groups: vec![approvers(LogicalOperator::Or, vec![user_is("bob")]); n],
        })
    };
    let approved = FlowPolicy { approver_policy: Some(approved_by(&["bob"])), ..policy() };
    assert_eq!(fields(&FlowPolicy { escalation_policy: tiers(5), ..approved.clone() }), [""; 0]);
    for n in [0, 6] {
        assert_eq!(
            fields(&FlowPolicy { escalation_policy: tiers(n), ..approved.clone() }),
            ["escalation_policy.approver_groups"]
        );
    }
    assert_eq!(
        fields(&FlowPolicy { escalation_policy: tiers(1), ..policy() }),
        ["escalation_policy"]
    );
    let mut hasty = FlowPolicy { escalation_policy: tiers(1), ..approved };
    hasty.escalation_policy.as_mut().unwrap().interval_in_min = 0;
    assert_eq!(fields(&hasty), ["escalation_policy.interval_in_min"]);
}

#[test]
fn a10_durations_and_timeframes_mean_something() {
    for minutes in [0, u32::MAX, 2_147_483_648] {
        let wrong = FlowPolicy { grant_duration_in_min: Some(minutes), ..policy() };
        assert_eq!(fields(&wrong), ["grant_duration_in_min"], "{minutes}");
    }
    for minutes in [1, 2_147_483_647] {
        let right = FlowPolicy { grant_duration_in_min: Some(minutes), ..policy() };
        assert_eq!(fields(&right), [""; 0], "{minutes}");
    }
    let mut equal = office_hours();
    equal.end_time = "09:00:00".to_owned();
    assert_eq!(fields(&FlowPolicy { timeframe: Some(equal), ..policy() }), ["timeframe.end_time"]);
    let mut nowhere = office_hours();
    nowhere.time_zone = "Mars/Olympus".to_owned();
    assert_eq!(
        fields(&FlowPolicy { timeframe: Some(nowhere), ..policy() }),
        ["timeframe.time_zone"]
    );
}

#[test]
fn nobody_can_justify_an_automatic_flow() {
    let mut automatic = FlowPolicy { trigger: FlowTrigger::Automatic, ..policy() };
    assert_eq!(fields(&automatic), [""; 0]);
    automatic.settings.justification_required = true;
    assert_eq!(fields(&automatic), ["settings.justification_required"]);
}

#[test]
fn a_problem_reads_as_a_sentence_about_its_member() {
    let problems = validate_flow("", &policy());
    assert_eq!(problems[0].to_string(), "name: give the flow a name");
}
