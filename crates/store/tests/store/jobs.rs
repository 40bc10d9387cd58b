//! Jobs, messages and named leases.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use latchkey_store::{Job, NewJob, Result, Store, StoreError};
use serde_json::json;

use crate::fixtures::{Ground, on_both};

const LEASE: Duration = Duration::from_secs(10);

fn job(key: Option<&str>, run_at: Timestamp, n: i64) -> NewJob {
    NewJob {
        kind: "request.expire",
        dedupe_key: key.map(str::to_owned),
        payload: json!({ "n": n }),
        run_at,
    }
}

async fn enqueue(store: &Store, job: &NewJob) -> bool {
    store.write(async |tx| tx.enqueue_job(job).await).await.unwrap()
}

async fn claim(store: &Store, owner: &str, max: u32) -> Vec<Job> {
    store.write(async |tx| tx.claim_jobs(owner, max, LEASE).await).await.unwrap()
}

on_both! {
    one_job_is_open_per_key_and_the_earlier_time_holds,
    a_job_asked_for_while_it_runs_runs_once_more,
    f05_a_claim_that_was_lost_undoes_what_is_written_with_it,
    a_cancelled_job_is_gone_and_a_running_one_ends_by_itself,
    a_starting_server_takes_back_the_claims_of_its_former_instance,
    many_servers_claim_each_job_once,
    a_message_goes_out_until_it_was_sent,
    a_message_that_was_given_up_is_kept_for_a_while_and_never_sent,
    a_named_lease_has_one_holder_until_it_runs_out,
}

async fn one_job_is_open_per_key_and_the_earlier_time_holds(ground: Ground) {
    let now = ground.now();
    assert!(enqueue(&ground.store, &job(Some("k"), now + LEASE, 1)).await);
    assert!(!enqueue(&ground.store, &job(Some("k"), now, 2)).await);
    assert!(!enqueue(&ground.store, &job(Some("k"), now + LEASE, 3)).await);
    assert!(enqueue(&ground.store, &job(None, now, 4)).await);
    assert!(enqueue(&ground.store, &job(None, now, 5)).await);
    let next = ground.store.read(async |tx| tx.next_job_at().await).await.unwrap();
    assert_eq!(next, Some(now));
    let claimed = claim(&ground.store, "a", 10).await;
    assert_eq!(claimed.len(), 3);
    let keyed = claimed.iter().find(|job| job.dedupe_key.is_some()).unwrap();
    assert_eq!((keyed.run_at, &keyed.payload), (now, &json!({ "n": 1 })));
}

async fn a_job_asked_for_while_it_runs_runs_once_more(ground: Ground) {
    let now = ground.now();
    enqueue(&ground.store, &job(Some("k"), now, 1)).await;
    let running = claim(&ground.store, "a", 1).await.pop().unwrap();
    assert!(!enqueue(&ground.store, &job(Some("k"), now + LEASE, 2)).await);
    assert!(claim(&ground.store, "b", 1).await.is_empty());
    ground.store.write(async |tx| tx.finish_job(&running).await).await.unwrap();
    assert!(claim(&ground.store, "b", 1).await.is_empty());
    ground.clock.advance(LEASE);
    let again = claim(&ground.store, "b", 1).await.pop().unwrap();
    assert_eq!(again.payload, json!({ "n": 2 }));
    ground.store.write(async |tx| tx.finish_job(&again).await).await.unwrap();
    let next = ground.store.read(async |tx| tx.next_job_at().await).await.unwrap();
    assert_eq!(next, None);
}

