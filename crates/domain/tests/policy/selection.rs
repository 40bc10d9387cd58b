//! Which flow governs.

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    bundle::BundleTarget,
    flow::{
        AccessFlow, FlowPolicy, FlowTarget, LogicalOperator, MatchOperator, RequestFor,
        RequestScope,
    },
    ids::{AccessScopeId, BundleId},
    inventory::{Entitlement, ResourceStatus},
    policy::{
        explanation::{Advantage, Reason},
        selection::{Asking, Preference, Refusal, is_usable_by, select, split},
        targets::NoContents,
    },
};
use proptest::prelude::*;

use crate::{
    builders::{
        Held, Person, any_of, approved_by, at, condition, entitlement, flow, noon, person, policy,
        read_tables, tables, user_is,
    },
    timeframe::office_hours,
};

fn asking(requestor: &Person) -> Asking<'_> {
    Asking {
        requestor: requestor.facts(),
        grantee: requestor.facts(),
        bundle: None,
        contents: &NoContents,
        duration_sec: Some(600),
        break_glass: false,
        now: noon(),
        preference: Preference::LeastFriction,
    }
}

fn with_approval(policy: FlowPolicy) -> FlowPolicy {
    FlowPolicy { approver_policy: Some(approved_by(&["bob"])), ..policy }
}

fn minutes(minutes: Option<u32>, policy: FlowPolicy) -> FlowPolicy {
    FlowPolicy { grant_duration_in_min: minutes, ..policy }
}

fn orders() -> Entitlement {
    entitlement("orders", "READ_ONLY")
}

fn chosen(flows: &[AccessFlow], asking: &Asking<'_>) -> Result<String, Refusal> {
    select(flows, asking, &orders()).outcome.map(|flow| flow.name.clone())
}

fn aged(days: i64, mut flow: AccessFlow) -> AccessFlow {
    flow.created_at = noon().checked_sub(SignedDuration::from_hours(24 * days)).unwrap();
    flow
}

#[test]
fn least_friction_prefers_no_approval_then_the_longest_then_the_oldest() {
    let alice = person("alice");
    let flows = [
        flow("approved-endless", minutes(None, with_approval(policy()))),
        flow("hour", policy()),
        flow("day", minutes(Some(1_440), policy())),
        aged(3, flow("old-day", minutes(Some(1_440), policy()))),
    ];
    assert_eq!(chosen(&flows, &asking(&alice)), Ok("old-day".to_owned()));
    assert_eq!(chosen(&flows[..2], &asking(&alice)), Ok("hour".to_owned()));
}

#[test]
fn strictest_prefers_approval_then_the_shortest_that_covers_then_the_oldest() {
    let alice = person("alice");
    let strict = Asking { preference: Preference::Strictest, ..asking(&alice) };
    let flows = [
        flow("open", policy()),
        flow("approved-day", minutes(Some(1_440), with_approval(policy()))),
        flow("approved-hour", with_approval(policy())),
        aged(1, flow("approved-old-hour", with_approval(policy()))),
        flow("approved-short", minutes(Some(5), with_approval(policy()))),
    ];
    assert_eq!(chosen(&flows, &strict), Ok("approved-old-hour".to_owned()));
    let short = Asking { duration_sec: Some(300), ..strict };
    assert_eq!(chosen(&flows, &short), Ok("approved-short".to_owned()));
}

#[test]
fn of_flows_made_in_the_same_instant_the_smaller_id_governs_in_whatever_order_they_come() {
    let alice = person("alice");
    let mut flows = [flow("a", policy()), flow("b", policy())];
    for preference in [Preference::LeastFriction, Preference::Strictest] {
        for _ in 0..2 {
            flows.reverse();
            let asking = Asking { preference, ..asking(&alice) };
            assert_eq!(chosen(&flows, &asking), Ok("a".to_owned()));
        }
    }
}

