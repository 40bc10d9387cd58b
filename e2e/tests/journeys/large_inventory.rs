//! A database with very many tables: discovered, tagged by its comments, selected by a query,
//! asked for by that selection, granted; and a table that is made later is there within seconds.

use latchkey_testkit::DatabaseKind;
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    installation::{Installation, ask, credentials, entitlement, flow_body},
    shop::Shop,
};

/// Tables, one in ten of which is tagged. `cargo xtask soak` takes the larger number.
fn tables() -> usize {
    if std::env::var_os("LATCHKEY_TEST_SOAK").is_some() { 20_000 } else { 2_000 }
}

const QUERY: &str =
    r#"resource_type = "postgresql-table" and resource_tag["comment/env"] = "prod""#;
const AVAILABLE: &str = "/api/user/v1/available-access/entitlements";

#[tokio::test]
async fn a_database_of_very_many_tables_is_selected_by_query_and_granted() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let shop = Shop::open().await;
    shop.add_many_tables(tables()).await;
    let admin = &installation.admin;
    let made = admin
        .post(
            "/api/admin/v4/integrations",
            &json!({
                "name": "warehouse",
                "type": "postgresql",
                "connector_id": "local",
                "integration_config": shop.config(),
                "secret_store_config": { "apono": { "parameters": shop.secret() } },
            }),
        )
        .await;
    let path = format!("/api/admin/v4/integrations/{}", made["id"].as_str().unwrap());
    admin.wait("discovery", &path, |value| value["status"] == "ACTIVE").await;

    let preview =
        admin.post("/api/admin/v1/access-scopes/preview?limit=1", &json!({ "query": QUERY })).await;
    let permissions = 3;
    assert_eq!(preview["total"], tables() / 10 * permissions, "{preview:#}");
    let scope = json!({ "name": "production", "query": QUERY });
    admin.post("/api/admin/v1/access-scopes", &scope).await;
    admin.post("/api/admin/v2/access-flows", &flow()).await;

    let rita = installation.person("rita");
    assert_eq!(available(&rita).await, tables() / 10 * permissions);
    let request = ask(&rita, "many_10", "READ_ONLY", None).await;
    rita.wait_for_status(&request, "Active").await;
    let session = shop.login(&credentials(&rita, &request).await).await.unwrap();
    session.query("SELECT * FROM sales.many_10", &[]).await.unwrap();
    assert!(session.query("SELECT * FROM sales.many_11", &[]).await.is_err());

    // No discovery run is due for an hour: the connector sees it and tells it.
    shop.add_tables(["newcomer".to_owned()]).await;
    shop.sql("COMMENT ON TABLE sales.newcomer IS 'env=prod'").await;
    let wanted = entitlement(&rita, "newcomer", "READ_ONLY").await;
    let name = format!(
        "{}:{}",
        wanted["resource_id"].as_str().unwrap(),
        wanted["permission_id"].as_str().unwrap()
    );
    let who =
        installation.admin.get(&format!("/api/admin/v1/explain/who?entitlement={name}")).await;
    let people = who["items"].as_array().unwrap();
    assert!(people.iter().any(|one| one["user"]["source_id"] == "rita@example.com"), "{who:#}");
    installation.stop().await;
}

/// How many entitlements the person may ask for, counted over all pages.
async fn available(who: &Caller) -> usize {
    let mut count = 0;
    let mut path = format!("{AVAILABLE}?limit=1000");
    loop {
        let page = who.get(&path).await;
        count += page["items"].as_array().unwrap().len();
        let Some(token) = page["pagination"]["next_page_token"].as_str() else { return count };
        path = format!("{AVAILABLE}?page_token={token}");
    }
}

/// Everybody may ask for what the access scope selects.
fn flow() -> Value {
    let mut flow = flow_body("production readers", "", None);
    flow["access_targets"] =
        json!([{ "access_scope": { "access_scope_reference": "production" } }]);
    flow
}
