//! Conditions on people.

use latchkey_domain::{
    flow::{Condition, MatchOperator},
    ids::{AttributeValueId, IntegrationId},
    policy::matching::{matches, meets, same_person},
};
use proptest::prelude::*;

use crate::builders::{Person, all_of, any_of, condition, group_is, person, user_is};

const OPERATORS: [MatchOperator; 5] = [
    MatchOperator::Is,
    MatchOperator::IsNot,
    MatchOperator::Contains,
    MatchOperator::DoesNotContain,
    MatchOperator::StartsWith,
];

pub fn some_condition() -> impl Strategy<Value = Condition> {
    let kinds = prop::sample::select(vec!["user", "group", "user", "group", "opsgenie_schedule"]);
    let values = prop::sample::select(vec![
        "alice@corp.example",
        "ID-BOB",
        "id-bob",
        "Alice",
        "corp",
        "admins",
        "id-admins",
        "dev",
        "zed",
    ]);
    (kinds, prop::sample::select(OPERATORS.to_vec()), prop::collection::vec(values, 0..3))
        .prop_map(|(kind, operator, values)| condition(kind, operator, &values))
}

pub fn some_person() -> impl Strategy<Value = Person> {
    let groups = prop::sample::subsequence(vec!["admins", "developers", "on-call"], 0..=3);
    let schedules = prop::sample::subsequence(vec!["zed", "dev-night", "corp"], 0..=2);
    let names = prop::sample::select(vec!["alice", "bob", "carol", "dan"]);
    (names, groups, schedules).prop_map(|(name, groups, schedules)| {
        let person = groups.into_iter().fold(person(name), Person::in_group);
        schedules.into_iter().fold(person, |person, name| person.having("opsgenie_schedule", name))
    })
}

fn flipped(condition: &Condition) -> Option<Condition> {
    let opposite = match condition.operator() {
        MatchOperator::Is => MatchOperator::IsNot,
        MatchOperator::IsNot => MatchOperator::Is,
        MatchOperator::Contains => MatchOperator::DoesNotContain,
        MatchOperator::DoesNotContain => MatchOperator::Contains,
        MatchOperator::StartsWith => return None,
    };
    Some(Condition { match_operator: Some(opposite), ..condition.clone() })
}

proptest! {
    #[test]
    fn a_negative_condition_is_the_opposite_of_its_positive_one(
        who in some_person(), condition in some_condition(),
    ) {
        if let Some(opposite) = flipped(&condition) {
            let can_be_looked_at = !condition.values().is_empty()
                && (condition.attribute_type != "opsgenie_schedule" || !who.attributes.is_empty());
            let both = (matches(who.facts(), &condition), matches(who.facts(), &opposite));
            if can_be_looked_at {
                prop_assert!(both.0 != both.1);
            } else {
                prop_assert_eq!(both, (false, false));
            }
        }
    }

    #[test]
    fn one_more_condition_narrows_an_and_and_widens_an_or(
        who in some_person(),
        conditions in prop::collection::vec(some_condition(), 1..4),
        more in some_condition(),
    ) {
        let mut longer = conditions.clone();
        longer.push(more);
        let who = who.facts();
        let narrowed = meets(who, &all_of(longer.clone()));
        prop_assert!(!narrowed || meets(who, &all_of(conditions.clone())));
        prop_assert!(!meets(who, &any_of(conditions.clone())) || meets(who, &any_of(longer)));
        prop_assert!(!meets(who, &all_of(conditions.clone())) || meets(who, &any_of(conditions)));
    }

    #[test]
    fn the_order_of_conditions_and_values_is_nothing(
        who in some_person(), conditions in prop::collection::vec(some_condition(), 0..5),
    ) {
        let mut reversed = conditions.clone();
        reversed.reverse();
        for condition in &mut reversed {
            if let Some(values) = &mut condition.values {
                values.reverse();
            }
        }
        let who = who.facts();
        prop_assert_eq!(
            meets(who, &all_of(conditions.clone())), meets(who, &all_of(reversed.clone()))
        );
        prop_assert_eq!(meets(who, &any_of(conditions)), meets(who, &any_of(reversed)));
    }

    #[test]
    fn one_more_value_helps_a_positive_condition_and_hurts_a_negative_one(
        who in some_person(), condition in some_condition(), value in "[a-z@-]{1,12}",
    ) {
        prop_assume!(!condition.values().is_empty());
        let mut longer = condition.clone();
        longer.values.get_or_insert_default().push(value);
        let (before, after) = (matches(who.facts(), &condition), matches(who.facts(), &longer));
        if condition.operator().is_negative() {
            prop_assert!(before || !after);
        } else {
            prop_assert!(!before || after);
        }
    }

    #[test]
    fn nothing_that_anybody_writes_makes_matching_fail(
        who in some_person(), kind in ".{0,12}", values in prop::collection::vec(".{0,12}", 0..4),
    ) {
        for operator in OPERATORS {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let made = condition(&kind, operator, &values);
            let answer = matches(who.facts(), &made);
            let known = ["user", "group", "opsgenie_schedule"].contains(&kind.as_str());
            prop_assert!(!answer || known);
        }
    }
}

