//! Who has to agree, and whether enough people have.

use latchkey_domain::{
    flow::{
        ApprovalMode, ApproverGroup, ApproverPolicy, Condition, LogicalOperator, MatchOperator,
    },
    ids::IntegrationId,
    people::Role,
    policy::{
        approvals::{ApprovalOutcome, ApprovedBy, DeciderStanding, Given, Question, Waiting},
        owners::Owners,
        programs::ProgramAnswer,
    },
    request::{Approval, Decision},
};
use proptest::prelude::*;

use crate::builders::{
    Person, answer, approved_by, approver_policy, approvers, condition, decision, digest, group_is,
    person, program_is, user_is,
};

use ApprovalMode::{AllOf, AnyOf};
use Decision::{Approved, Rejected};
use LogicalOperator::{And, Or};
use MatchOperator::{Is, IsNot};

/// Alice asks for herself; the rest may decide.
struct Case {
    policy: Option<ApproverPolicy>,
    excludes_own: bool,
    requestor: Person,
    grantee: Person,
    people: Vec<Person>,
    owners: Owners,
    tiers: Vec<ApproverGroup>,
    answers: Vec<ProgramAnswer>,
    digest: String,
}

impl Case {
    fn new(policy: ApproverPolicy, people: &[Person]) -> Self {
        let alice = person("alice");
        Self {
            policy: Some(policy),
            excludes_own: true,
            requestor: alice.clone(),
            grantee: alice,
            people: people.to_vec(),
            owners: Owners::default(),
            tiers: Vec::new(),
            answers: Vec::new(),
            digest: digest('a', "3600"),
        }
    }

    fn question(&self) -> Question<'_> {
        Question {
            policy: self.policy.as_ref(),
            excludes_own: self.excludes_own,
            requestor: &self.requestor.user,
            asker: self.requestor.facts(),
            grantee: &self.grantee.user,
            owners: &self.owners,
            tiers: &self.tiers,
            answers: &self.answers,
            digest: &self.digest,
        }
    }

    fn evaluate(&self, approvals: &[Approval]) -> ApprovalOutcome {
        let given: Vec<Given<'_>> = approvals
            .iter()
            .filter_map(|approval| {
                let approver =
                    self.people.iter().find(|person| person.user.id == approval.approver_id)?;
                Some(Given { approval, approver: approver.facts() })
            })
            .collect();
        let people: Vec<_> = self.people.iter().map(Person::facts).collect();
        self.question().evaluate(&given, &people)
    }

    fn says(&self, who: &str, what: Decision) -> Approval {
        decision(self.person(who), what, &self.digest)
    }

    fn approve(&self, who: &[&str]) -> ApprovalOutcome {
        let approvals: Vec<Approval> = who.iter().map(|who| self.says(who, Approved)).collect();
        self.evaluate(&approvals)
    }

    fn person(&self, name: &str) -> &Person {
        let id = format!("id-{name}");
        self.people.iter().find(|person| person.user.id.as_str() == id).unwrap()
    }
}

fn is_approved(outcome: &ApprovalOutcome) -> bool {
    matches!(outcome, ApprovalOutcome::Approved(_))
}

fn waiting(outcome: ApprovalOutcome) -> Waiting {
    let waiting = match outcome {
        ApprovalOutcome::Waiting(waiting) => Some(waiting),
        _ => None,
    };
    waiting.unwrap()
}

/// A condition that stands for somebody by itself.
fn alone(kind: &str) -> Condition {
    Condition { values: None, match_operator: None, ..condition(kind, Is, &[]) }
}

fn names(waiting: &Waiting) -> Vec<&str> {
    waiting.may_decide.iter().map(|id| id.as_str().trim_start_matches("id-")).collect()
}

#[test]
fn without_an_approver_policy_nobody_is_asked() {
    let mut case = Case::new(approved_by(&["bob"]), &[]);
    case.policy = None;
    assert_eq!(case.approve(&[]), ApprovalOutcome::Approved(ApprovedBy::Nobody));
}