#[test]
fn the_setting_is_read_and_damage_is_strict() {
    assert_eq!(Preference::from_setting("least_friction"), Preference::LeastFriction);
    assert_eq!(Preference::from_setting("strictest"), Preference::Strictest);
    assert_eq!(Preference::from_setting(""), Preference::Strictest);
}

#[test]
fn a07_one_flows_duration_never_goes_with_anothers_approvals() {
    let alice = person("alice");
    let flows = [
        flow("short-open", minutes(Some(30), policy())),
        flow("long-approved", minutes(Some(480), with_approval(policy()))),
    ];
    let long = Asking { duration_sec: Some(4 * 3_600), ..asking(&alice) };
    assert_eq!(chosen(&flows, &long), Ok("long-approved".to_owned()));
    assert_eq!(chosen(&flows, &asking(&alice)), Ok("short-open".to_owned()));
}

#[test]
fn a07_a_break_glass_flow_governs_only_when_asked_for() {
    let alice = person("alice");
    let mut emergency = policy();
    emergency.settings.labels = vec!["night".to_owned(), "Break-Glass".to_owned()];
    let flows = [flow("emergency", emergency)];
    let no = chosen(&flows, &asking(&alice)).unwrap_err();
    assert_eq!(no, Refusal::NoMatchingFlow);
    let named = Asking { break_glass: true, ..asking(&alice) };
    assert_eq!(chosen(&flows, &named), Ok("emergency".to_owned()));
}

#[test]
fn if_only_the_duration_stands_in_the_way_the_longest_is_named() {
    let alice = person("alice");
    let flows = [
        flow("hour", policy()),
        flow("two", minutes(Some(120), with_approval(policy()))),
        flow(
            "not-hers",
            minutes(None, FlowPolicy { requestors: any_of(vec![user_is("bob")]), ..policy() }),
        ),
    ];
    let long = Asking { duration_sec: Some(7_201), ..asking(&alice) };
    assert_eq!(chosen(&flows, &long), Err(Refusal::DurationTooLong { longest_sec: 7_200 }));
    let exact = Asking { duration_sec: Some(7_200), ..asking(&alice) };
    assert_eq!(chosen(&flows, &exact), Ok("two".to_owned()));
    let unsaid = Asking { duration_sec: None, ..asking(&alice) };
    assert_eq!(chosen(&flows, &unsaid), Ok("hour".to_owned()));
}

#[test]
fn if_only_the_timeframe_does_the_next_opening_is_named() {
    let alice = person("alice");
    let flows = [flow("office", FlowPolicy { timeframe: Some(office_hours()), ..policy() })];
    let saturday = Asking { now: at("2026-05-16T10:00:00Z"), ..asking(&alice) };
    let monday = at("2026-05-18T07:00:00Z");
    assert_eq!(
        chosen(&flows, &saturday),
        Err(Refusal::OutsideTimeframe { next_opening: Some(monday) })
    );
    assert_eq!(chosen(&flows, &Asking { now: monday, ..saturday }), Ok("office".to_owned()));
    let both = Asking { duration_sec: Some(86_400), ..saturday };
    assert_eq!(chosen(&flows, &both), Err(Refusal::NoMatchingFlow));
}

#[test]
fn a10_durations_that_nobody_can_ask_for_are_covered_by_no_flow() {
    let alice = person("alice");
    let flows = [flow("endless", minutes(None, policy()))];
    for seconds in [0, -1, i64::MIN, i64::MAX, 1_000_000_000_000_000_000] {
        let asking = Asking { duration_sec: Some(seconds), ..asking(&alice) };
        assert!(chosen(&flows, &asking).is_err(), "{seconds}");
    }
}

#[test]
fn disabled_people_get_nothing() {
    let (alice, bob) = (person("alice"), person("bob").disabled());
    let anybody = FlowPolicy { request_for_others: true, ..policy() };
    let flows = [flow("any", anybody)];
    assert!(chosen(&flows, &asking(&bob)).is_err());
    let for_bob = Asking { grantee: bob.facts(), ..asking(&alice) };
    assert!(chosen(&flows, &for_bob).is_err());
    assert!(!is_usable_by(&flows[0], alice.facts(), bob.facts()));
    assert!(is_usable_by(&flows[0], alice.facts(), alice.facts()));
}

