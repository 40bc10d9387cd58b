//! Attributes of people: set in bulk, listed beside users and groups, and looked at by flows.

use axum::{
    body::Body,
    http::{Request, header},
};
use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::{
    ground::{Answer, Ground, flow},
    requests::id_of,
};

const BULK: &str = "/api/v2/bulk/identities/attributes";
const ATTRIBUTES: &str = "/api/admin/v1/attributes";
const FLOWS: &str = "/api/admin/v2/access-flows";
const REQUESTS: &str = "/api/user/v4/access-requests";

async fn set(ground: &Ground, name: &str, attributes: Value) -> Value {
    let rows = json!([{"email": format!("{name}@example.com"), "attributes": attributes}]);
    let outcome = ground.put(&ground.admin, BULK, rows).await.ok();
    assert_eq!(outcome["summary"], json!({"total": 1, "succeeded": 1, "failed": 0}), "{outcome}");
    outcome
}

async fn take(ground: &Ground, name: &str, types: Value) -> Value {
    let rows = json!([{"email": format!("{name}@example.com"), "attribute_types": types}]);
    ground.call("DELETE", &ground.admin, BULK, Some(rows)).await.ok()
}

/// Ana, who may read the shop's tables under flows, and the shop.
async fn shop() -> (Ground, String, Value) {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    ground.shop(&connector, "edge").await;
    let ana = ground.somebody("ana", None).await;
    let integrations = ground.get(&ground.admin, "/api/v2/integrations").await.ok();
    let shop = id_of(&integrations["data"][0]).to_owned();
    let list = async |what: &str| {
        let path = format!("/api/v3/integrations/{shop}/{what}?resource-type=postgresql-table");
        ground.get(&ground.admin, &path).await.ok()["data"].clone()
    };
    let resources = list("resources").await;
    let permissions = list("permissions").await;
    let reads = permissions.as_array().unwrap().iter().find(|row| row["name"] == "READ_ONLY");
    let entitlement =
        json!({"resource_id": resources[0]["id"], "permission_id": reads.unwrap()["id"]});
    (ground, ana, entitlement)
}

async fn ask(ground: &Ground, who: &str, entitlement: &Value) -> Answer {
    let body = json!({"entitlements": [entitlement]});
    ground.post(who, REQUESTS, body).await
}

#[tokio::test]
async fn rows_are_merged_and_one_that_fails_fails_alone() {
    let ground = Ground::new().await;
    for name in ["ana", "bob"] {
        ground.somebody(name, None).await;
    }
    set(&ground, "ana", json!({"okta_city": "Berlin", "team": "data"})).await;
    let rows = json!([
        {"email": "ANA@example.com", "attributes": {"team": "platform"}},
        {"email": "nobody@example.com", "attributes": {"team": "platform"}},
        {"email": "bob@example.com", "attributes": {"team": " ", "okta_city": "Paris"}},
        {"email": "bob@example.com", "attributes": {"User": "x"}},
        {"email": "bob@example.com", "attributes": {"grade": "7"}},
    ]);
    let outcome = ground.put(&ground.admin, BULK, rows).await.ok();
    assert_eq!(outcome["summary"], json!({"total": 5, "succeeded": 2, "failed": 3}));
    let results = outcome["results"].as_array().unwrap();
    assert_eq!(results[0], json!({"email": "ANA@example.com", "success": true, "errors": []}));
    let code = |at: usize| results[at]["errors"][0]["error_code"].clone();
    assert_eq!(
        (code(1), code(2), code(3)),
        (json!("NotFound"), json!("BadRequest"), json!("BadRequest"))
    );
    assert_eq!(results[1]["email"], "nobody@example.com");
    assert!(results[2]["errors"][0]["error_details"].as_str().unwrap().contains("team"));
    let list = ground.get(&ground.admin, BULK).await.ok();
    assert_eq!(
        list,
        json!({
            "data": [
                {"email": "ana@example.com",
                 "attributes": {"okta_city": "Berlin", "team": "platform"}},
                {"email": "bob@example.com", "attributes": {"grade": "7"}},
            ],
            "pagination": {"total": 2, "limit": 100, "offset": 0},
        })
    );
    let ana = ground.get(&ground.admin, "/api/admin/v3/users/ana@example.com").await.ok();
    assert_eq!(ana["attributes"], json!({"okta_city": "Berlin", "team": "platform"}));
    let all = ground.get(&ground.admin, "/api/admin/v3/users?first_name=a*").await.ok();
    let rows = all["items"].as_array().unwrap();
    assert!(rows.contains(&ana));
    let ada = rows.iter().find(|user| user["first_name"] == "ada").unwrap();
    assert_eq!(ada["attributes"], Value::Null);
}

