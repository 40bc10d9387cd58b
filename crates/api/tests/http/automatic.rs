//! Automatic flows over HTTP: what is held back, and who sees what they gave.

use latchkey_app::{Actor, automatic::follow_conditions, settings::set_setting};
use latchkey_domain::people::Role;
use serde_json::{Value, json};

use crate::{
    ground::{Ground, flow},
    requests::{Story, id_of},
};

/// An automatic flow for bob whose changes are held back, whatever they are.
pub async fn held_back(ground: &Ground) -> Value {
    let shell = Actor::command_line();
    set_setting(&ground.app, &shell, "automatic_change_limit", json!(0)).await.unwrap();
    let mut body = flow("automatic", "bob", None);
    body["trigger"] = json!("AUTOMATIC");
    let made = ground.post(&ground.admin, "/api/admin/v2/access-flows", body).await.ok();
    follow_conditions(&ground.app).await.unwrap();
    made
}

#[tokio::test]
async fn what_is_held_back_is_seen_by_viewers_and_confirmed_by_who_manages_flows() {
    let story = Story::new(None).await;
    let ground = &story.ground;
    let made = held_back(ground).await;
    let viewer = ground.somebody("vic", Some(Role::Viewer)).await;
    let path = format!("/api/admin/v1/access-flows/{}/automatic", id_of(&made));
    let standing = ground.get(&viewer, &path).await.ok();
    assert_eq!(standing["name"], "automatic");
    assert_eq!((&standing["people"], &standing["held_back"]["gaining"]), (&json!(0), &json!(1)));
    let other = format!("/api/admin/v1/access-flows/{}/automatic", id_of(&story.flow));
    ground.get(&viewer, &other).await.refused(404, "NotFound");
    let confirm = format!("{path}/confirm");
    ground.post(&viewer, &confirm, json!({})).await.refused(403, "Forbidden");
    ground.post(&ground.admin, &confirm, json!({})).await.ok();
    assert_eq!(follow_conditions(&ground.app).await.unwrap().given, 1);
    ground.work(&story.connector).await;
    let standing = ground.get(&viewer, &path).await.ok();
    assert_eq!((&standing["people"], &standing["held_back"]), (&json!(1), &Value::Null));
    ground.post(&ground.admin, &confirm, json!({})).await.refused(409, "Conflict");

    let list = "/api/client/v1/access-requests?scope=MyRequests";
    let page = ground.get(&story.bob, list).await.ok();
    assert_eq!(page["data"], json!([]), "what nobody asked for is listed where it is asked for");
    let page = ground.get(&story.bob, &format!("{list}&include_autogrant=true")).await.ok();
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    let id = page["data"][0]["id"].as_str().unwrap();
    let revoke = format!("/api/client/v1/access-requests/{id}/revoke");
    ground.post(&story.bob, &revoke, json!({})).await.refused(409, "Conflict");
    let flow = format!("/api/admin/v2/access-flows/{}", id_of(&made));
    ground.delete(&ground.admin, &flow).await.done();
    ground.work(&story.connector).await;
    let page = ground.get(&story.bob, &format!("{list}&include_autogrant=true")).await.ok();
    assert_eq!(page["data"][0]["status"]["status"], "Revoked");
}
