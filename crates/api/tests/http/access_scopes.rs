//! Access scopes: the text of a query is echoed byte for byte, what is wrong with it is said with
//! its place, a preview shows what it would select, and completion what may be written next.

use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::{
    ground::{Ground, flow},
    requests::id_of,
};

const SCOPES: &str = "/api/admin/v1/access-scopes";
const PREVIEW: &str = "/api/admin/v1/access-scopes/preview";
const COMPLETE: &str = "/api/admin/v1/access-scopes/complete";
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

#[tokio::test]
async fn a_query_is_completed_with_the_names_that_exist() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    ground.shop(&connector, "edge").await;
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    let complete =
        async |query: &str| ground.post(&viewer, COMPLETE, json!({"query": query})).await.ok();
    assert_eq!(
        complete("integration = \"sh").await,
        json!({
            "replace": {"offset": 14, "length": 3},
            "items": [{"text": "\"shop\"", "kind": "value", "detail": "postgresql"}],
        })
    );
    assert_eq!(
        complete("resource_path").await["items"],
        json!([{"text": "resource_path", "kind": "field", "detail": "Its path."}])
    );
    let texts = |shown: &Value| -> Vec<String> {
        let items = shown["items"].as_array().unwrap().iter();
        items.map(|item| item["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(&complete("resource_name = \"ORD").await), ["\"orders\""]);
    assert_eq!(texts(&complete("resource_status = ").await), ["\"Active\"", "\"Error\""]);
    let types = texts(&complete("resource_type in (").await);
    assert!(types.contains(&"\"postgresql-table\"".to_owned()), "{types:?}");
    let names = texts(&complete("permission_name = ").await);
    assert!(names.contains(&"\"READ_ONLY\"".to_owned()), "{names:?}");

    // In the middle: the rest of the value is replaced.
    let query = "(integration = \"xyz\") and é";
    let body = json!({"query": query, "cursor": 16});
    let shown = ground.post(&viewer, COMPLETE, body).await.ok();
    assert_eq!(shown["replace"], json!({"offset": 15, "length": 5}));
    assert_eq!(texts(&shown), ["\"shop\""]);
    // Beyond the text is its end, and within a character is before it.
    for (cursor, replace) in [(1000, (26, 2)), (27, (26, 0))] {
        let body = json!({"query": query, "cursor": cursor});
        let shown = ground.post(&viewer, COMPLETE, body).await.ok();
        let (offset, length) = replace;
        assert_eq!(shown["replace"], json!({"offset": offset, "length": length}), "{cursor}");
    }
}

#[tokio::test]
async fn keys_and_values_of_tags_are_completed_as_the_tags_count() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    ground.shop(&connector, "edge").await;
    let body = json!({"query": "resource_name = \"orders\""});
    let shown = ground.post(&ground.admin, PREVIEW, body).await.ok();
    let orders = shown["items"][0]["resource"]["id"].as_str().unwrap();
    let tags = format!("/api/v3/integrations/resources/{orders}/user-tags");
    let body = json!({"tags": {"env": "prod \"eu\"", "team": "data"}});
    ground.put(&ground.admin, &tags, body).await.ok();
    for (query, expected) in [
        ("resource_tag[\"e", json!({"text": "\"env\"]", "kind": "key", "detail": null})),
        (
            "resource_tag[\"env\"] = \"P",
            json!({"text": "\"prod \\\"eu\\\"\"", "kind": "value", "detail": null}),
        ),
    ] {
        let shown = ground.post(&ground.admin, COMPLETE, json!({"query": query})).await.ok();
        assert_eq!(shown["items"], json!([expected]), "{query}");
    }
    // What was offered is a query that selects it.
    let query = "resource_tag[\"env\"] = \"prod \\\"eu\\\"\"";
    let shown = ground.post(&ground.admin, PREVIEW, json!({"query": query})).await.ok();
    assert_eq!(shown["valid"], true);
    assert!(shown["total"].as_i64().unwrap() > 0, "{shown}");
}

#[tokio::test]
async fn completion_takes_any_text_and_refuses_only_who_may_not_see_the_names() {
    let ground = Ground::new().await;
    let admin = &ground.admin;
    let long = " ".repeat(9 * 1024);
    for query in [long.as_str(), "resource like \"", ")) é \u{1b}\n\"", "not not"] {
        for cursor in [0, 1, 5] {
            let body = json!({"query": query, "cursor": cursor});
            ground.post(admin, COMPLETE, body).await.ok();
        }
    }
    let shown = ground.post(admin, COMPLETE, json!({"query": ""})).await.ok();
    assert_eq!(shown["replace"], json!({"offset": 0, "length": 0}));
    assert_eq!(shown["items"][0]["text"], "resource");
    let body = json!({"query": "", "cursor": -1});
    ground.post(admin, COMPLETE, body).await.refuses("cursor");
    ground.post(admin, COMPLETE, json!({"cursor": 0})).await.refuses("query");
    let nobody = ground.somebody("nora", None).await;
    ground.post(&nobody, COMPLETE, json!({"query": ""})).await.refused(403, "Forbidden");
}
