//! Requests of the tenant in the oldest shape, and those that an Admin files for somebody.

use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::{
    ground::{CANARY, flow},
    requests::{Story, id_of},
};

const V3: &str = "/api/v3/access-requests";
const V4: &str = "/api/user/v4/access-requests";
const BULK: &str = "/api/v3/access-requests-bulk/revoke";

impl Story {
    /// A request for ana's reading of `name`, filed by the Admin.
    async fn file(&self, name: &str) -> Value {
        let body = self.body_v3(name).await;
        self.ground.post(&self.ground.admin, V3, body).await.ok()
    }

    async fn status(&self, request: &Value) -> String {
        let path = format!("{V3}/{}", request["request_id"].as_str().unwrap());
        let found = self.ground.get(&self.ground.admin, &path).await.ok();
        found["status"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_admin_files_for_somebody_and_decides_no_more_than_they_do() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, ana, bob, .. } = &story;
    let body = story.body_v3("orders").await;
    let filed = ground.post(&ground.admin, V3, body.clone()).await.ok();
    assert_eq!(
        filed,
        json!({
            "request_id": filed["request_id"], "friendly_request_id": "AR-1",
            "user_id": body["user_id"], "status": "PENDING",
            "integration_id": body["integration_id"], "resource_ids": body["resource_ids"],
            "permissions": ["READ_ONLY"], "justification": "incident 7",
        })
    );
    let path = format!("{V3}/{}", filed["request_id"].as_str().unwrap());
    assert_eq!(ground.get(&ground.admin, &path).await.ok(), filed);
    assert_eq!(ground.get(&ground.admin, &format!("{V3}/AR-1")).await.ok(), filed);
    let request = json!({"id": filed["request_id"]});
    let seen = story.request(&request).await;
    assert_eq!(seen["requestor"]["source_id"], "ada@example.com");
    assert_eq!(seen["grantee"], Value::Null);
    assert_eq!(seen["duration_in_sec"], 3600, "the flow's own length");

    let force = format!("/api/admin/v1/access-requests/{}/force-approve", id_of(&request));
    ground.post(&ground.admin, &force, json!({})).await.refused(403, "SelfApproval");
    for own in [ana, &ground.admin] {
        let answer = story.act(own, &request, "approve", json!({})).await;
        assert_eq!(answer.status, 403, "{}", answer.text);
    }
    story.act(bob, &request, "approve", json!({})).await.ok();
    assert_eq!(story.status(&filed).await, "APPROVED");
    ground.work(connector).await;
    assert_eq!(story.status(&filed).await, "GRANTED");
    ground.post(&ground.admin, BULK, json!({"request_ids": ["AR-1"]})).await.ok();
    assert_eq!(story.status(&filed).await, "REVOKING");
    ground.work(connector).await;
    assert_eq!(story.status(&filed).await, "EXPIRED");
    let rejected = story.file("orders").await;
    let request = json!({"id": rejected["request_id"]});
    story.act(bob, &request, "reject", json!({})).await.ok();
    assert_eq!(story.status(&rejected).await, "REJECTED");
    let cancelled = story.file("orders").await;
    ground
        .post(ana, &format!("{V4}/{}/revoke", cancelled["request_id"].as_str().unwrap()), json!({}))
        .await
        .ok();
    assert_eq!(story.status(&cancelled).await, "EXPIRED");
}

#[tokio::test]
async fn policy_looks_at_the_grantee_when_an_admin_files() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    // The flow names ana, not the Admin; nobody has to agree.
    let filed = story.file("orders").await;
    assert_eq!(filed["status"], "APPROVED");
    let mut body = story.body_v3("orders").await;
    body["user_id"] = json!("bob@example.com");
    ground.post(&ground.admin, V3, body.clone()).await.refused(403, "NoMatchingFlow");
    body["user_id"] = json!("ANA@example.com");
    body["duration_in_sec"] = json!(3601);
    ground.post(&ground.admin, V3, body.clone()).await.refused(400, "DurationTooLong");
    body["duration_in_sec"] = json!(60);
    ground.post(&ground.admin, V3, body).await.ok();
    for role in [Role::PowerUser, Role::Deployment, Role::Viewer] {
        let name = format!("{role}").replace(' ', "-").to_lowercase();
        let token = ground.somebody(&name, Some(role)).await;
        let body = story.body_v3("orders").await;
        ground.post(&token, V3, body).await.refused(403, "Forbidden");
        ground.get(&token, V3).await.ok();
    }
}

