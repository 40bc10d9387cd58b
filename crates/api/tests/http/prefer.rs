//! `Prefer: wait` (RFC 7240): an answer that is kept back until access is there.

use axum::{
    body::Body,
    http::{Request, header},
};
use latchkey_domain::{ids::RequestId, people::TokenScope};
use serde_json::{Value, json};

use crate::{
    ground::{Answer, Ground, flow},
    requests::{REQUESTS, Story, id_of},
};

/// Calls and would wait a minute.
async fn patiently(
    ground: &Ground,
    method: &str,
    token: &str,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    prefers(ground, "handling=lenient, wait=60", method, token, path, body).await
}

async fn prefers(
    ground: &Ground,
    preference: &str,
    method: &str,
    token: &str,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("prefer", preference);
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    ground.send(request.body(body).unwrap()).await
}

/// Until somebody waits for the one request there is: who does not wait at all never gets past.
async fn until_awaited(story: &Story) {
    let wake = story.ground.app.store().wake();
    loop {
        let listed = story.ground.get(&story.ana, REQUESTS).await.ok();
        let first = listed["items"].get(0);
        if first.is_some_and(|first| wake.is_awaited(&RequestId::new(id_of(first)))) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_would_wait_is_answered_once_access_is_there() {
    let story = Story::new(None).await;
    let body = story.body("orders").await;
    let (filed, ()) =
        tokio::join!(patiently(&story.ground, "POST", &story.ana, REQUESTS, Some(&body)), async {
            until_awaited(&story).await;
            story.ground.work(&story.connector).await;
        });
    let filed = filed.ok();
    assert_eq!(filed[0]["status"], "Active", "{filed}");
    // What rests is answered at once.
    let path = format!("{REQUESTS}/{}", id_of(&filed[0]));
    let read = patiently(&story.ground, "GET", &story.ana, &path, None).await.ok();
    assert_eq!(read["status"], "Active");
}

#[tokio::test]
async fn the_wait_goes_on_through_an_approval() {
    let story = Story::new(Some("bob")).await;
    let asked = story.ask("orders").await;
    let path = format!("{REQUESTS}/{}", id_of(&asked));
    let (read, ()) =
        tokio::join!(patiently(&story.ground, "GET", &story.ana, &path, None), async {
            until_awaited(&story).await;
            let approve = format!("/api/client/v1/access-requests/{}/approve", id_of(&asked));
            story.ground.post(&story.bob, &approve, json!({})).await.ok();
            story.ground.work(&story.connector).await;
        });
    assert_eq!(read.ok()["status"], "Active");
}

#[tokio::test]
async fn a_wait_that_is_over_is_answered_with_how_things_stand() {
    let story = Story::new(Some("bob")).await;
    let asked = story.ask("orders").await;
    let path = format!("{REQUESTS}/{}", id_of(&asked));
    let ground = &story.ground;
    let (read, ()) =
        tokio::join!(prefers(ground, "wait=1", "GET", &story.ana, &path, None), async {
            until_awaited(&story).await;
            ground.pass(1);
        });
    assert_eq!(read.ok()["status"], "Pending");
}

#[tokio::test]
async fn nobody_waits_for_a_request_that_is_not_theirs() {
    let story = Story::new(Some("bob")).await;
    let asked = story.ask("orders").await;
    let stranger = story.ground.somebody("carl", None).await;
    for id in [id_of(&asked), "unknown"] {
        let path = format!("{REQUESTS}/{id}");
        let read = patiently(&story.ground, "GET", &stranger, &path, None).await;
        read.refused(404, "NotFound");
    }
}

#[tokio::test]
async fn who_has_to_act_first_is_told_at_once() {
    let story = Story::new(Some("bob")).await;
    let mut stricter = flow("readers", "ana", Some("bob"));
    stricter["settings"]["require_mfa"] = json!(true);
    let path = format!("/api/admin/v2/access-flows/{}", id_of(&story.flow));
    story.ground.put(&story.ground.admin, &path, stricter).await.ok();
    let body = story.body("orders").await;
    let filed = patiently(&story.ground, "POST", &story.ana, REQUESTS, Some(&body)).await.ok();
    assert_eq!(filed[0]["status"], "PendingMFA", "{filed}");
}

#[tokio::test]
async fn who_may_file_and_not_read_is_not_told_what_came_of_it() {
    let story = Story::new(None).await;
    let body = story.body("orders").await;
    let token = story.ground.token("ana", &[TokenScope::Request]).await;
    let filed = patiently(&story.ground, "POST", &token, REQUESTS, Some(&body)).await.ok();
    assert_eq!(filed[0]["status"], "Granting", "{filed}");
}
