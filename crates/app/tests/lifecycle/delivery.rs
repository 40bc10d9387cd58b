//! Tasks are delivered at least once and applied once.

use latchkey_domain::{ids::ConnectorSessionId, request::RequestState};
use latchkey_protocol::Operation;

use crate::{ground::Ground, on_both_databases};

fn another_process(ground: &mut Ground) -> ConnectorSessionId {
    std::mem::replace(&mut ground.process, ConnectorSessionId::new("process-2"))
}

on_both_databases! {
    async fn a_task_whose_process_died_is_done_by_another_after_ten_seconds(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(ground.lease().await.len(), 1);
        another_process(ground);
        ground.beat(None).await;
        assert!(ground.lease().await.is_empty(), "the lease still holds");
        ground.pass(11).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
    }

    async fn a_process_that_starts_again_takes_its_leases_back_at_once(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        assert_eq!(ground.lease().await.len(), 1);
        let former = another_process(ground);
        ground.beat(Some(former)).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
    }

    async fn f05_a_late_result_of_a_former_lease_changes_nothing(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], Some(300)).await;
        let late = ground.lease().await.remove(0);
        ground.pass(11).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        let Operation::Apply(desired) = &late.operation else { panic!("an apply task") };
        let outcome = ground.apply(desired);
        assert!(
            matches!(outcome, latchkey_protocol::Outcome::Fenced { .. }),
            "the target refuses the lower fence"
        );
        ground.answer(&late, outcome).await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        ground.pass(300).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
    }

    async fn an_answer_lost_after_the_grant_leads_to_the_same_access(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        let lost = ground.lease().await.remove(0);
        let Operation::Apply(desired) = &lost.operation else { panic!("an apply task") };
        let _ = ground.apply(desired);
        ground.pass(11).await;
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Active);
        assert_eq!(ground.target.len(), 1);
    }

    async fn a_change_that_comes_while_a_task_runs_is_applied_afterwards(ground) {
        ground.flow("read", Some(60), &[]).await;
        let first = ground.ask(&["orders"], None).await;
        let running = ground.lease().await.remove(0);
        let second = ground.ask(&["customers"], None).await;
        assert!(ground.lease().await.is_empty(), "one task a session at a time");
        let Operation::Apply(desired) = &running.operation else { panic!("an apply task") };
        let outcome = ground.apply(desired);
        ground.answer(&running, outcome).await;
        ground.settle().await;
        assert_eq!(ground.state(&first).await, RequestState::Active);
        assert_eq!(ground.state(&second).await, RequestState::Active);
        assert_eq!(ground.held().len(), 2);
    }

    async fn a_target_ahead_of_the_database_raises_the_fence_and_is_noticed(ground) {
        ground.flow("read", Some(60), &[]).await;
        let request = ground.ask(&["orders"], None).await;
        ground.settle().await;
        for principal in ground.target.values_mut() {
            principal.fence += 1000;
        }
        let id = request.request.id.as_str();
        latchkey_app::requests::revoke_request(&ground.app, &ground.ana, id).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.state(&request).await, RequestState::Revoked);
        assert!(latchkey_app::reconcile::restore_is_unconfirmed(&ground.app).await.unwrap());
    }
}
