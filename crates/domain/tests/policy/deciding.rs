//! What is asked again at decision and at grant.

use latchkey_domain::{
    flow::{AccessFlow, ApprovalMode, ConditionSet, FlowPolicy, FlowTarget, LogicalOperator},
    ids::BundleId,
    inventory::{Entitlement, ResourceStatus},
    policy::{
        approvals::{ApprovedBy, Given},
        deciding::{Facts, NoLongerAllowed, Verdict, decide},
        owners::Owners,
        programs::ProgramAnswer,
    },
    request::{Approval, Decision},
};

use crate::{
    builders::{
        Held, Person, answer, any_of, approved_by, approver_policy, approvers, at, decision,
        digest, entitlement, flow, noon, person, policy, program_is, read_tables, tables, user_is,
    },
    timeframe::office_hours,
};

/// A request of Alice for an hour that Bob has to approve, as it was filed.
struct Case {
    frozen: FlowPolicy,
    current: Option<AccessFlow>,
    requestor: Person,
    as_grantee: bool,
    grantee: Person,
    bundle: Option<BundleId>,
    contents: Held,
    entitlements: Vec<Entitlement>,
    duration_sec: Option<i64>,
    people: Vec<Person>,
    approvals: Vec<Approval>,
    answers: Vec<ProgramAnswer>,
    digest: String,
    has_second_factor: bool,
}

impl Case {
    fn filed() -> Self {
        let frozen = FlowPolicy { approver_policy: Some(approved_by(&["bob"])), ..policy() };
        Self {
            current: Some(flow("reads", frozen.clone())),
            frozen,
            requestor: person("alice"),
            as_grantee: false,
            grantee: person("alice"),
            bundle: None,
            contents: Held::bundle("b", vec![read_tables()]),
            entitlements: vec![
                entitlement("orders", "READ_ONLY"),
                entitlement("carts", "READ_ONLY"),
            ],
            duration_sec: Some(3_600),
            people: vec![person("bob"), person("carol")],
            approvals: Vec::new(),
            answers: Vec::new(),
            digest: digest('a', "3600"),
            has_second_factor: false,
        }
    }

    fn approved() -> Self {
        let mut case = Self::filed();
        case.approvals.push(decision(&person("bob"), Decision::Approved, &case.digest));
        case
    }

    fn current(&mut self) -> &mut AccessFlow {
        self.current.as_mut().unwrap()
    }

    fn verdict(&self) -> Verdict {
        let given: Vec<Given<'_>> = self
            .approvals
            .iter()
            .map(|approval| {
                let mut people = self.people.iter();
                let approver = people.find(|one| one.user.id == approval.approver_id).unwrap();
                Given { approval, approver: approver.facts() }
            })
            .collect();
        let people: Vec<_> = self.people.iter().map(Person::facts).collect();
        let facts = Facts {
            frozen: &self.frozen,
            current: self.current.as_ref(),
            requestor: self.requestor.facts(),
            asker: if self.as_grantee { self.grantee.facts() } else { self.requestor.facts() },
            grantee: self.grantee.facts(),
            bundle: self.bundle.as_ref(),
            contents: &self.contents,
            entitlements: &self.entitlements,
            owners: Owners::NONE,
            tiers_told: 0,
            answers: &self.answers,
            unit_count: 2,
            has_second_factor: self.has_second_factor,
            duration_sec: self.duration_sec,
            digest: &self.digest,
            now: noon(),
        };
        decide(&facts, &given, &people)
    }

    fn after(change: impl Fn(&mut Self)) -> Verdict {
        let mut case = Self::approved();
        change(&mut case);
        case.verdict()
    }
}

const PROGRAM: &str = "https://approve.example.com/";

/// The same request, that a program has to approve.
fn asking_a_program(said: Option<Decision>) -> Case {
    let mut case = Case::filed();
    let group = approvers(LogicalOperator::Or, vec![program_is(&[PROGRAM])]);
    let asked = approver_policy(ApprovalMode::AnyOf, vec![group]);
    case.frozen.approver_policy = Some(asked.clone());
    case.current().policy.approver_policy = Some(asked);
    case.answers.push(answer(PROGRAM, said, &case.digest));
    case
}

#[test]
fn what_a_program_says_grants_and_rejects_like_an_approver() {
    let by = ApprovedBy::Approvers { people: vec![], programs: vec![PROGRAM.to_owned()] };
    assert_eq!(asking_a_program(Some(Decision::Approved)).verdict(), Verdict::Grant(by));
    let no = Verdict::RejectByProgram { url: PROGRAM.to_owned() };
    assert_eq!(asking_a_program(Some(Decision::Rejected)).verdict(), no);
    assert!(matches!(asking_a_program(None).verdict(), Verdict::Wait(_)));
}

