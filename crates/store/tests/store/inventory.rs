//! Integrations, what discovery finds in them, and flows that name them.

use std::{collections::BTreeMap, time::Duration};

use latchkey_domain::{
    flow::{Condition, MatchOperator},
    ids::{IntegrationId, ResourceId},
    integration::{IntegrationStatus, OwnerRule, SecretStore},
    inventory::{Permission, ResourceStatus},
    provisioning::DiscoveredResource,
};
use latchkey_store::{IntegrationFilter, PageQuery, ResourceFilter, Result, StoreError, TextMatch};
use serde_json::json;

use crate::fixtures::{Ground, flow, integration, on_both};

fn table(name: &str) -> DiscoveredResource {
    DiscoveredResource {
        resource_type: "postgresql-table".to_owned(),
        source_id: format!("shop/public/{name}"),
        name: name.to_owned(),
        path: format!("shop/public/{name}"),
        tags: BTreeMap::from([("owner".to_owned(), "ops".to_owned())]),
        context: BTreeMap::from([("oid".to_owned(), "1".to_owned())]),
    }
}

on_both! {
    an_integration_is_read_back_as_written,
    a_resource_keeps_its_id_and_user_tags_through_discovery_runs,
    f09_a_run_that_did_not_reach_its_end_calls_nothing_gone,
    changes_between_runs_come_and_go_and_a_run_under_way_keeps_them,
    only_what_changed_since_a_version_is_read_again,
    a_thousand_resources_go_in_and_are_filtered,
    permissions_are_replaced_as_a_whole,
    deleting_an_integration_takes_its_inventory_and_secret_along,
    a_flow_is_found_by_what_it_names,
}

async fn an_integration_is_read_back_as_written(ground: Ground) {
    let connector = ground.add_connector("local").await;
    let mut written = integration(ground.now(), ground.rng(), "Shop");
    written.connector_id = Some(connector.clone());
    written.config = serde_json::Map::from_iter([
        ("z".to_owned(), json!("1")),
        ("a".to_owned(), json!({ "deep": [1, null] })),
    ]);
    written.secret_store = Some(SecretStore::Env { name: "SHOP".to_owned() });
    written.connected_resource_types = Some(vec!["postgresql-table".to_owned()]);
    written.owner = Some(OwnerRule {
        attribute_type: "user".to_owned(),
        attribute_value: vec!["a@x.org".to_owned()],
        source_integration_id: None,
    });
    ground.store.write(async |tx| tx.insert_integration(&written).await).await.unwrap();
    let found = ground.store.read(async |tx| tx.find_integration_by_name("SHOP").await).await;
    let found = found.unwrap().unwrap();
    assert_eq!(found, written);
    assert_eq!(found.config.keys().collect::<Vec<_>>(), ["z", "a"], "in the order sent");

    let other = integration(ground.now(), ground.rng(), "shop");
    let refused = ground.store.write(async |tx| tx.insert_integration(&other).await).await;
    assert!(
        matches!(refused, Err(StoreError::Duplicate { what: "integration name" })),
        "{refused:?}"
    );

    let mut stale = written.clone();
    "Store".clone_into(&mut written.name);
    ground.store.write(async |tx| tx.update_integration(&mut written).await).await.unwrap();
    assert_eq!(written.version, 2);
    let lost = ground.store.write(async |tx| tx.update_integration(&mut stale).await).await;
    assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");

    let sync = Some(ground.now());
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.set_integration_status(&written.id, IntegrationStatus::Active, Some("ok"), sync)
                .await?;
            tx.set_integration_status(&written.id, IntegrationStatus::Refreshing, None, None)
                .await?;
            let found = tx.find_integration(&written.id).await?.unwrap();
            assert_eq!(found.status, IntegrationStatus::Refreshing);
            assert_eq!((found.status_detail, found.last_sync_at, found.version), (None, sync, 2));
            assert_eq!(tx.integrations_of_connector(&connector).await?.len(), 1);
            Ok(())
        })
        .await
        .unwrap();
    for (filter, holds) in [
        (
            IntegrationFilter {
                types: vec![TextMatch::Prefix("POST".to_owned())],
                ..Default::default()
            },
            true,
        ),
        (
            IntegrationFilter {
                types: vec![TextMatch::Exact("mysql".to_owned())],
                ..Default::default()
            },
            false,
        ),
        (
            IntegrationFilter { statuses: vec![IntegrationStatus::Active], ..Default::default() },
            false,
        ),
        (
            IntegrationFilter { categories: vec!["RESOURCES".to_owned()], ..Default::default() },
            true,
        ),
        (IntegrationFilter { connector_ids: vec![connector.clone()], ..Default::default() }, true),
        (
            IntegrationFilter {
                name: Some(TextMatch::Suffix("RE".to_owned())),
                ..Default::default()
            },
            true,
        ),
    ] {
        let page = PageQuery::first(5);
        let found = ground.store.read(async |tx| tx.list_integrations(&filter, &page).await).await;
        assert_eq!(found.unwrap().len(), usize::from(holds), "{filter:?}");
    }
}