#[test]
fn a_person_is_named_by_id_by_any_address_and_by_the_source_id() {
    let mut alice = person("alice").alias("Alice.Smith@Corp.Example ");
    alice.user.source_integration_id = Some(IntegrationId::new("okta"));
    alice.user.source_id = Some("00u1".to_owned());
    for name in ["id-alice", " ALICE@corp.example", "alice.smith@corp.example", "00u1"] {
        assert!(matches(alice.facts(), &condition("user", MatchOperator::Is, &[name])), "{name}");
        assert!(
            !matches(alice.facts(), &condition("user", MatchOperator::IsNot, &[name])),
            "{name}"
        );
    }
    for name in ["ID-ALICE", "Alice Example", "alice", "00U1"] {
        assert!(!matches(alice.facts(), &condition("user", MatchOperator::Is, &[name])), "{name}");
    }
}

#[test]
fn a_source_id_names_somebody_only_in_its_own_source() {
    let mut alice = person("alice");
    alice.user.source_integration_id = Some(IntegrationId::new("okta"));
    alice.user.source_id = Some("1001".to_owned());
    let mut elsewhere = condition("user", MatchOperator::Is, &["1001"]);
    elsewhere.source_integration_id = Some(IntegrationId::new("ldap"));
    assert!(!matches(alice.facts(), &elsewhere));
    elsewhere.source_integration_id = Some(IntegrationId::new("okta"));
    assert!(matches(alice.facts(), &elsewhere));
}

#[test]
fn text_conditions_look_at_addresses_and_names_of_people_and_at_names_of_groups() {
    let alice = person("alice").alias("a.smith@partner.example").in_group("Database Admins");
    let who = alice.facts();
    let contains = |kind, value| condition(kind, MatchOperator::Contains, &[value]);
    assert!(matches(who, &contains("user", "ALICE EX")));
    assert!(matches(who, &contains("user", "partner")));
    assert!(matches(who, &contains("group", "base adm")));
    assert!(!matches(who, &contains("group", "id-")), "ids are not display text");
    assert!(matches(who, &condition("group", MatchOperator::StartsWith, &["data"])));
    assert!(!matches(who, &condition("group", MatchOperator::StartsWith, &["admins"])));
    let outsiders = condition("user", MatchOperator::DoesNotContain, &["@partner.example"]);
    assert!(!matches(who, &outsiders), "an alias keeps people out as well");
}

#[test]
fn a_person_from_elsewhere_meets_no_text_condition_of_a_source() {
    let local = person("alice");
    for operator in [MatchOperator::Contains, MatchOperator::DoesNotContain] {
        let mut made = condition("user", operator, &["zed"]);
        made.source_integration_id = Some(IntegrationId::new("okta"));
        assert!(!matches(local.facts(), &made), "{operator:?}");
    }
}

