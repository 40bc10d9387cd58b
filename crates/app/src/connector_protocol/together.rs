//! Results that arrive together share a transaction. `SQLite` has one writer, and each commit
//! waits for the disk: where hundreds of principals end at once, their results would queue for
//! it one by one. PostgreSQL gathers the commits of writers that work side by side by itself.
//!
//! Invariant: a sender is answered only after the transaction with its result is over. One that
//! fails takes nobody with it: each of its batch is then stored alone.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use latchkey_domain::ids::TaskId;
use latchkey_protocol::{Outcome, TaskResult};
use latchkey_store::Tx;
use tokio::sync::oneshot;

use super::results::{store_alone, store_one};
use crate::{App, ConnectorActor, error::AppError};

/// How many results share a transaction at most: others wait for the writer too.
const MOST: usize = 16;

/// Results that wait for the writer.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    waiting: Mutex<VecDeque<Arrival>>,
    /// Held by whoever stores a batch.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Arrival {
    actor: ConnectorActor,
    task: TaskId,
    result: TaskResult,
    answer: oneshot::Sender<Stored>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// It is in the database.
    Yes,
    /// Somebody's result could not be stored, so nobody's is.
    No,
}

/// Stores a result, with others that wait at the same time.
pub(super) async fn store(
    app: &App,
    actor: &ConnectorActor,
    task: &TaskId,
    result: TaskResult,
) -> Result<(), AppError> {
    let is_small = !matches!(result.outcome, Outcome::Discovered(_) | Outcome::Reconciled(_));
    if app.store().is_postgres() || !is_small {
        return store_alone(app, actor, task, &result).await;
    }
    let (answer, mut answered) = oneshot::channel();
    let arrival =
        Arrival { actor: actor.clone(), task: task.clone(), result: result.clone(), answer };
    let arriving = app.arriving();
    arriving.lock().push_back(arrival);
    loop {
        tokio::select! {
            biased;
            stored = &mut answered => {
                return match stored {
                    Ok(Stored::Yes) => Ok(()),
                    // Refused, or whoever stored the batch was cut short.
                    Ok(Stored::No) | Err(_) => store_alone(app, actor, task, &result).await,
                };
            }
            _turn = arriving.turn.lock() => store_batch(app).await,
        }
    }
}

impl Arriving {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arrival>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Vec<Arrival> {
        let mut waiting = self.lock();
        let some = waiting.len().min(MOST);
        waiting.drain(..some).collect()
    }
}

/// Stores the oldest results that wait. Who gave up waiting has its result stored all the same:
/// storing one twice changes nothing.
async fn store_batch(app: &App) {
    let batch = app.arriving().next();
    if batch.is_empty() {
        return;
    }
    let stored = app
        .store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            for one in &batch {
                store_one(tx, app, &one.actor, &one.task, &one.result).await?;
            }
            Ok(())
        })
        .await;
    let answer = match stored {
        Ok(()) => Stored::Yes,
        Err(error) => {
            tracing::debug!(error = %error, "Results could not be stored together; each is alone.");
            Stored::No
        }
    };
    for one in batch {
        let _ = one.answer.send(answer);
    }
}
