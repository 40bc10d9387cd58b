//! Overlapping requests are counted: no right is lost early, and none is left behind.

use latchkey_app::requests::revoke_request;
use latchkey_domain::request::RequestState;

use crate::on_both_databases;

/// Every order of three things.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

on_both_databases! {
    async fn a09_requests_for_one_table_end_in_every_order(ground) {
        ground.flow("read", Some(600), &[]).await;
        for order in ORDERS {
            let mut requests = Vec::new();
            for _ in 0..3 {
                requests.push(ground.ask(&["orders"], None).await);
                ground.settle().await;
            }
            assert_eq!(ground.target.len(), 1, "one session, joined by all");
            for (ended, place) in order.into_iter().enumerate() {
                let id = requests[place].request.id.as_str();
                revoke_request(&ground.app, &ground.ana, id).await.unwrap();
                ground.settle().await;
                assert_eq!(ground.state(&requests[place]).await, RequestState::Revoked);
                assert_eq!(ground.held().len(), usize::from(ended < 2), "after {ended} ends");
            }
            assert!(ground.target.is_empty());
        }
    }

    async fn a09_ends_in_the_same_second_as_a_start_keep_the_new_claim(ground) {
        ground.flow("read", Some(600), &[]).await;
        let first = ground.ask(&["orders"], Some(60)).await;
        ground.settle().await;
        ground.pass(60).await;
        // The timer of the first is due, and has not run when the second begins.
        let second = ground.ask(&["orders"], Some(60)).await;
        ground.settle().await;
        assert_eq!(ground.state(&first).await, RequestState::Revoked);
        assert_eq!(ground.state(&second).await, RequestState::Active);
        assert_eq!(ground.held().len(), 1);
        let principal = ground.target.keys().next().unwrap();
        assert!(principal.ends_with("_2"), "{principal} is of the next generation");
        ground.pass(60).await;
        ground.settle().await;
        assert!(ground.target.is_empty());
    }

    async fn b01_access_that_goes_on_at_its_end_never_becomes_endless(ground) {
        // Asking again is how access goes on past its end. However late it comes, whether it
        // joins the session or gets a new one, the end is the one that was given, and it comes.
        ground.flow("read", Some(600), &[]).await;
        for before_the_end in [30, 3, 2, 1, 0] {
            let first = ground.ask(&["orders"], Some(60)).await;
            ground.settle().await;
            ground.pass(60 - before_the_end).await;
            let second = ground.ask(&["orders"], Some(60)).await;
            ground.settle().await;
            assert_eq!(ground.state(&second).await, RequestState::Active);
            ground.pass(before_the_end).await;
            ground.settle().await;
            assert_eq!(ground.state(&first).await, RequestState::Revoked);
            assert_eq!(ground.held().len(), 1, "{before_the_end} s before the end");
            ground.pass(60 - before_the_end).await;
            ground.settle().await;
            assert_eq!(ground.state(&second).await, RequestState::Revoked);
            assert!(ground.target.is_empty(), "{before_the_end} s before the end");
        }
    }

    async fn a_session_whose_last_claim_ends_takes_no_joiners(ground) {
        ground.flow("read", Some(600), &[]).await;
        let first = ground.ask(&["orders"], None).await;
        ground.settle().await;
        revoke_request(&ground.app, &ground.ana, first.request.id.as_str()).await.unwrap();
        let second = ground.ask(&["orders"], None).await;
        ground.settle().await;
        assert_eq!(ground.state(&first).await, RequestState::Revoked);
        assert_eq!(ground.state(&second).await, RequestState::Active);
        let principal = ground.target.keys().next().unwrap();
        assert!(principal.ends_with("_2"), "{principal} is of the next generation");
    }
}
