//! What a user may ask for, step by step; the same as available access.

use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::{
    ground::flow,
    requests::{Story, id_of},
};

const SELECTABLE: &str = "/api/v3/selectable-integrations";

#[tokio::test]
async fn the_steps_lead_to_what_available_access_lists() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    let mut writers = flow("writers", "ana", Some("bob"));
    let target = &mut writers["access_targets"][0]["integration"];
    target["permissions"] = json!(["READ_WRITE", "FLY"]);
    target["resources_scopes"] = json!([
        {"scope_mode": "include_resources", "type": "NAME", "values": ["orders"]},
    ]);
    ground.post(&ground.admin, "/api/admin/v2/access-flows", writers).await.ok();
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    let list = async |path: &str, user: &str| {
        ground.get(&viewer, &format!("{SELECTABLE}{path}?user_id={user}@example.com")).await.ok()
    };
    let integrations = list("", "ana").await;
    assert_eq!(integrations["pagination"], json!({"total": 1, "limit": 1, "offset": 0}));
    let shop = integrations["data"][0]["id"].as_str().unwrap().to_owned();
    let types = list(&format!("/{shop}/resource-types"), "ana").await;
    assert_eq!(types["data"], json!([{"id": "postgresql-table", "name": "Table"}]));
    let permissions = list(&format!("/{shop}/postgresql-table/permissions"), "ana").await;
    assert_eq!(
        permissions,
        json!({
            "data": ["READ_ONLY", "READ_WRITE"], "allow_multiple": true,
            "pagination": {"total": 2, "limit": 2, "offset": 0},
        })
    );
    let resources = list(&format!("/{shop}/postgresql-table/resources"), "ana").await;
    let rows = resources["data"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["type"] == "postgresql-table"), "{resources}");

    let available = "/api/user/v1/available-access/entitlements";
    let available = ground.get(&story.ana, available).await.ok();
    let mut asked: Vec<&Value> =
        available["items"].as_array().unwrap().iter().map(|row| &row["resource"]["id"]).collect();
    asked.dedup();
    let mut shown: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
    asked.sort_by_key(ToString::to_string);
    shown.sort_by_key(ToString::to_string);
    asked.dedup();
    assert_eq!(shown, asked);

    // Others may ask for nothing; the token's owner is meant when nobody is named.
    assert_eq!(list("", "bob").await["data"], json!([]));
    for rest in ["resource-types", "postgresql-table/permissions", "postgresql-table/resources"] {
        assert_eq!(list(&format!("/{shop}/{rest}"), "bob").await["data"], json!([]), "{rest}");
        let own = ground.get(&viewer, &format!("{SELECTABLE}/{shop}/{rest}")).await.ok();
        assert_eq!(own["data"], json!([]), "{rest}");
    }
}

#[tokio::test]
async fn unknown_places_are_not_found_and_unknown_people_are_named() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    let get = async |path: &str| ground.get(&ground.admin, &format!("{SELECTABLE}{path}")).await;
    let integrations = get("?user_id=ana@example.com").await.ok();
    let shop = integrations["data"][0]["id"].as_str().unwrap();
    get("?user_id=nobody").await.refuses("user_id");
    get(&format!("/{shop}/resource-types?user_id=nobody")).await.refuses("user_id");
    get("?user_id=a&user_id=b").await.refuses("user_id");
    get("/unknown/resource-types").await.refused(404, "NotFound");
    get("/unknown/postgresql-table/resources").await.refused(404, "NotFound");
    get(&format!("/{shop}/mysql-table/resources")).await.refused(404, "NotFound");
    get(&format!("/{shop}/mysql-table/permissions")).await.refused(404, "NotFound");
    ground.get(&story.ana, SELECTABLE).await.refused(403, "Forbidden");
    let path = format!("/api/admin/v2/access-flows/{}", id_of(&story.flow));
    ground.delete(&ground.admin, &path).await.done();
    assert_eq!(get("?user_id=ana@example.com").await.ok()["data"], json!([]));
}
