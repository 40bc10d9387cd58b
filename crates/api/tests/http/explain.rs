//! Why somebody may ask for something, and who may: both say what the list of available access
//! says.

use latchkey_domain::people::Role;
use serde_json::Value;

use crate::requests::Story;

const AVAILABLE: &str = "/api/user/v1/available-access/entitlements";
const EXPLAIN: &str = "/api/admin/v1/explain";

/// The name of an entitlement in a list of them.
fn name_of(row: &Value) -> String {
    let id = |part: &str| row[part]["id"].as_str().unwrap().to_owned();
    format!("{}:{}", id("resource"), id("permission"))
}

#[tokio::test]
async fn why_and_why_not_are_told_flow_by_flow_and_value_by_value() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    let viewer = ground.somebody("vic", Some(Role::Viewer)).await;
    let page = ground.get(&story.ana, AVAILABLE).await.ok();
    let row = &page["items"][0];
    let entitlement = name_of(row);

    let path = format!("{EXPLAIN}/access?user=ana@example.com&entitlement={entitlement}");
    let why = ground.get(&viewer, &path).await.ok();
    assert_eq!(why["may_ask"], true);
    assert_eq!(why["entitlement"], *row);
    assert_eq!(why["user"]["source_id"], "ana@example.com");
    let flow = &why["flows"][0];
    assert_eq!((&flow["id"], &flow["gives"]), (&story.flow["id"], &Value::Bool(true)));
    assert_eq!(flow["requestors"]["met"], true);
    assert_eq!(flow["targets"][0]["covers"], true);
    assert_eq!(flow["targets"][0]["kind"], "integration");

    let path = format!("{EXPLAIN}/access?user=vic@example.com&entitlement={entitlement}");
    let why = ground.get(&viewer, &path).await.ok();
    assert_eq!(why["may_ask"], false);
    let flow = &why["flows"][0];
    assert_eq!((&flow["gives"], &flow["requestors"]["met"]), (&false.into(), &false.into()));
    let value = &flow["requestors"]["conditions"][0]["values"][0];
    assert_eq!(value["met"], false, "{flow}");

    let unknown = format!("{EXPLAIN}/access?user=nobody&entitlement={entitlement}");
    ground.get(&viewer, &unknown).await.refuses("user");
    for odd in ["", "x", "x:y", ":"] {
        let path = format!("{EXPLAIN}/access?user=ana@example.com&entitlement={odd}");
        ground.get(&viewer, &path).await.refuses("entitlement");
    }
    let path = format!("{EXPLAIN}/access?user=ana@example.com&entitlement={entitlement}");
    ground.get(&story.ana, &path).await.refused(403, "Forbidden");
}

#[tokio::test]
async fn f10_who_may_ask_is_everybody_whose_list_has_it() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    let page = ground.get(&story.ana, AVAILABLE).await.ok();
    for row in page["items"].as_array().unwrap() {
        let path = format!("{EXPLAIN}/who?limit=1&entitlement={}", name_of(row));
        let mut who = Vec::new();
        let mut next = path.clone();
        loop {
            let page = ground.get(&ground.admin, &next).await.ok();
            for one in page["items"].as_array().unwrap() {
                assert_eq!(one["flows"][0]["id"], story.flow["id"]);
                who.push(one["user"]["source_id"].as_str().unwrap().to_owned());
            }
            let Some(token) = page["pagination"]["next_page_token"].as_str() else { break };
            next = format!("{EXPLAIN}/who?page_token={token}");
        }
        let mut may = Vec::new();
        for (name, token) in [("ana", &story.ana), ("bob", &story.bob)] {
            let list = ground.get(token, AVAILABLE).await.ok();
            if list["items"].as_array().unwrap().contains(row) {
                may.push(format!("{name}@example.com"));
            }
        }
        assert_eq!(who, may);
    }
    ground.get(&ground.admin, &format!("{EXPLAIN}/who")).await.refuses("entitlement");
}

#[tokio::test]
async fn a_change_of_policy_is_in_the_next_answer() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    let count = async |token: &String| {
        ground.get(token, AVAILABLE).await.ok()["items"].as_array().unwrap().len()
    };
    assert!(count(&story.ana).await > 0);
    assert_eq!(count(&story.bob).await, 0);
    let path = format!("/api/admin/v2/access-flows/{}", story.flow["id"].as_str().unwrap());
    ground.delete(&ground.admin, &path).await.done();
    assert_eq!(count(&story.ana).await, 0);
}