async fn a_resource_keeps_its_id_and_user_tags_through_discovery_runs(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    let first_seen = ground.now();
    let orders = ResourceId::derive(&shop.id, "shop/public/orders");
    let user_tags = BTreeMap::from([("pii".to_owned(), "yes".to_owned())]);
    ground
        .store
        .write(async |tx| -> Result<()> {
            let run = tx.begin_sync(&shop.id).await?;
            tx.record_found(&shop.id, &run, &[table("orders"), table("users"), table("orders")])
                .await?;
            assert_eq!(tx.find_sync(&shop.id).await?.unwrap().pages, 1);
            let summary = tx.finish_sync(&shop.id, &run).await?;
            assert_eq!((summary.found, summary.deleted), (2, 0));
            assert!(tx.set_user_tags(&orders, &user_tags).await?);
            Ok(())
        })
        .await
        .unwrap();
    ground.clock.advance(Duration::from_mins(1));
    ground
        .store
        .write(async |tx| -> Result<()> {
            let run = tx.begin_sync(&shop.id).await?;
            tx.record_found(&shop.id, &run, &[table("orders")]).await?;
            let summary = tx.finish_sync(&shop.id, &run).await?;
            assert_eq!((summary.found, summary.deleted), (1, 1));
            let left = tx.resources_of(&shop.id, "postgresql-table").await?;
            assert_eq!(left.len(), 1);
            assert_eq!((&left[0].id, left[0].created_at), (&orders, first_seen));
            assert_eq!(left[0].user_tags, user_tags);
            let gone = tx.find_resource(&ResourceId::derive(&shop.id, "shop/public/users")).await?;
            assert_eq!(gone.unwrap().status, ResourceStatus::Deleted);
            // What comes back is the same resource again.
            let run = tx.begin_sync(&shop.id).await?;
            tx.record_found(&shop.id, &run, &[table("orders"), table("users")]).await?;
            tx.finish_sync(&shop.id, &run).await?;
            assert_eq!(tx.resources_of(&shop.id, "postgresql-table").await?.len(), 2);
            Ok(())
        })
        .await
        .unwrap();
}

async fn f09_a_run_that_did_not_reach_its_end_calls_nothing_gone(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    ground
        .store
        .write(async |tx| -> Result<()> {
            let run = tx.begin_sync(&shop.id).await?;
            tx.record_found(&shop.id, &run, &[table("orders"), table("users")]).await?;
            tx.finish_sync(&shop.id, &run).await?;
            let cut = tx.begin_sync(&shop.id).await?;
            tx.record_found(&shop.id, &cut, &[table("orders")]).await?;
            let newer = tx.begin_sync(&shop.id).await?;
            let void = tx.finish_sync(&shop.id, &cut).await;
            assert!(matches!(void, Err(StoreError::Conflict { .. })), "{void:?}");
            let void = tx.record_found(&shop.id, &cut, &[table("orders")]).await;
            assert!(matches!(void, Err(StoreError::Conflict { .. })), "{void:?}");
            assert!(tx.abandon_sync(&shop.id).await?);
            assert!(tx.finish_sync(&shop.id, &newer).await.is_err());
            assert_eq!(tx.resources_of(&shop.id, "postgresql-table").await?.len(), 2);
            Ok(())
        })
        .await
        .unwrap();
}

