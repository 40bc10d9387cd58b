//! What approvals are bound to.

use latchkey_domain::{
    ids::{BundleId, FlowId, RequestId, UserId},
    policy::digest::{covers, request_digest},
    request::{AccessRequest, RequestState, RequestUnit, UnitState},
};
use proptest::prelude::*;

use crate::builders::{at, digest, entitlement, flow, noon, person, policy, request, unit};

fn asked() -> (AccessRequest, Vec<RequestUnit>) {
    let alice = person("alice");
    let units = vec![
        unit("1", &entitlement("orders", "READ_ONLY"), None),
        unit("2", &entitlement("carts", "READ_ONLY"), None),
    ];
    (request(&flow("reads", policy()), &alice, &alice), units)
}

type Change = Box<dyn Fn(&mut AccessRequest, &mut Vec<RequestUnit>)>;

/// Everything that could change under an approver, one at a time.
fn changes() -> Vec<(&'static str, Change)> {
    vec![
        ("request", Box::new(|asked, _| asked.id = RequestId::new("another"))),
        ("requestor", Box::new(|asked, _| asked.requestor_id = UserId::new("mallory"))),
        ("grantee", Box::new(|asked, _| asked.grantee_id = UserId::new("mallory"))),
        ("flow", Box::new(|asked, _| asked.flow_id = FlowId::new("another"))),
        ("flow version", Box::new(|asked, _| asked.flow_version += 1)),
        ("policy", Box::new(|asked, _| asked.flow_policy.request_for_others = true)),
        ("bundle", Box::new(|asked, _| asked.bundle_id = Some(BundleId::new("b")))),
        ("justification", Box::new(|asked, _| asked.justification = Some("another".to_owned()))),
        ("no justification", Box::new(|asked, _| asked.justification = None)),
        (
            "fields",
            Box::new(|asked, _| {
                asked.custom_fields.insert("break_glass".to_owned(), "true".to_owned());
            }),
        ),
        ("longer", Box::new(|asked, _| asked.duration_sec = Some(3_601))),
        ("endless", Box::new(|asked, _| asked.duration_sec = None)),
        (
            "one more",
            Box::new(|_, units| {
                units.push(unit("3", &entitlement("people", "READ_ONLY"), None));
            }),
        ),
        (
            "one less",
            Box::new(|_, units| {
                units.pop();
            }),
        ),
        (
            "another table",
            Box::new(|_, units| {
                units[0] = unit("1", &entitlement("people", "READ_ONLY"), None);
            }),
        ),
        (
            "another right",
            Box::new(|_, units| {
                units[0] = unit("1", &entitlement("orders", "READ_WRITE"), None);
            }),
        ),
        (
            "another table of that name",
            Box::new(|_, units| {
                units[0].resource_context.insert("oid".to_owned(), "17".to_owned());
            }),
        ),
    ]
}

#[test]
fn a05_any_change_after_approval_voids_it() {
    let (before, units) = asked();
    let approved = request_digest(&before, &units);
    assert!(covers(&approved, &approved));
    for (what, change) in changes() {
        let (mut request, mut units) = (before.clone(), units.clone());
        change(&mut request, &mut units);
        assert!(!covers(&approved, &request_digest(&request, &units)), "{what}");
    }
}

#[test]
fn a05_no_two_changes_look_alike() {
    let mut seen = std::collections::BTreeSet::new();
    for (what, change) in changes() {
        let (mut request, mut units) = asked();
        change(&mut request, &mut units);
        assert!(seen.insert(request_digest(&request, &units)), "{what}");
    }
}

#[test]
fn an_approver_may_shorten_what_others_approved() {
    let (mut request, units) = asked();
    let hour = request_digest(&request, &units);
    request.duration_sec = Some(1_800);
    let half = request_digest(&request, &units);
    assert!(covers(&hour, &half));
    assert!(!covers(&half, &hour));
    request.duration_sec = None;
    let endless = request_digest(&request, &units);
    assert!(covers(&endless, &hour) && covers(&endless, &half) && !covers(&half, &endless));
}

#[test]
fn the_course_of_a_request_does_not_void_approvals() {
    let (mut request, mut units) = asked();
    let filed = request_digest(&request, &units);
    request.digest.clone_from(&filed);
    request.state = RequestState::Granting;
    request.state_reason = Some("waits".to_owned());
    request.decided_at = Some(noon());
    request.ends_at = Some(at("2026-05-13T13:00:00Z"));
    request.version += 5;
    units[0].state = UnitState::Held;
    units[1].ends_at = Some(noon());
    units.reverse();
    assert_eq!(request_digest(&request, &units), filed);
}

#[test]
fn texts_that_are_no_digests_cover_nothing() {
    let good = digest('a', "60");
    let bad = [
        String::new(),
        ":".to_owned(),
        "a:60".to_owned(),
        digest('a', ""),
        digest('a', "soon"),
        digest('a', "6e1"),
        "a".repeat(64),
    ];
    for bad in bad {
        assert!(!covers(&bad, &good) && !covers(&good, &bad), "{bad}");
    }
    assert!(!covers(&digest('b', "60"), &good));
}

proptest! {
    #[test]
    fn covering_is_being_at_least_as_long(one in 1_i64.., other in 1_i64..) {
        let (first, second) = (digest('a', &one.to_string()), digest('a', &other.to_string()));
        prop_assert_eq!(covers(&first, &second), other <= one);
    }

    #[test]
    fn a05_words_cannot_be_moved_between_fields(
        fields in prop::collection::btree_map("[a-c]{0,3}", "[a-c]{0,3}", 0..3),
        others in prop::collection::btree_map("[a-c]{0,3}", "[a-c]{0,3}", 0..3),
        text in "[a-c]{0,3}", other_text in "[a-c]{0,3}",
    ) {
        let (mut one, units) = asked();
        let mut other = one.clone();
        one.custom_fields.clone_from(&fields);
        one.justification = Some(text.clone());
        other.custom_fields.clone_from(&others);
        other.justification = Some(other_text.clone());
        let same = fields == others && text == other_text;
        prop_assert_eq!(request_digest(&one, &units) == request_digest(&other, &units), same);
    }
}
