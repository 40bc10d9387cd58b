//! The main job from the request to the proof that access is gone.

use std::time::Duration;

use latchkey_testkit::{DatabaseKind, systems::PostgresVersion};
use reqwest::Method;
use serde_json::json;

use crate::{
    installation::{Installation, ask, credentials, revoke},
    shop::{Shop, wait_until_cut},
};

#[tokio::test]
async fn the_main_job_on_sqlite_with_the_connector_inside() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    main_job(&installation, "local").await;
    installation.stop().await;
    installation.verify_audit().await;
}

#[tokio::test]
async fn the_main_job_on_postgresql_with_a_connector_of_its_own() {
    let kind = DatabaseKind::Postgres(PostgresVersion::V15);
    let mut installation = Installation::create(kind).await;
    installation.start(&[]).await;
    let _agent = installation.connector("rack-1");
    main_job(&installation, "rack-1").await;
    installation.stop().await;
    installation.verify_audit().await;
}

async fn main_job(installation: &Installation, connector: &str) {
    let shop = Shop::open().await;
    let (rita, otto) = (installation.person("rita"), installation.person("otto"));
    installation.integrate(&shop, connector, Some("otto@example.com")).await;

    let request = ask(&rita, "orders", "READ_ONLY", Some(Duration::from_hours(1))).await;
    rita.wait_for_status(&request, "Pending").await;
    let approve = format!("/api/client/v1/access-requests/{request}/approve");
    let (status, _) = rita.call(Method::POST, &approve, Some(&json!({}))).await;
    assert_eq!(status, 403, "nobody approves for themselves");
    otto.post(&approve, &json!({ "justification": "fine" })).await;
    rita.wait_for_status(&request, "Active").await;

    let credentials = credentials(&rita, &request).await;
    let session = shop.login(&credentials).await.unwrap();
    let rows = session.query("SELECT * FROM sales.orders", &[]).await.unwrap();
    assert_eq!(rows.len(), 100);
    assert!(session.execute("INSERT INTO sales.orders (what) VALUES ('x')", &[]).await.is_err());
    assert!(session.query("SELECT * FROM sales.customers", &[]).await.is_err());

    revoke(&rita, &request).await;
    wait_until_cut(&session, Duration::from_secs(10)).await;
    let ended = rita.wait_for_status(&request, "Revoked").await;
    assert!(ended["revocation_date"].is_string(), "{ended:#}");
    assert!(shop.login(&credentials).await.is_err());
    assert_eq!(shop.principals().await, Vec::<String>::new());
}
