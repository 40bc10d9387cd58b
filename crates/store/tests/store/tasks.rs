//! Work for connectors: delivered at least once, held by one process at a time.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use latchkey_domain::ids::{ConnectorId, ConnectorSessionId, IntegrationId, SessionId};
use latchkey_store::{HeartbeatRow, LeasedTask, NewTask, Result, Store, StoreError, TaskKind, Tx};

use crate::fixtures::{Ground, on_both};

const LEASE: Duration = Duration::from_secs(10);

fn apply(session: &str, due: Timestamp) -> NewTask {
    NewTask {
        integration_id: IntegrationId::new("shop"),
        connector_id: ConnectorId::new("local"),
        kind: TaskKind::Apply,
        session_id: Some(SessionId::new(session)),
        due,
        priority: 0,
    }
}

async fn enqueue(store: &Store, task: &NewTask) -> bool {
    store.write(async |tx| tx.enqueue_task(task).await).await.unwrap()
}

async fn lease(store: &Store, process: &str, max: u32) -> Vec<LeasedTask> {
    let (connector, session) = (ConnectorId::new("local"), ConnectorSessionId::new(process));
    let leased =
        store.write(async |tx| tx.lease_tasks(&connector, &session, max, LEASE).await).await;
    leased.unwrap()
}

on_both! {
    the_most_urgent_task_that_is_due_goes_first,
    a_connector_gets_its_own_tasks_only,
    one_task_is_open_per_session_and_the_earlier_due_holds,
    a_task_asked_for_while_it_runs_runs_once_more,
    a_lease_that_ran_out_is_given_to_another_and_the_late_one_is_refused,
    a_renewed_lease_holds_and_a_released_one_is_free_at_once,
    a_failed_task_waits_until_it_is_due_or_asked_for_again,
    f05_many_processes_take_each_task_once,
    b07_a_clock_set_back_by_a_day_does_not_keep_leases_for_a_day,
    a_connector_is_connected_while_its_processes_are_heard_of,
    a_connector_that_serves_an_integration_is_not_deleted,
}

async fn the_most_urgent_task_that_is_due_goes_first(ground: Ground) {
    let now = ground.now();
    let second = Duration::from_secs(1);
    enqueue(&ground.store, &apply("later", now + second)).await;
    enqueue(&ground.store, &apply("second", now)).await;
    enqueue(&ground.store, &apply("first", now - second)).await;
    enqueue(&ground.store, &NewTask { priority: 5, ..apply("urgent", now) }).await;
    let order: Vec<_> = lease(&ground.store, "p1", 10)
        .await
        .into_iter()
        .map(|task| task.session_id.unwrap().to_string())
        .collect();
    assert_eq!(order, ["urgent", "first", "second"]);
    assert!(lease(&ground.store, "p2", 10).await.is_empty());
    let connector = ConnectorId::new("local");
    let next = ground.store.read(async |tx| tx.next_task_at(&connector).await).await.unwrap();
    assert_eq!(next, Some(now + second));
}

async fn a_connector_gets_its_own_tasks_only(ground: Ground) {
    let mut task = apply("s", ground.now());
    task.connector_id = ConnectorId::new("other");
    enqueue(&ground.store, &task).await;
    assert!(lease(&ground.store, "p1", 10).await.is_empty());
    let (id, local) = (IntegrationId::new("shop"), ConnectorId::new("local"));
    let moved = ground.store.write(async |tx| tx.requeue_tasks_of_integration(&id, &local).await);
    assert_eq!(moved.await.unwrap(), 1);
    assert_eq!(lease(&ground.store, "p1", 10).await.len(), 1);
}

async fn one_task_is_open_per_session_and_the_earlier_due_holds(ground: Ground) {
    let now = ground.now();
    assert!(enqueue(&ground.store, &apply("s", now + LEASE)).await);
    assert!(!enqueue(&ground.store, &apply("s", now)).await);
    assert!(!enqueue(&ground.store, &apply("s", now + LEASE)).await);
    let discover = NewTask { kind: TaskKind::Discover, session_id: None, ..apply("s", now) };
    assert!(enqueue(&ground.store, &discover).await);
    assert!(!enqueue(&ground.store, &discover).await);
    assert_eq!(lease(&ground.store, "p1", 10).await.len(), 2);
}