#[tokio::test]
async fn a_delete_with_a_body_drops_types_and_does_not_mind_absent_ones() {
    let ground = Ground::new().await;
    ground.somebody("ana", None).await;
    set(&ground, "ana", json!({"okta_city": "Berlin", "team": "data"})).await;
    let outcome = take(&ground, "ana", json!(["team", "never-set"])).await;
    assert_eq!(outcome["results"][0]["success"], true);
    let list = ground.get(&ground.admin, BULK).await.ok();
    assert_eq!(list["data"][0]["attributes"], json!({"okta_city": "Berlin"}));
    take(&ground, "ana", json!(["okta_city"])).await;
    assert_eq!(ground.get(&ground.admin, BULK).await.ok()["data"], json!([]));
    let unknown = take(&ground, "nobody", json!(["team"])).await;
    assert_eq!(unknown["results"][0]["errors"][0]["error_code"], "NotFound");
    ground.call("DELETE", &ground.admin, BULK, None).await.refused(400, "BadRequest");
    ground.call("DELETE", &ground.admin, BULK, Some(json!({}))).await.refused(400, "BadRequest");
    let rows = json!([{"email": "ana@example.com"}]);
    ground.call("DELETE", &ground.admin, BULK, Some(rows)).await.refuses("[0].attribute_types");
    let rows = json!([{"email": "ana@example.com", "attributes": {"team": null}}]);
    ground.put(&ground.admin, BULK, rows).await.refuses("[0].attributes.team");
}

#[tokio::test]
async fn the_bulk_list_is_paged_by_limit_and_skip_and_kept_by_repeated_addresses() {
    let ground = Ground::new().await;
    for name in ["ana", "bob", "cleo", "dan"] {
        ground.pass(1);
        ground.somebody(name, None).await;
        if name != "dan" {
            set(&ground, name, json!({"team": name})).await;
        }
    }
    let list = async |query: &str| {
        let list = ground.get(&ground.admin, &format!("{BULK}?{query}")).await.ok();
        let rows = list["data"].as_array().unwrap();
        let names: Vec<String> =
            rows.iter().map(|row| row["attributes"]["team"].as_str().unwrap().to_owned()).collect();
        (names, list["pagination"].clone())
    };
    let (names, page) = list("limit=2&skip=1").await;
    assert_eq!(names, ["bob", "cleo"]);
    assert_eq!(page, json!({"total": 3, "limit": 2, "offset": 1}));
    let (names, page) = list("emails=cleo%40example.com&emails=ANA@example.com&emails=x@y").await;
    assert_eq!(names, ["ana", "cleo"]);
    assert_eq!(page["total"], 2);
    assert!(list("emails=dan@example.com").await.0.is_empty());
    assert!(list("emails=nobody@example.com").await.0.is_empty());
    assert_eq!(list("limit=5000").await.1["limit"], 1000);
    for (query, field) in [("limit=0", "limit"), ("limit=x", "limit"), ("skip=-1", "skip")] {
        ground.get(&ground.admin, &format!("{BULK}?{query}")).await.refuses(field);
    }
}

#[tokio::test]
async fn attributes_are_read_with_any_role_and_written_by_admins_alone() {
    let ground = Ground::new().await;
    let rows = json!([{"email": "ada@example.com", "attributes": {"team": "data"}}]);
    let keys = json!([{"email": "ada@example.com", "attribute_types": ["team"]}]);
    for role in [Role::PowerUser, Role::Deployment, Role::Viewer] {
        let token = ground.somebody(&format!("{role:?}"), Some(role)).await;
        ground.put(&token, BULK, rows.clone()).await.refused(403, "Forbidden");
        ground.call("DELETE", &token, BULK, Some(keys.clone())).await.refused(403, "Forbidden");
        for path in [BULK, ATTRIBUTES, "/api/v2/identities"] {
            ground.get(&token, path).await.ok();
        }
    }
    let nobody = ground.somebody("nora", None).await;
    for path in [BULK, ATTRIBUTES, "/api/v2/identities"] {
        ground.get(&nobody, path).await.refused(403, "Forbidden");
    }
    let before = ground.everything_stored().await.0;
    assert!(!before.contains("user.attributes_changed"));
    set(&ground, "ada", json!({"team": "data"})).await;
    let after = ground.everything_stored().await.0;
    assert_eq!(after.matches("user.attributes_changed").count(), 1);
    set(&ground, "ada", json!({"team": "data"})).await;
    let again = ground.everything_stored().await.0;
    assert_eq!(again.matches("user.attributes_changed").count(), 1, "nothing changed");
}

