//! Closed loops: a number of clients, each of which begins its next piece of work when the last
//! is done.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use latchkey_domain::Clock;
use tokio::task::JoinSet;

/// Has `clients` work off `pieces`; returns what came of each and how long all took together.
/// The first error ends everything.
pub(crate) async fn drive<T, R, F>(
    clock: &Arc<dyn Clock>,
    clients: usize,
    pieces: Vec<T>,
    work: impl Fn(T) -> F + Clone + Send + 'static,
) -> Result<(Vec<R>, Duration)>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Future<Output = Result<R>> + Send,
{
    let queue = Arc::new(Mutex::new(VecDeque::from(pieces)));
    let began = clock.monotonic();
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let (queue, work) = (Arc::clone(&queue), work.clone());
        running.spawn(async move {
            let mut results = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(piece) = next else { return anyhow::Ok(results) };
                results.push(work(piece).await?);
            }
        });
    }
    let mut all = Vec::new();
    while let Some(results) = running.join_next().await {
        all.extend(results??);
    }
    Ok((all, clock.monotonic().saturating_sub(began)))
}

#[cfg(test)]
mod tests {
    use latchkey::surroundings::Surroundings;

    use super::drive;

    #[tokio::test]
    async fn every_piece_is_worked_off_once() {
        let clock = Surroundings::of_the_machine().clock;
        let work = |piece: u32| async move { Ok(piece * 2) };
        let (mut done, _) = drive(&clock, 3, (0..10).collect(), work).await.unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..10).map(|piece| piece * 2).collect::<Vec<_>>());
    }
}
