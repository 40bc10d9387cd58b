//! The time that all processes over one database go by.
//!
//! Ends, leases and timers are rows that every server reads by its own clock. Servers whose clocks
//! disagree by minutes would end each other's access early and leave each other's work lying. So
//! where the database is a server, its clock is everybody's: it is asked at the start and then
//! every half minute, and carried on in between by the process's monotonic clock, which no setting
//! of the machine's clock moves. Over SQLite there is one machine, and its clock counts.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use latchkey_domain::Clock;
use latchkey_store::{Store, StoreError};

/// How often the database's clock is asked again: clocks of machines drift by milliseconds
/// meanwhile.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// How often it is asked in a row; the answer that was under way for the shortest time counts.
const QUESTIONS: usize = 3;

/// A step of the database's clock that is worth telling.
const TOLD_STEP: Duration = Duration::from_secs(2);

/// The machine's clock, or the database's once it has been asked.
#[derive(Debug)]
pub(crate) struct SharedClock {
    machine: Arc<dyn Clock>,
    /// Microseconds from the epoch to the zero of the monotonic clock, by the database's clock.
    zero: OnceLock<AtomicI64>,
}

impl SharedClock {
    /// A clock that goes by the machine's until a database was asked.
    pub(crate) fn new(machine: Arc<dyn Clock>) -> Self {
        Self { machine, zero: OnceLock::new() }
    }

    /// The machine's own time.
    pub(crate) fn of_the_machine(&self) -> Timestamp {
        self.machine.now()
    }

    /// Takes the database's time over, if it has a clock of its own.
    pub(crate) async fn follow(&self, store: &Store) -> Result<(), StoreError> {
        let mut best: Option<(Duration, i64)> = None;
        for _ in 0..QUESTIONS {
            let asked = self.monotonic();
            let Some(said) = store.database_time().await? else { return Ok(()) };
            let trip = self.monotonic().saturating_sub(asked);
            if best.is_none_or(|(shortest, _)| trip < shortest) {
                best = Some((trip, said.as_microsecond() - micros(asked + trip / 2)));
            }
        }
        let Some((_, zero)) = best else { return Ok(()) };
        let known = self.zero.get_or_init(|| AtomicI64::new(zero)).swap(zero, Ordering::Relaxed);
        if known.abs_diff(zero) > u64::try_from(TOLD_STEP.as_micros()).unwrap_or(u64::MAX) {
            tracing::warn!(
                clock.step_ms = (zero - known) / 1000,
                "The database's clock was set, and with it the time that access ends by."
            );
        }
        Ok(())
    }

    /// Follows the database's clock for good. While the database does not answer, time goes on.
    pub(crate) async fn keep_following(&self, store: &Store) {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            if let Err(error) = self.follow(store).await {
                tracing::debug!(%error, "The database's clock could not be asked.");
            }
        }
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        let shared = self.zero.get().and_then(|zero| {
            let micros = zero.load(Ordering::Relaxed).checked_add(micros(self.monotonic()))?;
            Timestamp::from_microsecond(micros).ok()
        });
        shared.unwrap_or_else(|| self.machine.now())
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
