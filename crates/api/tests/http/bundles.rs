//! Bundles in both versions of the format, which are two views of the same ones.

use serde_json::{Value, json};

use crate::{
    ground::{Ground, flow},
    requests::id_of,
};

const BUNDLES: &str = "/api/admin/v2/bundles";
const OLDER: &str = "/api/v1/access-bundles";
const SCOPES: &str = "/api/admin/v1/access-scopes";
const FLOWS: &str = "/api/admin/v2/access-flows";

async fn shop() -> (Ground, Value, Value) {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    let shop = ground.shop(&connector, "edge").await;
    let body = json!({"name": "prod", "query": "resource_tag[\"env\"] = \"prod\""});
    let scope = ground.post(&ground.admin, SCOPES, body).await.ok();
    (ground, shop, scope)
}

fn tables(permissions: &[&str], scopes: impl Into<Value>) -> Value {
    let scopes = scopes.into();
    json!({"integration": {
        "integration_reference": "SHOP", "resource_type": "postgresql-table",
        "permissions": permissions, "resources_scopes": scopes,
    }})
}

fn scope(mode: &str, kind: &str, key: Option<&str>, values: &[&str]) -> Value {
    json!({"scope_mode": mode, "type": kind, "key": key, "values": values})
}

#[tokio::test]
async fn a_bundle_comes_back_as_it_was_sent() {
    let (ground, shop, prod) = shop().await;
    let admin = &ground.admin;
    let scopes = json!([
        scope("exclude_resources", "NAME", None, &["secrets"]),
        scope("include_resources", "TAG", Some("env"), &["b", "a"]),
        scope("include_resources", "TAG", Some("env"), &["c"]),
    ]);
    let sent = json!([
        {"access_scope": {"access_scope_reference": id_of(&prod)}},
        tables(&["READ_WRITE", "READ_ONLY"], scopes.clone()),
        tables(&["READ_ONLY"], Value::Null),
        tables(&["READ_ONLY"], json!([])),
    ]);
    let body = json!({"name": "Analysts", "access_targets": sent});
    let made = ground.post(admin, BUNDLES, body).await.ok();
    assert_eq!(made["creation_date"], made["update_date"]);
    let targets = &made["access_targets"];
    assert_eq!(
        targets[0],
        json!({
            "integration": null,
            "access_scope": {"access_scope_id": prod["id"], "access_scope_name": "prod"},
        })
    );
    assert_eq!(
        targets[1],
        json!({
            "integration": {
                "integration_id": shop["id"], "integration_name": "shop",
                "resource_type": "postgresql-table",
                "permissions": ["READ_WRITE", "READ_ONLY"], "resources_scopes": scopes,
            },
            "access_scope": null,
        })
    );
    assert_eq!(targets[2]["integration"]["resources_scopes"], Value::Null);
    assert_eq!(targets[3]["integration"]["resources_scopes"], json!([]));
    let one = format!("{BUNDLES}/{}", id_of(&made));
    assert_eq!(ground.get(admin, &one).await.ok(), made);

    ground.pass(1);
    let changed = ground.put(admin, &one, json!({"name": "none", "access_targets": []})).await.ok();
    assert_eq!(changed["access_targets"], json!([]), "PUT replaces");
    assert_ne!(changed["update_date"], made["update_date"]);
    ground.delete(admin, &one).await.done();
    ground.get(admin, &one).await.refused(404, "NotFound");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_bundle_is_named() {
    let (ground, ..) = shop().await;
    let admin = &ground.admin;
    let mut both = tables(&["READ_ONLY"], Value::Null);
    both["access_scope"] = json!({"access_scope_reference": "prod"});
    for (target, field) in [
        (json!({}), "access_targets[0]"),
        (both, "access_targets[0]"),
        (
            json!({"access_scope": {"access_scope_reference": "nothing"}}),
            "access_targets[0].access_scope.access_scope_reference",
        ),
        (
            json!({"integration": {
                "integration_reference": "nowhere", "resource_type": "t", "permissions": ["p"],
            }}),
            "access_targets[0].integration.integration_reference",
        ),
        (tables(&[], Value::Null), "access_targets[0].integration.permissions"),
        (
            tables(&["p"], json!([scope("include_resources", "TAG", None, &["x"])])),
            "access_targets[0].integration.resources_scopes[0].key",
        ),
    ] {
        let body = json!({"name": "x", "access_targets": [target]});
        ground.post(admin, BUNDLES, body).await.refuses(field);
    }
    ground.post(admin, BUNDLES, json!({"name": "", "access_targets": []})).await.refuses("name");
    ground.post(admin, BUNDLES, json!({"name": "x"})).await.refuses("access_targets");
}

#[tokio::test]
async fn names_of_bundles_are_unique_in_both_versions_and_filter_lists() {
    let (ground, ..) = shop().await;
    let admin = &ground.admin;
    for name in ["Prod read", "dev read"] {
        ground.post(admin, BUNDLES, json!({"name": name, "access_targets": []})).await.ok();
        ground.pass(1);
    }
    let taken = json!({"name": "PROD READ", "access_targets": []});
    ground.post(admin, BUNDLES, taken).await.refused(409, "Conflict");
    let taken = json!({"name": "prod read", "integration_targets": []});
    ground.post(admin, OLDER, taken).await.refused(409, "Conflict");
    let found = ground.get(admin, &format!("{BUNDLES}?name=*DEV*")).await.ok();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let dev = format!("{OLDER}/{}", id_of(&found["items"][0]));
    let patch = json!({"name": "Prod Read"});
    ground.call("PATCH", admin, &dev, Some(patch)).await.refused(409, "Conflict");
    let all = ground.get(admin, OLDER).await.ok();
    assert_eq!(all["pagination"], json!({"total": 2, "limit": 2, "offset": 0}));
    assert_eq!(all["data"][1]["name"], "dev read");
}

#[tokio::test]
async fn the_older_version_says_scopes_as_tags() {
    let (ground, shop, _) = shop().await;
    let admin = &ground.admin;
    let tag = |name: &str, value: &str| json!({"name": name, "value": value});
    let target = json!({
        "integration_id": shop["id"], "resource_type": "postgresql-table",
        "resource_tag_includes": [tag("env", "prod"), tag("__name", "orders"), tag("env", "dev")],
        "resource_tag_excludes": [tag("__id", "r1")],
        "permissions": ["READ_ONLY"],
    });
    let body = json!({"name": "analysts", "integration_targets": [target]});
    let made = ground.post(admin, OLDER, body).await.ok();
    let newer = ground.get(admin, &format!("{BUNDLES}/{}", id_of(&made))).await.ok();
    assert_eq!(
        newer["access_targets"][0]["integration"]["resources_scopes"],
        json!([
            scope("include_resources", "TAG", Some("env"), &["prod", "dev"]),
            scope("include_resources", "NAME", None, &["orders"]),
            scope("exclude_resources", "APONO_ID", None, &["r1"]),
        ])
    );
    let one = format!("{OLDER}/{}", id_of(&made));
    let shown = ground.get(admin, &one).await.ok();
    assert_eq!(shown, made);
    let includes = &shown["integration_targets"][0]["resource_tag_includes"];
    assert_eq!(*includes, json!([tag("env", "prod"), tag("env", "dev"), tag("__name", "orders")]));

    let mut other = target.clone();
    other["integration_id"] = json!("shop");
    let body = json!({"name": "x", "integration_targets": [target, other]});
    ground.post(admin, OLDER, body).await.refuses("integration_targets[1].integration_id");
    let mut blank = target;
    blank["resource_tag_excludes"] = json!([tag("env", "prod"), tag(" ", "x")]);
    let body = json!({"name": "x", "integration_targets": [blank]});
    let field = "integration_targets[0].resource_tag_excludes[1].name";
    ground.post(admin, OLDER, body).await.refuses(field);

    let gone = ground.delete(admin, &one).await.ok();
    assert!(gone["message"].is_string());
    ground.delete(admin, &one).await.refused(404, "NotFound");
}

#[tokio::test]
async fn the_older_version_keeps_what_only_the_newer_can_say() {
    let (ground, shop, prod) = shop().await;
    let admin = &ground.admin;
    let by_scope = json!({"access_scope": {"access_scope_reference": "prod"}});
    let odd = json!([
        scope("exclude_resources", "NAME", None, &["secrets"]),
        scope("include_resources", "TAG", Some("env"), &["a"]),
        scope("include_resources", "TAG", Some("env"), &["b"]),
    ]);
    let sent =
        json!([tables(&["READ_ONLY"], odd.clone()), by_scope, tables(&["READ_WRITE"], json!([])),]);
    let body = json!({"name": "analysts", "access_targets": sent});
    let made = ground.post(admin, BUNDLES, body).await.ok();
    let newer = format!("{BUNDLES}/{}", id_of(&made));
    let older = format!("{OLDER}/{}", id_of(&made));
    let patch = async |body: Value| ground.call("PATCH", admin, &older, Some(body)).await.ok();

    // Absent and null keep; what is sent back as it was shown changes nothing either.
    let shown = ground.get(admin, &older).await.ok();
    assert_eq!(shown["integration_targets"].as_array().unwrap().len(), 2);
    for body in [json!({}), json!({"name": null, "integration_targets": null}), shown.clone()] {
        assert_eq!(patch(body).await, shown);
        let kept = ground.get(admin, &newer).await.ok();
        assert_eq!(kept["access_targets"], made["access_targets"]);
    }

    // A list that is sent replaces the parts of integrations, and them alone.
    let mut targets = shown["integration_targets"].clone();
    targets[1]["permissions"] = json!(["ALL"]);
    let third = json!({
        "integration_id": shop["id"], "resource_type": "postgresql-schema",
        "resource_tag_includes": [], "resource_tag_excludes": [], "permissions": ["READ_ONLY"],
    });
    targets.as_array_mut().unwrap().push(third);
    patch(json!({"integration_targets": targets, "name": "renamed"})).await;
    let now = ground.get(admin, &newer).await.ok();
    assert_eq!(now["name"], "renamed");
    let targets = &now["access_targets"];
    assert_eq!(targets[0]["integration"]["resources_scopes"], odd);
    assert_eq!(targets[1]["access_scope"]["access_scope_id"], prod["id"]);
    assert_eq!(targets[2]["integration"]["permissions"], json!(["ALL"]));
    assert_eq!(targets[2]["integration"]["resources_scopes"], Value::Null);
    assert_eq!(targets[3]["integration"]["resource_type"], "postgresql-schema");

    patch(json!({"integration_targets": []})).await;
    let now = ground.get(admin, &newer).await.ok();
    assert_eq!(now["access_targets"], json!([made["access_targets"][1]]));
}

#[tokio::test]
async fn a_bundle_in_use_is_not_deleted_and_what_it_uses_is_not_either() {
    let (ground, shop, _) = shop().await;
    let admin = &ground.admin;
    let sent = json!({"name": "analysts", "access_targets": [tables(&["READ_ONLY"], Value::Null)]});
    let bundle = ground.post(admin, BUNDLES, sent).await.ok();
    let mut readers = flow("readers", "ada", None);
    readers["access_targets"] = json!([{"bundle": {"bundle_reference": "ANALYSTS"}}]);
    let readers = ground.post(admin, FLOWS, readers).await.ok();
    assert_eq!(
        readers["access_targets"][0]["bundle"],
        json!({"bundle_id": bundle["id"], "bundle_name": "analysts"})
    );
    for path in [BUNDLES, OLDER] {
        let answer = ground.delete(admin, &format!("{path}/{}", id_of(&bundle))).await;
        let message = answer.refused(409, "Conflict")["message"].to_string();
        assert!(message.contains("the access flow \\\"readers\\\""), "{message}");
    }
    let path = format!("/api/admin/v4/integrations/{}", id_of(&shop));
    let refused = ground.delete(admin, &path).await.refused(409, "Conflict");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("the bundle \"analysts\""), "{message}");
    ground.delete(admin, &format!("{FLOWS}/{}", id_of(&readers))).await.done();
    ground.delete(admin, &format!("{BUNDLES}/{}", id_of(&bundle))).await.done();
    ground.delete(admin, &path).await.done();
}

