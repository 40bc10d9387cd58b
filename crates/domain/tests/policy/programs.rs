//! Programs that are asked like approvers.

use latchkey_domain::{
    flow::{ApprovalMode, ApproverGroup, Condition, EscalationPolicy, FlowPolicy, LogicalOperator},
    policy::{
        approvals::{ApprovalOutcome, ApprovedBy, Given, Question, Waiting},
        programs::{ProgramAnswer, asks_programs, programs},
    },
    request::{Approval, Decision},
};

use crate::builders::{
    answer, approved_by, approver_policy, approvers, condition, decision, digest, group_is, person,
    policy, program_is, user_is,
};

use ApprovalMode::{AllOf, AnyOf};
use Decision::{Approved, Rejected};
use LogicalOperator::{And, Or};

const ONE: &str = "https://one.example.com/latchkey?key=secret";
const TWO: &str = "https://two.example.com/latchkey";

fn asked(mode: ApprovalMode, groups: Vec<ApproverGroup>) -> FlowPolicy {
    FlowPolicy { approver_policy: Some(approver_policy(mode, groups)), ..policy() }
}

fn with(operator: LogicalOperator, conditions: Vec<Condition>) -> FlowPolicy {
    asked(AnyOf, vec![approvers(operator, conditions)])
}

fn now() -> String {
    digest('a', "3600")
}

fn yes(url: &str) -> ProgramAnswer {
    answer(url, Some(Approved), &now())
}

fn says(name: &str, what: Decision) -> Approval {
    decision(&person(name), what, &now())
}

/// How a request of Alice stands; Bob and Carol may be among the approvers.
fn outcome(
    policy: &FlowPolicy,
    said: &[Approval],
    answers: &[ProgramAnswer],
    tiers_told: usize,
) -> ApprovalOutcome {
    let [alice, bob, carol] = [person("alice"), person("bob"), person("carol")];
    let people = [bob.facts(), carol.facts()];
    let given: Vec<Given<'_>> = said
        .iter()
        .map(|approval| {
            let mut all = people.iter();
            let approver = *all.find(|one| one.user.id == approval.approver_id).unwrap();
            Given { approval, approver }
        })
        .collect();
    let digest = now();
    Question::new(policy, alice.facts(), &alice.user, &digest)
        .escalated(policy, tiers_told)
        .answered(answers)
        .evaluate(&given, &people)
}

fn is_approved(outcome: &ApprovalOutcome) -> bool {
    matches!(outcome, ApprovalOutcome::Approved(_))
}

fn waiting(outcome: ApprovalOutcome) -> Waiting {
    let ApprovalOutcome::Waiting(waiting) = outcome else { panic!("it does not wait") };
    waiting
}

#[test]
fn a_program_approves_alone_where_it_is_asked_alone_and_says_so() {
    let policy = with(Or, vec![program_is(&[ONE, TWO])]);
    assert!(!waiting(outcome(&policy, &[], &[], 0)).is_stuck, "it may still say yes");
    let by = ApprovedBy::Approvers { people: vec![], programs: vec![TWO.to_owned()] };
    assert_eq!(outcome(&policy, &[], &[yes(TWO)], 0), ApprovalOutcome::Approved(by));
}

#[test]
fn one_no_of_a_program_is_a_no() {
    let policy = with(Or, vec![program_is(&[ONE]), user_is("bob")]);
    let no = answer(ONE, Some(Rejected), &now());
    let rejected = outcome(&policy, &[says("bob", Approved)], &[no], 0);
    assert_eq!(rejected, ApprovalOutcome::RejectedByProgram { url: ONE.to_owned() });
}

#[test]
fn beside_a_person_in_an_and_group_or_an_all_of_policy_neither_is_enough_alone() {
    let beside = [
        with(And, vec![program_is(&[ONE]), user_is("bob")]),
        asked(
            AllOf,
            vec![approvers(Or, vec![user_is("bob")]), approvers(Or, vec![program_is(&[ONE])])],
        ),
    ];
    for policy in beside {
        let bob = [says("bob", Approved)];
        assert!(!is_approved(&outcome(&policy, &bob, &[], 0)));
        assert!(!is_approved(&outcome(&policy, &[], &[yes(ONE)], 0)));
        assert!(is_approved(&outcome(&policy, &bob, &[yes(ONE)], 0)));
    }
}

