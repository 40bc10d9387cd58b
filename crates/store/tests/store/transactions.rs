//! Transactions: all or nothing, readers undisturbed, writers in order.

use std::time::Duration;

use futures::future::join_all;
use latchkey_domain::ids::UserId;
use latchkey_store::{NewJob, Result, StoreError, Wake};
use serde_json::json;

use crate::{
    fixtures::{Ground, on_both, user},
    secrets::execute,
};

on_both! {
    an_error_undoes_everything,
    a_transaction_in_which_a_statement_was_refused_is_not_committed,
    a_write_dropped_half_way_is_undone_and_the_next_goes_on,
    writers_side_by_side_are_each_undone_alone,
    a_reader_sees_one_picture_while_others_write,
    a_read_cannot_write,
    writers_of_two_servers_lose_nothing,
    whoever_waits_for_work_is_woken_by_the_commit,
    a_time_is_the_same_through_a_transaction_and_whole_microseconds,
}

async fn an_error_undoes_everything(ground: Ground) {
    let ada = user(ground.now(), ground.rng(), "a@x.org");
    let refused: Result<()> = ground
        .store
        .write(async |tx| {
            tx.insert_user(&ada).await?;
            Err(StoreError::Conflict { what: "the test" })
        })
        .await;
    assert!(refused.is_err());
    let found = ground.store.read(async |tx| tx.find_user(&ada.id).await).await.unwrap();
    assert_eq!(found, None);
}

async fn a_transaction_in_which_a_statement_was_refused_is_not_committed(ground: Ground) {
    let (ada, twin) =
        (user(ground.now(), ground.rng(), "a@x.org"), user(ground.now(), ground.rng(), "A@x.org"));
    let refused = ground
        .store
        .write(async |tx| -> Result<()> {
            tx.insert_user(&ada).await?;
            assert!(tx.insert_user(&twin).await.is_err());
            assert!(tx.find_user(&ada.id).await.is_err(), "nothing goes on");
            Ok(())
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Database(_))), "{refused:?}");
    let found = ground.store.read(async |tx| tx.find_user(&ada.id).await).await.unwrap();
    assert_eq!(found, None);
}

async fn a_write_dropped_half_way_is_undone_and_the_next_goes_on(ground: Ground) {
    let ada = user(ground.now(), ground.rng(), "a@x.org");
    let half = ground.store.write(async |tx| -> Result<()> {
        tx.insert_user(&ada).await?;
        std::future::pending().await
    });
    assert!(tokio::time::timeout(Duration::from_millis(300), half).await.is_err());
    ground
        .store
        .write(async |tx| -> Result<()> {
            assert_eq!(tx.find_user(&ada.id).await?, None);
            tx.insert_user(&ada).await
        })
        .await
        .unwrap();
}

/// Writers that queue may share a commit: one that fails, and one that goes away, take nothing of
/// the others with them.
async fn writers_side_by_side_are_each_undone_alone(ground: Ground) {
    let people: Vec<_> = (0..60)
        .map(|number| user(ground.now(), ground.rng(), &format!("p{number}@x.org")))
        .collect();
    let writing = people.iter().enumerate().map(|(number, person)| {
        let write = ground.store.write(async move |tx| -> Result<()> {
            tx.insert_user(person).await?;
            match number % 4 {
                1 => Err(StoreError::Conflict { what: "the test" }),
                2 => tx.insert_user(person).await,
                3 => {
                    tokio::task::yield_now().await;
                    Ok(())
                }
                _ => Ok(()),
            }
        });
        async move {
            if number % 8 == 7 {
                let patience = Duration::from_millis(u64::try_from(number % 3).unwrap());
                return tokio::time::timeout(patience, write).await.is_ok_and(|done| done.is_ok());
            }
            write.await.is_ok()
        }
    });
    let answers = join_all(writing).await;
    for (number, (person, stored)) in people.iter().zip(answers).enumerate() {
        let found = ground.store.read(async |tx| tx.find_user(&person.id).await).await.unwrap();
        match number % 4 {
            1 | 2 => assert!(!stored && found.is_none(), "{number}"),
            // Who went away does not know how it ended.
            3 if number % 8 == 7 => assert!(!stored || found.is_some(), "{number}"),
            _ => assert!(stored && found.is_some(), "{number}"),
        }
    }
}