#[test]
fn a06_a_program_that_the_flow_asks_no_more_approves_nothing() {
    let mut case = asking_a_program(Some(Decision::Approved));
    case.current().policy.approver_policy = Some(approved_by(&["bob"]));
    assert_eq!(case.verdict(), cancelled(NoLongerAllowed::AsksForMore));
}

fn cancelled(reason: NoLongerAllowed) -> Verdict {
    Verdict::Cancel(reason)
}

#[test]
fn a_request_is_granted_once_its_approvers_agree() {
    assert!(matches!(Case::filed().verdict(), Verdict::Wait(_)));
    let by = ApprovedBy::Approvers { people: vec![person("bob").user.id], programs: vec![] };
    assert_eq!(Case::approved().verdict(), Verdict::Grant(by));
}

#[test]
fn a06_what_was_asked_through_a_bundle_must_still_be_in_it_and_the_flow_must_target_it() {
    let through = |change: fn(&mut Case)| {
        Case::after(|case| {
            let bundle = BundleId::new("b");
            case.frozen.access_targets = vec![FlowTarget::Bundle(bundle.clone())];
            case.current().policy = case.frozen.clone();
            case.bundle = Some(bundle);
            change(case);
        })
    };
    let by = ApprovedBy::Approvers { people: vec![person("bob").user.id], programs: vec![] };
    assert_eq!(through(|_| {}), Verdict::Grant(by));
    let not_covered = cancelled(NoLongerAllowed::NotCovered {
        path: "shop/public/orders".to_owned(),
        permission: "READ_ONLY".to_owned(),
    });
    assert_eq!(through(|case| case.contents.targets.clear()), not_covered);
    assert_eq!(through(|case| case.contents.bundle = BundleId::new("gone")), not_covered);
    let direct = through(|case| {
        case.current().policy.access_targets = vec![tables(&["READ_ONLY"])];
    });
    assert_eq!(direct, not_covered, "the same entitlements by another way are another request");
}

#[test]
fn a_rejection_rejects_even_where_the_flow_is_gone() {
    let verdict = Case::after(|case| {
        case.approvals = vec![decision(&person("bob"), Decision::Rejected, &case.digest)];
        case.current = None;
    });
    assert_eq!(verdict, Verdict::Reject { by: person("bob").user.id });
}

#[test]
fn a06_between_approval_and_grant_the_flow_is_gone_off_or_tightened() {
    assert_eq!(Case::after(|case| case.current = None), cancelled(NoLongerAllowed::FlowDeleted));
    assert_eq!(
        Case::after(|case| case.current().active = false),
        cancelled(NoLongerAllowed::FlowInactive)
    );
    assert_eq!(
        Case::after(|case| case.current().policy.settings.require_mfa = true),
        cancelled(NoLongerAllowed::SecondFactor)
    );
    assert_eq!(
        Case::after(|case| case.current().policy.requestors = any_of(vec![user_is("bob")])),
        cancelled(NoLongerAllowed::Requestor)
    );
    assert_eq!(
        Case::after(|case| case.current().policy.access_targets = vec![tables(&["ALL"])]),
        cancelled(NoLongerAllowed::NotCovered {
            path: "shop/public/orders".to_owned(),
            permission: "READ_ONLY".to_owned(),
        })
    );
    assert_eq!(
        Case::after(|case| case.current().policy.grant_duration_in_min = Some(30)),
        cancelled(NoLongerAllowed::DurationTooLong { longest_sec: 1_800 })
    );
    assert_eq!(
        Case::after(|case| {
            let mut weekend = office_hours();
            weekend.days_of_week = vec![latchkey_domain::flow::DayOfWeek::Saturday];
            case.current().policy.timeframe = Some(weekend);
        }),
        cancelled(NoLongerAllowed::OutsideTimeframe {
            next_opening: Some(at("2026-05-16T07:00:00Z")),
        })
    );
}

#[test]
fn a06_a_flow_that_asks_for_more_cancels_and_one_that_asks_for_less_changes_nothing() {
    let more = |case: &mut Case| {
        case.current().policy.approver_policy = Some(approved_by(&["carol"]));
    };
    assert_eq!(Case::after(more), cancelled(NoLongerAllowed::AsksForMore));
    let mut waiting = Case::filed();
    waiting.current().policy.approver_policy = None;
    assert!(matches!(waiting.verdict(), Verdict::Wait(_)), "the frozen policy still asks Bob");
    let mut unasked = Case::filed();
    unasked.frozen.approver_policy = None;
    assert_eq!(unasked.verdict(), cancelled(NoLongerAllowed::AsksForMore));
    let own = |case: &mut Case| {
        case.frozen.approver_policy = Some(approved_by(&["alice"]));
        case.current().policy.approver_policy = Some(approved_by(&["alice"]));
        case.current().policy.settings.requestor_cannot_approve_himself = true;
        case.people = vec![person("alice")];
        case.approvals = vec![decision(&person("alice"), Decision::Approved, &case.digest)];
    };
    assert_eq!(Case::after(own), cancelled(NoLongerAllowed::AsksForMore));
}