#[test]
fn a_flow_that_asks_for_a_second_factor_governs_and_comes_after_one_that_does_not() {
    let alice = person("alice");
    let mut careful = policy();
    careful.settings.require_mfa = true;
    let flows = [flow("careful", careful.clone())];
    assert_eq!(chosen(&flows, &asking(&alice)), Ok("careful".to_owned()));
    assert!(is_usable_by(&flows[0], alice.facts(), alice.facts()));
    let both = [flow("careful", careful), flow("plain", policy())];
    assert_eq!(chosen(&both, &asking(&alice)), Ok("plain".to_owned()));
    let strict = Asking { preference: Preference::Strictest, ..asking(&alice) };
    assert_eq!(chosen(&both, &strict), Ok("careful".to_owned()));
}

#[test]
fn flows_govern_by_attributes_of_requestor_and_grantee() {
    let city = |name: &str| any_of(vec![condition("okta_city", MatchOperator::Is, &[name])]);
    let flows = [
        flow("paris", FlowPolicy { requestors: city("Paris"), ..policy() }),
        flow(
            "berlin",
            FlowPolicy {
                requestors: city("berlin"),
                request_for: Some(RequestFor {
                    request_scopes: vec![RequestScope::Myself, RequestScope::Others],
                    grantees: Some(city("Rome")),
                }),
                ..policy()
            },
        ),
    ];
    let alice = person("alice").having("okta_city", "Berlin");
    assert_eq!(chosen(&flows, &asking(&alice)).unwrap(), "berlin");
    let (bob, carol) = (person("bob").having("okta_city", "ROME"), person("carol"));
    let for_other = |other: &Person| {
        chosen(&flows, &Asking { grantee: other.facts(), ..asking(&alice) }).is_ok()
    };
    assert!(for_other(&bob) && !for_other(&carol));
    assert!(chosen(&flows, &asking(&carol)).is_err());
}

fn target(target: FlowTarget) -> FlowPolicy {
    FlowPolicy { access_targets: vec![target], ..policy() }
}

#[test]
fn an_entitlement_asked_for_through_a_bundle_considers_only_flows_of_that_bundle() {
    let alice = person("alice");
    let analysts = BundleId::new("analysts");
    let held = Held::bundle("analysts", vec![read_tables()]);
    let through = Asking { bundle: Some(&analysts), contents: &held, ..asking(&alice) };
    let by_bundle = target(FlowTarget::Bundle(analysts.clone()));
    let other = target(FlowTarget::Bundle(BundleId::new("other")));
    let flows = [flow("direct", policy()), flow("other", other)];
    let selection = select(&flows, &through, &orders());
    assert!(selection.outcome.is_err());
    let reasons = selection.explanation.passed_over.into_iter().map(|flow| flow.reason);
    assert_eq!(reasons.collect::<Vec<_>>(), [Reason::NotThisBundle, Reason::NotThisBundle]);
    let flows = [flow("direct", policy()), flow("by-bundle", with_approval(by_bundle))];
    assert_eq!(
        chosen(&flows, &through),
        Ok("by-bundle".to_owned()),
        "not the one of less friction"
    );
    let emptied = Held::bundle("analysts", vec![]);
    let through = Asking { contents: &emptied, ..through };
    assert!(chosen(&flows, &through).is_err(), "what left the bundle is not given through it");
}

