//! Requests that the caller filed for others.

use serde_json::{Value, json};

use crate::{
    ground::flow,
    requests::{Story, id_of},
};

const DELEGATED: &str = "/api/user/v1/delegated-access-requests";
const REQUESTS: &str = "/api/user/v4/access-requests";

#[tokio::test]
async fn requests_for_others_are_listed_apart_from_ones_own() {
    let story = Story::new(Some("bob")).await;
    let ground = &story.ground;
    let own = story.ask("orders").await;
    let delegated = story.ask_for_bob("orders").await;
    let list = ground.get(&story.ana, DELEGATED).await.ok();
    assert_eq!(list["pagination"], json!({"next_page_token": null}));
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let row = &list["items"][0];
    assert_eq!(row["id"], delegated["id"]);
    assert_eq!(row["requestor"], Value::Null, "the caller");
    assert_eq!(row["grantee"]["source_id"], "bob@example.com");
    assert_eq!((&row["status"], &row["custom_fields"]), (&json!("Pending"), &json!({})));
    assert_eq!(row["access_groups"][0]["integration"]["name"], "shop");
    let one = format!("{DELEGATED}/{}", id_of(&delegated));
    assert_eq!(ground.get(&story.ana, &one).await.ok(), *row);
    ground.get(&story.ana, &format!("{DELEGATED}/{}", id_of(&own))).await.refused(404, "NotFound");
    ground.get(&story.ana, &format!("{DELEGATED}/unknown")).await.refused(404, "NotFound");
    // The grantee finds it among their own requests, not here.
    ground.get(&story.bob, &one).await.refused(404, "NotFound");
    assert_eq!(ground.get(&story.bob, DELEGATED).await.ok()["items"], json!([]));
    let theirs = format!("{REQUESTS}?requestor=ana@example.com");
    let theirs = ground.get(&story.bob, &theirs).await.ok();
    assert_eq!(theirs["items"][0]["id"], delegated["id"]);
    assert_eq!(theirs["items"][0]["grantee"], Value::Null);
    assert_eq!(ground.get(&story.ana, REQUESTS).await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn delegated_requests_are_filtered_and_paged_and_the_cursor_carries_both() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    ground.somebody("carl", None).await;
    let mut delegates = flow("delegates", "ana", Some("bob"));
    delegates["request_for_others"] = json!(true);
    ground.post(&ground.admin, "/api/admin/v2/access-flows", delegates).await.ok();
    let mut body = story.body("orders").await;
    for grantee in ["carl", "bob", "carl", "carl"] {
        body["grantee"] = json!(format!("{grantee}@example.com"));
        ground.post(&story.ana, REQUESTS, body.clone()).await.ok();
        ground.pass(1);
    }
    let page = async |query: &str| {
        let page = ground.get(&story.ana, &format!("{DELEGATED}?{query}")).await.ok();
        let token = page["pagination"]["next_page_token"].as_str().unwrap_or_default().to_owned();
        (page["items"].as_array().unwrap().len(), token)
    };
    assert_eq!(page("grantee=BOB@example.com").await.0, 1);
    assert_eq!(page("grantee=nobody@example.com").await.0, 0);
    assert_eq!(page("statuses=pending&statuses=Active").await.0, 4);
    assert_eq!(page("statuses=Active").await.0, 0);
    let (rows, token) = page("grantee=carl%40example.com&limit=2&statuses=PENDING").await;
    assert_eq!(rows, 2);
    assert_eq!(page(&format!("page_token={token}")).await, (1, String::new()));
    let other = format!("{DELEGATED}?page_token={token}&grantee=bob@example.com");
    ground.get(&story.ana, &other).await.refuses("grantee");
    let elsewhere = format!("{REQUESTS}?page_token={token}");
    ground.get(&story.ana, &elsewhere).await.refuses("page_token");
    ground.get(&story.ana, &format!("{DELEGATED}?statuses=Asleep")).await.refuses("statuses");
}
