//! Who owns what is asked for, and what an owner has a say in.

use std::collections::BTreeMap;

use latchkey_domain::{
    flow::{ApprovalMode, Condition, LogicalOperator, MatchOperator},
    ids::IntegrationId,
    integration::{Integration, IntegrationStatus, OwnerRule, OwnersMapping},
    inventory::Resource,
    policy::{
        approvals::{ApprovalOutcome, Given, Question},
        owners::Owners,
    },
    request::Decision,
};

use crate::builders::{
    Person, approver_policy, approvers, condition, decision, digest, group_is, noon, person,
    policy, resource, user_is,
};

/// Owners that these conditions name, and one path that nobody owns if `ownerless`.
pub fn owned(rules: &[Condition], ownerless: bool) -> Owners {
    let mut integrations = BTreeMap::new();
    let resources: Vec<Resource> = rules
        .iter()
        .enumerate()
        .map(|(place, rule)| {
            let id = IntegrationId::new(format!("shop-{place}"));
            let mut shop = shop();
            shop.owner = Some(OwnerRule {
                attribute_type: rule.attribute_type.clone(),
                attribute_value: rule.values().to_vec(),
                source_integration_id: rule.source_integration_id.clone(),
            });
            integrations.insert(id.clone(), shop);
            Resource { integration_id: id, ..resource("orders") }
        })
        .collect();
    let mut owners = Owners::of(&resources, &integrations);
    if ownerless {
        owners.is_missing_for("shop/public/lost");
    }
    owners
}

fn shop() -> Integration {
    Integration {
        id: IntegrationId::new("shop"),
        name: "shop".to_owned(),
        integration_type: "postgresql".to_owned(),
        category: "RESOURCES".to_owned(),
        connector_id: None,
        status: IntegrationStatus::Active,
        status_detail: None,
        config: serde_json::Map::new(),
        secret_store: None,
        connected_resource_types: None,
        custom_access_details: None,
        owner: Some(OwnerRule {
            attribute_type: "group".to_owned(),
            attribute_value: vec!["data".to_owned()],
            source_integration_id: None,
        }),
        owners_mapping: Some(mapping("team", "group")),
        last_sync_at: None,
        created_at: noon(),
        updated_at: noon(),
        version: 1,
    }
}

fn mapping(key: &str, kind: &str) -> OwnersMapping {
    OwnersMapping {
        key_name: key.to_owned(),
        attribute_type: kind.to_owned(),
        source_integration_id: None,
    }
}

fn tagged(table: &str, tags: &[(&str, &str)]) -> Resource {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Resource { tags: tags.collect(), ..resource(table) }
}

fn owners_in(shop: Integration, resources: &[Resource]) -> Owners {
    Owners::of(resources, &BTreeMap::from([(shop.id.clone(), shop)]))
}

fn values(owners: &Owners) -> Vec<(&str, &str)> {
    owners
        .rules()
        .iter()
        .map(|rule| (rule.attribute_type.as_str(), rule.values()[0].as_str()))
        .collect()
}

#[test]
fn the_tag_names_the_owner_and_without_it_the_integration_does() {
    let resources = [
        tagged("orders", &[("team", " shop ")]),
        tagged("carts", &[]),
        tagged("logs", &[("team", " ")]),
    ];
    let owners = owners_in(shop(), &resources);
    assert_eq!(values(&owners), [("group", "shop"), ("group", "data")]);
    assert_eq!(owners.ownerless(), [""; 0]);
    let mut by_people = tagged("orders", &[("team", "shop")]);
    by_people.user_tags.insert("team".to_owned(), "people".to_owned());
    assert_eq!(values(&owners_in(shop(), &[by_people])), [("group", "people")]);
}

#[test]
fn tags_that_people_in_the_target_write_name_no_owner() {
    let by_comment =
        Integration { owners_mapping: Some(mapping("comment/team", "group")), ..shop() };
    let orders = tagged("orders", &[("comment/team", "attackers"), ("team", "attackers")]);
    assert_eq!(values(&owners_in(by_comment, &[orders])), [("group", "data")]);
}