#[test]
fn a_flow_gives_the_members_of_its_bundles_and_access_scopes_one_by_one_too() {
    let alice = person("alice");
    let bundle = target(FlowTarget::Bundle(BundleId::new("b")));
    let scope = target(FlowTarget::AccessScope(AccessScopeId::new("s")));
    let nested = BundleTarget::AccessScope(AccessScopeId::new("s"));
    let by_part = Held::bundle("b", vec![read_tables()]);
    let by_scope = Held { scope: Some(("s", "orders")), ..Held::bundle("b", vec![nested]) };
    for (policy, held, name) in
        [(&bundle, &by_part, "part"), (&bundle, &by_scope, "nested"), (&scope, &by_scope, "scope")]
    {
        let flows = [flow(name, policy.clone())];
        let with = Asking { contents: held, ..asking(&alice) };
        assert_eq!(chosen(&flows, &with), Ok(name.to_owned()));
        assert!(chosen(&flows, &asking(&alice)).is_err(), "unknown things hold nothing");
        let carts = select(&flows, &with, &entitlement("carts", "ALL"));
        assert_eq!(carts.explanation.passed_over[0].reason, Reason::Target);
        let mut gone = orders();
        gone.resource.status = ResourceStatus::Error;
        assert!(select(&flows, &with, &gone).outcome.is_err(), "{name}");
    }
}

#[test]
fn a_call_is_split_by_governing_flow_and_an_entitlement_counts_once() {
    let alice = person("alice");
    let writes =
        FlowPolicy { access_targets: vec![tables(&["READ_WRITE"])], ..with_approval(policy()) };
    let flows = [flow("reads", policy()), flow("writes", writes)];
    let wanted = [
        entitlement("orders", "READ_ONLY"),
        entitlement("orders", "READ_WRITE"),
        entitlement("carts", "READ_ONLY"),
        entitlement("orders", "READ_ONLY"),
    ];
    let split = split(&flows, &asking(&alice), &wanted);
    let parts: Vec<(&str, &[usize])> = split
        .parts
        .iter()
        .map(|part| (part.flow.name.as_str(), part.entitlements.as_slice()))
        .collect();
    assert_eq!(parts, [("reads", &[0, 2][..]), ("writes", &[1][..])]);
    assert_eq!(split.refusal(), None);
    assert_eq!(split.explanations.len(), 4);
}

#[test]
fn one_entitlement_without_a_flow_refuses_the_call_and_is_named() {
    let alice = person("alice");
    let flows = [flow("reads", policy())];
    let wanted = [entitlement("orders", "READ_ONLY"), entitlement("orders", "ALL")];
    let split = split(&flows, &asking(&alice), &wanted);
    assert_eq!(split.refused.len(), 1);
    assert_eq!(split.refused[0].0, 1);
    assert_eq!(split.refusal(), Some(Refusal::NoMatchingFlow));
}

#[test]
fn the_refusal_of_a_call_holds_for_all_of_it() {
    let alice = person("alice");
    let writes = FlowPolicy { access_targets: vec![tables(&["READ_WRITE"])], ..policy() };
    let flows =
        [flow("reads", minutes(Some(30), policy())), flow("writes", minutes(Some(10), writes))];
    let long = Asking { duration_sec: Some(7_200), ..asking(&alice) };
    let both = [entitlement("orders", "READ_ONLY"), entitlement("orders", "READ_WRITE")];
    assert_eq!(
        split(&flows, &long, &both).refusal(),
        Some(Refusal::DurationTooLong { longest_sec: 600 })
    );
    let worse = [both[0].clone(), entitlement("orders", "ALL")];
    assert_eq!(split(&flows, &long, &worse).refusal(), Some(Refusal::NoMatchingFlow));
}

