//! What a change of policy would do, over HTTP.

use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::{ground::flow, requests::Story};

const WHAT_IF: &str = "/api/admin/v1/what-if";

#[tokio::test]
async fn a_change_is_tried_by_whoever_may_read_and_stores_nothing() {
    let story = Story::new(Some("bob")).await;
    let ground = &story.ground;
    story.ask("orders").await;
    let viewer = ground.somebody("vic", Some(Role::Viewer)).await;
    let body = json!({"access_flow": flow("readers", "vic", None)});
    let told = ground.post(&viewer, WHAT_IF, body.clone()).await.ok();
    assert_eq!(told["subject"]["kind"], "access_flow");
    assert_eq!(told["subject"]["id"], story.flow["id"]);
    assert_eq!((&told["people"]["gaining"], &told["people"]["losing"]), (&json!(1), &json!(1)));
    let people = told["people"]["items"].as_array().unwrap();
    let gains = people.iter().find(|one| one["gains"] == 2).unwrap();
    assert_eq!(gains["user"]["source_id"], "vic@example.com");
    assert_eq!(gains["gained"][0]["integration"]["name"], "shop");
    assert_eq!(told["requests"]["items"][0]["effect"], "cancelled_when_decided");
    assert_eq!(told["requests"]["items"][0]["request"]["number"], "AR-1");
    assert_eq!(told["replay"]["then"]["needs_approval"], 1);
    assert_eq!(told["replay"]["after"]["denied"], 1);
    assert_eq!(told["replay"]["items"][0]["after"], "denied");
    assert_eq!(ground.post(&viewer, WHAT_IF, body).await.ok(), told, "nothing was stored");
    let ana = ground.post(&story.ana, WHAT_IF, json!({})).await;
    ana.refused(403, "Forbidden");
}

#[tokio::test]
async fn exactly_one_change_is_tried_at_a_time() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    let scope = json!({"name": "all", "query": "resource = \"x\""});
    for body in [json!({}), json!({"deleted_access_flow": "readers", "access_scope": scope})] {
        ground.post(&ground.admin, WHAT_IF, body).await.refused(400, "BadRequest");
    }
    let unknown = json!({"deleted_access_flow": "none"});
    ground.post(&ground.admin, WHAT_IF, unknown).await.refuses("deleted_access_flow");
    let other = json!({"id": "none", "access_scope": scope});
    ground.post(&ground.admin, WHAT_IF, other).await.refuses("id");
    let wrong = json!({"access_scope": {"name": "all", "query": "resource = "}});
    ground.post(&ground.admin, WHAT_IF, wrong).await.refuses("query");
    for (member, value) in [("replay_days", -1), ("replay_days", 367), ("limit", 0)] {
        let mut body = json!({"deleted_access_flow": "readers"});
        body[member] = json!(value);
        ground.post(&ground.admin, WHAT_IF, body).await.refuses(member);
    }
    let gone = json!({"deleted_access_flow": "readers", "replay_days": 0});
    let told = ground.post(&ground.admin, WHAT_IF, gone).await.ok();
    assert_eq!(told["people"]["losing"], 1);
    assert_eq!(told["replay"]["requests"], 0);
    assert_eq!(told["subject"]["name"], "readers");
    assert_ne!(told["subject"]["id"], Value::Null);
}
