//! The ways in which access ends, and that none of them is given up.

use latchkey_app::{
    ErrorKind,
    lifecycle::{Because, end_everything_of_flow, end_everything_of_user},
    requests::{request_again, revoke_request},
};
use latchkey_domain::{audit::AuditActor, request::RequestState};

use crate::{ground::Mood, on_both_databases};

on_both_databases! {
    async fn a_request_can_be_ended_early_once(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.settle().await;
        let id = request.request.id.as_str();
        revoke_request(&ground.app, &ground.ana, id).await.unwrap();
        let again = revoke_request(&ground.app, &ground.ana, id).await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::Conflict);
        let stranger = revoke_request(&ground.app, &ground.cleo, id).await.unwrap_err();
        assert_eq!(stranger.kind, ErrorKind::NotFound);
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(ground.target.is_empty());
        let receipts =
            ground.write(async |tx| tx.receipts_of_requests(std::slice::from_ref(&request.request.id)).await.unwrap());
        let last = receipts.await.pop().unwrap().receipt;
        assert!(!last.principal_exists && last.open_sessions == 0 && last.holds.is_empty());
    }

    async fn f02_a_target_that_is_down_leaves_the_request_revoking_until_it_answers(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], Some(60)).await;
        ground.settle().await;
        ground.mood = Mood::Unreachable;
        ground.pass(60).await;
        for _ in 0..90 {
            ground.settle().await;
            assert_eq!(ground.state(&request).await, RequestState::Revoking);
            ground.pass(1).await;
        }
        ground.mood = Mood::Works;
        ground.pass(1).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(ground.target.is_empty());
    }

    async fn a_request_ended_while_it_is_granted_leaves_nothing(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        let tasks = ground.lease().await;
        revoke_request(&ground.app, &ground.ana, request.request.id.as_str()).await.unwrap();
        for task in &tasks {
            let latchkey_protocol::Operation::Apply(desired) = &task.operation else { continue };
            let outcome = ground.apply(desired);
            ground.answer(task, outcome).await;
        }
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(ground.target.is_empty());
    }

    async fn b02_a_disabled_person_loses_everything_at_once(ground) {
        ground.flow("read", Some(60), &[]).await;
        let live = ground.ask(&["orders"], None).await;
        ground.settle().await;
        ground.flow("asked", Some(120), &[&ground.bob]).await;
        let pending = ground.ask(&["customers"], Some(7000)).await;
        let user = ground.ana.user.id.clone();
        let ended = ground
            .write(async |tx| {
                let because = Because::PersonDisabled;
                end_everything_of_user(tx, &AuditActor::System, &user, &because).await.unwrap()
            })
            .await;
        assert_eq!(ended, 2);
        ground.settle().await;
        assert_eq!(ground.state(&live).await, RequestState::Revoked);
        assert_eq!(ground.state(&pending).await, RequestState::Cancelled);
        assert!(ground.target.is_empty());
    }

    async fn b04_a_deleted_flow_takes_its_access_along(ground) {
        let flow = ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.settle().await;
        ground
            .write(async |tx| {
                let because = Because::FlowDeleted;
                end_everything_of_flow(tx, &AuditActor::System, &flow.id, &because).await.unwrap()
            })
            .await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(ground.target.is_empty());
    }

    async fn b07_a_clock_that_jumps_neither_ends_access_twice_nor_keeps_it(ground) {
        use latchkey_domain::Clock;
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], Some(600)).await;
        ground.settle().await;
        let start = ground.clock.now();
        ground.set_clock(start - jiff::SignedDuration::from_secs(86_400)).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        ground.set_clock(start + jiff::SignedDuration::from_secs(601)).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        ground.set_clock(start).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(ground.target.is_empty());
    }

    async fn a_request_that_is_over_can_be_asked_again_and_an_open_one_cannot(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], Some(60)).await;
        let id = request.request.id.as_str();
        let none = std::collections::BTreeMap::new;
        let early = request_again(&ground.app, &ground.ana, id, None, none()).await.unwrap_err();
        assert_eq!(early.kind, ErrorKind::Conflict);
        ground.settle().await;
        ground.pass(60).await;
        ground.settle().await;
        let again = request_again(&ground.app, &ground.ana, id, None, none()).await.unwrap();
        assert_eq!(again[0].request.duration_sec, Some(60));
        ground.settle().await;
        assert_eq!(ground.state(&again[0]).await, RequestState::Active);
        assert_eq!(ground.held().len(), 1);
    }

    async fn what_the_target_loses_for_good_ends_the_request(ground) {
        ground.flow("read", Some(600), &[]).await;
        let first = ground.ask(&["orders"], None).await;
        ground.settle().await;
        ground.mood = Mood::Refuses("orders");
        let second = ground.ask(&["customers"], None).await;
        ground.settle().await;
        assert_eq!(ground.state(&first).await, RequestState::Revoked);
        assert_eq!(ground.state(&second).await, RequestState::Active);
        ground.mood = Mood::Works;
    }

    async fn a_flow_switched_off_leaves_live_access_and_cancels_what_waits(ground) {
        use latchkey_app::lifecycle::cancel_open_requests_of_flow;
        let flow = ground.flow("read", Some(60), &[&ground.bob]).await;
        let live = ground.ask(&["orders"], None).await;
        let id = live.request.id.as_str();
        latchkey_app::requests::approve_request(&ground.app, &ground.bob, id, None, None)
            .await
            .unwrap();
        ground.settle().await;
        let waiting = ground.ask(&["customers"], None).await;
        ground
            .write(async |tx| {
                let because = Because::FlowSwitchedOff;
                cancel_open_requests_of_flow(tx, &AuditActor::System, &flow.id, &because)
                    .await
                    .unwrap()
            })
            .await;
        assert_eq!(ground.state(&live).await, RequestState::Active);
        assert_eq!(ground.state(&waiting).await, RequestState::Cancelled);
    }
}