#[test]
fn in_an_or_group_one_person_is_enough() {
    let case =
        Case::new(approved_by(&["bob", "carol"]), &[person("bob"), person("carol"), person("dan")]);
    assert_eq!(names(&waiting(case.approve(&[]))), ["bob", "carol"]);
    assert!(is_approved(&case.approve(&["carol"])));
    assert!(!is_approved(&case.approve(&["dan"])), "dan is not asked");
}

#[test]
fn in_an_and_group_every_condition_needs_somebody_and_one_person_may_be_several() {
    let policy = approver_policy(
        AnyOf,
        vec![approvers(And, vec![group_is("security"), group_is("owners")])],
    );
    let people = [
        person("bob").in_group("security"),
        person("carol").in_group("owners"),
        person("dan").in_group("owners").in_group("security"),
    ];
    let case = Case::new(policy, &people);
    assert_eq!(names(&waiting(case.approve(&["bob"]))), ["carol", "dan"]);
    assert!(is_approved(&case.approve(&["bob", "carol"])));
    assert!(is_approved(&case.approve(&["dan"])));
    assert!(!is_approved(&case.approve(&["bob", "bob"])), "saying it twice is saying it once");
}

#[test]
fn negative_conditions_of_an_and_group_narrow_who_counts_for_every_slot() {
    let policy = approver_policy(
        AnyOf,
        vec![approvers(
            And,
            vec![
                group_is("security"),
                group_is("owners"),
                condition("group", MatchOperator::IsNot, &["contractors"]),
            ],
        )],
    );
    let people = [
        person("bob").in_group("security"),
        person("carol").in_group("owners").in_group("contractors"),
        person("dan").in_group("owners"),
    ];
    let case = Case::new(policy, &people);
    assert!(!is_approved(&case.approve(&["bob", "carol"])));
    assert!(is_approved(&case.approve(&["bob", "dan"])));
}

#[test]
fn any_of_needs_one_group_and_all_of_every_group() {
    let groups = vec![approvers(Or, vec![user_is("bob")]), approvers(Or, vec![user_is("carol")])];
    let people = [person("bob"), person("carol")];
    let any = Case::new(approver_policy(AnyOf, groups.clone()), &people);
    assert!(is_approved(&any.approve(&["bob"])));
    let all = Case::new(approver_policy(AllOf, groups), &people);
    assert_eq!(names(&waiting(all.approve(&["bob"]))), ["carol"]);
    let ApprovalOutcome::Approved(ApprovedBy::Approvers { people, programs }) =
        all.approve(&["carol", "bob"])
    else {
        panic!("both have approved");
    };
    assert_eq!((people.len(), programs.len()), (2, 0));
}

#[test]
fn policies_that_ask_nobody_by_mistake_are_never_satisfied() {
    let not_bob = condition("user", MatchOperator::IsNot, &["bob@corp.example"]);
    let broken = [
        approver_policy(AllOf, vec![]),
        approver_policy(AnyOf, vec![]),
        approver_policy(AllOf, vec![approvers(And, vec![])]),
        approver_policy(AnyOf, vec![approvers(Or, vec![])]),
        approver_policy(AnyOf, vec![approvers(And, vec![not_bob.clone()])]),
        approver_policy(AnyOf, vec![approvers(Or, vec![not_bob, user_is("carol")])]),
    ];
    for policy in broken {
        let case = Case::new(policy, &[person("carol"), person("dan")]);
        let outcome = waiting(case.approve(&["carol", "dan"]));
        assert_eq!(outcome.may_decide, []);
        assert_eq!(outcome.empty_groups.len(), case.policy.unwrap().approver_groups.len());
    }
}

#[test]
fn one_rejection_by_somebody_who_is_asked_rejects() {
    let groups = vec![approvers(Or, vec![user_is("bob")]), approvers(Or, vec![user_is("carol")])];
    let case =
        Case::new(approver_policy(AnyOf, groups), &[person("bob"), person("carol"), person("dan")]);
    let outcome = case.evaluate(&[case.says("bob", Approved), case.says("carol", Rejected)]);
    assert_eq!(outcome, ApprovalOutcome::Rejected { by: person("carol").user.id });
    let outcome = case.evaluate(&[case.says("dan", Rejected), case.says("bob", Approved)]);
    assert!(is_approved(&outcome), "dan is not asked");
}