#[tokio::test]
async fn the_list_of_attributes_has_users_groups_and_values_that_somebody_has() {
    let ground = Ground::new().await;
    for name in ["ana", "bob"] {
        ground.pass(1);
        ground.somebody(name, None).await;
    }
    let group = json!({"name": "Data Crew", "members_emails": []});
    ground.pass(1);
    let group = ground.post(&ground.admin, "/api/admin/v1/groups", group).await.ok();
    ground.pass(1);
    set(&ground, "ana", json!({"okta_city": "Berlin", "manager": "bob@example.com"})).await;
    set(&ground, "bob", json!({"okta_city": "BERLIN"})).await;
    let values = async |query: &str| {
        let list = ground.get(&ground.admin, &format!("{ATTRIBUTES}?{query}")).await.ok();
        let rows = list["items"].as_array().unwrap().clone();
        let mut values: Vec<String> = rows
            .iter()
            .map(|row| {
                format!("{}={}", row["type"].as_str().unwrap(), row["value"].as_str().unwrap())
            })
            .collect();
        values.sort();
        values
    };
    assert_eq!(
        values("").await,
        [
            "group=Data Crew",
            "manager=bob@example.com",
            "okta_city=Berlin",
            "user=ada@example.com",
            "user=ana@example.com",
            "user=bob@example.com",
        ]
    );
    assert_eq!(values("type=okta_city").await, ["okta_city=Berlin"]);
    assert!(values("type=okta_").await.is_empty(), "types are compared whole");
    assert_eq!(values("search=data*").await, ["group=Data Crew"]);
    assert_eq!(values("search=*CREW").await, ["group=Data Crew"]);
    assert_eq!(values("search=%2Aer%2A&type=okta_city").await, ["okta_city=Berlin"]);
    assert!(values("search=data").await.is_empty(), "without asterisks the whole value");
    assert!(values("search=d*a").await.is_empty(), "an asterisk in the middle is a letter");
    let row = ground.get(&ground.admin, &format!("{ATTRIBUTES}?type=group")).await.ok();
    assert_eq!(
        row["items"][0],
        json!({
            "type": "group", "value": "Data Crew", "source_id": null,
            "source_integration_id": null, "source_integration_name": null,
        })
    );
    let unknown = format!("{ATTRIBUTES}?source_integration_reference=nowhere");
    ground.get(&ground.admin, &unknown).await.refuses("source_integration_reference");

    // The cursor alone carries filter and limit.
    let first = ground.get(&ground.admin, &format!("{ATTRIBUTES}?type=user&limit=2")).await.ok();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let token = first["pagination"]["next_page_token"].as_str().unwrap();
    let second = ground.get(&ground.admin, &format!("{ATTRIBUTES}?page_token={token}")).await.ok();
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert_eq!(second["pagination"]["next_page_token"], Value::Null);
    for damaged in [&token[1..], "x"] {
        let path = format!("{ATTRIBUTES}?page_token={damaged}");
        ground.get(&ground.admin, &path).await.refuses("page_token");
    }
    let other = format!("{ATTRIBUTES}?page_token={token}&type=group");
    ground.get(&ground.admin, &other).await.refuses("type");

    let identities = ground.get(&ground.admin, "/api/v2/identities").await.ok();
    assert_eq!(identities["pagination"], json!({"total": 6, "limit": 6, "offset": 0}));
    let rows = identities["data"].as_array().unwrap();
    let crew = json!({"type": "GROUP", "name": "Data Crew", "id": group["id"]});
    assert!(rows.contains(&crew), "{rows:?}");
    let kinds = rows.iter().filter(|row| row["type"] == "CONTEXT_ATTRIBUTE").count();
    assert_eq!(kinds, 2);
    assert_eq!(rows.iter().filter(|row| row["type"] == "USER").count(), 3);
    take(&ground, "ana", json!(["okta_city", "manager"])).await;
    assert_eq!(values("type=okta_city").await, ["okta_city=Berlin"], "Bob still has it");
    assert!(values("type=manager").await.is_empty());
}

