//! Floors: what no flow goes below.

use jiff::Timestamp;
use latchkey_domain::{
    flow::{AccessFlow, FlowPolicy, FlowTrigger},
    policy::{
        deciding::{Facts, NoLongerAllowed, still_allowed},
        ends::longest_grant,
        explanation::Reason,
        extensions::{NotExtended, later_end},
        floors::{Floor, parse_floors},
        owners::Owners,
        selection::{Asking, Preference, Refusal, select, split},
    },
    request::RequestState,
};
use proptest::prelude::*;
use serde_json::json;

use crate::builders::{
    Held, approved_by, at, entitlement, flow, noon, person, policy, read_tables, request,
};

fn floor(approval: bool, second_factor: bool, longest_sec: Option<u32>) -> Floor {
    Floor { names: ["production".to_owned()].into(), approval, second_factor, longest_sec }
}

fn under(floor: Floor) -> Held {
    Held { floor, ..Held::bundle("b", vec![read_tables()]) }
}

fn asking<'a>(contents: &'a Held, alice: &'a crate::builders::Person) -> Asking<'a> {
    Asking {
        requestor: alice.facts(),
        grantee: alice.facts(),
        bundle: None,
        contents,
        duration_sec: None,
        break_glass: true,
        now: noon(),
        preference: Preference::LeastFriction,
    }
}

fn with_approval(policy: FlowPolicy) -> FlowPolicy {
    FlowPolicy { approver_policy: Some(approved_by(&["bob"])), ..policy }
}

#[test]
fn a07_no_flow_without_approvers_governs_where_a_floor_wants_an_approval() {
    let (alice, held) = (person("alice"), under(floor(true, false, None)));
    let orders = entitlement("orders", "READ_ONLY");
    let mut glass = policy();
    glass.settings.labels = vec!["break-glass".to_owned()];
    let open = [flow("open", policy()), flow("glass", glass)];
    let refused = select(&open, &asking(&held, &alice), &orders);
    let Err(Refusal::BelowFloor { flow_name, .. }) = &refused.outcome else {
        panic!("{:?}", refused.outcome)
    };
    assert_eq!(flow_name, "glass", "always the same one, whatever the order");
    assert!(refused.explanation.passed_over.iter().all(|one| one.reason.code() == "BelowFloor"));

    let flows = [flow("open", policy()), flow("asks", with_approval(policy()))];
    let selected = select(&flows, &asking(&held, &alice), &orders);
    assert_eq!(selected.outcome.unwrap().name, "asks");
    let passed = &selected.explanation.passed_over;
    assert!(matches!(&passed[..], [one] if matches!(one.reason, Reason::BelowFloor(_))));
    assert_eq!(selected.explanation.floors, ["production"]);
}

#[test]
fn a07_a_floor_shortens_what_the_flow_allows_and_adds_the_second_factor() {
    let (alice, held) = (person("alice"), under(floor(false, true, Some(90))));
    let flows = [flow("hour", policy())];
    let orders = [entitlement("orders", "READ_ONLY")];
    let asked = split(&flows, &asking(&held, &alice), &orders);
    let governing = asked.parts[0].policy();
    assert_eq!(longest_grant(&governing), Some(90));
    assert_eq!(governing.grant_duration_in_min, Some(2), "as whole minutes, rounded up");
    assert!(governing.settings.require_mfa);

    let longer = Asking { duration_sec: Some(91), ..asking(&held, &alice) };
    let refused = select(&flows, &longer, &orders[0]).outcome.unwrap_err();
    assert_eq!(refused, Refusal::DurationTooLong { longest_sec: 90 });
    let as_long = Asking { duration_sec: Some(90), ..asking(&held, &alice) };
    assert!(select(&flows, &as_long, &orders[0]).outcome.is_ok());
}