async fn changes_between_runs_come_and_go_and_a_run_under_way_keeps_them(ground: Ground) {
    let (shop, other) = (ground.add_integration("shop").await, ground.add_integration("o").await);
    let source_of = |name: &str| table(name).source_id;
    ground
        .store
        .write(async |tx| -> Result<()> {
            for integration in [&shop.id, &other.id] {
                let run = tx.begin_sync(integration).await?;
                tx.record_found(integration, &run, &[table("orders"), table("users")]).await?;
                tx.finish_sync(integration, &run).await?;
            }
            let gone = [source_of("users"), source_of("nothing")];
            tx.record_changes(&shop.id, &[table("later")], &gone).await?;
            let names = |found: Vec<latchkey_domain::inventory::Resource>| {
                let mut names: Vec<String> = found.into_iter().map(|one| one.name).collect();
                names.sort_unstable();
                names
            };
            let present = tx.resources_of(&shop.id, "postgresql-table").await?;
            assert_eq!(names(present), ["later", "orders"]);
            let users =
                tx.find_resource(&ResourceId::derive(&shop.id, &source_of("users"))).await?;
            assert_eq!(users.unwrap().status, ResourceStatus::Deleted);
            assert_eq!(tx.resources_of(&other.id, "postgresql-table").await?.len(), 2);

            // What is told while a run is under way is seen by it.
            let run = tx.begin_sync(&shop.id).await?;
            tx.record_found(&shop.id, &run, &[table("orders")]).await?;
            tx.record_changes(&shop.id, &[table("during")], &[]).await?;
            tx.finish_sync(&shop.id, &run).await?;
            let present = tx.resources_of(&shop.id, "postgresql-table").await?;
            assert_eq!(names(present), ["during", "orders"]);
            Ok(())
        })
        .await
        .unwrap();
}

async fn only_what_changed_since_a_version_is_read_again(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    let names = |found: Vec<latchkey_domain::inventory::Resource>| {
        let mut names: Vec<String> = found.into_iter().map(|one| one.name).collect();
        names.sort_unstable();
        names
    };
    ground
        .store
        .write(async |tx| -> Result<()> {
            let version = async |tx: &mut latchkey_store::Tx| {
                let all = tx.inventory_versions().await.unwrap();
                all.into_iter().find(|one| one.integration_id == shop.id).unwrap().version
            };
            assert_eq!(version(tx).await, 0);
            let sync = async |tx: &mut latchkey_store::Tx, tables: &[DiscoveredResource]| {
                let run = tx.begin_sync(&shop.id).await.unwrap();
                tx.record_found(&shop.id, &run, tables).await.unwrap();
                tx.finish_sync(&shop.id, &run).await.unwrap();
            };
            sync(tx, &[table("orders"), table("users"), table("bills")]).await;
            let first = version(tx).await;
            assert!(first > 0);
            let changed = tx.resources_changed_since(&shop.id, 0, None, 10).await?;
            let page = tx.resources_changed_since(&shop.id, 0, Some(&changed[0].id), 1).await?;
            assert_eq!(page, changed[1..2]);
            assert_eq!(names(changed), ["bills", "orders", "users"]);

            let mut moved = table("users");
            moved.tags.insert("env".to_owned(), "prod".to_owned());
            sync(tx, &[table("orders"), moved]).await;
            let second = version(tx).await;
            assert!(second > first);
            let changed = tx.resources_changed_since(&shop.id, first, None, 10).await?;
            assert_eq!(names(changed), ["bills", "users"], "one is gone, one differs");

            let orders = ResourceId::derive(&shop.id, &table("orders").source_id);
            tx.set_user_tags(&orders, &BTreeMap::new()).await?;
            let changed = tx.resources_changed_since(&shop.id, second, None, 10).await?;
            assert_eq!(names(changed), ["orders"]);
            Ok(())
        })
        .await
        .unwrap();
}

async fn a_thousand_resources_go_in_and_are_filtered(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    let found: Vec<_> = (0..1000).map(|n| table(&format!("T_{n}"))).collect();
    ground
        .store
        .write(async |tx| -> Result<()> {
            let run = tx.begin_sync(&shop.id).await?;
            tx.record_found(&shop.id, &run, &found).await?;
            assert_eq!(tx.finish_sync(&shop.id, &run).await?.found, 1000);
            let ids: Vec<_> =
                found.iter().map(|f| ResourceId::derive(&shop.id, &f.source_id)).collect();
            assert_eq!(tx.find_resources(&ids).await?.len(), 1000);
            let filter = ResourceFilter {
                integration_ids: vec![shop.id.clone()],
                name: Some(TextMatch::Prefix("t_99".to_owned())),
                ..Default::default()
            };
            assert_eq!(tx.list_resources(&filter, &PageQuery::all()).await?.len(), 11);
            let filter = ResourceFilter {
                source_id: Some("shop/public/T_7".to_owned()),
                ..Default::default()
            };
            assert_eq!(tx.list_resources(&filter, &PageQuery::all()).await?.len(), 1);
            Ok(())
        })
        .await
        .unwrap();
}