#[tokio::test]
async fn flows_govern_by_attributes_of_the_requestor() {
    let (ground, ana, orders) = shop().await;
    let mut by_city = flow("by city", "ana", None);
    let condition = |operator: &str, value: &str| {
        json!([
            {"type": "okta_city", "match_operator": operator, "values": [value]},
        ])
    };
    by_city["requestors"]["conditions"] = condition("is", "berlin");
    let made = ground.post(&ground.admin, FLOWS, by_city.clone()).await.ok();
    let stored = &made["requestors"]["conditions"][0];
    assert_eq!(stored["values"], json!(["berlin"]), "as it was sent");
    let path = format!("{FLOWS}/{}", id_of(&made));
    ask(&ground, &ana, &orders).await.refused(403, "NoMatchingFlow");
    set(&ground, "ana", json!({"okta_city": "Berlin"})).await;
    ask(&ground, &ana, &orders).await.ok();
    for (operator, value, governs) in [
        ("is", "BERLIN", true),
        ("is", "Ber", false),
        ("is_not", "Berlin", false),
        ("is_not", "Paris", true),
        ("contains", "erl", true),
        ("does_not_contain", "erl", false),
        ("does_not_contain", "par", true),
        ("starts_with", "ber", true),
        ("starts_with", "lin", false),
    ] {
        by_city["requestors"]["conditions"] = condition(operator, value);
        ground.put(&ground.admin, &path, by_city.clone()).await.ok();
        let answer = ask(&ground, &ana, &orders).await;
        assert_eq!(answer.status == 200, governs, "{operator} {value}: {}", answer.text);
    }
    // Absence opens nothing, in the negative as well.
    by_city["requestors"]["conditions"] = condition("is_not", "Paris");
    ground.put(&ground.admin, &path, by_city.clone()).await.ok();
    take(&ground, "ana", json!(["okta_city"])).await;
    ask(&ground, &ana, &orders).await.refused(403, "NoMatchingFlow");

    by_city["requestors"]["conditions"] = json!([{"type": "okta_city", "values": []}]);
    let refused = ground.put(&ground.admin, &path, by_city.clone()).await;
    refused.refuses("requestors.conditions[0].values");
    by_city["requestors"]["conditions"] = json!([{"type": "Owner", "values": ["ana"]}]);
    let refused = ground.put(&ground.admin, &path, by_city.clone()).await;
    refused.refuses("requestors.conditions[0].type");
    by_city["requestors"]["conditions"] = json!([
        {"type": "okta_city", "values": ["x"], "source_integration_reference": "nowhere"},
    ]);
    let refused = ground.put(&ground.admin, &path, by_city).await;
    refused.refuses("requestors.conditions[0].source_integration_reference");
}

#[tokio::test]
async fn flows_govern_by_attributes_of_the_grantee() {
    let (ground, ana, orders) = shop().await;
    for name in ["bob", "cleo"] {
        ground.somebody(name, None).await;
    }
    set(&ground, "bob", json!({"team": "data"})).await;
    let mut for_team = flow("for the team", "ana", None);
    for_team["request_for"] = json!({
        "request_scopes": ["others"],
        "grantees": {"logical_operator": "OR", "conditions": [
            {"type": "team", "match_operator": "contains", "values": ["DAT"]},
        ]},
    });
    ground.post(&ground.admin, FLOWS, for_team).await.ok();
    let ask_for = async |grantee: &str| {
        let body = json!({
            "entitlements": [orders],
            "grantee": format!("{grantee}@example.com"),
        });
        ground.post(&ana, REQUESTS, body).await
    };
    ask_for("bob").await.ok();
    ask_for("cleo").await.refused(403, "NoMatchingFlow");
}

#[tokio::test]
async fn approvers_are_found_by_attribute_and_judged_anew_when_they_decide() {
    let (ground, ana, orders) = shop().await;
    let bob = ground.somebody("bob", None).await;
    let cleo = ground.somebody("cleo", None).await;
    let mut by_shift = flow("by shift", "ana", Some("bob"));
    by_shift["approver_policy"]["approver_groups"][0]["approvers"] =
        json!([{"type": "pagerduty_shift", "values": ["Shop"]}]);
    ground.post(&ground.admin, FLOWS, by_shift).await.ok();
    set(&ground, "bob", json!({"pagerduty_shift": "shop"})).await;
    let asked = ask(&ground, &ana, &orders).await.ok();
    let path = format!("/api/client/v1/access-requests/{}/approve", id_of(&asked[0]));
    let tasks = "/api/client/v1/access-requests?scope=MyTasks";
    assert_eq!(ground.get(&bob, tasks).await.ok()["data"].as_array().unwrap().len(), 1);
    ground.post(&cleo, &path, json!({})).await.refused(404, "NotFound");
    // The shift changes hands between question and answer.
    set(&ground, "bob", json!({"pagerduty_shift": "stock"})).await;
    set(&ground, "cleo", json!({"pagerduty_shift": "SHOP"})).await;
    ground.post(&bob, &path, json!({})).await.refused(404, "NotFound");
    ground.post(&cleo, &path, json!({})).await.ok();
}