#[tokio::test]
async fn a_bundle_is_asked_for_over_http_and_named_in_what_follows() {
    let (ground, ..) = shop().await;
    let ana = ground.somebody("ana", None).await;
    let sent = json!({"name": "analysts", "access_targets": [tables(&["READ_ONLY"], Value::Null)]});
    let bundle = ground.post(&ground.admin, BUNDLES, sent).await.ok();
    let requests = "/api/user/v4/access-requests";
    let bundles = "/api/user/v1/available-access/bundles";
    assert_eq!(ground.get(&ana, bundles).await.ok()["items"], json!([]));
    let ask = json!({"bundle_reference": "Analysts", "entitlements": []});
    let refused = ground.post(&ana, requests, ask.clone()).await.refused(403, "NoMatchingFlow");
    assert_eq!(refused["errors"][0]["field"], "bundle_reference");

    let mut readers = flow("readers", "ana", None);
    readers["access_targets"] = json!([{"bundle": {"bundle_reference": bundle["id"]}}]);
    ground.post(&ground.admin, FLOWS, readers).await.ok();
    let shown = ground.get(&ana, &format!("{bundles}?name=ANA*")).await.ok();
    assert_eq!(shown["items"], json!([{"id": bundle["id"], "name": "analysts"}]));
    let shown = ground.get(&ana, "/api/user/v1/available-access/entitlements").await.ok();
    assert_eq!(shown["items"].as_array().unwrap().len(), 2);

    let asked = ground.post(&ana, requests, ask).await.ok()[0].clone();
    assert_eq!(asked["bundle"], json!({"id": bundle["id"], "name": "analysts"}));
    let rows = format!("{requests}/{}/entitlements", id_of(&asked));
    assert_eq!(ground.get(&ana, &rows).await.ok()["items"].as_array().unwrap().len(), 2);
    let unknown = json!({"bundle_reference": "nothing"});
    ground.post(&ana, requests, unknown).await.refuses("bundle_reference");
}
