//! Hints that work has arrived, so that nobody has to poll in order to be quick.
//!
//! A hint may be lost (another server's connection broke) and callers poll as well; a hint is
//! never the only way to learn of work. Make the [`Waiter`] first, look into the database, then
//! wait: what arrives in between wakes the waiter at once.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// Work for connectors.
    Tasks,
    /// Work for the server.
    Jobs,
    /// Messages to be sent.
    Outbox,
    /// Audit records to be linked.
    Audit,
    /// A change of the inventory or of policy, which pictures in memory have to follow.
    Inventory,
}

impl Wake {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Tasks, Self::Jobs, Self::Outbox, Self::Audit, Self::Inventory];

    /// The word that PostgreSQL carries from server to server.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Jobs => "jobs",
            Self::Outbox => "outbox",
            Self::Audit => "audit",
            Self::Inventory => "inventory",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wake| wake.as_str() == word)
    }
}

/// Where hints are given and waited for.
#[derive(Debug, Clone)]
pub struct WakeUps {
    counters: Arc<[watch::Sender<u64>; 5]>,
    /// Carries hints to other servers; `None` on SQLite, which has no others.
    others: Option<mpsc::UnboundedSender<Wake>>,
}

impl WakeUps {
    pub(crate) fn new(others: Option<mpsc::UnboundedSender<Wake>>) -> Self {
        Self { counters: Arc::new(Wake::ALL.map(|_| watch::Sender::new(0))), others }
    }

    /// Wakes the waiters of this process, and tells other servers. The store does this itself
    /// after a commit that made work.
    pub fn notify(&self, wake: Wake) {
        self.notify_here(wake);
        if let Some(others) = &self.others {
            // Without a receiver the store is being closed, and nobody needs waking.
            let _ = others.send(wake);
        }
    }

    /// Wakes the waiters of this process only.
    pub(crate) fn notify_here(&self, wake: Wake) {
        self.counter(wake).send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A waiter that sees every hint from now on.
    pub fn waiter(&self, wake: Wake) -> Waiter {
        Waiter(self.counter(wake).subscribe())
    }

    fn counter(&self, wake: Wake) -> &watch::Sender<u64> {
        let [tasks, jobs, outbox, audit, inventory] = &*self.counters;
        match wake {
            Wake::Tasks => tasks,
            Wake::Jobs => jobs,
            Wake::Outbox => outbox,
            Wake::Audit => audit,
            Wake::Inventory => inventory,
        }
    }
}

/// Waits for hints of one kind.
#[derive(Debug)]
pub struct Waiter(watch::Receiver<u64>);

impl Waiter {
    /// Whether there was a hint since this was last asked, or since the last wait.
    pub fn take_hint(&mut self) -> bool {
        let is_new = self.0.has_changed().unwrap_or(false);
        self.0.mark_unchanged();
        is_new
    }

    /// Returns at a hint that was given since the last return (or since the waiter was made), or
    /// after `timeout`. True if there was a hint.
    pub async fn wait(&mut self, timeout: Duration) -> bool {
        match tokio::time::timeout(timeout, self.0.changed()).await {
            Ok(Ok(())) => true,
            // The store is closed: no hint will come; do not spin.
            Ok(Err(_)) => {
                tokio::time::sleep(timeout).await;
                false
            }
            Err(_) => false,
        }
    }
}
