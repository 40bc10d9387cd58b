//! For whom a flow lets people ask.

use latchkey_domain::{
    flow::{FlowPolicy, RequestFor, RequestScope},
    policy::grantees::may_ask_for,
};

use crate::builders::{any_of, group_is, person, policy};

fn with(scopes: &[RequestScope], grantee_group: Option<&str>) -> FlowPolicy {
    FlowPolicy {
        request_for: Some(RequestFor {
            request_scopes: scopes.to_vec(),
            grantees: grantee_group.map(|name| any_of(vec![group_is(name)])),
        }),
        ..policy()
    }
}

#[test]
fn without_a_word_people_ask_for_themselves() {
    let (alice, bob) = (person("alice"), person("bob"));
    assert!(may_ask_for(&policy(), alice.facts(), alice.facts()));
    assert!(!may_ask_for(&policy(), alice.facts(), bob.facts()));
    assert!(may_ask_for(&with(&[], None), alice.facts(), alice.facts()));
    assert!(!may_ask_for(&with(&[], None), alice.facts(), bob.facts()));
}

#[test]
fn the_older_switch_is_for_anybody_and_yields_to_request_for() {
    let (alice, bob) = (person("alice"), person("bob"));
    let anybody = FlowPolicy { request_for_others: true, ..policy() };
    assert!(may_ask_for(&anybody, alice.facts(), bob.facts()));
    let limited = FlowPolicy { request_for_others: true, ..with(&[RequestScope::Myself], None) };
    assert!(!may_ask_for(&limited, alice.facts(), bob.facts()));
    let opened = FlowPolicy {
        request_for_others: false,
        ..with(&[RequestScope::Myself, RequestScope::Others], Some("interns"))
    };
    assert!(may_ask_for(&opened, alice.facts(), bob.in_group("interns").facts()));
}

#[test]
fn others_are_those_who_meet_the_grantee_conditions_and_never_oneself() {
    let alice = person("alice").in_group("interns");
    let others = with(&[RequestScope::Others], Some("interns"));
    assert!(may_ask_for(&others, alice.facts(), person("bob").in_group("interns").facts()));
    assert!(!may_ask_for(&others, alice.facts(), person("bob").facts()));
    assert!(!may_ask_for(&others, alice.facts(), alice.facts()), "self was not given");
    let nobody = with(&[RequestScope::Others], None);
    assert!(!may_ask_for(&nobody, alice.facts(), person("bob").facts()));
}

#[test]
fn direct_reports_are_those_whose_manager_the_requestor_is() {
    let alice = person("alice");
    let mut bob = person("bob");
    let reports = with(&[RequestScope::DirectReports], None);
    assert!(!may_ask_for(&reports, alice.facts(), bob.facts()));
    bob.user.manager_id = Some(alice.user.id.clone());
    assert!(may_ask_for(&reports, alice.facts(), bob.facts()));
    assert!(!may_ask_for(&reports, bob.facts(), alice.facts()), "not the other way round");
}