#[test]
fn d08_a_flow_that_asks_for_a_second_factor_lets_nothing_through_that_has_none() {
    for (frozen, current) in [(true, false), (false, true), (true, true)] {
        for mut case in [Case::filed(), Case::approved()] {
            case.frozen.settings.require_mfa = frozen;
            case.current().policy.settings.require_mfa = current;
            assert_eq!(case.verdict(), cancelled(NoLongerAllowed::SecondFactor));
            case.has_second_factor = true;
            assert!(matches!(case.verdict(), Verdict::Grant(_) | Verdict::Wait(_)));
        }
    }
}

#[test]
fn a06_people_who_were_disabled_get_nothing() {
    assert_eq!(
        Case::after(|case| case.grantee = person("alice").disabled()),
        cancelled(NoLongerAllowed::GranteeDisabled)
    );
    assert_eq!(
        Case::after(|case| case.requestor = person("alice").disabled()),
        cancelled(NoLongerAllowed::RequestorDisabled)
    );
    let verdict = Case::after(|case| case.people = vec![person("bob").disabled()]);
    assert!(matches!(verdict, Verdict::Wait(_)), "another approver may still decide");
}

#[test]
fn a06_entitlements_that_are_gone_or_retagged_get_nothing() {
    assert_eq!(
        Case::after(|case| {
            case.entitlements.pop();
        }),
        cancelled(NoLongerAllowed::EntitlementGone)
    );
    assert_eq!(
        Case::after(|case| case.entitlements[0].resource.status = ResourceStatus::Deleted),
        cancelled(NoLongerAllowed::EntitlementGone)
    );
    assert_eq!(
        Case::after(|case| case.frozen.access_targets = vec![tables(&["ALL"])]),
        cancelled(NoLongerAllowed::NotCovered {
            path: "shop/public/orders".to_owned(),
            permission: "READ_ONLY".to_owned(),
        })
    );
}

#[test]
fn a05_a_changed_request_waits_for_new_approvals() {
    let verdict = Case::after(|case| case.digest = digest('b', "3600"));
    assert!(matches!(verdict, Verdict::Wait(_)));
    let shortened = Case::after(|case| {
        case.duration_sec = Some(60);
        case.digest = digest('a', "60");
    });
    assert!(matches!(shortened, Verdict::Grant(_)));
}

#[test]
fn a10_a_request_without_an_end_is_not_covered_by_a_flow_with_a_maximum() {
    let verdict = Case::after(|case| {
        case.duration_sec = None;
        case.digest = digest('a', "open");
        case.approvals = vec![decision(&person("bob"), Decision::Approved, &case.digest)];
    });
    assert_eq!(verdict, cancelled(NoLongerAllowed::DurationTooLong { longest_sec: 3_600 }));
}

#[test]
fn a_request_filed_by_an_admin_is_judged_as_if_the_grantee_had_asked() {
    let not_alice = any_of(vec![user_is("dave")]);
    let filed_by_dave = |as_grantee: bool, requestors: ConditionSet| {
        let mut case = Case::approved();
        case.requestor = person("dave");
        case.as_grantee = as_grantee;
        case.frozen.requestors = requestors.clone();
        case.current().policy.requestors = requestors;
        case.verdict()
    };
    let alice = any_of(vec![user_is("alice")]);
    assert!(matches!(filed_by_dave(true, alice.clone()), Verdict::Grant(_)));
    assert_eq!(filed_by_dave(false, alice), cancelled(NoLongerAllowed::Requestor));
    assert_eq!(filed_by_dave(true, not_alice), cancelled(NoLongerAllowed::Requestor));
}

#[test]
fn neither_the_admin_who_filed_it_nor_the_grantee_decides() {
    for decider in ["dave", "alice"] {
        let mut case = Case::filed();
        case.requestor = person("dave");
        case.as_grantee = true;
        case.people = vec![person(decider)];
        case.frozen.settings.requestor_cannot_approve_himself = true;
        case.frozen.approver_policy = Some(approved_by(&[decider]));
        let policy = case.frozen.clone();
        case.current().policy = policy;
        case.approvals.push(decision(&person(decider), Decision::Approved, &case.digest));
        assert!(matches!(case.verdict(), Verdict::Wait(_)), "{decider}");
    }
}