#[test]
fn b06_a_pinned_condition_knows_only_the_pinned_identity() {
    let mut pinned = user_is("alice");
    pinned.pinned_ids = vec![Some("id-alice-of-old".to_owned())];
    assert!(!matches(person("alice").facts(), &pinned), "same address, another person");
    let mut renamed = person("bob");
    renamed.user.id = latchkey_domain::ids::UserId::new("id-alice-of-old");
    assert!(matches(renamed.facts(), &pinned), "another address, the same person");
    let mut group = group_is("admins");
    group.pinned_ids = vec![Some("id-admins-of-old".to_owned())];
    assert!(!matches(person("alice").in_group("admins").facts(), &group));
    let not_pinned = Condition { match_operator: Some(MatchOperator::IsNot), ..group };
    assert!(matches(person("alice").in_group("admins").facts(), &not_pinned));
}

#[test]
fn a_pin_belongs_to_its_own_value() {
    let mut two = condition("user", MatchOperator::Is, &["gone@corp.example", "bob@corp.example"]);
    two.pinned_ids = vec![Some("id-gone".to_owned()), None];
    assert!(matches(person("bob").facts(), &two));
    assert!(!matches(person("gone-2").facts(), &two));
}

#[test]
fn conditions_that_say_nothing_match_nobody() {
    let alice = person("alice");
    for operator in OPERATORS {
        for kind in ["user", "group"] {
            for values in [vec![], vec![""], vec!["  "], vec!["zed", ""]] {
                assert!(
                    !matches(alice.facts(), &condition(kind, operator, &values)),
                    "{operator:?}"
                );
            }
            let absent = Condition { values: None, ..condition(kind, operator, &[]) };
            assert!(!matches(alice.facts(), &absent), "{operator:?}");
        }
    }
    assert!(!meets(alice.facts(), &all_of(vec![])));
    assert!(!meets(alice.facts(), &any_of(vec![])));
}

#[test]
fn a_condition_on_an_attribute_looks_at_the_persons_values_of_it() {
    let alice = person("alice").having("okta_city", "Berlin ").having("team", "Data Platform");
    let who = alice.facts();
    let is = |kind, value| matches(who, &condition(kind, MatchOperator::Is, &[value]));
    assert!(is("okta_city", " BERLIN") && is("team", "data platform"));
    assert!(!is("okta_city", "Ber") && !is("team", "Berlin") && !is("Team", "Data Platform"));
    let id = AttributeValueId::derive("okta_city", "berlin");
    assert!(is("okta_city", id.as_str()), "by the id here");
    let text = |operator, value| matches(who, &condition("team", operator, &["zed", value]));
    assert!(text(MatchOperator::Contains, "PLAT"));
    assert!(text(MatchOperator::StartsWith, "data p") && !text(MatchOperator::StartsWith, "plat"));
    assert!(!text(MatchOperator::DoesNotContain, "plat"));
    assert!(text(MatchOperator::DoesNotContain, "mobile"));
    assert!(text(MatchOperator::IsNot, "mobile") && !text(MatchOperator::IsNot, "data platform"));
}

#[test]
fn who_lacks_an_attribute_meets_no_condition_on_it() {
    let alice = person("alice").having("okta_city", "Berlin");
    let bob = person("bob").under(&alice);
    for operator in OPERATORS {
        assert!(!matches(alice.facts(), &condition("team", operator, &["zed"])), "{operator:?}");
        assert!(!matches(alice.facts(), &condition("manager", operator, &["zed"])), "{operator:?}");
        assert!(!matches(bob.facts(), &condition("okta_city", operator, &["zed"])), "{operator:?}");
    }
}

