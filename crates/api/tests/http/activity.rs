//! Activity: every request with its timeline, by period and filters.

use std::collections::BTreeSet;

use latchkey_app::{
    Actor, PageRequest,
    activity::{ActivityFilter, list_activity},
    authenticate::authenticate,
    requests::{RequestAccess, request_access},
};
use latchkey_domain::{
    ids::{PermissionId, ResourceId},
    people::Role,
};
use serde_json::{Value, json};

use crate::{
    ground::Ground,
    requests::{Story, id_of},
};

const ACTIVITY: &str = "/api/v3/activity";

/// The ids of the rows that a query brings, each once.
async fn ids(ground: &Ground, query: &str) -> BTreeSet<String> {
    let list = ground.get(&ground.admin, &format!("{ACTIVITY}?{query}")).await.ok();
    let rows = list["data"].as_array().unwrap();
    let total = rows.len();
    assert_eq!(list["pagination"], json!({"total": total, "limit": total, "offset": 0}));
    rows.iter().map(|row| row["request_id"].as_str().unwrap().to_owned()).collect()
}

fn of(requests: &[&Value]) -> BTreeSet<String> {
    requests.iter().map(|request| id_of(request).to_owned()).collect()
}

#[tokio::test]
async fn a_row_tells_of_a_request_in_the_words_of_v4() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, .. } = &story;
    let mut body = story.body("orders").await;
    let customers = story.body("customers").await["entitlements"][0].clone();
    body["entitlements"].as_array_mut().unwrap().push(customers);
    let path = "/api/user/v4/access-requests";
    let asked = ground.post(&story.ana, path, body).await.ok()[0].clone();
    let list = ground.get(&ground.admin, ACTIVITY).await.ok();
    assert_eq!(
        list["data"],
        json!([{
            "request_id": asked["id"], "request_date": asked["creation_date"],
            "requestor_name": "ana", "requestor_email": "ana@example.com",
            "integration": "shop", "resource_type": "postgresql-table",
            "resources": ["orders", "customers"], "permissions": ["READ_ONLY"],
            "justification": "incident 7", "status": "Pending", "trigger_type": "SELF_SERVE",
            "access_flow": "readers", "extension_count": "0",
        }])
    );
    story.act(&story.bob, &asked, "approve", json!({"justification": "go"})).await.ok();
    ground.work(connector).await;
    story.act(&story.ana, &asked, "revoke", json!({})).await.ok();
    ground.work(connector).await;
    let path = format!("/api/admin/v2/access-flows/{}", id_of(&story.flow));
    ground.delete(&ground.admin, &path).await.done();
    let row = ground.get(&ground.admin, ACTIVITY).await.ok()["data"][0].clone();
    assert_eq!((&row["status"], &row["access_flow"]), (&json!("Revoked"), &json!("readers")));

    // What only reports show is in the same rows.
    let shell = Actor::command_line();
    let filter = ActivityFilter::default();
    let page = list_activity(&ground.app, &shell, &filter, &PageRequest::default()).await.unwrap();
    let row = &page.items[0];
    assert_eq!(row.decisions[0].reason.as_deref(), Some("go"));
    assert_eq!(row.decisions[0].by.email(), "bob@example.com");
    assert!(row.requested_at <= row.granted_at.unwrap() && row.granted_at <= row.revoked_at);
    assert_eq!(row.resources[0].statuses, ["Revoked"]);
}

#[tokio::test]
async fn columns_that_are_not_asked_for_are_null() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    story.ask("orders").await;
    let list =
        ground.get(&ground.admin, &format!("{ACTIVITY}?fields=status&fields=resources")).await;
    let row = list.ok()["data"][0].clone();
    for (member, value) in row.as_object().unwrap() {
        let wanted = ["status", "resources"].contains(&member.as_str());
        assert_eq!(value.is_null(), !wanted, "{member}");
    }
    assert_eq!(row["resources"], json!(["orders"]));
    // A column that only reports have is known, and has no member here.
    let list = ground.get(&ground.admin, &format!("{ACTIVITY}?fields=approver_names")).await.ok();
    assert!(list["data"][0].as_object().unwrap().values().all(Value::is_null), "{list}");
    ground.get(&ground.admin, &format!("{ACTIVITY}?fields=shoe_size")).await.refuses("fields");
}