async fn f05_a_claim_that_was_lost_undoes_what_is_written_with_it(ground: Ground) {
    enqueue(&ground.store, &job(None, ground.now(), 1)).await;
    let late = claim(&ground.store, "a", 1).await.pop().unwrap();
    ground.clock.advance(LEASE);
    let taken = claim(&ground.store, "b", 1).await.pop().unwrap();
    assert_eq!(taken.attempts, 1);
    let refused: Result<()> = ground
        .store
        .write(async |tx| {
            tx.put_setting("written_by", &json!("the late one")).await?;
            tx.finish_job(&late).await
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    let now = ground.now();
    ground
        .store
        .write(async |tx| -> Result<()> {
            assert_eq!(tx.find_setting("written_by").await?, None);
            assert!(!tx.renew_job_lease(&late, LEASE).await?);
            assert!(tx.renew_job_lease(&taken, LEASE).await?);
            tx.retry_job(&taken, now, "failed").await
        })
        .await
        .unwrap();
    assert_eq!(claim(&ground.store, "a", 1).await[0].attempts, 2);
}

async fn a_cancelled_job_is_gone_and_a_running_one_ends_by_itself(ground: Ground) {
    let now = ground.now();
    enqueue(&ground.store, &job(Some("k"), now, 1)).await;
    let cancel = async || ground.store.write(async |tx| tx.cancel_job("k").await).await.unwrap();
    assert!(cancel().await);
    assert!(!cancel().await);
    enqueue(&ground.store, &job(Some("k"), now, 1)).await;
    let running = claim(&ground.store, "a", 1).await.pop().unwrap();
    enqueue(&ground.store, &job(Some("k"), now, 2)).await;
    assert!(!cancel().await);
    ground.store.write(async |tx| tx.finish_job(&running).await).await.unwrap();
    assert!(claim(&ground.store, "a", 1).await.is_empty());
}

async fn a_starting_server_takes_back_the_claims_of_its_former_instance(ground: Ground) {
    enqueue(&ground.store, &job(None, ground.now(), 1)).await;
    claim(&ground.store, "a", 1).await;
    let freed = ground.store.write(async |tx| tx.release_job_leases("a").await).await.unwrap();
    assert_eq!(freed, 1);
    assert_eq!(claim(&ground.store, "a2", 1).await.len(), 1);
}

async fn many_servers_claim_each_job_once(ground: Ground) {
    let other = ground.second_server().await;
    for n in 0..60 {
        enqueue(&ground.store, &job(None, ground.now(), n)).await;
    }
    let mut takers = Vec::new();
    for n in 0..6 {
        let store = if n % 2 == 0 { ground.store.clone() } else { other.clone() };
        takers.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let claimed = claim(&store, &format!("o{n}"), 3).await;
                if claimed.is_empty() {
                    return taken;
                }
                taken.extend(claimed.into_iter().map(|job| job.id));
            }
        }));
    }
    let mut all = Vec::new();
    for taker in takers {
        all.extend(taker.await.unwrap());
    }
    all.extend(claim(&ground.store, "last", 100).await.into_iter().map(|job| job.id));
    assert_eq!(all.len(), 60);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 60);
}

async fn a_message_goes_out_until_it_was_sent(ground: Ground) {
    let now = ground.now();
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.push_outbox("request.state", &json!({ "to": "Active" })).await?;
            let late = tx.claim_outbox("a", 10, LEASE).await?.pop().unwrap();
            assert!(tx.claim_outbox("b", 10, LEASE).await?.is_empty());
            assert!(tx.retry_outbox(&late, now, "no route").await?);
            let message = tx.claim_outbox("b", 10, LEASE).await?.pop().unwrap();
            assert_eq!((message.topic.as_str(), message.attempts), ("request.state", 1));
            assert!(!tx.finish_outbox(&late).await?);
            assert!(tx.finish_outbox(&message).await?);
            assert_eq!(tx.count_outbox().await?, 0);
            Ok(())
        })
        .await
        .unwrap();
}

async fn a_message_that_was_given_up_is_kept_for_a_while_and_never_sent(ground: Ground) {
    let now = ground.now();
    ground
        .store
        .write(async |tx| -> Result<()> {
            for n in 0..3 {
                tx.push_outbox("mail.request", &json!({ "n": n })).await?;
            }
            let claimed = tx.claim_outbox("a", 10, LEASE).await?;
            assert!(tx.renew_outbox_lease(&claimed[0], LEASE * 2).await?);
            assert!(tx.bury_outbox(&claimed[0], "no such mailbox").await?);
            assert!(!tx.bury_outbox(&claimed[0], "again").await?);
            assert!(tx.retry_outbox(&claimed[1], now + LEASE, "not now").await?);
            let standing = tx.outbox_standing().await?;
            assert_eq!((standing.waiting, standing.failing, standing.dead), (2, 1, 1));
            assert_eq!(standing.failing_since, Some(now));
            assert_eq!(standing.last_error.as_deref(), Some("not now"));
            let dead = tx.dead_letters(10).await?;
            assert_eq!((dead.len(), dead[0].attempts, dead[0].dead_at), (1, 1, now));
            assert_eq!(dead[0].payload, claimed[0].payload);
            assert_eq!(tx.release_outbox_leases("a").await?, 1);
            assert_eq!(tx.claim_outbox("b", 10, LEASE).await?.len(), 1);
            assert_eq!(tx.next_outbox_at().await?, Some(now + LEASE));
            assert_eq!(tx.prune_dead_letters(now).await?, 0);
            assert_eq!(tx.prune_dead_letters(now + LEASE).await?, 1);
            Ok(())
        })
        .await
        .unwrap();
}

async fn a_named_lease_has_one_holder_until_it_runs_out(ground: Ground) {
    let acquire = async |owner: &str| {
        let taken = ground.store.write(async |tx| tx.acquire_lease("sync", owner, LEASE).await);
        taken.await.unwrap()
    };
    assert!(acquire("a").await);
    assert!(acquire("a").await);
    assert!(!acquire("b").await);
    ground.clock.advance(LEASE);
    assert!(acquire("b").await);
    let released = ground.store.write(async |tx| tx.release_lease("sync", "a").await).await;
    assert!(!released.unwrap());
    let released = ground.store.write(async |tx| tx.release_leases_of("b").await).await;
    assert_eq!(released.unwrap(), 1);
    assert!(acquire("a").await);
    ground.clock.set(ground.now() - Duration::from_hours(24));
    assert!(acquire("b").await, "a clock set back does not keep a lease for a day");
}