#[test]
fn a06_who_left_the_group_or_was_disabled_counts_no_more() {
    let policy = approver_policy(AnyOf, vec![approvers(Or, vec![group_is("security")])]);
    let before = Case::new(policy.clone(), &[person("bob").in_group("security")]);
    assert!(is_approved(&before.approve(&["bob"])));
    let left = Case::new(policy.clone(), &[person("bob")]);
    assert!(!is_approved(&left.approve(&["bob"])));
    let disabled = Case::new(policy, &[person("bob").in_group("security").disabled()]);
    assert!(!is_approved(&disabled.approve(&["bob"])));
}

#[test]
fn a04_requestor_and_grantee_are_no_approvers_when_the_flow_says_so() {
    let everybody = || {
        approver_policy(
            AnyOf,
            vec![approvers(Or, vec![condition("user", MatchOperator::Contains, &["example"])])],
        )
    };
    let mut case = Case::new(everybody(), &[person("alice"), person("bob"), person("carol")]);
    case.grantee = person("bob");
    assert_eq!(case.question().standing_of(person("alice").facts()), DeciderStanding::OwnRequest);
    assert_eq!(case.question().standing_of(person("bob").facts()), DeciderStanding::OwnRequest);
    assert_eq!(case.question().standing_of(person("carol").facts()), DeciderStanding::Eligible);
    assert!(!is_approved(&case.approve(&["alice", "bob"])));
    assert_eq!(names(&waiting(case.approve(&[]))), ["carol"]);
    assert!(is_approved(&case.approve(&["alice", "bob", "carol"])));
    case.excludes_own = false;
    assert!(is_approved(&case.approve(&["alice"])));
}

#[test]
fn a04_a_second_account_of_the_requestor_is_the_requestor() {
    let policy = approver_policy(AnyOf, vec![approvers(Or, vec![group_is("security")])]);
    let disguises: [(&str, &str); 4] = [
        ("alice@corp.example", ""),
        (" ALICE@CORP.EXAMPLE ", ""),
        ("other@corp.example", "Alice@Corp.Example"),
        ("other@corp.example", "a.smith@corp.example"),
    ];
    for (email, alias) in disguises {
        let mut second = person("second").in_group("security").alias(alias);
        second.user.email = email.to_owned();
        let mut case = Case::new(policy.clone(), &[second]);
        case.requestor = person("alice").alias("A.Smith@corp.example");
        let outcome = waiting(case.approve(&["second"]));
        assert_eq!(outcome.empty_groups, [0], "{email} {alias}");
        assert_eq!(outcome.may_decide, [], "{email} {alias}");
    }
}

#[test]
fn a_group_that_the_self_rule_leaves_empty_is_not_satisfied_and_says_so() {
    let groups = vec![approvers(Or, vec![user_is("alice")]), approvers(Or, vec![user_is("bob")])];
    let case = Case::new(approver_policy(AllOf, groups), &[person("alice"), person("bob")]);
    let outcome = waiting(case.approve(&["alice", "bob"]));
    assert_eq!(outcome.empty_groups, [0]);
    let nobody_yet = waiting(case.approve(&[]));
    assert_eq!((names(&nobody_yet), nobody_yet.empty_groups.as_slice()), (vec!["bob"], &[0][..]));
}

#[test]
fn an_and_group_of_which_one_condition_has_nobody_says_so() {
    let group = approvers(And, vec![group_is("security"), group_is("no-such-group")]);
    let case =
        Case::new(approver_policy(AnyOf, vec![group]), &[person("bob").in_group("security")]);
    assert_eq!(waiting(case.approve(&["bob"])).empty_groups, [0]);
}