/// What comes of looking at Alice's request again: filed under `frozen`, which is its flow still,
/// for so long, without a second factor.
fn seen_again<T>(
    frozen: &FlowPolicy,
    duration_sec: Option<i64>,
    floor: Floor,
    now: Timestamp,
    ask: impl FnOnce(&Facts<'_>) -> T,
) -> T {
    let (alice, held) = (person("alice"), under(floor));
    let current: AccessFlow = flow("reads", frozen.clone());
    ask(&Facts {
        frozen,
        current: Some(&current),
        requestor: alice.facts(),
        asker: alice.facts(),
        grantee: alice.facts(),
        bundle: None,
        contents: &held,
        entitlements: &[entitlement("orders", "READ_ONLY")],
        owners: Owners::NONE,
        tiers_told: 0,
        answers: &[],
        unit_count: 1,
        has_second_factor: false,
        duration_sec,
        digest: "",
        now,
    })
}

/// Whether a request that was filed without floors is still allowed.
fn again(
    frozen: &FlowPolicy,
    duration_sec: Option<i64>,
    floor: Floor,
) -> Result<(), NoLongerAllowed> {
    seen_again(frozen, duration_sec, floor, noon(), |facts| still_allowed(facts).map(|_| ()))
}

#[test]
fn a06_a_floor_that_came_after_filing_binds_at_decision_and_at_grant() {
    let open = policy();
    let below = again(&open, Some(600), floor(true, false, None));
    assert!(matches!(below, Err(NoLongerAllowed::BelowFloor(_))), "{below:?}");
    assert_eq!(again(&with_approval(policy()), Some(600), floor(true, false, None)), Ok(()));
    let factor = again(&open, Some(600), floor(false, true, None));
    assert!(matches!(factor, Err(NoLongerAllowed::SecondFactorForFloor(_))), "{factor:?}");
    let long = again(&open, Some(600), floor(false, false, Some(599)));
    assert_eq!(long, Err(NoLongerAllowed::TooLongForFloor { longest_sec: 599 }));
    assert_eq!(again(&open, Some(600), floor(false, false, Some(600))), Ok(()));
    let endless = FlowPolicy { grant_duration_in_min: None, ..policy() };
    let long = again(&endless, None, floor(false, false, Some(600)));
    assert_eq!(long, Err(NoLongerAllowed::TooLongForFloor { longest_sec: 600 }));
    let automatic = FlowPolicy { trigger: FlowTrigger::Automatic, ..with_approval(policy()) };
    let given = again(&automatic, Some(60), floor(false, false, Some(600)));
    assert!(matches!(given, Err(NoLongerAllowed::BelowFloor(_))), "{given:?}");
}

#[test]
fn extensions_end_where_a_floor_does() {
    let alice = person("alice");
    let mut policy = policy();
    policy.settings.max_extensions = 9;
    policy.settings.extension_duration_in_min = 30;
    let current = flow("reads", policy);
    let mut request = request(&current, &alice, &alice);
    request.state = RequestState::Active;
    request.decided_at = Some(noon());
    request.ends_at = Some(at("2026-05-13T13:00:00Z"));
    let extended = |request: &_, longest| {
        let floor = floor(false, false, Some(longest));
        let now = at("2026-05-13T12:59:00Z");
        seen_again(&current.policy, Some(3_600), floor, now, |facts| later_end(request, facts))
    };
    assert_eq!(extended(&request, 9_000), Ok(at("2026-05-13T13:30:00Z")));
    assert_eq!(extended(&request, 4_000), Ok(at("2026-05-13T13:06:40Z")));
    assert_eq!(extended(&request, 3_600), Err(NotExtended::Floor { longest_sec: 3_600 }));
}

#[test]
fn a_list_of_floors_says_what_is_wrong_with_it() {
    let fine = json!([{ "name": "prod", "query": "resource_type = \"x\"", "mfa": true }]);
    assert_eq!(parse_floors(&fine).unwrap().len(), 1);
    let wrong = [
        (json!({}), "expected a sequence"),
        (json!([{ "name": "prod", "query": "q" }]), "asks for nothing"),
        (json!([{ "name": " ", "query": "q", "mfa": true }]), "a name has"),
        (json!([{ "name": "a", "query": "q", "longest_sec": 0 }]), "at least one second"),
        (json!([{ "name": "a", "query": "q", "longest": 5 }]), "unknown field"),
        (
            json!([{ "name": "a", "query": "q", "mfa": true }, { "name": "a", "query": "r", "mfa": true }]),
            "there twice",
        ),
    ];
    for (value, problem) in wrong {
        let said = parse_floors(&value).unwrap_err();
        assert!(said.contains(problem), "{value}: {said}");
    }
}

fn any_floor() -> impl Strategy<Value = Floor> {
    (any::<bool>(), any::<bool>(), prop::option::of(1..9_000u32))
        .prop_map(|(approval, second_factor, longest)| floor(approval, second_factor, longest))
}

proptest! {
    #[test]
    fn a07_whatever_flow_governs_it_is_never_below_the_floor(
        floor in any_floor(),
        flows in prop::collection::vec((any::<bool>(), any::<bool>(), prop::option::of(1..200u32)), 1..6),
        asked in prop::option::of(1..12_000i64),
        strict in any::<bool>(),
    ) {
        let flows: Vec<AccessFlow> = flows.into_iter().enumerate().map(|(number, one)| {
            let (needs_approval, require_mfa, grant_duration_in_min) = one;
            let mut policy = FlowPolicy { grant_duration_in_min, ..policy() };
            policy.settings.require_mfa = require_mfa;
            if needs_approval {
                policy = with_approval(policy);
            }
            flow(&format!("flow {number}"), policy)
        }).collect();
        let (alice, held) = (person("alice"), under(floor.clone()));
        let preference = if strict { Preference::Strictest } else { Preference::LeastFriction };
        let asking = Asking { duration_sec: asked, preference, ..asking(&held, &alice) };
        let both = [entitlement("orders", "READ_ONLY"), entitlement("carts", "READ_ONLY")];
        let split = split(&flows, &asking, &both);
        for part in &split.parts {
            let policy = part.policy();
            prop_assert!(!floor.approval || policy.approver_policy.is_some());
            prop_assert!(!floor.second_factor || policy.settings.require_mfa);
            if let Some(longest) = floor.longest_sec {
                prop_assert!(longest_grant(&policy).is_some_and(|own| own <= i64::from(longest)));
                prop_assert!(asked.is_none_or(|asked| asked <= i64::from(longest)));
            }
        }
    }
}