async fn a_task_asked_for_while_it_runs_runs_once_more(ground: Ground) {
    enqueue(&ground.store, &apply("s", ground.now())).await;
    let task = lease(&ground.store, "p1", 1).await.pop().unwrap();
    assert!(!enqueue(&ground.store, &apply("s", ground.now())).await);
    let again = ground.store.write(async |tx| tx.finish_task(&task).await).await.unwrap();
    assert!(again);
    let repeated = lease(&ground.store, "p1", 1).await.pop().unwrap();
    assert_eq!((&repeated.id, repeated.lease), (&task.id, task.lease + 1));
    let late = ground.store.write(async |tx| tx.finish_task(&task).await).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    let task = repeated;
    let again = ground.store.write(async |tx| tx.finish_task(&task).await).await.unwrap();
    assert!(!again);
    let open = ground.store.read(async |tx| tx.count_open_tasks().await).await.unwrap();
    assert_eq!(open, 0);
}

async fn a_lease_that_ran_out_is_given_to_another_and_the_late_one_is_refused(ground: Ground) {
    enqueue(&ground.store, &apply("s", ground.now())).await;
    let late = lease(&ground.store, "p1", 1).await.pop().unwrap();
    ground.clock.advance(Duration::from_millis(9_999));
    assert!(lease(&ground.store, "p2", 1).await.is_empty());
    ground.clock.advance(Duration::from_millis(1));
    let taken = lease(&ground.store, "p2", 1).await.pop().unwrap();
    assert_eq!((taken.lease, taken.attempts), (late.lease + 1, 1));
    ground
        .store
        .write(async |tx| -> Result<()> {
            assert_eq!(tx.find_leased_task(&late.id, late.lease).await?, None);
            tx.set_task_version(&taken.id, 7).await?;
            let found = tx.find_leased_task(&taken.id, taken.lease).await?.unwrap();
            assert_eq!(found.desired_version, Some(7));
            let (until, [p1, p2]) = (taken.lease_until, ["p1", "p2"].map(ConnectorSessionId::new));
            assert!(!tx.renew_task_lease(&p1, &late.id, late.lease, until).await?);
            assert!(!tx.renew_task_lease(&p1, &taken.id, taken.lease, until).await?, "p2 has it");
            assert!(tx.renew_task_lease(&p2, &taken.id, taken.lease, until).await?);
            Ok(())
        })
        .await
        .unwrap();
}

async fn a_renewed_lease_holds_and_a_released_one_is_free_at_once(ground: Ground) {
    enqueue(&ground.store, &apply("s", ground.now())).await;
    let process = ConnectorSessionId::new("p1");
    let task = lease(&ground.store, "p1", 1).await.pop().unwrap();
    ground.clock.advance(LEASE / 2);
    let until = ground.now() + LEASE;
    let renew =
        async |tx: &mut Tx| tx.renew_task_lease(&process, &task.id, task.lease, until).await;
    assert!(ground.store.write(renew).await.unwrap());
    ground.clock.advance(LEASE / 2);
    assert!(lease(&ground.store, "p2", 1).await.is_empty());
    let freed = ground.store.write(async |tx| tx.release_task_leases(&process).await).await;
    assert_eq!(freed.unwrap(), 1);
    assert_eq!(lease(&ground.store, "p2", 1).await.len(), 1);
}