#[test]
fn an_explanation_says_why_each_flow_was_passed_over() {
    let alice = person("alice");
    let mut inactive = flow("inactive", policy());
    inactive.active = false;
    let flows = [
        inactive,
        flow("bobs", FlowPolicy { requestors: any_of(vec![user_is("bob")]), ..policy() }),
        flow("other", FlowPolicy { access_targets: vec![tables(&["ALL"])], ..policy() }),
        flow("approved", with_approval(policy())),
        flow("open", policy()),
        flow("short", minutes(Some(5), policy())),
    ];
    let explanation = select(&flows, &asking(&alice), &orders()).explanation;
    assert_eq!(explanation.chosen.as_ref().unwrap().flow_name, "open");
    let reasons: Vec<&Reason> = explanation.passed_over.iter().map(|flow| &flow.reason).collect();
    assert_eq!(
        reasons,
        [
            &Reason::Inactive,
            &Reason::Requestor,
            &Reason::Target,
            &Reason::Outranked(Advantage::NoApproval),
            &Reason::TooLong { longest_sec: 300 },
        ]
    );
    let seen = explanation.for_requestor();
    assert!(seen.passed_over.iter().all(|flow| flow.flow_name != "bobs"), "not hers to know");
    assert_eq!(seen.passed_over.len(), 4);
}

// The laws.

#[derive(Debug, Clone)]
struct World {
    flows: Vec<AccessFlow>,
    requestor: Person,
    grantee: Person,
    duration_sec: Option<i64>,
    break_glass: bool,
    now: Timestamp,
    preference: Preference,
}

impl World {
    fn asking(&self) -> Asking<'_> {
        Asking {
            requestor: self.requestor.facts(),
            grantee: self.grantee.facts(),
            bundle: None,
            contents: &NoContents,
            duration_sec: self.duration_sec,
            break_glass: self.break_glass,
            now: self.now,
            preference: self.preference,
        }
    }
}

prop_compose! {
    fn some_flow()(
        requestors in prop::collection::vec(crate::matching::some_condition(), 1..3),
        and in prop::bool::ANY,
        open_to_all in prop::bool::weighted(0.5),
        active in prop::bool::weighted(0.9),
        others in prop::bool::ANY,
        approval in prop::bool::ANY,
        minutes in prop::sample::select(vec![None, Some(5), Some(10), Some(60), Some(u32::MAX)]),
        timed in prop::bool::weighted(0.2),
        mfa in prop::bool::weighted(0.1),
        emergency in prop::bool::weighted(0.1),
        permission in prop::sample::select(vec!["READ_ONLY", "READ_ONLY", "ALL"]),
        days in 0_i64..3,
    ) -> AccessFlow {
        let mut policy = policy();
        if !open_to_all {
            policy.requestors = any_of(requestors);
            if and {
                policy.requestors.logical_operator = LogicalOperator::And;
            }
        }
        policy.request_for_others = others;
        policy.access_targets = vec![tables(&[permission])];
        policy.approver_policy = approval.then(|| approved_by(&["bob"]));
        policy.grant_duration_in_min = minutes;
        policy.timeframe = timed.then(office_hours);
        policy.settings.require_mfa = mfa;
        if emergency {
            policy.settings.labels = vec!["break-glass".to_owned()];
        }
        let mut made = aged(days, flow("flow", policy));
        made.active = active;
        made
    }
}

prop_compose! {
    fn some_world()(
        mut flows in prop::collection::vec(some_flow(), 0..7),
        requestor in crate::matching::some_person(),
        grantee in crate::matching::some_person(),
        own in prop::bool::weighted(0.7),
        duration_sec in prop::option::of(prop::sample::select(vec![1, 300, 301, 600, 3_600, 100_000])),
        break_glass in prop::bool::ANY,
        weekend in prop::bool::weighted(0.3),
        strict in prop::bool::ANY,
    ) -> World {
        for (n, flow) in flows.iter_mut().enumerate() {
            flow.id = latchkey_domain::ids::FlowId::new(format!("flow-{n}"));
        }
        World {
            flows,
            grantee: if own { requestor.clone() } else { grantee },
            requestor,
            duration_sec,
            break_glass,
            now: if weekend { at("2026-05-16T10:00:00Z") } else { noon() },
            preference: if strict { Preference::Strictest } else { Preference::LeastFriction },
        }
    }
}

