//! A PostgreSQL server that dies and comes back.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use latchkey_store::{DatabaseUrl, KeyRing, NewJob, Result, Store, StoreError, StoreOptions, Wake};
use latchkey_testkit::{
    SeededRng, TestClock,
    systems::{Postgres, PostgresVersion},
    wait_until,
};
use serde_json::json;

use crate::fixtures::MASTER_KEY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_a_database_that_crashed_and_came_back_is_used_again_and_has_what_was_committed() {
    let start = || Postgres::start(PostgresVersion::V15);
    let mut server = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
    let store = Store::open(StoreOptions {
        database: DatabaseUrl::parse(&server.url("postgres")).unwrap(),
        keys: KeyRing::from_bytes(MASTER_KEY),
        clock: Arc::new(TestClock::default()),
        rng: Arc::new(SeededRng::default()),
        max_connections: 4,
    })
    .await
    .unwrap();
    let put = async |n: i64| -> Result<()> {
        store.write(async |tx| tx.put_setting("n", &json!(n)).await).await
    };
    put(1).await.unwrap();

    server.crash().unwrap();
    let refused = put(2).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)) && refused.is_retryable(), "{refused:?}");
    assert!(store.ping().await.is_err());

    server.start_again().unwrap();
    let minute = Duration::from_mins(1);
    wait_until("the store's return", minute, async || store.ping().await.is_ok()).await.unwrap();
    let found = store.read(async |tx| tx.find_setting("n").await).await.unwrap();
    assert_eq!(found, Some(json!(1)));
    put(3).await.unwrap();

    // Hints between servers come back too.
    let mut waiter = store.wake().waiter(Wake::Jobs);
    let job = NewJob {
        kind: "test",
        dedupe_key: None,
        payload: json!({}),
        run_at: Timestamp::UNIX_EPOCH,
    };
    store.write(async |tx| tx.enqueue_job(&job).await).await.unwrap();
    assert!(waiter.wait(minute).await);
}
