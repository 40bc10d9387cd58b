//! Access that follows conditions, by a running server and in a real target: who gets into a group
//! can log in within seconds and asks for nothing, and who leaves it cannot any more.

use latchkey_testkit::DatabaseKind;
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    installation::{Installation, credentials, flow_body},
    shop::Shop,
};

const GROUPS: &str = "/api/admin/v1/groups";

async fn group(admin: &Caller, name: &str) -> String {
    let made = admin.post(GROUPS, &json!({ "name": name, "members_emails": [] })).await;
    made["id"].as_str().unwrap().to_owned()
}

/// The person's only request, once it is in this state.
async fn only_request(who: &Caller, status: &str) -> String {
    let path = "/api/user/v4/access-requests";
    let listed = who
        .wait("access that follows conditions", path, |page: &Value| {
            page["items"].as_array().is_some_and(|items| items.len() == 1)
                && page["items"][0]["status"] == status
        })
        .await;
    listed["items"][0]["id"].as_str().unwrap().to_owned()
}

async fn follows(kind: DatabaseKind) {
    let mut installation = Installation::create(kind).await;
    installation.start(&[("LATCHKEY_LOCAL_CONNECTOR", "true")]).await;
    let shop = Shop::open().await;
    let rita = installation.person("rita");
    let integration = installation.integrate(&shop, "local", None).await;
    let admin = &installation.admin;
    let (on_call, night) = (group(admin, "on call").await, group(admin, "night shift").await);
    let inside = format!("{GROUPS}/{on_call}/groups/{night}");
    let (status, answer) = admin.call(reqwest::Method::PUT, &inside, None).await;
    assert_eq!(status, 204, "{answer}");
    let mut flow = flow_body("given", &integration, None);
    flow["trigger"] = json!("AUTOMATIC");
    flow["requestors"]["conditions"] =
        json!([{ "type": "group", "match_operator": "is", "values": ["on call"] }]);
    admin.post("/api/admin/v2/access-flows", &flow).await;

    let member = format!("{GROUPS}/{night}/members/rita@example.com");
    let (status, answer) = admin.call(reqwest::Method::PUT, &member, None).await;
    assert_eq!(status, 204, "{answer}");
    let request = only_request(&rita, "Active").await;
    let login = credentials(&rita, &request).await;
    let session = shop.login(&login).await.unwrap();
    session.query("SELECT * FROM sales.orders", &[]).await.unwrap();

    let (status, answer) = admin.call(reqwest::Method::DELETE, &member, None).await;
    assert_eq!(status, 204, "{answer}");
    only_request(&rita, "Revoked").await;
    assert!(session.query("SELECT 1", &[]).await.is_err(), "an open session is cut");
    assert!(shop.login(&login).await.is_err());
    installation.verify_audit().await;
}

#[tokio::test]
async fn who_gets_into_a_group_has_access_within_seconds_and_who_leaves_loses_it_on_sqlite() {
    follows(DatabaseKind::Sqlite).await;
}

#[tokio::test]
async fn who_gets_into_a_group_has_access_within_seconds_and_who_leaves_loses_it_on_postgres() {
    follows(DatabaseKind::BOTH[1]).await;
}