#[test]
fn a05_an_approval_of_something_else_does_not_count() {
    let case = Case::new(approved_by(&["bob"]), &[person("bob")]);
    for other in [digest('b', "3600"), digest('a', "3599"), String::new()] {
        let stale = decision(case.person("bob"), Approved, &other);
        assert!(!is_approved(&case.evaluate(std::slice::from_ref(&stale))), "{other}");
        let fresh = case.says("bob", Approved);
        assert!(is_approved(&case.evaluate(&[stale, fresh])));
    }
    let longer = decision(case.person("bob"), Approved, &digest('a', "7200"));
    assert!(is_approved(&case.evaluate(&[longer])), "shortened afterwards");
}

#[test]
fn the_manager_is_the_requestors() {
    let policy = approver_policy(AnyOf, vec![approvers(Or, vec![alone("manager")])]);
    let mut case = Case::new(policy, &[person("bob"), person("carol")]);
    assert_eq!(waiting(case.approve(&["bob"])).empty_groups, [0], "no manager is known");
    case.requestor.user.manager_id = Some(person("bob").user.id);
    case.grantee = person("dan");
    case.grantee.user.manager_id = Some(person("carol").user.id);
    assert!(is_approved(&case.approve(&["bob"])));
    assert!(!is_approved(&case.approve(&["carol"])), "the grantee's manager is not asked");
    let relation = &mut case.policy.as_mut().unwrap().approver_groups[0].approvers[0];
    relation.source_integration_id = Some(IntegrationId::new("okta"));
    assert!(!is_approved(&case.approve(&["bob"])), "that source does not know the requestor");
    case.requestor.user.source_integration_id = Some(IntegrationId::new("okta"));
    assert!(is_approved(&case.approve(&["bob"])));
}

#[test]
fn a_negated_manager_keeps_every_account_of_the_requestors_manager_out() {
    let not_manager = Condition { match_operator: Some(IsNot), ..alone("manager") };
    let policy =
        approver_policy(AnyOf, vec![approvers(And, vec![group_is("security"), not_manager])]);
    let security = |name: &str| person(name).in_group("security");
    let people = [security("bob"), security("carol"), security("second").alias("BOB@corp.example")];
    let mut case = Case::new(policy, &people);
    let unknown = waiting(case.approve(&["carol"]));
    assert!(unknown.is_stuck, "nobody is known not to be the manager");
    case.requestor = case.requestor.clone().under(&person("bob"));
    assert!(!is_approved(&case.approve(&["bob", "second"])));
    assert!(is_approved(&case.approve(&["carol"])));
    let mut with_values = case;
    let conditions = &mut with_values.policy.as_mut().unwrap().approver_groups[0].approvers;
    conditions[1].values = Some(vec!["bob@corp.example".to_owned()]);
    assert!(!is_approved(&with_values.approve(&["carol"])), "with values it says nothing");
}

#[test]
fn approvers_are_named_by_attributes_too() {
    let on_call = condition("opsgenie_schedule", MatchOperator::Is, &["Shop"]);
    let away = condition("okta_city", MatchOperator::IsNot, &["Berlin"]);
    let policy = approver_policy(AnyOf, vec![approvers(And, vec![on_call, away])]);
    let bob = person("bob").having("opsgenie_schedule", "shop").having("okta_city", "Paris");
    let carol = person("carol").having("opsgenie_schedule", "shop").having("okta_city", "berlin");
    let dan = person("dan").having("opsgenie_schedule", "shop");
    let case = Case::new(policy, &[bob, carol, dan]);
    assert!(is_approved(&case.approve(&["bob"])));
    assert!(!is_approved(&case.approve(&["carol"])), "narrowed by the city");
    assert!(!is_approved(&case.approve(&["dan"])), "nobody knows where Dan is");
}

#[test]
fn an_admin_may_force_but_never_for_themselves() {
    let mut root = person("root");
    root.user.roles.insert(Role::Admin);
    let forced = |case: &Case, who: &str| {
        let mut forced = case.says(who, Approved);
        forced.forced = true;
        case.evaluate(&[forced])
    };
    let mut case =
        Case::new(approved_by(&["bob"]), &[root.clone(), person("bob"), person("carol")]);
    case.excludes_own = false;
    assert_eq!(
        forced(&case, "root"),
        ApprovalOutcome::Approved(ApprovedBy::Force(root.user.id.clone()))
    );
    assert!(!is_approved(&case.approve(&["root"])), "an Admin as such is no approver");
    assert!(!is_approved(&forced(&case, "carol")), "carol is no Admin");
    for own in [true, false] {
        let mut own_request = Case::new(approved_by(&["bob"]), std::slice::from_ref(&root));
        own_request.excludes_own = own;
        own_request.grantee = root.clone();
        assert!(!is_approved(&forced(&own_request, "root")), "whatever the flow says");
    }
}

