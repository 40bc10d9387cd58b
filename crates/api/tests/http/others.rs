//! What belongs to one person, in the hands of another: sweeps over the OpenAPI document, so that
//! a new operation is covered by being documented.

use latchkey_domain::people::{Role, TokenScope};
use serde_json::{Value, json};

use crate::{
    coverage::Operation,
    ground::Answer,
    requests::{Story, id_of},
};

/// Bodies that calls are tried with: an operation may look at the body before the id.
fn bodies(method: &str) -> Vec<Option<Value>> {
    match method {
        "GET" => vec![None],
        _ => vec![
            None,
            Some(json!({})),
            Some(json!({
                "name": "mine", "query": "resource = \"x\"", "justification": "mine",
                "members_emails": ["eve@example.com"], "access_targets": [], "tags": {},
                "duration_in_sec": 60, "custom_fields": {}, "request_ids": [],
            })),
        ],
    }
}

/// Status and body without what differs from call to call.
fn said(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.text.clone())
}

#[tokio::test]
async fn b05_ids_of_one_person_are_like_unknown_ones_to_another_in_every_operation() {
    let story = Story::new(None).await;
    let Story { ground, connector, ana, .. } = &story;
    let asked = story.ask("orders").await;
    ground.work(connector).await;
    let session = story.session().await;
    let task = format!("/api/client/v1/access-requests/{}", id_of(&asked));
    let friendly = ground.get(ana, &task).await.ok()["id"].as_str().unwrap().to_owned();
    let ids = [id_of(&asked).to_owned(), friendly, id_of(&session).to_owned()];
    ground.somebody("eve", None).await;
    let eve = ground.token("eve", &TokenScope::ALL[..4]).await;

    let mut swept = 0;
    for operation in Operation::all() {
        let portal = ["/api/user/", "/api/client/"];
        if !portal.iter().any(|area| operation.template.starts_with(area)) {
            continue;
        }
        for body in bodies(&operation.method) {
            let path = |id: &str| operation.template.replace("{id}", id);
            let call = async |id: &str| {
                ground.call(&operation.method, &eve, &path(id), body.clone()).await
            };
            let unknown = call("unknown").await;
            for id in &ids {
                let answer = call(id).await;
                let context = format!("{} with {body:?}", operation.id);
                assert_eq!(said(&answer), said(&unknown), "{context}");
                if !answer.text.contains("page_token") {
                    let leaked = ids.iter().find(|id| answer.text.contains(*id));
                    assert_eq!(leaked, None, "{context}: {}", answer.text);
                }
            }
            swept += 1;
        }
    }
    assert!(swept > 20, "{swept} calls were swept");
    assert_eq!(story.request(&asked).await["status"], "Active", "and it is as it was");
    assert_eq!(story.session().await, session);
}

#[tokio::test]
async fn a03_who_may_read_may_not_write() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, bob, flow, .. } = &story;
    let asked = story.ask("orders").await;
    ground.somebody("vera", Some(Role::Viewer)).await;
    let vera = ground.token("vera", &TokenScope::ALL[..4]).await;
    let shop = ground.get(&vera, "/api/v2/integrations").await.ok()["data"][0].clone();
    let resources = format!("/api/v3/integrations/{}/resources", id_of(&shop));
    let resource = ground.get(&vera, &resources).await.ok()["data"][0].clone();
    let tags = format!("/api/v3/integrations/resources/{}/user-tags", id_of(&resource));
    let readable = [
        format!("/api/admin/v4/integrations/{}", id_of(&shop)),
        format!("/api/v2/integrations/{}", id_of(&shop)),
        format!("/api/admin/v2/access-flows/{}", id_of(flow)),
        "/api/admin/v3/connectors/edge".to_owned(),
        "/api/admin/v3/users/ana@example.com".to_owned(),
        tags,
    ];
    let mut before = Vec::new();
    for path in &readable {
        before.push(ground.get(&vera, path).await.ok());
    }
    // A Viewer reads all of the admin area and writes nothing of it.
    for operation in Operation::all().iter().filter(|operation| operation.method != "GET") {
        for path in readable.iter().filter(|path| operation.fits(path)) {
            for body in bodies(&operation.method) {
                let answer = ground.call(&operation.method, &vera, path, body).await;
                assert_eq!(answer.status, 403, "{} {}", operation.id, answer.text);
            }
        }
    }
    // Who is asked to decide reads the request, and does nothing to it but decide.
    let client = format!("/api/client/v1/access-requests/{}", id_of(&asked));
    let seen = ground.get(bob, &client).await.ok();
    for operation in Operation::all().iter().filter(|operation| operation.method != "GET") {
        let portal = ["/api/user/", "/api/client/"];
        let decides = ["approve", "reject", "approve-shortened"]
            .iter()
            .any(|word| operation.template.ends_with(&format!("/{word}")));
        if decides || !portal.iter().any(|area| operation.template.starts_with(area)) {
            continue;
        }
        if !operation.template.contains("{id}") {
            continue;
        }
        for body in bodies(&operation.method) {
            let path = operation.template.replace("{id}", id_of(&asked));
            let answer = ground.call(&operation.method, bob, &path, body).await;
            let status = answer.status.as_u16();
            assert!((400..500).contains(&status), "{} {}", operation.id, answer.text);
        }
    }
    assert_eq!(ground.get(bob, &client).await.ok(), seen);
    ground.work(connector).await;
    for (path, before) in readable.iter().zip(before) {
        if !path.contains("connectors") {
            assert_eq!(ground.get(&vera, path).await.ok(), before, "{path}");
        }
    }
    assert_eq!(story.request(&asked).await["status"], "Pending");
}