/// The rules of the handbook, said again in the plainest way: filter, then sort.
fn oracle(world: &World) -> Option<String> {
    let asking = world.asking();
    let mut candidates: Vec<&AccessFlow> = world
        .flows
        .iter()
        .filter(|flow| is_usable_by(flow, asking.requestor, asking.grantee))
        .filter(|flow| {
            let FlowTarget::Integration(target) = &flow.policy.access_targets[0] else {
                return false;
            };
            target.permissions == ["READ_ONLY"]
        })
        .filter(|flow| world.break_glass || flow.policy.settings.labels.is_empty())
        .filter(|flow| flow.policy.timeframe.is_none() || world.now == noon())
        .filter(|flow| match (world.duration_sec, flow.policy.grant_duration_in_min) {
            (Some(asked), Some(minutes)) => asked <= i64::from(minutes) * 60,
            _ => true,
        })
        .collect();
    let key = |flow: &AccessFlow| {
        let friction = (flow.policy.approver_policy.is_some(), flow.policy.settings.require_mfa);
        let friction = i64::from(friction.0) * 2 + i64::from(friction.1);
        let longest = flow.policy.grant_duration_in_min.map_or(i64::MAX, i64::from);
        match world.preference {
            Preference::LeastFriction => (friction, -longest),
            Preference::Strictest => (-friction, longest),
        }
    };
    candidates.sort_by(|one, other| {
        key(one)
            .cmp(&key(other))
            .then(one.created_at.cmp(&other.created_at))
            .then(one.id.cmp(&other.id))
    });
    candidates.first().map(|flow| flow.id.as_str().to_owned())
}

proptest! {
    #[test]
    fn the_choice_is_that_of_the_plain_rules(world in some_world()) {
        let selection = select(&world.flows, &world.asking(), &orders());
        let chosen = selection.outcome.as_ref().ok().map(|flow| flow.id.as_str().to_owned());
        prop_assert_eq!(&chosen, &oracle(&world));
        let explained = selection.explanation.passed_over.len() + usize::from(chosen.is_some());
        prop_assert_eq!(explained, world.flows.len(), "every flow is accounted for");
    }

    #[test]
    fn the_order_of_flows_is_nothing(world in some_world(), turn in 0_usize..7) {
        let first = select(&world.flows, &world.asking(), &orders());
        let mut turned = world.flows.clone();
        turned.reverse();
        let by = turn % turned.len().max(1);
        turned.rotate_left(by);
        let second = select(&turned, &world.asking(), &orders());
        let id = |outcome: &Result<&AccessFlow, Refusal>| {
            outcome.as_ref().map(|flow| flow.id.clone()).map_err(Clone::clone)
        };
        prop_assert_eq!(id(&first.outcome), id(&second.outcome));
    }

    #[test]
    fn one_more_flow_never_takes_access_away(world in some_world(), more in some_flow()) {
        let before = select(&world.flows, &world.asking(), &orders()).outcome.is_ok();
        let mut flows = world.flows.clone();
        flows.push(more);
        prop_assert!(!before || select(&flows, &world.asking(), &orders()).outcome.is_ok());
    }

    #[test]
    fn a_split_covers_each_entitlement_exactly_once(world in some_world()) {
        let wanted = [
            entitlement("orders", "READ_ONLY"),
            entitlement("orders", "ALL"),
            entitlement("carts", "READ_ONLY"),
            entitlement("carts", "ALL"),
        ];
        let split = split(&world.flows, &world.asking(), &wanted);
        let mut places: Vec<usize> = split.parts.iter().flat_map(|part| part.entitlements.clone()).collect();
        places.extend(split.refused.iter().map(|(place, _)| *place));
        places.sort_unstable();
        prop_assert_eq!(places, [0, 1, 2, 3]);
        prop_assert_eq!(split.refusal().is_some(), !split.refused.is_empty());
        for part in &split.parts {
            for place in &part.entitlements {
                let alone = select(&world.flows, &world.asking(), &wanted[*place]).outcome;
                prop_assert_eq!(&alone.unwrap().id, &part.flow.id);
            }
        }
    }
}
