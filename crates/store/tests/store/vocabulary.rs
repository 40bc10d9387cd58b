//! Names for whoever writes a query.

use std::collections::BTreeMap;

use latchkey_domain::{
    ids::{IntegrationId, PermissionId, ResourceId},
    inventory::Permission,
    provisioning::DiscoveredResource,
};
use latchkey_store::{Facts, Name, Named, Result};

use crate::fixtures::{Ground, on_both};

on_both! {
    names_are_those_that_begin_so_in_any_letter_case,
    tags_are_known_as_they_count,
    what_is_gone_is_not_named,
    answers_are_bounded,
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn table(name: &str, tags: &[(&str, &str)]) -> DiscoveredResource {
    DiscoveredResource {
        resource_type: "postgresql-table".to_owned(),
        source_id: format!("table:shop/public/{name}"),
        name: name.to_owned(),
        path: format!("shop/public/{name}"),
        tags: map(tags),
        context: map(&[("oid", name)]),
    }
}

/// Discovers these in the integration, and nothing else.
async fn discover(ground: &Ground, integration: &IntegrationId, found: &[DiscoveredResource]) {
    let done = ground.store.write(async |tx| -> Result<()> {
        let run = tx.begin_sync(integration).await?;
        tx.record_found(integration, &run, found).await?;
        tx.finish_sync(integration, &run).await?;
        Ok(())
    });
    done.await.unwrap();
}

async fn names(ground: &Ground, named: Named, prefix: &str) -> Vec<Name> {
    ground.store.read(async |tx| tx.find_names(named, prefix, 50).await).await.unwrap()
}

async fn texts(ground: &Ground, named: Named, prefix: &str) -> Vec<String> {
    names(ground, named, prefix).await.into_iter().map(|name| name.text).collect()
}

async fn keys(ground: &Ground, facts: Facts, prefix: &str) -> Vec<String> {
    ground.store.read(async |tx| tx.find_fact_keys(facts, prefix, 50).await).await.unwrap()
}

async fn values(ground: &Ground, facts: Facts, key: &str, prefix: &str) -> Vec<String> {
    let found =
        ground.store.read(async |tx| tx.find_fact_values(facts, key, prefix, 50).await).await;
    found.unwrap()
}

async fn names_are_those_that_begin_so_in_any_letter_case(ground: Ground) {
    let shop = ground.add_integration("Shop").await;
    ground.add_integration("store").await;
    discover(
        &ground,
        &shop.id,
        &[table("orders", &[]), table("Or_ders", &[]), table("users", &[])],
    )
    .await;
    let permission = Permission {
        id: PermissionId::new("p1"),
        integration_id: shop.id.clone(),
        resource_type: "postgresql-table".to_owned(),
        name: "READ_ONLY".to_owned(),
        risk: None,
    };
    let permissions = [permission];
    let put = ground.store.write(async |tx| tx.put_permissions(&shop.id, &permissions).await);
    put.await.unwrap();

    let mut orders = texts(&ground, Named::ResourceName, "OR").await;
    orders.sort();
    assert_eq!(orders, ["Or_ders", "orders"]);
    assert_eq!(texts(&ground, Named::ResourceName, "or_").await, ["Or_ders"], "no wildcards");
    assert_eq!(texts(&ground, Named::ResourceType, "").await, ["postgresql-table"], "each once");
    assert_eq!(texts(&ground, Named::ResourcePath, "shop/public/U").await, ["shop/public/users"]);
    let source_ids = texts(&ground, Named::ResourceSourceId, "table:shop/public/u").await;
    assert_eq!(source_ids, ["table:shop/public/users"]);
    assert_eq!(texts(&ground, Named::PermissionName, "read").await, ["READ_ONLY"]);
    let named =
        |text: &str, detail: &str| Name { text: text.to_owned(), detail: Some(detail.to_owned()) };
    assert_eq!(names(&ground, Named::Permission, "p").await, [named("p1", "READ_ONLY")]);
    assert_eq!(names(&ground, Named::Integration, "SH").await, [named("Shop", "postgresql")]);
    assert_eq!(names(&ground, Named::Integration, "").await.len(), 2);
    let id = ResourceId::derive(&shop.id, "table:shop/public/users");
    let found = names(&ground, Named::Resource, id.as_str()).await;
    assert_eq!(found, [named(id.as_str(), "shop/public/users")]);
}

async fn tags_are_known_as_they_count(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    let found = [
        table("orders", &[("env", "dev"), ("Owner", "ops")]),
        table("users", &[("env", "Prod"), ("a \"key\" 100%\\", "v")]),
    ];
    discover(&ground, &shop.id, &found).await;
    let orders = ResourceId::derive(&shop.id, "table:shop/public/orders");
    let tags = map(&[("env", "prod-eu"), ("pii", "yes")]);
    assert!(ground.store.write(async |tx| tx.set_user_tags(&orders, &tags).await).await.unwrap());

    assert_eq!(keys(&ground, Facts::Tags, "").await, ["Owner", "a \"key\" 100%\\", "env", "pii"]);
    assert_eq!(keys(&ground, Facts::Tags, "o").await, ["Owner"]);
    assert_eq!(keys(&ground, Facts::Tags, "a \"K").await, ["a \"key\" 100%\\"]);
    assert_eq!(keys(&ground, Facts::Tags, "ops").await, [""; 0], "a value is no key");
    assert_eq!(keys(&ground, Facts::Context, "").await, ["oid"]);
    let env = values(&ground, Facts::Tags, "env", "").await;
    assert_eq!(env, ["Prod", "prod-eu"], "people's tag wins over the discovered one");
    assert_eq!(values(&ground, Facts::Tags, "env", "PROD-").await, ["prod-eu"]);
    assert_eq!(values(&ground, Facts::Tags, "a \"key\" 100%\\", "").await, ["v"]);
    assert_eq!(values(&ground, Facts::Tags, "Env", "").await, [""; 0], "keys have their case");
    assert_eq!(values(&ground, Facts::Context, "oid", "ord").await, ["orders"]);
}

async fn what_is_gone_is_not_named(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    discover(&ground, &shop.id, &[table("orders", &[("env", "dev")]), table("users", &[])]).await;
    discover(&ground, &shop.id, &[table("users", &[])]).await;
    assert_eq!(texts(&ground, Named::ResourceName, "").await, ["users"]);
    assert_eq!(keys(&ground, Facts::Tags, "").await, [""; 0]);
    assert_eq!(values(&ground, Facts::Tags, "env", "").await, [""; 0]);
}

async fn answers_are_bounded(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    let many: Vec<_> = (0..300).map(|n| table(&format!("t{n:03}"), &[])).collect();
    discover(&ground, &shop.id, &many).await;
    let answers = ground.store.read(async |tx| -> Result<_> {
        let names = tx.find_names(Named::ResourceName, "t", 7).await?;
        let values = tx.find_fact_values(Facts::Context, "oid", "t1", 7).await?;
        let keys = tx.find_fact_keys(Facts::Context, "", 0).await?;
        Ok((names, values, keys))
    });
    let (names, values, keys) = answers.await.unwrap();
    let texts: Vec<&str> = names.iter().map(|name| name.text.as_str()).collect();
    assert_eq!(texts, ["t000", "t001", "t002", "t003", "t004", "t005", "t006"]);
    assert_eq!(values, ["t100", "t101", "t102", "t103", "t104", "t105", "t106"]);
    assert_eq!(keys, [""; 0]);
}