async fn a_reader_sees_one_picture_while_others_write(ground: Ground) {
    let ada = user(ground.now(), ground.rng(), "a@x.org");
    ground
        .store
        .read(async |tx| -> Result<()> {
            assert_eq!(tx.find_user(&ada.id).await?, None);
            ground.store.write(async |tx| tx.insert_user(&ada).await).await?;
            assert_eq!(tx.find_user(&ada.id).await?, None);
            Ok(())
        })
        .await
        .unwrap();
    let found = ground.store.read(async |tx| tx.find_user(&ada.id).await).await.unwrap();
    assert_eq!(found, Some(ada));
}

async fn a_read_cannot_write(ground: Ground) {
    let ada = user(ground.now(), ground.rng(), "a@x.org");
    let refused = ground.store.read(async |tx| tx.insert_user(&ada).await).await;
    assert!(refused.is_err());
}

async fn writers_of_two_servers_lose_nothing(ground: Ground) {
    let other = ground.second_server().await;
    let mut writers = Vec::new();
    for store in [ground.store.clone(), other] {
        for _ in 0..2 {
            let store = store.clone();
            writers.push(tokio::spawn(async move {
                for _ in 0..25 {
                    store.write(async |tx| tx.next_request_number().await).await.unwrap();
                }
            }));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let next = ground.store.write(async |tx| tx.next_request_number().await).await.unwrap();
    assert_eq!(next, 101);
}

async fn whoever_waits_for_work_is_woken_by_the_commit(ground: Ground) {
    let mut waiter = ground.store.wake().waiter(Wake::Jobs);
    assert!(!waiter.wait(Duration::from_millis(10)).await || ground.store.is_postgres());
    let job = NewJob { kind: "test", dedupe_key: None, payload: json!({}), run_at: ground.now() };
    ground.store.write(async |tx| tx.enqueue_job(&job).await).await.unwrap();
    assert!(waiter.wait(Duration::from_secs(10)).await);
}

async fn a_time_is_the_same_through_a_transaction_and_whole_microseconds(ground: Ground) {
    ground.clock.advance(Duration::from_nanos(1_234_567));
    ground
        .store
        .write(async |tx| -> Result<()> {
            let before = tx.now();
            ground.clock.advance(Duration::from_secs(1));
            assert_eq!(tx.now(), before);
            assert_eq!(before.subsec_nanosecond() % 1000, 0);
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_hears_of_work_that_another_queued() {
    let ground = Ground::new(latchkey_testkit::DatabaseKind::BOTH[1]).await;
    let other = ground.second_server().await;
    let mut waiter = other.wake().waiter(Wake::Jobs);
    // What the connection says at its beginning is no news; a quiet moment ends it.
    while waiter.wait(Duration::from_millis(500)).await {}
    let job = NewJob { kind: "test", dedupe_key: None, payload: json!({}), run_at: ground.now() };
    ground.store.write(async |tx| tx.enqueue_job(&job).await).await.unwrap();
    assert!(waiter.wait(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_a_connection_cut_in_mid_transaction_undoes_it_and_the_next_goes_on() {
    let ground = Ground::new(latchkey_testkit::DatabaseKind::BOTH[1]).await;
    let ada = user(ground.now(), ground.rng(), "a@x.org");
    let cut = ground
        .store
        .write(async |tx| -> Result<()> {
            tx.insert_user(&ada).await?;
            execute(
                &ground,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = 'latchkey' AND datname = current_database()",
            )
            .await;
            tx.find_user(&ada.id).await?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(matches!(cut, StoreError::Unavailable(_)) && cut.is_retryable(), "{cut:?}");
    ground.store.ping().await.unwrap();
    ground.store.write(async |tx| tx.insert_user(&ada).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_wait_for_each_other_are_told_apart_and_one_goes_on() {
    let ground = Ground::new(latchkey_testkit::DatabaseKind::BOTH[1]).await;
    let shop = ground.add_integration("shop").await;
    let people = [ground.add_user("a@x.org").await.id, ground.add_user("b@x.org").await.id];
    let both_hold_one = tokio::sync::Barrier::new(2);
    let lock = async |first: &UserId, second: &UserId| {
        ground
            .store
            .write(async |tx| -> Result<()> {
                tx.lock_grantee(&shop.id, first).await?;
                both_hold_one.wait().await;
                tx.lock_grantee(&shop.id, second).await
            })
            .await
    };
    let (one, other) = tokio::join!(lock(&people[0], &people[1]), lock(&people[1], &people[0]));
    let lost = match (one, other) {
        (Ok(()), Err(lost)) | (Err(lost), Ok(())) => lost,
        both => panic!("{both:?}"),
    };
    assert!(lost.is_retryable(), "{lost:?}");
}
