//! Requests, units, decisions, sessions and receipts.

use std::time::Duration;

use latchkey_domain::{
    ids::{ApprovalId, ReceiptId, TaskId},
    provisioning::{AccessDetails, Receipt},
    request::{Approval, Decision, RequestState, UnitState},
    session::SessionState,
};
use latchkey_store::{
    PageKey, PageQuery, ReceiptRecord, RequestFilter, Result, SessionFilter, StoreError, UnitFilter,
};

use crate::fixtures::{Ground, on_both, request, session, unit};

on_both! {
    a_request_is_read_back_as_written,
    a_request_changed_by_somebody_else_is_not_overwritten,
    numbers_of_requests_that_were_rolled_back_are_given_again,
    requests_are_filtered_by_every_part_of_the_filter,
    units_change_state_and_count_as_claims,
    decisions_are_kept_in_order,
    one_session_is_live_per_grantee_and_integration,
    whoever_locks_a_grantee_first_goes_first,
    receipts_and_connection_details_are_read_back_as_written,
}

async fn a_request_is_read_back_as_written(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let shop = ground.add_integration("shop").await;
    let mut written = request(ground.now(), ground.rng(), &ada.id);
    let units: Vec<_> =
        (0..450).map(|_| unit(ground.now(), ground.rng(), &written, &shop.id)).collect();
    ground
        .store
        .write(async |tx| -> Result<()> {
            written.number = tx.next_request_number().await?;
            tx.insert_request(&written, &units).await
        })
        .await
        .unwrap();
    ground
        .store
        .read(async |tx| -> Result<()> {
            assert_eq!(tx.find_request(&written.id).await?, Some(written.clone()));
            assert_eq!(tx.find_request_by_number(written.number).await?, Some(written.clone()));
            assert_eq!(tx.units_of(&written.id).await?, units, "in the order of insertion");
            Ok(())
        })
        .await
        .unwrap();
}

async fn a_request_changed_by_somebody_else_is_not_overwritten(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let shop = ground.add_integration("shop").await;
    let mut mine = ground.add_request(&ada.id, &shop.id).await;
    let mut theirs = mine.clone();
    ground
        .store
        .write(async |tx| -> Result<()> {
            theirs.state = RequestState::Cancelled;
            tx.update_request(&mut theirs).await?;
            theirs.state_reason = Some("by the requestor".to_owned());
            tx.update_request(&mut theirs).await
        })
        .await
        .unwrap();
    mine.state = RequestState::Granting;
    let lost = ground.store.write(async |tx| tx.update_request(&mut mine).await).await;
    assert!(matches!(lost, Err(StoreError::Conflict { .. })), "{lost:?}");
    let found = ground.store.write(async |tx| tx.lock_request(&mine.id).await).await.unwrap();
    assert_eq!(found, Some(theirs));
}

async fn numbers_of_requests_that_were_rolled_back_are_given_again(ground: Ground) {
    let next = async |keep: bool| {
        let mut number = 0;
        let written = ground
            .store
            .write(async |tx| -> Result<()> {
                number = tx.next_request_number().await?;
                if keep { Ok(()) } else { Err(StoreError::Conflict { what: "the test" }) }
            })
            .await;
        assert_eq!(written.is_ok(), keep);
        number
    };
    assert_eq!((next(true).await, next(false).await, next(true).await), (1, 2, 2));
}