#[tokio::test]
async fn a_v3_request_names_the_member_that_means_nothing() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    let good = story.body_v3("orders").await;
    for (member, value, named) in [
        ("user_id", json!("nobody"), "user_id"),
        ("integration_id", json!("nowhere"), "integration_id"),
        ("resource_ids", json!([]), "resource_ids"),
        ("resource_ids", json!([good["resource_ids"][0], "f00d"]), "resource_ids[1]"),
        ("permissions", json!([]), "permissions"),
        ("permissions", json!(["READ_ONLY", "FLY"]), "permissions[1]"),
        ("permissions", json!(null), "permissions"),
        ("duration_in_sec", json!(0), "duration_in_sec"),
        ("duration_in_sec", json!(1.5), "duration_in_sec"),
    ] {
        let mut body = good.clone();
        body[member] = value;
        ground.post(&ground.admin, V3, body).await.refuses(named);
    }
    let mut both = good.clone();
    both["permissions"] = json!(["READ_WRITE", "READ_ONLY"]);
    let refused = ground.post(&ground.admin, V3, both.clone()).await.refused(403, "NoMatchingFlow");
    assert_eq!(refused["errors"][0]["field"], "resource_ids[0]");
    assert!(refused["errors"][0]["message"].as_str().unwrap().starts_with("READ_WRITE: "));
    // A second flow gives the rest: one answer cannot tell of two requests.
    let mut writers = flow("writers", "ana", Some("bob"));
    writers["access_targets"][0]["integration"]["permissions"] = json!(["READ_WRITE"]);
    ground.post(&ground.admin, "/api/admin/v2/access-flows", writers).await.ok();
    let refused = ground.post(&ground.admin, V3, both).await.refused(400, "BadRequest");
    assert!(refused.to_string().contains("writers"), "{refused}");
    assert_eq!(ground.get(&ground.admin, V3).await.ok()["data"], json!([]), "nothing was filed");
    ground.get(&ground.admin, &format!("{V3}/unknown")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn v3_requests_are_listed_whole_by_days_and_grantee() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    let first = story.file("orders").await;
    ground.pass(25 * 3600);
    let second = story.file("customers").await;
    let ids = async |query: &str| {
        let list = ground.get(&ground.admin, &format!("{V3}?{query}")).await.ok();
        let rows = list["data"].as_array().unwrap();
        assert_eq!(list["pagination"]["total"], rows.len());
        rows.iter().map(|row| row["friendly_request_id"].to_string()).collect::<String>()
    };
    assert_eq!(ids("").await, r#""AR-1""AR-2""#);
    assert_eq!(ids("days_offset=1").await, r#""AR-2""#);
    assert_eq!(ids("days_offset=2").await, r#""AR-1""AR-2""#);
    assert_eq!(ids("days_offset=9223372036854775807").await, r#""AR-1""AR-2""#);
    assert_eq!(ids("user_id=ana@example.com&days_offset=1").await, r#""AR-2""#);
    assert_eq!(ids("user_id=bob%40example.com").await, "");
    let ana = first["user_id"].as_str().unwrap();
    assert_eq!(ids(&format!("user_id={ana}")).await, r#""AR-1""AR-2""#);
    ground.get(&ground.admin, &format!("{V3}?days_offset=-1")).await.refuses("days_offset");
    ground.get(&ground.admin, &format!("{V3}?days_offset=x")).await.refuses("days_offset");
    ground.get(&ground.admin, &format!("{V3}?user_id=nobody")).await.refuses("user_id");
    let list = ground.get(&ground.admin, V3).await.ok();
    assert_eq!(list["data"][1]["resource_ids"], second["resource_ids"]);
}

#[tokio::test]
async fn bulk_revoke_ends_all_or_none() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, .. } = &story;
    let (pending, active) = (story.file("orders").await, story.file("customers").await);
    story.act(&story.bob, &json!({"id": active["request_id"]}), "approve", json!({})).await.ok();
    ground.work(connector).await;
    let all = json!({"request_ids": [pending["request_id"], active["request_id"], "AR-1"]});
    let mut unknown = all.clone();
    unknown["request_ids"][1] = json!("unknown");
    ground.post(&ground.admin, BULK, unknown).await.refuses("request_ids[1]");
    ground.post(&ground.admin, BULK, json!({"request_ids": []})).await.refuses("request_ids");
    assert_eq!(story.status(&pending).await, "PENDING");
    let power = ground.somebody("pia", Some(Role::PowerUser)).await;
    let power_admin = ground.token("pia", &latchkey_domain::people::TokenScope::ALL[..4]).await;
    drop(power);
    ground.post(&power_admin, BULK, all.clone()).await.ok();
    assert_eq!(story.status(&pending).await, "EXPIRED");
    assert_eq!(story.status(&active).await, "REVOKING");
    ground.work(connector).await;
    assert_eq!(story.status(&active).await, "EXPIRED");
    let third = story.file("orders").await;
    let mixed = json!({"request_ids": [third["request_id"], active["request_id"]]});
    let refused = ground.post(&ground.admin, BULK, mixed).await.refused(409, "Conflict");
    assert!(refused["message"].as_str().unwrap().contains("AR-2"), "{refused}");
    assert_eq!(story.status(&third).await, "PENDING", "none was ended");
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    ground.post(&viewer, BULK, json!({"request_ids": ["AR-3"]})).await.refused(403, "Forbidden");
}

#[tokio::test]
async fn only_the_grantee_reads_secrets_and_reading_by_others_marks_nothing() {
    let story = Story::new(None).await;
    let Story { ground, connector, .. } = &story;
    let filed = story.file("orders").await;
    let path = format!("{V3}/{}", filed["request_id"].as_str().unwrap());
    let (details, reset) = (format!("{path}/access-details"), format!("{path}/reset"));
    ground.get(&ground.admin, &details).await.refused(409, "Conflict");
    ground.post(&ground.admin, &reset, json!({})).await.refused(409, "Conflict");
    ground.work(connector).await;
    let answer = ground.get(&ground.admin, &details).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.text.contains(CANARY), "{}", answer.text);
    let text = answer.ok()["details"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Log in with (shown to the grantee alone)."), "{text}");
    assert!(text.contains("It ends at"), "{text}");
    assert_eq!(story.session().await["credentials_status"], "AVAILABLE");

    // The grantee gets a role: the same path shows the secret, once.
    let shell = latchkey_app::Actor::command_line();
    latchkey_app::roles::grant_role(&ground.app, &shell, "ana@example.com", Role::Viewer)
        .await
        .unwrap();
    let reader = ground.token("ana", &[latchkey_domain::people::TokenScope::Read]).await;
    assert!(!ground.get(&reader, &details).await.text.contains(CANARY), "without the scope");
    assert!(ground.get(&story.ana, &details).await.text.contains(CANARY));
    assert_eq!(story.session().await["credentials_status"], "VIEWED");
    assert!(!ground.get(&story.ana, &details).await.text.contains(CANARY));

    ground.post(&story.ana, &reset, json!({})).await.refused(403, "Forbidden");
    ground.post(&ground.admin, &reset, json!({})).await.ok();
    assert_eq!(story.session().await["credentials_status"], "RESETTING");
    ground.work(connector).await;
    assert!(!ground.get(&ground.admin, &details).await.text.contains(CANARY));
    assert!(ground.get(&story.ana, &details).await.text.contains(CANARY));
    ground
        .get(&ground.admin, &format!("{V3}/unknown/access-details"))
        .await
        .refused(404, "NotFound");
    ground
        .post(&ground.admin, &format!("{V3}/unknown/reset"), json!({}))
        .await
        .refused(404, "NotFound");
}