#[test]
fn a_negative_condition_narrows_people_and_no_program_but_one_on_programs_closes_the_group() {
    let not_dev = condition("group", latchkey_domain::flow::MatchOperator::IsNot, &["developers"]);
    let narrowed = with(And, vec![program_is(&[ONE]), not_dev.clone()]);
    assert!(is_approved(&outcome(&narrowed, &[], &[yes(ONE)], 0)));
    let not_two = condition("webhook", latchkey_domain::flow::MatchOperator::IsNot, &[TWO]);
    for broken in [
        with(And, vec![program_is(&[ONE]), not_two.clone()]),
        with(Or, vec![program_is(&[ONE]), not_two]),
        with(Or, vec![program_is(&[ONE]), not_dev]),
        with(
            Or,
            vec![condition("webhook", latchkey_domain::flow::MatchOperator::Contains, &[ONE])],
        ),
        with(Or, vec![program_is(&[])]),
        with(Or, vec![condition("Webhook", latchkey_domain::flow::MatchOperator::Is, &[ONE])]),
    ] {
        assert!(waiting(outcome(&broken, &[], &[yes(ONE)], 0)).is_stuck);
        assert_eq!(programs(&broken, 0), [""; 0]);
    }
}

#[test]
fn a_program_that_is_not_asked_has_no_say() {
    let policy = with(Or, vec![program_is(&[ONE])]);
    let almost =
        ["https://one.example.com/latchkey", "https://ONE.example.com/latchkey?key=secret"];
    for url in [TWO].into_iter().chain(almost) {
        assert!(!is_approved(&outcome(&policy, &[], &[yes(url)], 0)), "{url}");
        let no = answer(url, Some(Rejected), &now());
        waiting(outcome(&policy, &[], &[no], 0));
    }
}

#[test]
fn a05_what_a_program_said_is_void_once_anything_changed_but_a_shorter_duration() {
    let policy = with(Or, vec![program_is(&[ONE])]);
    let said_about = |digest: &str| {
        is_approved(&outcome(&policy, &[], &[answer(ONE, Some(Approved), digest)], 0))
    };
    assert!(said_about(&digest('a', "7200")), "it was asked about more");
    for other in [digest('b', "3600"), digest('a', "1800"), String::new(), "a:3600".to_owned()] {
        assert!(!said_about(&other), "{other}");
        let no = answer(ONE, Some(Rejected), &other);
        let waiting = waiting(outcome(&policy, &[], &[no], 0));
        assert!(waiting.is_stuck, "it was asked, and is not asked again");
    }
}

#[test]
fn a_program_that_gave_no_decision_leaves_its_group_empty() {
    let nothing = [answer(ONE, None, &now())];
    let alone = with(Or, vec![program_is(&[ONE])]);
    let stuck = waiting(outcome(&alone, &[], &nothing, 0));
    assert!(stuck.is_stuck);
    assert_eq!(stuck.empty_groups, [0]);
    let other = with(Or, vec![program_is(&[ONE, TWO])]);
    assert!(!waiting(outcome(&other, &[], &nothing, 0)).is_stuck, "the other may still say yes");
    let person = asked(
        AnyOf,
        vec![approvers(Or, vec![program_is(&[ONE])]), approvers(Or, vec![user_is("bob")])],
    );
    let open = waiting(outcome(&person, &[], &nothing, 0));
    assert_eq!((open.is_stuck, open.empty_groups), (false, vec![0]));
    assert!(is_approved(&outcome(&person, &[says("bob", Approved)], &nothing, 0)));
}

#[test]
fn the_rule_on_ones_own_request_does_not_meet_programs() {
    let mut policy = with(And, vec![program_is(&[ONE]), group_is("nobody-is-here")]);
    policy.settings.requestor_cannot_approve_himself = true;
    assert!(waiting(outcome(&policy, &[], &[yes(ONE)], 0)).is_stuck, "a program is no person");
    policy = with(Or, vec![program_is(&[ONE])]);
    policy.settings.requestor_cannot_approve_himself = true;
    assert!(is_approved(&outcome(&policy, &[], &[yes(ONE)], 0)));
}

#[test]
fn a_program_of_a_tier_has_a_say_once_the_tier_is_told() {
    let tier = approvers(Or, vec![program_is(&[ONE])]);
    let policy = FlowPolicy {
        approver_policy: Some(approved_by(&["bob"])),
        escalation_policy: Some(EscalationPolicy {
            interval_in_min: 30,
            approver_groups: vec![tier],
        }),
        ..policy()
    };
    assert!(asks_programs(&policy));
    assert_eq!((programs(&policy, 0), programs(&policy, 1)), (vec![], vec![ONE]));
    assert!(!is_approved(&outcome(&policy, &[], &[yes(ONE)], 0)));
    assert!(is_approved(&outcome(&policy, &[], &[yes(ONE)], 1)));
}

#[test]
fn each_program_is_asked_once_however_often_it_is_named() {
    let policy = asked(
        AllOf,
        vec![
            approvers(Or, vec![program_is(&[ONE, TWO]), user_is("bob")]),
            approvers(And, vec![program_is(&[TWO]), user_is("carol")]),
        ],
    );
    assert_eq!(programs(&policy, 0), [ONE, TWO]);
}