// The laws.

#[derive(Debug, Clone)]
struct World {
    policy: ApproverPolicy,
    excludes_own: bool,
    people: Vec<Person>,
    requestor: usize,
    grantee: usize,
    /// The manager of the requestor, if one is known.
    manager: Option<usize>,
    /// What names the owners, and whether something has none.
    owners: Vec<Condition>,
    ownerless: bool,
    /// Tiers that were told.
    tiers: Vec<ApproverGroup>,
    /// Who, whether approved, and whether about what is asked now.
    decisions: Vec<(usize, bool, bool)>,
    /// For each of [`PROGRAMS`] what came of asking it, if anything yet: whether it approved, if
    /// it decided, and whether that is about what is asked now.
    answers: Vec<Option<(Option<bool>, bool)>>,
}

const PROGRAMS: [&str; 3] =
    ["https://one.example.com/", "https://two.example.com/", "https://one.example.com/?other"];

/// Programs are told from people by their numbers.
const FIRST_PROGRAM: usize = 100;

impl World {
    fn case(&self) -> Case {
        let mut requestor = self.people[self.requestor].clone();
        if let Some(manager) = self.manager {
            requestor = requestor.under(&self.people[manager]);
        }
        Case {
            owners: crate::owners::owned(&self.owners, self.ownerless),
            tiers: self.tiers.clone(),
            answers: self.answers(),
            policy: Some(self.policy.clone()),
            excludes_own: self.excludes_own,
            requestor,
            grantee: self.people[self.grantee].clone(),
            people: self.people.clone(),
            digest: digest('a', "3600"),
        }
    }

    fn answers(&self) -> Vec<ProgramAnswer> {
        let said = |(url, came): (&&str, &Option<(Option<bool>, bool)>)| {
            let (decided, fits) = (*came)?;
            let decided = decided.map(|yes| if yes { Approved } else { Rejected });
            Some(answer(url, decided, &digest(if fits { 'a' } else { 'b' }, "3600")))
        };
        PROGRAMS.iter().zip(&self.answers).filter_map(said).collect()
    }

    fn approvals(&self) -> Vec<Approval> {
        self.decisions
            .iter()
            .map(|(who, yes, fits)| {
                let digest = digest(if *fits { 'a' } else { 'b' }, "3600");
                decision(&self.people[*who], if *yes { Approved } else { Rejected }, &digest)
            })
            .collect()
    }
}

fn some_approver() -> impl Strategy<Value = Condition> {
    let relation = (prop::sample::select(vec!["manager", "Owner"]), prop::bool::ANY).prop_map(
        |(kind, negative)| Condition { match_operator: negative.then_some(IsNot), ..alone(kind) },
    );
    let urls = prop::sample::subsequence(PROGRAMS.to_vec(), 0..=2);
    let program = (urls, 0_u8..12).prop_map(|(urls, odd)| {
        let operator = match odd {
            0 => IsNot,
            1 => MatchOperator::Contains,
            _ => Is,
        };
        Condition { match_operator: Some(operator), ..program_is(&urls) }
    });
    prop_oneof![4 => crate::matching::some_condition(), 2 => relation, 3 => program]
}

fn some_owner() -> impl Strategy<Value = Condition> {
    prop::sample::select(vec![
        user_is("alice"),
        user_is("bob"),
        user_is("nobody"),
        group_is("admins"),
        group_is("on-call"),
    ])
}