async fn permissions_are_replaced_as_a_whole(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    let permission = |name: &str| Permission {
        id: latchkey_domain::ids::PermissionId::derive(&shop.id, "postgresql-table", name),
        integration_id: shop.id.clone(),
        resource_type: "postgresql-table".to_owned(),
        name: name.to_owned(),
        risk: None,
    };
    let (read, write) = (permission("READ_ONLY"), permission("READ_WRITE"));
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.put_permissions(&shop.id, &[read.clone(), write.clone()]).await?;
            tx.put_permissions(&shop.id, std::slice::from_ref(&write)).await?;
            assert_eq!(tx.list_permissions(&shop.id, None).await?, std::slice::from_ref(&write));
            assert_eq!(tx.list_permissions(&shop.id, Some("other")).await?, []);
            assert_eq!(tx.find_permissions(std::slice::from_ref(&read.id)).await?, []);
            let known = tx.find_permissions(std::slice::from_ref(&write.id)).await?;
            assert_eq!(known, std::slice::from_ref(&write));
            Ok(())
        })
        .await
        .unwrap();
}

async fn deleting_an_integration_takes_its_inventory_and_secret_along(ground: Ground) {
    let shop = ground.add_integration("shop").await;
    ground
        .store
        .write(async |tx| -> Result<()> {
            let run = tx.begin_sync(&shop.id).await?;
            tx.record_found(&shop.id, &run, &[table("orders")]).await?;
            tx.put_integration_secret(&shop.id, &BTreeMap::new()).await?;
            assert!(tx.delete_integration(&shop.id).await?);
            assert!(tx.find_integration_secret(&shop.id).await?.is_none());
            let left = tx.list_resources(&ResourceFilter::default(), &PageQuery::all()).await?;
            assert!(left.is_empty());
            Ok(())
        })
        .await
        .unwrap();
}

async fn a_flow_is_found_by_what_it_names(ground: Ground) {
    let (shop, crm) = (ground.add_integration("shop").await, ground.add_integration("crm").await);
    let group = ground.add_group("DBA").await;
    let mut written = flow(ground.now(), ground.rng(), "Shop reads", &shop.id);
    written.policy.requestors.conditions.push(Condition {
        source_integration_id: Some(crm.id.clone()),
        attribute_type: "group".to_owned(),
        match_operator: Some(MatchOperator::Is),
        values: Some(vec!["DBA".to_owned()]),
        pinned_ids: vec![Some(group.id.to_string())],
    });
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.insert_flow(&written).await?;
            assert_eq!(tx.find_flow(&written.id).await?, Some(written.clone()));
            assert_eq!(tx.find_flow_by_name("SHOP READS").await?, Some(written.clone()));
            assert_eq!(tx.flows_using_integration(&shop.id).await?.len(), 1);
            assert_eq!(tx.flows_using_integration(&crm.id).await?.len(), 1);
            assert_eq!(tx.flows_using_group(&group.id).await?.len(), 1);
            let mut stale = written.clone();
            written.policy.requestors.conditions.clear();
            written.active = false;
            tx.update_flow(&mut written).await?;
            assert_eq!(written.version, 2);
            assert!(tx.flows_using_group(&group.id).await?.is_empty());
            assert!(tx.flows_using_integration(&crm.id).await?.is_empty());
            assert!(tx.active_flows().await?.is_empty());
            let lost = tx.update_flow(&mut stale).await;
            assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
            assert!(tx.delete_flow(&written.id).await?);
            assert!(tx.flows_using_integration(&shop.id).await?.is_empty());
            assert!(tx.list_flows(&PageQuery::all()).await?.is_empty());
            let nobody = IntegrationId::new("nobody");
            assert!(tx.flows_using_integration(&nobody).await?.is_empty());
            Ok(())
        })
        .await
        .unwrap();
}
