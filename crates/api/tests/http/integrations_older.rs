//! Integrations on the older paths: v2 shows and changes what v4 does, v3 shows what discovery
//! found and the tags that people set.

use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::ground::{CANARY, Ground, flow};

const V2: &str = "/api/v2/integrations";
const V3: &str = "/api/v3/integrations";
const V4: &str = "/api/admin/v4/integrations";
const MASK: &str = "********";

fn body(name: &str) -> Value {
    json!({
        "name": name, "type": "postgresql", "provisioner_id": "edge",
        "metadata": {"hostname": "127.0.0.1", "dbname": "shop"},
        "secret_config": {
            "type": "APONO", "parameters": {"username": "latchkey", "password": CANARY},
        },
    })
}

fn path(root: &str, integration: &Value) -> String {
    format!("{root}/{}", integration["id"].as_str().unwrap())
}

#[tokio::test]
async fn v2_and_v4_are_views_of_one_integration() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    let answer = ground.post(&ground.admin, V2, body("shop")).await;
    assert!(!answer.text.contains(CANARY));
    let made = answer.ok();
    assert_eq!(made["status"], "Initializing");
    assert_eq!(made["last_sync_time"], Value::Null);
    ground.work(&connector).await;
    let answer = ground.get(&ground.admin, &path(V2, &made)).await;
    let (_, date) = answer.text.split_once(r#""last_sync_time":"#).unwrap();
    let (seconds, rest) = date.split_once('.').unwrap();
    assert!(seconds.parse::<i64>().is_ok() && rest.find(',') == Some(9), "{date}");
    let old = answer.ok();
    let sync = old["last_sync_time"].clone();
    assert_eq!(
        old,
        json!({
            "id": made["id"], "name": "shop", "type": "postgresql", "status": "Active",
            "details": null, "provisioner_id": "edge", "connection": {}, "last_sync_time": sync,
            "metadata": {"hostname": "127.0.0.1", "dbname": "shop"},
            "secret_config": {
                "type": "APONO", "parameters": {"username": MASK, "password": MASK},
            },
            "connected_resource_types": [
                "postgresql-database", "postgresql-schema", "postgresql-table", "postgresql-role",
            ],
            "custom_access_details": null,
        })
    );
    let new = ground.get(&ground.admin, &path(V4, &made)).await.ok();
    assert_eq!(new["status"], "ACTIVE");
    assert_eq!(new["connector_id"], "edge");
    assert_eq!(new["integration_config"], old["metadata"]);
    assert_eq!(new["connected_resource_types"], Value::Null);
    let list = ground.get(&ground.admin, V2).await.ok();
    let counters = json!({"total": 1, "limit": 1, "offset": 0});
    assert_eq!(list, json!({"data": [old], "pagination": counters}));
}

#[tokio::test]
async fn a_v2_put_leaves_what_it_cannot_say() {
    let ground = Ground::new().await;
    ground.connector("edge").await;
    let made = ground
        .post(&ground.admin, V4, json!({
            "name": "shop", "type": "postgresql", "connector_id": "edge",
            "integration_config": {"hostname": "127.0.0.1"},
            "secret_store_config": {"apono": {"parameters": {"username": "u", "password": CANARY}}},
            "connected_resource_types": ["postgresql-table"],
            "custom_access_details": "Ask #data.",
            "owner": {"attribute_type": "user", "attribute_value": ["ada@example.com"]},
            "owners_mapping": {"key_name": "team", "attribute_type": "group"},
        }))
        .await
        .ok();
    let deployer = ground.somebody("dan", Some(Role::Deployment)).await;
    let (one, other) = (path(V2, &made), path(V4, &made));
    let least = json!({"name": "store", "metadata": {"hostname": "127.0.0.1", "port": "5432"}});
    let replaced = ground.put(&deployer, &one, least).await.ok();
    assert_eq!(replaced["name"], "store");
    assert_eq!(replaced["provisioner_id"], "edge");
    assert_eq!(replaced["connected_resource_types"], json!(["postgresql-table"]));
    assert_eq!(replaced["custom_access_details"], Value::Null, "v2 can say this, and did not");
    let now = ground.get(&ground.admin, &other).await.ok();
    assert_eq!(now["owner"], made["owner"]);
    assert_eq!(now["owners_mapping"], made["owners_mapping"]);
    let parameters = json!({"username": MASK, "password": MASK});
    assert_eq!(now["secret_store_config"]["apono"]["parameters"], parameters);
    // The secret that stays is used only towards the place it was entered for.
    let elsewhere = json!({"name": "store", "metadata": {"hostname": "elsewhere.example.com"}});
    let refused = ground.put(&deployer, &one, elsewhere).await.refused(400, "SecretRequired");
    assert_eq!(refused["errors"][0]["field"], "secret_config.parameters");
    let machine = json!({"name": "store", "metadata": {"hostname": "h", "secret_ref": "env:SHOP"}});
    let replaced = ground.put(&deployer, &one, machine).await.ok();
    assert_eq!(replaced["secret_config"], Value::Null);
    let without = json!({"name": "store", "metadata": {"hostname": "h"}});
    ground.put(&deployer, &one, without).await.refuses("secret_config");
}