#[test]
fn a_source_narrows_a_condition_to_what_that_source_says() {
    let alice = person("alice")
        .having_from("okta", "city", "loc-1", "Berlin")
        .having_from("hr", "city", "17", "Hamburg");
    let from = |source, operator, value| {
        let mut made = condition("city", operator, &[value]);
        made.source_integration_id = Some(IntegrationId::new(source));
        matches(alice.facts(), &made)
    };
    assert!(from("okta", MatchOperator::Is, "loc-1") && from("okta", MatchOperator::Is, "berlin"));
    assert!(!from("okta", MatchOperator::Is, "17") && !from("okta", MatchOperator::Is, "hamburg"));
    assert!(from("hr", MatchOperator::IsNot, "berlin"));
    assert!(!from("ldap", MatchOperator::IsNot, "berlin"), "that source knows nothing of her");
    let anywhere = |operator, value| matches(alice.facts(), &condition("city", operator, &[value]));
    assert!(anywhere(MatchOperator::Is, "hamburg") && anywhere(MatchOperator::Is, "17"));
    assert!(!anywhere(MatchOperator::IsNot, "berlin"));
}

#[test]
fn b06_a_pinned_value_of_an_attribute_counts_alone_and_its_text_slips_through_no_negative() {
    let okta = person("alice").having_from("okta", "city", "loc-1", "Berlin");
    let local = person("bob").having("city", "Berlin");
    let id = okta.attributes[0].identity.id.to_string();
    let mut pinned = condition("city", MatchOperator::Is, &["Berlin"]);
    pinned.pinned_ids = vec![Some(id)];
    assert!(matches(okta.facts(), &pinned) && !matches(local.facts(), &pinned));
    let mut renamed = okta.clone();
    renamed.attributes[0].identity.value = "Berlin HQ".to_owned();
    assert!(matches(renamed.facts(), &pinned), "another text, the same place");
    pinned.match_operator = Some(MatchOperator::IsNot);
    for person in [&okta, &local, &renamed] {
        assert!(!matches(person.facts(), &pinned));
    }
}

#[test]
fn a_condition_on_the_manager_looks_at_that_person() {
    let boss = person("boss");
    let bob = person("bob").under(&boss);
    let by = |operator, value| matches(bob.facts(), &condition("manager", operator, &[value]));
    assert!(by(MatchOperator::Is, "BOSS@corp.example") && by(MatchOperator::Is, "id-boss"));
    assert!(by(MatchOperator::Contains, "boss ex") && by(MatchOperator::IsNot, "alice"));
    assert!(!by(MatchOperator::Is, "bob@corp.example"));
    let mut pinned = condition("manager", MatchOperator::Is, &["boss@corp.example"]);
    pinned.pinned_ids = vec![Some("id-somebody-else".to_owned())];
    assert!(!matches(bob.facts(), &pinned));
}

#[test]
fn attribute_types_that_cannot_be_looked_at_match_nobody_in_the_negative_either() {
    let alice = person("alice").having("Owner", "alice").having("webhook", "alice");
    for kind in ["User", "GROUP", "manager", "Owner", "webhook", "okta_city", ""] {
        for operator in OPERATORS {
            assert!(
                !matches(alice.facts(), &condition(kind, operator, &["alice", "zed"])),
                "{kind}"
            );
        }
    }
}

#[test]
fn an_operator_that_was_left_out_is_is() {
    let left_out = Condition { match_operator: None, ..user_is("alice") };
    assert!(matches(person("alice").facts(), &left_out));
    assert!(!matches(person("bob").facts(), &left_out));
}

#[test]
fn a04_one_person_under_two_accounts_is_the_same_person() {
    let work = person("alice").alias("Alice@Home.Example");
    let home = {
        let mut home = person("private");
        home.user.email = " alice@home.example".to_owned();
        home
    };
    assert!(same_person(&work.user, &home.user));
    assert!(same_person(&home.user, &work.user));
    assert!(!same_person(&work.user, &person("bob").user));
    let mut blank = (person("carol"), person("dan"));
    blank.0.user.email_aliases.push(" ".to_owned());
    blank.1.user.email_aliases.push(String::new());
    assert!(!same_person(&blank.0.user, &blank.1.user), "a blank address is no address");
}