#[tokio::test]
async fn the_requestors_manager_approves_and_follows_the_attribute() {
    let (ground, ana, orders) = shop().await;
    let bob = ground.somebody("bob", None).await;
    let mut by_manager = flow("by manager", "ana", Some("bob"));
    by_manager["approver_policy"]["approver_groups"][0]["approvers"] = json!([{"type": "manager"}]);
    ground.post(&ground.admin, FLOWS, by_manager.clone()).await.ok();
    let asked = ask(&ground, &ana, &orders).await.ok();
    let path = format!("/api/client/v1/access-requests/{}/approve", id_of(&asked[0]));
    ground.post(&bob, &path, json!({})).await.refused(404, "NotFound");
    set(&ground, "ana", json!({"manager": "Bob@example.com"})).await;
    ground.post(&bob, &path, json!({})).await.ok();
    let shown = ground.get(&ground.admin, "/api/admin/v3/users/ana@example.com").await.ok();
    assert_eq!(shown["attributes"], json!({"manager": "Bob@example.com"}));

    let bad = async |manager: &str, code: &str| {
        let attributes = json!({"manager": manager, "team": "data"});
        let rows = json!([{"email": "ana@example.com", "attributes": attributes}]);
        let outcome = ground.put(&ground.admin, BULK, rows).await.ok();
        assert_eq!(outcome["results"][0]["errors"][0]["error_code"], code, "{outcome}");
    };
    bad("nobody@example.com", "NotFound").await;
    bad("ana@example.com", "BadRequest").await;
    let list = ground.get(&ground.admin, BULK).await.ok();
    assert_eq!(list["data"][0]["attributes"], json!({"manager": "Bob@example.com"}));
    take(&ground, "ana", json!(["manager"])).await;
    let second = ask(&ground, &ana, &orders).await.ok();
    let path = format!("/api/client/v1/access-requests/{}/approve", id_of(&second[0]));
    ground.post(&bob, &path, json!({})).await.refused(404, "NotFound");

    let group = &mut by_manager["approver_policy"]["approver_groups"][0];
    group["approvers"] = json!([{"type": "manager", "values": ["bob@example.com"]}]);
    by_manager["name"] = json!("another");
    let refused = ground.post(&ground.admin, FLOWS, by_manager).await;
    refused.refuses("approver_policy.approver_groups[0].approvers[0].values");
}

#[tokio::test]
async fn reports_of_a_manager_are_requestors_by_the_managers_address() {
    let (ground, ana, orders) = shop().await;
    ground.somebody("bob", None).await;
    let mut reports = flow("reports of bob", "ana", None);
    reports["requestors"]["conditions"] =
        json!([{"type": "manager", "values": ["bob@example.com"]}]);
    ground.post(&ground.admin, FLOWS, reports).await.ok();
    ask(&ground, &ana, &orders).await.refused(403, "NoMatchingFlow");
    set(&ground, "ana", json!({"manager": "bob@example.com"})).await;
    ask(&ground, &ana, &orders).await.ok();
}

#[tokio::test]
async fn a_bulk_body_that_is_no_json_is_refused() {
    let ground = Ground::new().await;
    for method in ["PUT", "DELETE"] {
        let request = Request::builder()
            .method(method)
            .uri(BULK)
            .header(header::AUTHORIZATION, format!("Bearer {}", ground.admin))
            .header(header::CONTENT_TYPE, "text/plain")
            .body(Body::from("[]"))
            .unwrap();
        ground.send(request).await.refused(400, "BadRequest");
        let empty = ground.call(method, &ground.admin, BULK, Some(json!([]))).await.ok();
        assert_eq!(
            empty,
            json!({"summary": {"total": 0, "succeeded": 0, "failed": 0}, "results": []})
        );
    }
}