prop_compose! {
    fn some_world()(
        all in prop::bool::ANY,
        groups in prop::collection::vec(
            (prop::bool::ANY, prop::collection::vec(some_approver(), 1..4)), 1..4,
        ),
        excludes_own in prop::bool::ANY,
        memberships in prop::collection::vec((0_u8..8, prop::bool::weighted(0.9)), 5),
        requestor in 0_usize..5,
        grantee in 0_usize..5,
        manager in prop::option::of(0_usize..5),
        owners in prop::collection::vec(some_owner(), 0..3),
        ownerless in prop::bool::weighted(0.2),
        tiers in prop::collection::vec(
            (prop::bool::ANY, prop::collection::vec(some_approver(), 1..3)), 0..2,
        ),
        decisions in prop::collection::vec(
            (0_usize..5, prop::bool::weighted(0.85), prop::bool::weighted(0.8)), 0..7,
        ),
        answers in prop::collection::vec(
            prop::option::of((
                prop::option::weighted(0.8, prop::bool::weighted(0.85)),
                prop::bool::weighted(0.8),
            )),
            PROGRAMS.len(),
        ),
    ) -> World {
        let names = ["alice", "bob", "carol", "dan", "eve"];
        let people = names.iter().zip(memberships).map(|(name, (bits, active))| {
            let mut made = person(name);
            for (bit, group) in ["admins", "developers", "on-call"].iter().enumerate() {
                if bits & (1 << bit) != 0 {
                    made = made.in_group(group);
                }
            }
            if active { made } else { made.disabled() }
        }).collect();
        let group = |(and, conditions)| approvers(if and { And } else { Or }, conditions);
        let groups = groups.into_iter().map(group).collect();
        World {
            policy: approver_policy(if all { AllOf } else { AnyOf }, groups),
            excludes_own,
            people,
            requestor,
            grantee,
            manager,
            owners,
            ownerless,
            tiers: tiers.into_iter().map(group).collect(),
            decisions,
            answers,
        }
    }
}

