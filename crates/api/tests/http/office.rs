//! Ours, for people with a role: deciding in place of the approvers, and the evidence.

use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::{
    ground::flow,
    requests::{Story, id_of},
};

const OFFICE: &str = "/api/admin/v1/access-requests";

#[tokio::test]
async fn an_admin_may_decide_in_place_of_the_approvers_and_it_shows() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, .. } = &story;
    let asked = story.ask("orders").await;
    let path = format!("{OFFICE}/{}/force-approve", id_of(&asked));
    for role in [Role::PowerUser, Role::Deployment, Role::Viewer] {
        let name = format!("{role}").replace(' ', "-").to_lowercase();
        let token = ground.somebody(&name, Some(role)).await;
        ground.post(&token, &path, json!({})).await.refused(403, "Forbidden");
    }
    ground.post(&story.bob, &path, json!({})).await.refused(403, "Forbidden");
    ground.post(&ground.admin, &path, json!({"justification": "on call"})).await.ok();
    assert_eq!(story.request(&asked).await["status"], "Granting");
    ground.post(&ground.admin, &path, json!({})).await.refused(409, "Conflict");
    ground.work(connector).await;
    assert_eq!(story.request(&asked).await["status"], "Active");
    let (records, _) = ground.everything_stored().await;
    assert!(records.contains("forced_by"), "{records}");
    let unknown = format!("{OFFICE}/unknown/force-approve");
    ground.post(&ground.admin, &unknown, json!({})).await.refused(404, "NotFound");
    // With the scope for deciding alone, which reads nothing else.
    let second = story.ask("customers").await;
    let decider = ground.token("ada", &[latchkey_domain::people::TokenScope::Decide]).await;
    let path = format!("{OFFICE}/{}/force-approve", id_of(&second));
    ground.post(&decider, &path, json!({})).await.ok();
}

#[tokio::test]
async fn nobody_forces_a_request_of_their_own_or_for_themselves() {
    let story = Story::new(Some("bob")).await;
    let ground = &story.ground;
    let mut own = flow("own", "ada", Some("bob"));
    own["request_for_others"] = json!(true);
    ground.post(&ground.admin, "/api/admin/v2/access-flows", own).await.ok();
    let mut body = story.body("orders").await;
    let ruth = ground.somebody("ruth", Some(Role::Admin)).await;
    for grantee in ["ada@example.com", "ruth@example.com"] {
        body["grantee"] = json!(grantee);
        let path = "/api/user/v4/access-requests";
        let asked = ground.post(&ground.admin, path, body.clone()).await.ok()[0].clone();
        let path = format!("{OFFICE}/{}/force-approve", id_of(&asked));
        ground.post(&ground.admin, &path, json!({})).await.refused(403, "SelfApproval");
        let other = ground.post(&ruth, &path, json!({})).await;
        assert_eq!(other.status == 200, grantee == "ada@example.com", "{}", other.text);
    }
}

#[tokio::test]
async fn a_reason_is_asked_for_where_the_flow_asks_for_one() {
    let story = Story::new(Some("bob")).await;
    let ground = &story.ground;
    let mut body = flow("readers", "ana", Some("bob"));
    body["settings"]["require_approver_reason"] = json!(true);
    let path = format!("/api/admin/v2/access-flows/{}", id_of(&story.flow));
    ground.put(&ground.admin, &path, body).await.ok();
    let asked = story.ask("orders").await;
    let path = format!("{OFFICE}/{}/force-approve", id_of(&asked));
    let refused = ground.post(&ground.admin, &path, json!({})).await.refused(400, "ReasonRequired");
    assert_eq!(refused["errors"][0]["field"], "justification");
    ground.post(&ground.admin, &path, json!({"justification": "on call"})).await.ok();
}

#[tokio::test]
async fn receipts_of_a_request_are_read_by_pages() {
    let story = Story::new(None).await;
    let Story { ground, connector, .. } = &story;
    let asked = story.ask("orders").await;
    let path = format!("{OFFICE}/{}/receipts", id_of(&asked));
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    assert_eq!(ground.get(&viewer, &path).await.ok()["items"], json!([]));
    ground.work(connector).await;
    ground.pass(60);
    story.act(&story.ana, &asked, "revoke", json!({})).await.ok();
    ground.work(connector).await;
    let page = ground.get(&viewer, &path).await.ok();
    let receipts = page["items"].as_array().unwrap();
    assert_eq!(receipts.len(), 2, "{page}");
    let (granted, ended) = (&receipts[0], &receipts[1]);
    assert_eq!(
        (&granted["principal_exists"], &ended["principal_exists"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(ended["can_log_in"], false);
    assert_eq!(ended["integration"]["name"], "shop");
    for list in ["holds", "leftover", "notes"] {
        assert_eq!(ended[list], json!([]), "{list}");
    }
    assert_eq!(ended["entitlements"][0]["status"], "Revoked");
    assert_eq!(ended["entitlements"][0]["resource"]["name"], "orders");
    assert!(ended["fence"].as_i64() > granted["fence"].as_i64());
    assert!(ended["taken_at"].as_str() > granted["taken_at"].as_str());

    let first = ground.get(&viewer, &format!("{path}?limit=1")).await.ok();
    assert_eq!(first["items"], json!([granted]));
    let token = first["pagination"]["next_page_token"].as_str().unwrap();
    let second = ground.get(&viewer, &format!("{path}?page_token={token}")).await.ok();
    assert_eq!(second["items"], json!([ended]));
    assert_eq!(second["pagination"]["next_page_token"], Value::Null);
    let damaged = format!("{path}?page_token=A{token}");
    ground.get(&viewer, &damaged).await.refuses("page_token");
    ground.get(&viewer, &format!("{OFFICE}/unknown/receipts")).await.refused(404, "NotFound");
    let by_number = ground.get(&viewer, &format!("{OFFICE}/AR-1/receipts")).await.ok();
    assert_eq!(by_number["items"], page["items"]);
    ground.get(&story.ana, &path).await.refused(403, "Forbidden");
}