#[tokio::test]
async fn v2_names_its_own_members_in_refusals() {
    let ground = Ground::new().await;
    ground.connector("edge").await;
    let refused = async |change: &dyn Fn(&mut Value), field: &str| {
        let mut body = body("shop");
        change(&mut body);
        ground.post(&ground.admin, V2, body).await.refuses(field);
    };
    refused(&|body| body["type"] = json!("unknown"), "type").await;
    refused(&|body| body["provisioner_id"] = json!("nowhere"), "provisioner_id").await;
    refused(&|body| body["provisioner_id"] = Value::Null, "provisioner_id").await;
    refused(&|body| body["metadata"]["port"] = json!("x"), "metadata.port").await;
    refused(&|body| body["secret_config"]["type"] = json!("AWS"), "secret_config.type").await;
    refused(&|body| body["secret_config"]["type"] = json!("MATTRESS"), "secret_config.type").await;
    refused(&|body| body["secret_config"] = json!({}), "secret_config.type").await;
    let parameters = "secret_config.parameters.password";
    refused(
        &|body| {
            body["secret_config"]["parameters"].as_object_mut().unwrap().remove("password");
        },
        parameters,
    )
    .await;
    ground.post(&ground.admin, V2, body("shop")).await.ok();
    ground.post(&ground.admin, V2, body("SHOP")).await.refused(409, "Conflict");
}

#[tokio::test]
async fn a_v2_delete_answers_with_a_message_and_names_what_stands_in_the_way() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    let made = ground.shop(&connector, "edge").await;
    let flows = "/api/admin/v2/access-flows";
    let readers = ground.post(&ground.admin, flows, flow("readers", "ada", None)).await.ok();
    let one = path(V2, &made);
    let refused = ground.delete(&ground.admin, &one).await.refused(409, "Conflict");
    assert!(refused["message"].as_str().unwrap().contains("\"readers\""), "{refused}");
    ground.delete(&ground.admin, &path(flows, &readers)).await.done();
    let gone = ground.delete(&ground.admin, &one).await.ok();
    assert!(gone["message"].is_string());
    for path in [one, path(V4, &made)] {
        ground.get(&ground.admin, &path).await.refused(404, "NotFound");
    }
}

#[tokio::test]
async fn a_refresh_discovers_and_says_so_until_it_is_done() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    let made = ground.shop(&connector, "edge").await;
    let one = path(V2, &made);
    let status = async || ground.get(&ground.admin, &one).await.ok()["status"].clone();
    assert_eq!(status().await, "Active");
    let refresh = format!("{one}/refresh");
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    ground.post(&viewer, &refresh, json!({})).await.refused(403, "Forbidden");
    let deployer = ground.somebody("dan", Some(Role::Deployment)).await;
    let begun = ground.call("POST", &deployer, &refresh, None).await.ok();
    assert!(begun["message"].is_string());
    assert_eq!(status().await, "Refreshing");
    ground.work(&connector).await;
    assert_eq!(status().await, "Active");
    let unknown = format!("{V2}/unknown/refresh");
    ground.call("POST", &deployer, &unknown, None).await.refused(404, "NotFound");
}