async fn requests_are_filtered_by_every_part_of_the_filter(ground: Ground) {
    let (ada, bob) = (ground.add_user("a@x.org").await, ground.add_user("b@x.org").await);
    let (shop, crm) = (ground.add_integration("shop").await, ground.add_integration("crm").await);
    let mut mine = ground.add_request(&ada.id, &shop.id).await;
    ground.clock.advance(Duration::from_mins(1));
    let mut delegated = request(ground.now(), ground.rng(), &ada.id);
    delegated.grantee_id = bob.id.clone();
    let units = [unit(ground.now(), ground.rng(), &delegated, &crm.id)];
    ground
        .store
        .write(async |tx| -> Result<()> {
            mine.state = RequestState::Active;
            tx.update_request(&mut mine).await?;
            delegated.number = tx.next_request_number().await?;
            tx.insert_request(&delegated, &units).await
        })
        .await
        .unwrap();
    let list = async |filter: RequestFilter| {
        let page = PageQuery { after: None, limit: 10, newest_first: true };
        let found = ground.store.read(async |tx| tx.list_requests(&filter, &page).await).await;
        found.unwrap().into_iter().map(|request| request.number).collect::<Vec<_>>()
    };
    let none = RequestFilter::default;
    assert_eq!(list(none()).await, [2, 1]);
    assert_eq!(list(RequestFilter { requestor: Some(ada.id.clone()), ..none() }).await, [2, 1]);
    assert_eq!(list(RequestFilter { grantee: Some(ada.id.clone()), ..none() }).await, [1]);
    assert_eq!(list(RequestFilter { either: Some(bob.id.clone()), ..none() }).await, [2]);
    assert_eq!(list(RequestFilter { delegated: Some(true), ..none() }).await, [2]);
    assert_eq!(list(RequestFilter { delegated: Some(false), ..none() }).await, [1]);
    let states = vec![RequestState::Active, RequestState::Failed];
    assert_eq!(list(RequestFilter { states, ..none() }).await, [1]);
    assert_eq!(list(RequestFilter { flow: Some(mine.flow_id.clone()), ..none() }).await, [1]);
    assert_eq!(list(RequestFilter { integration: Some(crm.id.clone()), ..none() }).await, [2]);
    assert_eq!(list(RequestFilter { created_from: Some(ground.now()), ..none() }).await, [2]);
    ground
        .store
        .read(async |tx| -> Result<()> {
            assert_eq!(tx.open_requests_of_integration(&crm.id).await?.len(), 1);
            assert!(tx.open_requests_of_integration(&shop.id).await?.is_empty());
            assert_eq!(tx.pending_requests(&PageQuery::first(5)).await?.len(), 1);
            let active = [RequestState::Active];
            assert_eq!(tx.requests_of_flow(&mine.flow_id, &active).await?.len(), 1);
            Ok(())
        })
        .await
        .unwrap();
}

async fn units_change_state_and_count_as_claims(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let shop = ground.add_integration("shop").await;
    let request = ground.add_request(&ada.id, &shop.id).await;
    let session = ground.add_session(&shop.id, &ada.id).await;
    let end = ground.now() + Duration::from_mins(1);
    ground
        .store
        .write(async |tx| -> Result<()> {
            assert_eq!(tx.live_claims_of_integration(&shop.id).await?, 0);
            let mut unit = tx.units_of(&request.id).await?.remove(0);
            for state in [UnitState::Wanted, UnitState::Held, UnitState::Ending] {
                unit.state = state;
                unit.session_id = Some(session.id.clone());
                unit.ends_at = Some(end);
                tx.update_unit(&unit).await?;
                assert_eq!(tx.units_of_session(&session.id).await?, std::slice::from_ref(&unit));
                assert_eq!(tx.live_claims_of_integration(&shop.id).await?, 1);
            }
            let carried = tx.request_ids_of_sessions(std::slice::from_ref(&session.id)).await?;
            assert_eq!(carried[&session.id], std::slice::from_ref(&request.id));
            let filter = UnitFilter { states: vec![UnitState::Ending], ..Default::default() };
            let listed = tx.list_units(&request.id, &filter, &PageQuery::first(5)).await?;
            assert_eq!(listed, std::slice::from_ref(&unit));
            let after = Some(PageKey::new(request.created_at, unit.id.as_str()));
            let page = PageQuery { after, limit: 5, newest_first: false };
            assert!(tx.list_units(&request.id, &filter, &page).await?.is_empty());
            let filter =
                SessionFilter { request_ids: vec![request.id.clone()], ..Default::default() };
            assert_eq!(
                tx.list_sessions(&filter, &PageQuery::first(5)).await?,
                std::slice::from_ref(&session)
            );
            let filter = SessionFilter {
                grantee: Some(ada.id.clone()),
                integration_ids: vec![shop.id.clone()],
                states: vec![SessionState::Ended],
                ..Default::default()
            };
            assert!(tx.list_sessions(&filter, &PageQuery::first(5)).await?.is_empty());
            Ok(())
        })
        .await
        .unwrap();
}

