//! Access scopes: the text of a query is echoed byte for byte, what is wrong with it is said with
//! its place, and a preview shows what it would select.

use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::{
    ground::{Ground, flow},
    requests::id_of,
};

const SCOPES: &str = "/api/admin/v1/access-scopes";
const PREVIEW: &str = "/api/admin/v1/access-scopes/preview";
const BUNDLES: &str = "/api/admin/v2/bundles";
const FLOWS: &str = "/api/admin/v2/access-flows";

#[tokio::test]
async fn a_scope_comes_back_byte_for_byte_and_is_replaced_whole() {
    let ground = Ground::new().await;
    let admin = &ground.admin;
    let query = "\n  resource_type   = \"postgresql-table\"\n\tand integration = \"no such\"\n\n";
    let body = json!({"name": "tables", "description": " two\nlines ", "query": query});
    let made = ground.post(admin, SCOPES, body).await.ok();
    assert_eq!(made["query"], query);
    assert_eq!(made["description"], " two\nlines ");
    assert_eq!(made["creation_date"], made["update_date"]);
    let one = format!("{SCOPES}/{}", id_of(&made));
    assert_eq!(ground.get(admin, &one).await.ok(), made);

    ground.pass(60);
    let body = json!({"name": "TABLES", "query": "resource_name = \"orders\""});
    let changed = ground.put(admin, &one, body).await.ok();
    assert_eq!(changed["id"], made["id"]);
    assert_eq!(changed["description"], Value::Null);
    assert_eq!(changed["creation_date"], made["creation_date"]);
    assert_ne!(changed["update_date"], made["update_date"]);
    assert_eq!(ground.get(admin, &one).await.ok(), changed);

    ground.delete(admin, &one).await.done();
    ground.get(admin, &one).await.refused(404, "NotFound");
    ground.delete(admin, &one).await.refused(404, "NotFound");
    ground.put(admin, &one, json!({"name": "x", "query": query})).await.refused(404, "NotFound");
}

