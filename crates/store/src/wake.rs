//! Hints that work has arrived, so that nobody has to poll in order to be quick.
//!
//! A hint may be lost (another server's connection broke) and callers poll as well; a hint is
//! never the only way to learn of work. Make the [`Waiter`] first, look into the database, then
//! wait: what arrives in between wakes the waiter at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use latchkey_domain::ids::RequestId;
use tokio::sync::{mpsc, watch};

use crate::mutex::lock;

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

/// What somebody may wait for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Hint {
    /// Work of a kind arrived.
    Work(Wake),
    /// A request was changed.
    Request(RequestId),
}

impl Hint {
    const REQUEST: &str = "request ";

    /// The text that PostgreSQL carries from server to server.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Work(wake) => wake.as_str().to_owned(),
            Self::Request(id) => format!("{}{id}", Self::REQUEST),
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let request = text.strip_prefix(Self::REQUEST).map(|id| Self::Request(RequestId::new(id)));
        request.or_else(|| Wake::parse(text).map(Self::Work))
    }
}

/// Where hints are given and waited for.
#[derive(Debug, Clone)]
pub struct WakeUps {
    counters: Arc<[watch::Sender<u64>; 5]>,
    requests: WaitedFor,
    /// Carries hints to other servers; `None` on SQLite, which has no others.
    others: Option<mpsc::UnboundedSender<Hint>>,
}

/// The requests that anybody in this process waits for.
type WaitedFor = Arc<Mutex<HashMap<RequestId, watch::Sender<u64>>>>;

impl WakeUps {
    pub(crate) fn new(others: Option<mpsc::UnboundedSender<Hint>>) -> Self {
        let counters = Arc::new(Wake::ALL.map(|_| watch::Sender::new(0)));
        Self { counters, requests: Arc::default(), others }
    }

    /// Wakes the waiters of this process, and tells other servers. The store does this itself
    /// after a commit that made work.
    pub fn notify(&self, wake: Wake) {
        self.give(Hint::Work(wake));
    }

    pub(crate) fn give(&self, hint: Hint) {
        self.give_here(&hint);
        if let Some(others) = &self.others {
            // Without a receiver the store is being closed, and nobody needs waking.
            let _ = others.send(hint);
        }
    }

    /// Wakes the waiters of this process only.
    pub(crate) fn give_here(&self, hint: &Hint) {
        match hint {
            Hint::Work(wake) => count(self.counter(*wake)),
            Hint::Request(id) => lock(&self.requests).get(id).into_iter().for_each(count),
        }
    }

    /// A waiter that sees every hint from now on.
    pub fn waiter(&self, wake: Wake) -> Waiter {
        Waiter(self.counter(wake).subscribe())
    }

    /// A waiter that sees every change of one request from now on.
    pub fn request_waiter(&self, id: &RequestId) -> RequestWaiter {
        let mut all = lock(&self.requests);
        let changes = all.entry(id.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe();
        let all = Arc::clone(&self.requests);
        RequestWaiter { waiter: Some(Waiter(changes)), id: id.clone(), all }
    }

    /// Whether anybody in this process waits for changes of the request.
    pub fn is_awaited(&self, id: &RequestId) -> bool {
        lock(&self.requests).contains_key(id)
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

fn count(sender: &watch::Sender<u64>) {
    sender.send_modify(|count| *count = count.wrapping_add(1));
}

/// Waits for changes of one request.
#[derive(Debug)]
pub struct RequestWaiter {
    /// There until it is dropped.
    waiter: Option<Waiter>,
    id: RequestId,
    all: WaitedFor,
}

impl RequestWaiter {
    /// Like [`Waiter::wait`].
    pub async fn wait(&mut self, timeout: Duration) -> bool {
        match &mut self.waiter {
            Some(waiter) => waiter.wait(timeout).await,
            None => false,
        }
    }
}

impl Drop for RequestWaiter {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        // Under the lock, or two that go at once would each take the other for still there.
        drop(self.waiter.take());
        if all.get(&self.id).is_some_and(|changes| changes.receiver_count() == 0) {
            all.remove(&self.id);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_of_a_request_wakes_who_waits_for_it_and_nobody_else() {
        let wake = WakeUps::new(None);
        let [one, other] = ["one", "other"].map(RequestId::new);
        let mut of_one = wake.request_waiter(&one);
        let mut of_other = wake.request_waiter(&other);
        wake.give(Hint::Request(one.clone()));
        assert!(of_one.wait(Duration::ZERO).await);
        assert!(!of_one.wait(Duration::ZERO).await, "it was told once");
        assert!(!of_other.wait(Duration::ZERO).await);
        let second = wake.request_waiter(&one);
        drop(of_one);
        assert!(wake.is_awaited(&one), "somebody waits still");
        drop((second, of_other));
        assert!(lock(&wake.requests).is_empty());
    }

    #[test]
    fn hints_cross_between_servers_as_text() {
        let all = Wake::ALL.map(Hint::Work).into_iter();
        for hint in all.chain([Hint::Request(RequestId::new("r"))]) {
            assert_eq!(Hint::parse(&hint.text()), Some(hint));
        }
        assert_eq!(Hint::parse("something new"), None);
    }
}