async fn a_failed_task_waits_until_it_is_due_or_asked_for_again(ground: Ground) {
    enqueue(&ground.store, &apply("s", ground.now())).await;
    let fail = async |task: &LeasedTask| {
        let due = ground.now() + Duration::from_mins(1);
        let failed = ground.store.write(async |tx| tx.retry_task(task, due, "refused").await);
        failed.await.unwrap();
    };
    let task = lease(&ground.store, "p1", 1).await.pop().unwrap();
    fail(&task).await;
    assert!(lease(&ground.store, "p1", 1).await.is_empty());
    let open = ground.store.read(async |tx| tx.list_open_tasks(10).await).await.unwrap();
    assert_eq!((open[0].attempts, open[0].last_error.as_deref()), (1, Some("refused")));
    ground.clock.advance(Duration::from_mins(1));
    let task = lease(&ground.store, "p1", 1).await.pop().unwrap();
    enqueue(&ground.store, &apply("s", ground.now())).await;
    fail(&task).await;
    assert_eq!(lease(&ground.store, "p1", 1).await.len(), 1, "what changed meanwhile is due");
}

async fn f05_many_processes_take_each_task_once(ground: Ground) {
    let other = ground.second_server().await;
    for n in 0..60 {
        enqueue(&ground.store, &apply(&format!("s{n}"), ground.now())).await;
    }
    let mut takers = Vec::new();
    for n in 0..6 {
        let store = if n % 2 == 0 { ground.store.clone() } else { other.clone() };
        takers.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let leased = lease(&store, &format!("p{n}"), 3).await;
                if leased.is_empty() {
                    return taken;
                }
                taken.extend(leased.into_iter().map(|task| task.id));
            }
        }));
    }
    let mut all = Vec::new();
    for taker in takers {
        all.extend(taker.await.unwrap());
    }
    // A taker may find nothing because others are just taking; nothing may be taken twice.
    all.extend(lease(&ground.store, "last", 100).await.into_iter().map(|task| task.id));
    assert_eq!(all.len(), 60);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 60);
}

async fn b07_a_clock_set_back_by_a_day_does_not_keep_leases_for_a_day(ground: Ground) {
    enqueue(&ground.store, &apply("s", ground.now() - Duration::from_secs(200_000))).await;
    assert_eq!(lease(&ground.store, "p1", 1).await.len(), 1);
    ground.clock.set(ground.now() - Duration::from_hours(24));
    assert_eq!(lease(&ground.store, "p2", 1).await.len(), 1);
}

async fn a_connector_is_connected_while_its_processes_are_heard_of(ground: Ground) {
    let id = ground.add_connector("local").await;
    let heartbeat = HeartbeatRow {
        session_id: ConnectorSessionId::new("p1"),
        version: "0.1.0".to_owned(),
        cloud_provider_type: "AWS".to_owned(),
        metadata: serde_json::Map::from_iter([("region".to_owned(), "eu".into())]),
        public_key: vec![9; 32],
    };
    let find =
        async || ground.store.read(async |tx| tx.find_connector(&id).await).await.unwrap().unwrap();
    assert!(find().await.sessions.is_empty());
    ground.store.write(async |tx| tx.record_heartbeat(&id, &heartbeat).await).await.unwrap();
    let found = find().await;
    assert_eq!(found.last_connected_at, Some(ground.now()));
    assert_eq!(found.version, "0.1.0");
    assert_eq!(found.sessions[0].public_key, vec![9; 32]);
    assert_eq!(found.sessions[0].metadata, heartbeat.metadata);
    ground.clock.advance(latchkey_store::CONNECTOR_SESSION_LIVE);
    assert!(find().await.sessions.is_empty());
    let known =
        ground.store.read(async |tx| tx.find_connector_session(&heartbeat.session_id).await);
    assert_eq!(known.await.unwrap().unwrap().0, id);
    let other = ground.add_connector("other").await;
    let stolen = ground.store.write(async |tx| tx.record_heartbeat(&other, &heartbeat).await).await;
    assert!(matches!(stolen, Err(StoreError::Duplicate { .. })), "{stolen:?}");
}

async fn a_connector_that_serves_an_integration_is_not_deleted(ground: Ground) {
    let id = ground.add_connector("local").await;
    let mut integration = ground.add_integration("shop").await;
    integration.connector_id = Some(id.clone());
    ground.store.write(async |tx| tx.update_integration(&mut integration).await).await.unwrap();
    let refused = ground.store.write(async |tx| tx.delete_connector(&id).await).await;
    assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
}