#[tokio::test]
async fn v3_lists_what_discovery_found_by_resource_type() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    let made = ground.shop(&connector, "edge").await;
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    let list = async |rest: &str| {
        let list = ground.get(&viewer, &format!("{}{rest}", path(V3, &made))).await.ok();
        let rows = list["data"].as_array().unwrap().clone();
        let total = rows.len();
        assert_eq!(list["pagination"], json!({"total": total, "limit": total, "offset": 0}));
        rows
    };
    let resources = list("/resources?resource-type=postgresql-table").await;
    assert_eq!(resources.len(), 2);
    let orders = resources.iter().find(|resource| resource["name"] == "orders").unwrap();
    assert_eq!(orders["type"], "postgresql-table");
    assert_eq!(orders["status"], json!({"status": "Active", "message": null}));
    assert_eq!(list("/resources").await, resources);
    assert!(list("/resources?resource-type=postgresql-role").await.is_empty());
    let permissions = list("/permissions?resource-type=postgresql-role").await;
    assert_eq!(permissions.len(), 1);
    assert_eq!(permissions[0]["name"], "MEMBER");
    assert_eq!(permissions[0]["resource_type"], "postgresql-role");
    assert!(list("/permissions").await.len() > 1);
    for rest in ["resources", "permissions"] {
        let unknown = ground.get(&viewer, &format!("{V3}/unknown/{rest}")).await;
        unknown.refused(404, "NotFound");
        let twice = "resource-type=a&resource-type=b";
        let twice = ground.get(&viewer, &format!("{}/{rest}?{twice}", path(V3, &made))).await;
        twice.refuses("resource-type");
    }
}

#[tokio::test]
async fn user_tags_are_replaced_whole_and_decide_what_a_flow_gives() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    let made = ground.shop(&connector, "edge").await;
    let ana = ground.somebody("ana", None).await;
    let mut by_tag = flow("prod", "ana", None);
    by_tag["access_targets"][0]["integration"]["resources_scopes"] = json!([{
        "scope_mode": "include_resources", "type": "TAG", "key": "env", "values": ["prod"],
    }]);
    ground.post(&ground.admin, "/api/admin/v2/access-flows", by_tag).await.ok();
    let resources = ground.get(&ground.admin, &format!("{}/resources", path(V3, &made))).await.ok();
    let rows = resources["data"].as_array().unwrap();
    let orders = rows.iter().find(|resource| resource["name"] == "orders").unwrap();
    let tags = format!("{V3}/resources/{}/user-tags", orders["id"].as_str().unwrap());
    let available = async || {
        let path = "/api/user/v1/available-access/entitlements";
        let items = ground.get(&ana, path).await.ok()["items"].clone();
        items
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["resource"]["name"].clone())
            .collect::<Vec<_>>()
    };
    assert!(available().await.is_empty());
    let power = ground.somebody("paul", Some(Role::PowerUser)).await;
    let put = async |tags_sent: Value| ground.put(&power, &tags, json!({"tags": tags_sent})).await;
    assert!(put(json!({"env": "prod", "team": "data"})).await.ok()["message"].is_string());
    assert_eq!(available().await, ["orders"]);
    assert_eq!(
        ground.get(&power, &tags).await.ok(),
        json!({"resource_id": orders["id"], "tags": {"env": "prod", "team": "data"}})
    );
    let (records, _) = ground.everything_stored().await;
    assert!(records.contains("resource.tags_set"));
    // Discovery that runs again leaves them as they are.
    ground.call("POST", &ground.admin, &format!("{}/refresh", path(V2, &made)), None).await.ok();
    ground.work(&connector).await;
    assert_eq!(available().await, ["orders"]);
    put(json!({"team": "data"})).await.ok();
    assert!(available().await.is_empty());
    put(json!({})).await.ok();
    assert_eq!(ground.get(&power, &tags).await.ok()["tags"], json!({}));

    put(json!({"comment/env": "prod"})).await.refuses("tags.comment/env");
    put(json!({"": "x"})).await.refuses("tags.");
    put(json!({"env": null})).await.refuses("tags.env");
    put(Value::Null).await.refuses("tags");
    let deployer = ground.somebody("dan", Some(Role::Deployment)).await;
    let body = json!({"tags": {}});
    ground.put(&deployer, &tags, body.clone()).await.refused(403, "Forbidden");
    let unknown = format!("{V3}/resources/unknown/user-tags");
    ground.put(&power, &unknown, body).await.refused(404, "NotFound");
    ground.get(&power, &unknown).await.refused(404, "NotFound");
}