async fn decisions_are_kept_in_order(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let shop = ground.add_integration("shop").await;
    let request = ground.add_request(&ada.id, &shop.id).await;
    let approval = |id: &str, after: u64, decision| Approval {
        id: ApprovalId::new(id),
        request_id: request.id.clone(),
        approver_id: ada.id.clone(),
        decision,
        reason: Some("because".to_owned()),
        digest: request.digest.clone(),
        forced: false,
        at: ground.now() + Duration::from_secs(after),
    };
    let (first, second) =
        (approval("z", 1, Decision::Approved), approval("a", 2, Decision::Rejected));
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.insert_approval(&second).await?;
            tx.insert_approval(&first).await?;
            assert_eq!(tx.approvals_of(&request.id).await?, [first.clone(), second.clone()]);
            Ok(())
        })
        .await
        .unwrap();
}

async fn one_session_is_live_per_grantee_and_integration(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let shop = ground.add_integration("shop").await;
    let mut first = ground.add_session(&shop.id, &ada.id).await;
    assert_eq!(first.generation, 1);
    let second = session(ground.now(), ground.rng(), &shop.id, &ada.id, 2);
    let refused = ground.store.write(async |tx| tx.insert_session(&second).await).await;
    assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");
    ground
        .store
        .write(async |tx| -> Result<()> {
            first.state = SessionState::Ending;
            first.fence = 3;
            tx.update_session(&first).await?;
            assert_eq!(tx.find_live_session(&shop.id, &ada.id).await?, None);
            assert_eq!(tx.next_generation(&shop.id, &ada.id).await?, 2);
            tx.insert_session(&second).await?;
            assert_eq!(tx.find_live_session(&shop.id, &ada.id).await?, Some(second.clone()));
            assert_eq!(tx.lock_session(&first.id).await?, Some(first.clone()));
            first.fence = 2;
            let lower = tx.update_session(&first).await;
            assert!(matches!(lower, Err(StoreError::Conflict { .. })), "a fence only grows");
            Ok(())
        })
        .await
        .unwrap();
}

async fn whoever_locks_a_grantee_first_goes_first(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let shop = ground.add_integration("shop").await;
    let mut joiners = Vec::new();
    for seed in 0..8 {
        let store = ground.store.clone();
        let (shop, ada, now) = (shop.id.clone(), ada.id.clone(), ground.now());
        joiners.push(tokio::spawn(async move {
            let rng = latchkey_testkit::SeededRng::new(100 + seed);
            store
                .write(async |tx| -> Result<()> {
                    tx.lock_grantee(&shop, &ada).await?;
                    if tx.find_live_session(&shop, &ada).await?.is_none() {
                        let generation = tx.next_generation(&shop, &ada).await?;
                        tx.insert_session(&session(now, &rng, &shop, &ada, generation)).await?;
                    }
                    Ok(())
                })
                .await
        }));
    }
    for joiner in joiners {
        joiner.await.unwrap().unwrap();
    }
    let all = SessionFilter::default();
    let sessions =
        ground.store.read(async |tx| tx.list_sessions(&all, &PageQuery::all()).await).await;
    assert_eq!(sessions.unwrap().len(), 1);
}

async fn receipts_and_connection_details_are_read_back_as_written(ground: Ground) {
    let ada = ground.add_user("a@x.org").await;
    let shop = ground.add_integration("shop").await;
    let request = ground.add_request(&ada.id, &shop.id).await;
    let session = ground.add_session(&shop.id, &ada.id).await;
    let record = ReceiptRecord {
        id: ReceiptId::new("r"),
        session_id: session.id.clone(),
        request_id: Some(request.id.clone()),
        task_id: TaskId::new("t"),
        receipt: Receipt {
            principal: session.principal.clone(),
            observed_at: ground.now(),
            principal_exists: false,
            can_log_in: false,
            open_sessions: 0,
            sessions_ended: 1,
            holds: Vec::new(),
            leftover: Vec::new(),
            notes: vec!["read back".to_owned()],
        },
        fence: 4,
        at: ground.now(),
    };
    let mut details = AccessDetails { instructions: "connect".to_owned(), ..Default::default() };
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.insert_receipt(&record).await?;
            let about = tx.receipts_of_requests(std::slice::from_ref(&request.id)).await?;
            assert_eq!(about, std::slice::from_ref(&record));
            assert_eq!(tx.receipts_of_session(&session.id).await?, std::slice::from_ref(&record));
            assert_eq!(tx.find_access_details(&session.id).await?, None);
            tx.put_access_details(&session.id, &details).await?;
            details.cli = Some("psql".to_owned());
            tx.put_access_details(&session.id, &details).await?;
            assert_eq!(tx.find_access_details(&session.id).await?, Some(details.clone()));
            Ok(())
        })
        .await
        .unwrap();
}
