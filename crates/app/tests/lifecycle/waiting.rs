//! Waiting until a request is at rest, also at a server that does none of the work.

use std::time::Duration;

use latchkey_app::{
    App,
    requests::{LONGEST_WAIT, approve_request, get_my_request_at_rest, revoke_request},
};
use latchkey_domain::{ids::RequestId, request::RequestState};

use crate::on_both_databases;

/// Until somebody waits for the request at this server.
async fn until_awaited(app: &App, id: &RequestId) {
    while !app.store().wake().is_awaited(id) {
        tokio::task::yield_now().await;
    }
}

on_both_databases! {
    async fn who_waits_is_told_when_access_is_there(ground) {
        ground.flow("read", Some(60), &[&ground.bob]).await;
        let id = ground.ask(&["orders"], None).await.request.id;
        // SQLite has one server; on PostgreSQL it is one that does none of the work.
        let is_shared = ground.app.store().is_postgres();
        let app = if is_shared { ground.second_server().await } else { ground.app.clone() };
        let (server, ana, awaited) = (app.clone(), ground.ana.clone(), id.clone());
        let waiting = tokio::spawn(async move {
            get_my_request_at_rest(&server, &ana, awaited.as_str(), LONGEST_WAIT).await.unwrap()
        });
        until_awaited(&app, &id).await;
        approve_request(&ground.app, &ground.bob, id.as_str(), None, None).await.unwrap();
        ground.settle().await;
        let seen = waiting.await.unwrap();
        assert_eq!(seen.request.state, RequestState::Active);
        assert_eq!(seen.receipts.len(), 1, "with the proof of it");
        assert!(!app.store().wake().is_awaited(&id));
    }

    async fn a_change_is_told_from_server_to_server(ground) {
        ground.flow("read", Some(60), &[&ground.bob]).await;
        let id = ground.ask(&["orders"], None).await.request.id;
        let is_shared = ground.app.store().is_postgres();
        let app = if is_shared { ground.second_server().await } else { ground.app.clone() };
        let mut changes = app.store().wake().request_waiter(&id);
        let mut is_told = false;
        // What is said before the other server listens is lost to it.
        for _ in 0..30 {
            ground
                .write(async |tx| {
                    let mut request = tx.find_request(&id).await.unwrap().unwrap();
                    tx.update_request(&mut request).await.unwrap();
                })
                .await;
            is_told = changes.wait(Duration::from_secs(1)).await;
            if is_told {
                break;
            }
        }
        assert!(is_told);
    }

    async fn who_waits_for_the_end_is_told_once_it_is_proved(ground) {
        ground.flow("read", Some(60), &[]).await;
        let id = ground.ask(&["orders"], None).await.request.id;
        ground.settle().await;
        revoke_request(&ground.app, &ground.ana, id.as_str()).await.unwrap();
        let (app, ana, awaited) = (ground.app.clone(), ground.ana.clone(), id.clone());
        let waiting = tokio::spawn(async move {
            get_my_request_at_rest(&app, &ana, awaited.as_str(), LONGEST_WAIT).await.unwrap()
        });
        until_awaited(&ground.app, &id).await;
        ground.settle().await;
        assert_eq!(waiting.await.unwrap().request.state, RequestState::Revoked);
        assert!(ground.target.is_empty());
    }
}
