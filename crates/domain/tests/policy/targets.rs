//! What targets cover.

use latchkey_domain::{
    flow::{IntegrationTarget, ResourceScope, ResourceScopeType, ScopeMode},
    ids::IntegrationId,
    inventory::{Entitlement, ResourceStatus},
    policy::targets::covers,
};
use proptest::prelude::*;

use crate::builders::entitlement;

fn target(scopes: Option<Vec<ResourceScope>>) -> IntegrationTarget {
    IntegrationTarget {
        integration_id: IntegrationId::new("shop"),
        resource_type: "postgresql-table".to_owned(),
        permissions: vec!["READ_ONLY".to_owned(), "READ_WRITE".to_owned()],
        resources_scopes: scopes,
    }
}

fn scope(
    mode: ScopeMode,
    kind: ResourceScopeType,
    key: Option<&str>,
    values: &[&str],
) -> ResourceScope {
    ResourceScope {
        scope_mode: mode,
        scope_type: kind,
        key: key.map(str::to_owned),
        values: values.iter().map(|&value| value.to_owned()).collect(),
    }
}

use ResourceScopeType::{AponoId, Name, Tag};
use ScopeMode::{ExcludeResources as Without, IncludeResources as Only};

fn orders() -> Entitlement {
    let mut orders = entitlement("orders", "READ_ONLY");
    orders.resource.tags.insert("env".to_owned(), "prod".to_owned());
    orders.resource.tags.insert("team".to_owned(), "sales".to_owned());
    orders
}

#[test]
fn a_target_covers_its_integration_type_and_permissions() {
    let orders = orders();
    assert!(covers(&target(None), &orders));
    assert!(covers(&target(Some(vec![])), &orders), "no scopes leave nothing out");
    let other = IntegrationTarget { integration_id: IntegrationId::new("hr"), ..target(None) };
    assert!(!covers(&other, &orders));
    let schemas =
        IntegrationTarget { resource_type: "postgresql-schema".to_owned(), ..target(None) };
    assert!(!covers(&schemas, &orders));
    assert!(!covers(&target(None), &entitlement("orders", "ALL")));
    assert!(!covers(&target(None), &entitlement("orders", "read_only")), "letter case matters");
}

#[test]
fn a_permission_of_another_type_or_integration_is_no_permission() {
    let mut mixed = orders();
    mixed.permission.integration_id = IntegrationId::new("hr");
    assert!(!covers(&target(None), &mixed));
    let mut mixed = orders();
    mixed.permission.resource_type = "postgresql-schema".to_owned();
    assert!(!covers(&target(None), &mixed));
}

#[test]
fn what_is_gone_or_broken_is_not_covered() {
    for status in [ResourceStatus::Deleted, ResourceStatus::Error] {
        let mut gone = orders();
        gone.resource.status = status;
        assert!(!covers(&target(None), &gone), "{status:?}");
    }
}

#[test]
fn including_scopes_are_alternatives_and_excluding_ones_come_after() {
    let orders = orders();
    let id = orders.resource.id.as_str().to_owned();
    let covered = |scopes: Vec<ResourceScope>| covers(&target(Some(scopes)), &orders);
    assert!(covered(vec![scope(Only, Name, None, &["carts", "orders"])]));
    assert!(covered(vec![scope(Only, AponoId, None, &[&id])]));
    assert!(covered(vec![scope(Only, Tag, Some("env"), &["prod"])]));
    assert!(!covered(vec![scope(Only, Tag, Some("env"), &["dev"])]));
    assert!(!covered(vec![scope(Only, Tag, Some("ENV"), &["prod"])]));
    assert!(!covered(vec![scope(Only, Tag, None, &["prod"])]), "a tag needs its key");
    assert!(covered(vec![
        scope(Only, Name, None, &["carts"]),
        scope(Only, Tag, Some("team"), &["sales"]),
    ]));
    assert!(!covered(vec![
        scope(Only, Name, None, &["orders"]),
        scope(Without, Tag, Some("env"), &["prod"]),
    ]));
    assert!(!covered(vec![scope(Without, Name, None, &["orders"])]));
    assert!(covered(vec![scope(Without, Name, None, &["carts"])]));
}

#[test]
fn a06_a_tag_that_people_set_wins_over_one_that_was_found() {
    let mut retagged = orders();
    retagged.resource.user_tags.insert("env".to_owned(), "dev".to_owned());
    let only = |value| target(Some(vec![scope(Only, Tag, Some("env"), &[value])]));
    assert!(!covers(&only("prod"), &retagged));
    assert!(covers(&only("dev"), &retagged));
}

fn some_scope() -> impl Strategy<Value = ResourceScope> {
    let kinds = prop::sample::select(vec![(Name, None), (Tag, Some("env")), (Tag, Some("team"))]);
    let values = prop::sample::subsequence(vec!["orders", "carts", "prod", "dev", "sales"], 1..3);
    (prop::bool::ANY, kinds, values).prop_map(|(only, (kind, key), values)| {
        scope(if only { Only } else { Without }, kind, key, &values)
    })
}

proptest! {
    #[test]
    fn one_more_exclusion_never_adds_and_the_order_of_scopes_is_nothing(
        scopes in prop::collection::vec(some_scope(), 0..5), more in some_scope(),
    ) {
        let orders = orders();
        let covered = |scopes: &[ResourceScope]| covers(&target(Some(scopes.to_vec())), &orders);
        let before = covered(&scopes);
        let mut reversed = scopes.clone();
        reversed.reverse();
        prop_assert_eq!(before, covered(&reversed));
        let has_inclusion = scopes.iter().any(|scope| scope.scope_mode == Only);
        let mut longer = scopes;
        let excludes = more.scope_mode == Without;
        longer.push(more);
        if excludes {
            prop_assert!(before || !covered(&longer));
        } else if has_inclusion {
            prop_assert!(!before || covered(&longer));
        }
    }
}