#[test]
fn what_no_rule_gives_an_owner_has_none() {
    let nobody = Integration { owner: None, owners_mapping: None, ..shop() };
    let owners = owners_in(nobody.clone(), &[resource("orders"), resource("orders")]);
    assert_eq!(
        (owners.rules().len(), owners.ownerless()),
        (0, &["shop/public/orders".to_owned()][..])
    );
    for kind in ["manager", "Owner", "webhook"] {
        let odd = Integration { owners_mapping: Some(mapping("team", kind)), ..nobody.clone() };
        let owners = owners_in(odd, &[tagged("orders", &[("team", "bob@corp.example")])]);
        assert_eq!(owners.ownerless().len(), 1, "{kind}");
    }
    let gone = Owners::of(&[resource("orders")], &BTreeMap::new());
    assert_eq!(gone.ownerless().len(), 1);
}

/// Whether these people approve a request of Alice's by a group of one condition, `Owner`.
fn approved(owners: &Owners, conditions: Vec<Condition>, by: &[Person]) -> bool {
    let mut asked = policy();
    let operator = LogicalOperator::And;
    asked.approver_policy =
        Some(approver_policy(ApprovalMode::AnyOf, vec![approvers(operator, conditions)]));
    let (alice, digest) = (person("alice"), digest('a', "3600"));
    let approvals: Vec<_> =
        by.iter().map(|one| decision(one, Decision::Approved, &digest)).collect();
    let given: Vec<Given<'_>> = by
        .iter()
        .zip(&approvals)
        .map(|(one, approval)| Given { approval, approver: one.facts() })
        .collect();
    let question = Question::new(&asked, alice.facts(), &alice.user, &digest).owned_by(owners);
    matches!(question.evaluate(&given, &[]), ApprovalOutcome::Approved(_))
}

fn owner() -> Condition {
    condition("Owner", MatchOperator::Is, &[])
}

#[test]
fn a02_an_owner_speaks_only_for_what_they_own() {
    let owners = owned(&[user_is("bob"), group_is("data")], false);
    let carol = person("carol").in_group("data");
    assert!(!approved(&owners, vec![owner()], &[person("bob")]), "nobody spoke for the data");
    assert!(!approved(&owners, vec![owner()], std::slice::from_ref(&carol)));
    assert!(approved(&owners, vec![owner()], &[person("bob"), carol]));
    assert!(approved(&owners, vec![owner()], &[person("bob").in_group("data")]), "owns both");
}

#[test]
fn an_owner_who_cannot_be_told_leaves_the_group_unsatisfied() {
    let everybody = [person("bob"), person("carol").in_group("data")];
    assert!(!approved(&Owners::default(), vec![owner()], &everybody), "nothing to own");
    assert!(!approved(&owned(&[user_is("bob")], true), vec![owner()], &everybody));
    assert!(!approved(
        &owned(&[user_is("bob"), user_is("ghost")], false),
        vec![owner()],
        &everybody
    ));
    let with_values = condition("Owner", MatchOperator::Is, &["bob@corp.example"]);
    let bobs = owned(&[user_is("bob")], false);
    assert!(approved(&bobs, vec![owner()], &everybody));
    assert!(!approved(&bobs, vec![with_values], &everybody), "with values it says nothing");
}

#[test]
fn a_negated_owner_keeps_owners_out_and_needs_every_owner_known() {
    let group = || vec![group_is("security"), condition("Owner", MatchOperator::IsNot, &[])];
    let bob = [person("bob").in_group("security")];
    let carol = [person("carol").in_group("security")];
    let bobs = owned(&[user_is("bob")], false);
    assert!(!approved(&bobs, group(), &bob));
    assert!(approved(&bobs, group(), &carol));
    assert!(!approved(&owned(&[user_is("bob")], true), group(), &carol), "who owns the rest?");
}