#[tokio::test]
async fn everything_wrong_with_a_query_is_named_with_place_and_suggestion() {
    let ground = Ground::new().await;
    let admin = &ground.admin;
    let query = "resource_types = \"a\"\n  or resource_name like \"b\"";
    let answer = ground.post(admin, SCOPES, json!({"name": "x", "query": query})).await;
    let body = answer.refused(400, "BadRequest");
    let errors = body["errors"].as_array().unwrap();
    assert_eq!(
        errors[0],
        json!({
            "field": "query",
            "message": "line 1, column 1: there is no field `resource_types`; did you mean \
                        `resource_type`?",
        })
    );
    assert_eq!(
        errors[1]["message"],
        "line 2, column 20: there are no patterns; use contains, starts_with or ends_with"
    );
    assert_eq!(errors.len(), 2);
    ground.post(admin, SCOPES, json!({"name": "x", "query": ""})).await.refuses("query");
    let query = "resource = \"a\"";
    ground.post(admin, SCOPES, json!({"name": " ", "query": query})).await.refuses("name");
    ground.post(admin, SCOPES, json!({"name": "x"})).await.refuses("query");
    assert_eq!(ground.get(admin, SCOPES).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn names_are_unique_without_case_and_lists_filter_and_page_by_them() {
    let ground = Ground::new().await;
    let admin = &ground.admin;
    let query = "resource = \"a\"";
    for name in ["Prod tables", "dev tables", "prod views"] {
        ground.post(admin, SCOPES, json!({"name": name, "query": query})).await.ok();
        ground.pass(1);
    }
    let same_name = json!({"name": "PROD TABLES", "query": query});
    ground.post(admin, SCOPES, same_name.clone()).await.refused(409, "Conflict");
    let list = ground.get(admin, SCOPES).await.ok();
    let dev = list["items"][1].clone();
    let path = format!("{SCOPES}/{}", id_of(&dev));
    ground.put(admin, &path, same_name).await.refused(409, "Conflict");
    ground.put(admin, &path, json!({"name": "DEV tables", "query": query})).await.ok();

    let first = ground.get(admin, &format!("{SCOPES}?name=PROD*&limit=1")).await.ok();
    assert_eq!(first["items"][0]["name"], "Prod tables");
    let token = first["pagination"]["next_page_token"].as_str().unwrap();
    let second = ground.get(admin, &format!("{SCOPES}?page_token={token}")).await.ok();
    assert_eq!(second["items"][0]["name"], "prod views");
    assert_eq!(second["pagination"]["next_page_token"], Value::Null);
}

#[tokio::test]
async fn a_scope_in_use_is_not_deleted_and_its_users_are_named() {
    let ground = Ground::new().await;
    let admin = &ground.admin;
    let body = json!({"name": "tables", "query": "resource_type = \"postgresql-table\""});
    let scope = ground.post(admin, SCOPES, body).await.ok();
    let by_name = json!([{"access_scope": {"access_scope_reference": "Tables"}}]);
    let body = json!({"name": "analysts", "access_targets": by_name});
    let bundle = ground.post(admin, BUNDLES, body).await.ok();
    let mut readers = flow("readers", "ada", None);
    readers["access_targets"] = by_name;
    let readers = ground.post(admin, FLOWS, readers).await.ok();
    let target = &readers["access_targets"][0]["access_scope"];
    assert_eq!(*target, json!({"access_scope_id": scope["id"], "access_scope_name": "tables"}));

    let one = format!("{SCOPES}/{}", id_of(&scope));
    let refused = ground.delete(admin, &one).await.refused(409, "Conflict");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("the access flow \"readers\""), "{message}");
    assert!(message.contains("the bundle \"analysts\""), "{message}");
    ground.delete(admin, &format!("{FLOWS}/{}", id_of(&readers))).await.done();
    ground.delete(admin, &one).await.refused(409, "Conflict");
    ground.delete(admin, &format!("{BUNDLES}/{}", id_of(&bundle))).await.done();
    ground.delete(admin, &one).await.done();
}

#[tokio::test]
async fn a_preview_shows_what_a_query_selects_and_what_would_change() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    ground.shop(&connector, "edge").await;
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    let all = "integration = \"shop\" and resource_type = \"postgresql-table\"";
    let shown = ground.post(&viewer, PREVIEW, json!({"query": all})).await.ok();
    let total = shown["total"].as_i64().unwrap();
    assert_eq!((&shown["valid"], &shown["diagnostics"]), (&json!(true), &json!([])));
    assert_eq!((&shown["added"], &shown["removed"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["items"].as_array().unwrap().len(), usize::try_from(total).unwrap());
    // The same rows as for somebody who may ask for all of it.
    let row = &shown["items"][0];
    assert_eq!(row["integration"]["name"], "shop");
    assert_eq!(row["resource"]["type"]["id"], "postgresql-table");
    assert!(row["permission"]["id"].is_string());

    let body = json!({"name": "orders", "query": "resource_name = \"orders\""});
    let scope = ground.post(&ground.admin, SCOPES, body).await.ok();
    let body = json!({
        "query": "permission_name = \"READ_ONLY\"", "access_scope_id": scope["id"],
    });
    let shown = ground.post(&viewer, PREVIEW, body.clone()).await.ok();
    let reading = shown["total"].as_i64().unwrap();
    assert!(reading >= 2, "both tables, and whatever holds them");
    let orders = total / 2;
    assert_eq!(shown["added"], reading - 1, "reading orders was in before");
    assert_eq!(shown["removed"], orders - 1, "and every other permission on it goes");

    let mut seen = Vec::new();
    let mut path = format!("{PREVIEW}?limit=1");
    loop {
        let page = ground.post(&viewer, &path, body.clone()).await.ok();
        assert_eq!(page["total"], reading);
        seen.push(page["items"][0].clone());
        let Some(token) = page["pagination"]["next_page_token"].as_str() else { break };
        path = format!("{PREVIEW}?page_token={token}");
    }
    assert_eq!(json!(seen), shown["items"]);
}

#[tokio::test]
async fn a_preview_of_a_text_with_errors_says_where_they_are() {
    let ground = Ground::new().await;
    let admin = &ground.admin;
    let query = "résource_type = \"a\"";
    let shown = ground.post(admin, PREVIEW, json!({"query": query})).await.ok();
    assert_eq!(
        shown,
        json!({
            "valid": false,
            "diagnostics": [{
                "offset": 0, "length": 14, "line": 1, "column": 1,
                "message": "there is no field `résource_type`",
                "hint": "did you mean `resource_type`?",
            }],
            "total": 0, "items": [], "added": null, "removed": null,
            "pagination": {"next_page_token": null},
        })
    );
    let query = "resource_risk_level = \"hgih\"";
    let shown = ground.post(admin, PREVIEW, json!({"query": query})).await.ok();
    assert_eq!((&shown["valid"], &shown["total"]), (&json!(true), &json!(0)));
    assert_eq!(shown["diagnostics"][0]["hint"], "did you mean \"high\"?");
    let body = json!({"query": query, "access_scope_id": "unknown"});
    ground.post(admin, PREVIEW, body).await.refuses("access_scope_id");
}
