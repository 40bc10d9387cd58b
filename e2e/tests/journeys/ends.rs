//! Access ends on time, whoever is down at that moment.

use std::time::Duration;

use jiff::Timestamp;
use latchkey_domain::Clock;
use latchkey_testkit::{
    DatabaseKind, TestClock,
    systems::{Durability, Postgres, PostgresVersion},
    wait_until,
};
use serde_json::Value;

use crate::{
    caller::{Caller, PATIENCE},
    installation::{Installation, ask, credentials},
    shop::{Shop, wait_until_cut},
};

fn now() -> Timestamp {
    TestClock::at_machine_time().now()
}

/// When the request's access ends.
async fn end_of(who: &Caller, request: &str) -> Timestamp {
    let shown = who
        .get(&format!("/api/client/v1/access-requests?scope=MyRequests&request_ids={request}"))
        .await;
    let first = find_key(&shown, "ends_at").unwrap_or_else(|| panic!("no end in {shown:#}"));
    first.parse().unwrap()
}

/// The first text under `key`, wherever it is.
fn find_key(value: &Value, key: &str) -> Option<String> {
    match value {
        Value::Object(members) => members.iter().find_map(|(name, inner)| {
            if name == key && inner.is_string() {
                return inner.as_str().map(str::to_owned);
            }
            find_key(inner, key)
        }),
        Value::Array(items) => items.iter().find_map(|inner| find_key(inner, key)),
        _ => None,
    }
}

#[tokio::test]
async fn f03_the_connector_ends_access_on_time_while_the_server_is_down() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let _agent = installation.connector("rack-1");
    let shop = Shop::open().await;
    let rita = installation.person("rita");
    installation.integrate(&shop, "rack-1", None).await;
    let length = Duration::from_secs(6);
    let asked_at = now();
    let request = ask(&rita, "orders", "READ_ONLY", Some(length)).await;
    rita.wait_for_status(&request, "Active").await;
    let credentials = credentials(&rita, &request).await;
    let session = shop.login(&credentials).await.unwrap();
    session.query("SELECT * FROM sales.orders", &[]).await.unwrap();

    installation.kill();
    let latest_end = now().saturating_add(length).unwrap();
    wait_until_cut(&session, PATIENCE).await;
    let cut_at = now();
    let lasted = cut_at.duration_since(asked_at);
    assert!(lasted.as_millis() >= 6000, "ended early, after {lasted:?}");
    let late = cut_at.duration_since(latest_end);
    assert!(late.as_secs() < 5, "ended {late:?} late");
    assert!(shop.login(&credentials).await.is_err());
    shop.wait_until_empty().await;

    installation.start(&[]).await;
    let ended = rita.wait_for_status(&request, "Revoked").await;
    let told: Timestamp = ended["revocation_date"].as_str().unwrap().parse().unwrap();
    assert!(told >= asked_at, "{ended:#}");
    installation.verify_audit().await;
}

#[tokio::test]
async fn f02_a_target_that_was_down_at_the_end_is_revoked_within_5_s_of_its_answer() {
    target_down_at_the_end(false).await;
}

#[tokio::test]
async fn f02_a_target_that_was_down_over_a_restart_of_the_server_is_revoked_within_5_s() {
    target_down_at_the_end(true).await;
}

/// How long the target stays away once access is overdue; in the soak, as long as promised.
fn time_down() -> Duration {
    let soak = std::env::var_os("LATCHKEY_TEST_SOAK").is_some();
    if soak { Duration::from_mins(10) } else { Duration::from_secs(8) }
}

async fn target_down_at_the_end(restart: bool) {
    let starting = || Postgres::start_with(PostgresVersion::V15, Durability::Unsynced).unwrap();
    let mut target = tokio::task::spawn_blocking(starting).await.unwrap();
    let shop = Shop::open_on(&target).await;
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let rita = installation.person("rita");
    installation.integrate(&shop, "local", None).await;
    let length = Duration::from_secs(8);
    let request = ask(&rita, "orders", "READ_ONLY", Some(length)).await;
    rita.wait_for_status(&request, "Active").await;
    let credentials = credentials(&rita, &request).await;

    let mut target = tokio::task::spawn_blocking(move || {
        target.stop().unwrap();
        target
    })
    .await
    .unwrap();
    rita.wait_for_status(&request, "Revoking").await;
    if restart {
        installation.kill();
        installation.start(&[]).await;
        rita.wait_for_status(&request, "Revoking").await;
    }
    // Overdue for a while: the tries must not have become rare.
    let down = time_down();
    let overdue = now().saturating_add(down).unwrap();
    wait_until("some overdue time", PATIENCE + down, async || now() > overdue).await.unwrap();
    let target = tokio::task::spawn_blocking(move || {
        target.start_again().unwrap();
        target
    })
    .await
    .unwrap();
    let answered = now();
    rita.wait_for_status(&request, "Revoked").await;
    let took = now().duration_since(answered);
    assert!(took.as_secs() < 5, "revoked {took:?} after the target answered");
    assert!(shop.login(&credentials).await.is_err());
    assert_eq!(shop.principals().await, Vec::<String>::new());
    drop(target);
}

#[tokio::test]
async fn the_end_that_is_shown_is_the_end_that_happens() {
    let mut installation = Installation::create(DatabaseKind::Sqlite).await;
    installation.start(&[]).await;
    let shop = Shop::open().await;
    let rita = installation.person("rita");
    installation.integrate(&shop, "local", None).await;
    let request = ask(&rita, "orders", "READ_ONLY", Some(Duration::from_secs(5))).await;
    rita.wait_for_status(&request, "Active").await;
    let end = end_of(&rita, &request).await;
    let credentials = credentials(&rita, &request).await;
    let session = shop.login(&credentials).await.unwrap();
    wait_until_cut(&session, PATIENCE).await;
    let off = now().duration_since(end).as_millis();
    assert!((-100..5000).contains(&off), "ended {off} ms after the end that was shown");
    rita.wait_for_status(&request, "Revoked").await;
}