/// The rules of the handbook, said again over indices and bits: no early returns, no slots.
fn oracle(world: &World) -> Option<bool> {
    use latchkey_domain::policy::matching::matches;
    let may = |who: usize| {
        world.people[who].user.is_active()
            && !(world.excludes_own && (who == world.requestor || who == world.grantee))
    };
    let has_owner = !world.ownerless && !world.owners.is_empty();
    let owns = |who: usize, rule: &Condition| matches(world.people[who].facts(), rule);
    let meets = |who: usize, condition: &Condition| {
        let negative = condition.operator().is_negative();
        match condition.attribute_type.as_str() {
            "manager" => world.manager.is_some_and(|manager| (manager == who) != negative),
            "Owner" => {
                let any = world.owners.iter().any(|rule| owns(who, rule));
                if negative { has_owner && !any } else { any }
            }
            _ => matches(world.people[who].facts(), condition),
        }
    };
    // For each group, whether all or any of its conditions count; for each condition the lists of
    // people of whom one each has to agree.
    let mut group_members: Vec<(bool, Vec<Vec<Vec<usize>>>)> = Vec::new();
    for group in world.policy.approver_groups.iter().chain(&world.tiers) {
        let (negative, positive): (Vec<&Condition>, Vec<&Condition>) =
            group.approvers.iter().partition(|condition| condition.operator().is_negative());
        let counts: Vec<usize> = (0..5)
            .filter(|who| may(*who) && negative.iter().all(|condition| meets(*who, condition)))
            .collect();
        let those = |test: &dyn Fn(usize) -> bool| {
            counts.iter().copied().filter(|who| test(*who)).collect::<Vec<usize>>()
        };
        // A program is asked at its address, and narrowed by nothing but what has no meaning.
        let programs_count = negative.iter().all(|condition| condition.attribute_type != "webhook");
        let programs = |condition: &Condition| {
            let numbers = FIRST_PROGRAM..FIRST_PROGRAM + PROGRAMS.len();
            let is_named = |at: &usize| {
                let url = PROGRAMS[at - FIRST_PROGRAM];
                condition.operator() == Is && condition.values().iter().any(|one| one == url)
            };
            numbers.filter(|_| programs_count).filter(is_named).collect::<Vec<usize>>()
        };
        let wants = |condition: &&Condition| match condition.attribute_type.as_str() {
            "webhook" => vec![programs(condition)],
            "Owner" => world.owners.iter().map(|rule| those(&|who| owns(who, rule))).collect(),
            _ => vec![those(&|who| meets(who, condition))],
        };
        let is_or = group.logical_operator == Or;
        let wants = if is_or && !negative.is_empty() {
            Vec::new()
        } else {
            positive.iter().map(wants).collect()
        };
        group_members.push((is_or, wants));
    }
    let asked = |who: usize| {
        let mut all = group_members.iter().flat_map(|(_, wants)| wants).flatten();
        all.any(|want| want.contains(&who))
    };
    let said = |yes: bool| {
        let fits = world.decisions.iter().filter(move |(_, said, fits)| *said == yes && *fits);
        let programs =
            world.answers.iter().enumerate().filter(|(_, came)| **came == Some((Some(yes), true)));
        let programs = programs.map(|(at, _)| FIRST_PROGRAM + at);
        let all = fits.map(|(who, _, _)| *who).chain(programs);
        all.filter(|who| asked(*who)).collect::<Vec<usize>>()
    };
    if !said(false).is_empty() {
        return Some(false);
    }
    let yes = said(true);
    let agreed = |wants: &Vec<Vec<usize>>, condition: &Condition| {
        (condition.attribute_type != "Owner" || has_owner)
            && wants.iter().all(|want| want.iter().any(|who| yes.contains(who)))
    };
    let all_groups = world.policy.approver_groups.iter().chain(&world.tiers);
    let satisfied: Vec<bool> = group_members
        .iter()
        .zip(all_groups)
        .map(|((is_or, wants), group)| {
            let positive = group.approvers.iter().filter(|one| !one.operator().is_negative());
            let filled: Vec<bool> =
                wants.iter().zip(positive).map(|(wants, one)| agreed(wants, one)).collect();
            let enough = if *is_or { 1 } else { filled.len() };
            !filled.is_empty() && filled.iter().filter(|filled| **filled).count() >= enough
        })
        .collect();
    let (groups, tiers) = satisfied.split_at(world.policy.approver_groups.len());
    let by_groups = match world.policy.approval_mode {
        AnyOf => groups.contains(&true),
        AllOf => !groups.contains(&false),
    };
    (by_groups || tiers.contains(&true)).then_some(true)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, ..ProptestConfig::default() })]

    #[test]
    fn the_outcome_is_that_of_the_plain_rules(world in some_world()) {
        let outcome = match world.case().evaluate(&world.approvals()) {
            ApprovalOutcome::Approved(_) => Some(true),
            ApprovalOutcome::Rejected { .. } | ApprovalOutcome::RejectedByProgram { .. } => {
                Some(false)
            },
            ApprovalOutcome::Waiting(_) => None,
        };
        prop_assert_eq!(outcome, oracle(&world));
    }

    #[test]
    fn a08_neither_order_nor_repetition_of_decisions_matters(
        world in some_world(), turn in 0_usize..7,
    ) {
        let case = world.case();
        let approvals = world.approvals();
        let mut turned = approvals.clone();
        turned.extend(approvals.clone());
        turned.reverse();
        let by = turn % turned.len().max(1);
        turned.rotate_left(by);
        let kind = |outcome| match outcome {
            ApprovalOutcome::Approved(ApprovedBy::Approvers { mut people, .. }) => {
                people.sort();
                (1, people)
            },
            ApprovalOutcome::Approved(_) => (2, vec![]),
            ApprovalOutcome::Rejected { .. } => (3, vec![]),
            ApprovalOutcome::Waiting(waiting) => (4, waiting.may_decide),
            ApprovalOutcome::RejectedByProgram { .. } => (5, vec![]),
        };
        prop_assert_eq!(kind(case.evaluate(&approvals)), kind(case.evaluate(&turned)));
    }

    #[test]
    fn a04_no_decision_of_requestor_or_grantee_ever_counts(mut world in some_world()) {
        world.excludes_own = true;
        let case = world.case();
        let all = case.evaluate(&world.approvals());
        let others = world.approvals().into_iter().filter(|approval| {
            approval.approver_id != case.requestor.user.id
                && approval.approver_id != case.grantee.user.id
        });
        let without = case.evaluate(&others.collect::<Vec<_>>());
        prop_assert_eq!(all, without);
    }

    #[test]
    fn a05_what_was_approved_before_a_change_approves_nothing_after_it(world in some_world()) {
        let mut case = world.case();
        case.digest = digest('c', "3600");
        let outcome = case.evaluate(&world.approvals());
        prop_assert!(matches!(outcome, ApprovalOutcome::Waiting(_)));
    }

    #[test]
    fn a_program_that_gave_no_decision_approves_and_rejects_nothing(mut world in some_world()) {
        for (decided, _) in world.answers.iter_mut().flatten() {
            *decided = None;
        }
        let after = world.case().evaluate(&world.approvals());
        world.answers.fill(None);
        let before = world.case().evaluate(&world.approvals());
        match (before, after) {
            // Only what can still come of it differs.
            (ApprovalOutcome::Waiting(before), ApprovalOutcome::Waiting(after)) => {
                prop_assert_eq!(before.may_decide, after.may_decide);
                prop_assert!(!before.is_stuck || after.is_stuck);
            },
            (before, after) => prop_assert_eq!(before, after),
        }
    }

    #[test]
    fn one_more_approval_never_takes_one_away(world in some_world(), who in 0_usize..5) {
        let case = world.case();
        let mut approvals = world.approvals();
        let before = case.evaluate(&approvals);
        approvals.push(decision(&world.people[who], Approved, &case.digest));
        let after = case.evaluate(&approvals);
        prop_assert!(!is_approved(&before) || is_approved(&after));
        prop_assert_eq!(
            matches!(before, ApprovalOutcome::Rejected { .. }),
            matches!(after, ApprovalOutcome::Rejected { .. })
        );
    }

    #[test]
    fn who_may_decide_is_who_counts(world in some_world(), who in 0_usize..5) {
        let case = world.case();
        let one = &world.people[who];
        let eligible = case.question().standing_of(one.facts()) == DeciderStanding::Eligible;
        let rejects = case.evaluate(&[decision(one, Rejected, &case.digest)]);
        let rejected = matches!(rejects, ApprovalOutcome::Rejected { .. });
        prop_assert_eq!(rejected, eligible);
        if let ApprovalOutcome::Waiting(waiting) = case.evaluate(&[]) {
            prop_assert_eq!(waiting.may_decide.contains(&one.user.id), eligible);
        }
    }

    #[test]
    fn a_request_that_waits_can_be_approved_unless_too_many_groups_are_empty(world in some_world()) {
        let case = world.case();
        let everybody: Vec<Approval> =
            world.people.iter().map(|one| decision(one, Approved, &case.digest)).collect();
        let ApprovalOutcome::Waiting(waiting) = case.evaluate(&[]) else {
            prop_assume!(case.answers.is_empty(), "programs have decided by themselves");
            return Err(TestCaseError::fail("nobody has decided"));
        };
        // Everybody includes the programs that have not answered yet.
        let mut world = world;
        for came in world.answers.iter_mut().filter(|came| came.is_none()) {
            *came = Some((Some(true), true));
        }
        let case = world.case();
        let groups = world.policy.approver_groups.len();
        let by_groups = match world.policy.approval_mode {
            AnyOf => waiting.empty_groups.len() < groups,
            AllOf => waiting.empty_groups.is_empty(),
        };
        let by_tiers = world.tiers.iter().any(|tier| {
            let policy = approver_policy(AnyOf, vec![tier.clone()]);
            let mut alone = world.case();
            alone.policy = Some(policy);
            alone.tiers.clear();
            is_approved(&alone.evaluate(&everybody))
        });
        let can = by_groups || by_tiers;
        prop_assert_eq!(is_approved(&case.evaluate(&everybody)), can);
        prop_assert_eq!(!waiting.is_stuck, can);
    }
}