#[tokio::test]
async fn every_filter_keeps_what_it_names_and_all_of_them_must_hold() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, bob, .. } = &story;
    let first = story.ask("orders").await;
    story.act(bob, &first, "approve", json!({})).await.ok();
    ground.work(connector).await;
    ground.pass(100);
    let second = story.ask("customers").await;
    ground.pass(100);
    let filed =
        ground.post(&ground.admin, "/api/v3/access-requests", story.body_v3("orders").await);
    let third = json!({"id": filed.await.ok()["request_id"]});
    let all = of(&[&first, &second, &third]);
    assert_eq!(ids(ground, "").await, all);

    let resource = story.body("orders").await["entitlements"][0]["resource_id"].clone();
    let resource = resource.as_str().unwrap();
    let shop = ground.get(&ground.admin, "/api/admin/v4/integrations").await.ok();
    let shop = id_of(&shop["items"][0]).to_owned();
    let ada = ground.get(&ground.admin, "/api/admin/v3/users/ada@example.com").await.ok();
    let two = format!("filter[access_request_id]={}&filter[access_request_id]=AR-2", id_of(&first));
    let cases = [
        (format!("filter[access_flow_id]={}", id_of(&story.flow)), all.clone()),
        ("filter[access_flow_id]=unknown".to_owned(), of(&[])),
        (two, of(&[&first, &second])),
        (format!("filter%5Bintegration_id%5D={shop}"), all.clone()),
        ("filter[integration_id]=shop".to_owned(), of(&[])),
        ("filter[permission]=READ_ONLY".to_owned(), all.clone()),
        ("filter[permission]=READ_WRITE&filter[permission]=ADMIN".to_owned(), of(&[])),
        (format!("filter[requestor_id]={}", id_of(&ada)), of(&[&third])),
        ("filter[requestor_id]=ANA%40example.com".to_owned(), of(&[&first, &second])),
        ("filter[requestor_id]=nobody".to_owned(), of(&[])),
        (format!("filter[resource]={resource}"), of(&[&first, &third])),
        ("filter%5bresource%5d=customers".to_owned(), of(&[&second])),
        ("filter[resource]=customers&filter[resource]=orders".to_owned(), all.clone()),
        ("filter[resource_type]=postgresql-table".to_owned(), all.clone()),
        ("filter[resource_type]=postgresql-schema".to_owned(), of(&[])),
        ("filter[status]=active".to_owned(), of(&[&first])),
        ("filter[status]=PENDING&filter[status]=Active".to_owned(), all.clone()),
        ("filter[trigger_type]=self_serve".to_owned(), all.clone()),
        ("filter[trigger_type]=AUTOMATIC".to_owned(), of(&[])),
        ("filter[resource]=orders&filter[status]=Pending".to_owned(), of(&[&third])),
        ("filter[resource]=orders&filter[permission]=READ_WRITE".to_owned(), of(&[])),
    ];
    for (query, expected) in cases {
        assert_eq!(ids(ground, &query).await, expected, "{query}");
    }
    for (query, member) in [
        ("filter[status]=Asleep", "filter[status]"),
        ("filter[trigger_type]=sometimes", "filter[trigger_type]"),
        ("start_date=x", "start_date"),
        ("start_date=9223372036854775807", "start_date"),
        ("start_date=20&end_date=10", "end_date"),
    ] {
        ground.get(&ground.admin, &format!("{ACTIVITY}?{query}")).await.refuses(member);
    }

    let at = |request: &Value| -> i64 {
        let found = ids_time(request);
        found.parse::<jiff::Timestamp>().unwrap().as_second()
    };
    let (one, two) = (at(&first), at(&second));
    assert_eq!(ids(ground, &format!("start_date={two}")).await, of(&[&second, &third]));
    assert_eq!(ids(ground, &format!("end_date={two}")).await, of(&[&first]), "the end is outside");
    let period = format!("start_date={one}&end_date={}", two + 1);
    assert_eq!(ids(ground, &period).await, of(&[&first, &second]));
    let period = format!("start_date={}000&end_date={}000", one + 1, two + 1);
    assert_eq!(ids(ground, &period).await, of(&[&second]), "in milliseconds");
    assert_eq!(ids(ground, &format!("start_date={one}&end_date={one}")).await, of(&[]));
}

fn ids_time(request: &Value) -> &str {
    request["creation_date"].as_str().unwrap()
}

#[tokio::test]
async fn activity_is_for_people_with_a_role() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    story.ask("orders").await;
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    assert_eq!(ground.get(&viewer, ACTIVITY).await.ok()["data"].as_array().unwrap().len(), 1);
    ground.get(&story.ana, ACTIVITY).await.refused(403, "Forbidden");
}

#[tokio::test]
async fn a_history_of_many_pages_is_there_once_and_in_order() {
    let story = Story::new(Some("bob")).await;
    let ground = &story.ground;
    let asked = story.body("orders").await["entitlements"][0].clone();
    let id = |member: &str| asked[member].as_str().unwrap().to_owned();
    let asked = RequestAccess {
        entitlements: vec![(
            ResourceId::new(id("resource_id")),
            PermissionId::new(id("permission_id")),
        )],
        ..RequestAccess::default()
    };
    let ana = authenticate(&ground.app, &story.ana.clone().into()).await.unwrap();
    // More than two pages of the store, so that the answers are written in parts.
    for _ in 0..405 {
        request_access(&ground.app, &ana, asked.clone()).await.unwrap();
        ground.pass(1);
    }
    let list = ground.get(&ground.admin, ACTIVITY).await.ok();
    let rows = list["data"].as_array().unwrap();
    assert_eq!(list["pagination"]["total"], 405);
    let ids: Vec<&str> = rows.iter().map(|row| row["request_id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted(), "oldest first");
    let distinct: BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(distinct.len(), 405);
    let list = ground.get(&ground.admin, "/api/v3/access-requests").await.ok();
    assert_eq!(list["data"].as_array().unwrap().len(), 405);
    assert_eq!(list["data"][404]["friendly_request_id"], "AR-405");
}
