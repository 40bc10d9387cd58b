//! From a request to access, and what happens when the target will not have it.

use latchkey_app::requests::{RequestAccess, dry_run_request, request_access};
use latchkey_domain::request::{RequestState, UnitState};

use crate::{ground::Mood, on_both_databases};

on_both_databases! {
    async fn an_auto_approved_request_is_granted_and_ends_on_time(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], Some(600)).await;
        assert_eq!(ground.state(&request).await, RequestState::Granting);
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        assert_eq!(ground.held().len(), 1);
        ground.pass(599).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        ground.pass(1).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(ground.target.is_empty());
    }

    async fn what_the_target_refuses_fails_and_the_rest_is_granted(ground) {
        ground.flow("read", Some(60), &[]).await;
        ground.mood = Mood::Refuses("customers");
        let request = ground.ask(&["orders", "customers"], None).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        let units = ground
            .write(async |tx| tx.units_of(&request.request.id).await.unwrap())
            .await;
        let failed: Vec<_> = units.iter().filter(|u| u.state == UnitState::Failed).collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].error.as_deref(), Some("refused, says it"));
        ground.mood = Mood::Works;
    }

    async fn a_request_of_which_nothing_can_be_granted_fails(ground) {
        ground.flow("read", Some(60), &[]).await;
        ground.mood = Mood::Refuses("orders");
        let request = ground.ask(&["orders"], None).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Failed);
        ground.mood = Mood::Works;
        ground.settle().await;
        assert!(ground.target.is_empty());
    }

    async fn granting_is_given_up_after_its_deadline_and_fails_only_after_a_read_back(ground) {
        ground.flow("read", Some(600), &[]).await;
        ground.mood = Mood::Unreachable;
        let request = ground.ask(&["orders"], None).await;
        for _ in 0..16 {
            ground.settle().await;
            assert_eq!(ground.state(&request).await, RequestState::Granting);
            ground.pass(60).await;
        }
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Granting, "still to be read back");
        ground.mood = Mood::Works;
        ground.pass(1).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Failed);
        assert!(ground.target.is_empty());
    }

    async fn a10_durations_that_no_flow_covers_are_refused_and_nothing_is_created(ground) {
        ground.flow("read", Some(60), &[]).await;
        for (asked, code) in [
            (0, "BadRequest"),
            (-1, "BadRequest"),
            (i64::MAX, "BadRequest"),
            (3601, "DurationTooLong"),
        ] {
            let command = RequestAccess {
                entitlements: vec![ground.entitlement("orders")],
                duration_sec: Some(asked),
                ..RequestAccess::default()
            };
            let refused = request_access(&ground.app, &ground.ana, command).await.unwrap_err();
            assert_eq!(refused.code, code, "{asked}");
        }
        let count = ground.write(async |tx| tx.next_request_number().await.unwrap()).await;
        assert_eq!(count, 1, "no number was used");
    }

    async fn nobody_else_may_ask_by_the_flow_and_dry_run_stores_nothing(ground) {
        ground.flow("read", Some(60), &[]).await;
        let command = RequestAccess {
            entitlements: vec![ground.entitlement("orders")],
            ..RequestAccess::default()
        };
        let refused =
            request_access(&ground.app, &ground.bob, command.clone()).await.unwrap_err();
        assert_eq!(refused.code, "NoMatchingFlow");
        let dry_run = dry_run_request(&ground.app, &ground.ana, command).await.unwrap();
        assert_eq!(dry_run.parts.len(), 1);
        assert_eq!(dry_run.parts[0].duration_sec, Some(3600));
        assert!(dry_run.parts[0].asked.is_empty());
        let count = ground.write(async |tx| tx.next_request_number().await.unwrap()).await;
        assert_eq!(count, 1, "no number was used");
    }
}
