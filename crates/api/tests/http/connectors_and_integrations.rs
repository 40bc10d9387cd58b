//! Connectors and integrations: secrets come in and never go out, connectors sign in with their
//! own tokens.

use serde_json::{Value, json};

use crate::ground::{CANARY, Ground};

const INTEGRATIONS: &str = "/api/admin/v4/integrations";

#[tokio::test]
async fn an_integration_shows_its_secret_masked() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    let made = ground.shop(&connector, "edge").await;
    assert_eq!(made["status"], "INITIALIZING");
    assert_eq!(made["category"], "RESOURCES");
    let one = format!("{INTEGRATIONS}/{}", made["id"].as_str().unwrap());
    let now = ground.get(&ground.admin, &one).await;
    assert!(!now.text.contains(CANARY));
    let now = now.ok();
    assert_eq!(now["status"], "ACTIVE");
    assert!(now["last_sync_time"].is_string());
    assert_eq!(now["integration_config"]["port"], "5432");
    let parameters = now["secret_store_config"]["apono"]["parameters"].as_object().unwrap();
    assert_eq!(parameters.keys().collect::<Vec<_>>(), ["password", "username"]);
    assert_eq!(now["secret_store_config"]["aws"], Value::Null);
    let filtered = format!("{INTEGRATIONS}?type=postgres*&status=active");
    assert_eq!(ground.get(&ground.admin, &filtered).await.ok()["items"], json!([now]));
    ground.get(&ground.admin, &format!("{INTEGRATIONS}?status=HAPPY")).await.refuses("status");
}

#[tokio::test]
async fn the_mask_keeps_a_secret_until_it_would_go_elsewhere() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    let made = ground.shop(&connector, "edge").await;
    let one = format!("{INTEGRATIONS}/{}", made["id"].as_str().unwrap());
    let mut next = ground.get(&ground.admin, &one).await.ok();
    next["custom_access_details"] = json!("Ask #data.");
    let replaced = ground.put(&ground.admin, &one, next.clone()).await.ok();
    assert_eq!(replaced["custom_access_details"], "Ask #data.");
    next["integration_config"]["hostname"] = json!("elsewhere.example.com");
    ground.put(&ground.admin, &one, next).await.refused(400, "SecretRequired");
}

#[tokio::test]
async fn several_or_unknown_secret_stores_are_refused() {
    let ground = Ground::new().await;
    ground.connector("edge").await;
    let body = |store: Value| {
        json!({
            "name": "shop", "type": "postgresql", "connector_id": "edge",
            "integration_config": {"hostname": "127.0.0.1", "dbname": "shop"},
            "secret_store_config": store,
        })
    };
    let platform = json!({"parameters": {"username": "u", "password": "p"}});
    let aws = json!({"region": "r", "secret_id": "s"});
    let both = body(json!({"apono": platform, "aws": aws}));
    ground.post(&ground.admin, INTEGRATIONS, both).await.refuses("secret_store_config");
    let other = body(json!({"aws": aws}));
    ground.post(&ground.admin, INTEGRATIONS, other).await.refuses("secret_store_config.aws");
    let mut unknown = body(json!({"apono": platform}));
    unknown["connector_id"] = json!("nowhere");
    ground.post(&ground.admin, INTEGRATIONS, unknown).await.refuses("connector_id");
}

#[tokio::test]
async fn a_connector_is_listed_renamed_and_deleted() {
    let ground = Ground::new().await;
    let token = ground.connector("edge").await;
    let one = "/api/admin/v3/connectors/edge";
    let before = ground.get(&ground.admin, one).await.ok();
    assert_eq!(before["status"], "DISCONNECTED");
    assert_eq!(before["sessions"], json!([]));
    let made = ground.shop(&token, "edge").await;
    let now = ground.get(&ground.admin, one).await.ok();
    assert_eq!(now["status"], "CONNECTED");
    assert_eq!(now["sessions"][0]["id"], "process-1");
    assert_eq!(now["sessions"][0]["metadata"]["connector_version"], "0.1.0");
    let list = ground.get(&ground.admin, "/api/admin/v3/connectors?status=CONNECTED").await.ok();
    assert_eq!(list["items"], json!([now]));
    ground.delete(&ground.admin, one).await.refused(409, "Conflict");
    let renamed = ground.put(&ground.admin, one, json!({"name": "Edge"})).await.ok();
    assert_eq!((&renamed["id"], &renamed["name"]), (&json!("edge"), &json!("Edge")));
    let integration = format!("{INTEGRATIONS}/{}", made["id"].as_str().unwrap());
    ground.delete(&ground.admin, &integration).await.done();
    ground.pass(3600);
    ground.delete(&ground.admin, one).await.done();
    ground.get(&ground.admin, one).await.refused(404, "NotFound");
}

#[tokio::test]
async fn tokens_of_people_and_connectors_do_not_stand_in_for_each_other() {
    let ground = Ground::new().await;
    let connector = ground.connector("edge").await;
    let beat = "/api/connector/v1/heartbeat";
    ground.post(&ground.admin, beat, json!({})).await.refused(401, "Unauthorized");
    ground.get(&connector, INTEGRATIONS).await.refused(401, "Unauthorized");
    ground.post(&connector, beat, json!({})).await.refuses("protocol");
}
