//! What keeps SQLite from stopping the runtime's threads for long: which statements, and whether
//! commits, are slow again and again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hashbrown::HashMap;
use latchkey_domain::Clock;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::{error::Result, mutex::lock};

/// What takes longer is slow.
const SLOW: Duration = Duration::from_millis(2);

/// How many texts of statements are remembered at most.
const MOST_KNOWN: usize = 1000;

/// What keeps statements from stopping their thread for long.
pub(crate) struct Pace {
    pub(crate) clock: Arc<dyn Clock>,
    /// What is known of statements, by their text.
    known: Mutex<HashMap<String, Known>>,
    commits: Mutex<Slowness>,
}

/// What is known of a statement.
#[derive(Debug, Default, Clone)]
struct Known {
    slowness: Slowness,
    /// The names of the columns of its rows.
    names: Option<Names>,
}

/// The names of columns, shared by all rows.
pub(crate) type Names = Arc<[Box<str>]>;

/// Whether something is slow again and again. On a busy machine anything takes long once in a
/// while, because somebody else had the processor: that alone says nothing.
#[derive(Debug, Default, Clone, Copy)]
struct Slowness(u8);

impl Slowness {
    /// What being slow once weighs; being quick once takes one off.
    const ONCE: u8 = 16;
    /// Slow twice within a few runs.
    const ENOUGH: u8 = 24;
    const MOST: u8 = 64;

    fn is_slow(self) -> bool {
        self.0 >= Self::ENOUGH
    }

    fn took(&mut self, duration: Duration) {
        self.0 = if duration > SLOW {
            self.0.saturating_add(Self::ONCE).min(Self::MOST)
        } else {
            self.0.saturating_sub(1)
        };
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").finish_non_exhaustive()
    }
}

impl Pace {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, known: Mutex::default(), commits: Mutex::default() }
    }

    pub(crate) fn are_commits_slow(&self) -> bool {
        lock(&self.commits).is_slow()
    }

    /// Commits, and notes how long it took.
    pub(crate) fn commit<T>(&self, commit: impl FnOnce() -> T) -> T {
        let began = self.clock.monotonic();
        let committed = commit();
        lock(&self.commits).took(self.clock.monotonic().saturating_sub(began));
        committed
    }

    #[cfg(test)]
    pub(crate) fn take_commits_for_slow(&self) {
        *lock(&self.commits) = Slowness(Slowness::MOST);
    }

    /// Runs a statement, which is given the names of its columns if they are known and gives
    /// them back. Where it is slow again and again, the runtime moves the other tasks of this
    /// thread away first.
    pub(crate) fn run<T>(
        &self,
        text: &str,
        statement: impl FnOnce(Option<Names>) -> Result<(T, Option<Names>)>,
    ) -> Result<T> {
        let known = lock(&self.known).get(text).cloned().unwrap_or_default();
        let had_names = known.names.is_some();
        let began = self.clock.monotonic();
        let done = if known.slowness.is_slow() && is_multi_threaded() {
            tokio::task::block_in_place(|| statement(known.names))
        } else {
            statement(known.names)
        };
        let took = self.clock.monotonic().saturating_sub(began);
        let (outcome, names) = match done {
            Ok((outcome, names)) => (Ok(outcome), names.filter(|_| !had_names)),
            Err(error) => (Err(error), None),
        };
        if took > SLOW || known.slowness.0 > 0 || names.is_some() {
            self.note(text, took, names);
        }
        outcome
    }

    fn note(&self, text: &str, took: Duration, names: Option<Names>) {
        let mut all = lock(&self.known);
        if all.len() >= MOST_KNOWN && !all.contains_key(text) {
            // Names are read again; what is slow has to stay known.
            all.retain(|_, known| known.slowness.0 > 0);
            if all.len() >= MOST_KNOWN {
                return;
            }
        }
        let known = all.entry_ref(text).or_default();
        known.slowness.took(took);
        if names.is_some() {
            known.names = names;
        }
    }
}

fn is_multi_threaded() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_once_is_not_slow_and_what_was_slow_recovers() {
        let (quick, slow) = (Duration::from_micros(50), SLOW * 2);
        let mut slowness = Slowness::default();
        slowness.took(slow);
        assert!(!slowness.is_slow(), "somebody else had the processor");
        (0..Slowness::ONCE).for_each(|_| slowness.took(quick));
        slowness.took(slow);
        assert!(!slowness.is_slow(), "that was long ago");
        slowness.took(slow);
        assert!(slowness.is_slow());
        (0..Slowness::MOST).for_each(|_| slowness.took(quick));
        assert!(!slowness.is_slow());
    }
}
