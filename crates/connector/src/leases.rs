//! The deliveries this process works on and until when it may. A lease that is over by the
//! monotonic clock stays over: a process that was paused and wakes late starts nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use latchkey_domain::ids::TaskId;
use latchkey_integrations::LeaseEnd;
use latchkey_protocol::{RunningTask, Task};
use tokio::sync::OwnedMutexGuard;

use crate::{journal::Holder, server_clock::Sent};

#[derive(Debug)]
struct Lease {
    end: LeaseEnd,
    length: Duration,
}

type Running = Arc<Mutex<BTreeMap<(TaskId, i64), Lease>>>;

/// All deliveries of the process.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    running: Running,
}

/// One delivery; it is listed in heartbeats until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    /// When the lease ends; moves on as heartbeats renew it.
    pub(crate) end: LeaseEnd,
    key: (TaskId, i64),
    running: Running,
}

impl Leases {
    /// Lists a delivery whose lease began at `began`.
    pub(crate) fn hold(&self, task: &Task, began: Duration) -> Held {
        let length = Duration::from_millis(task.lease_ms);
        let end = LeaseEnd::at(began.saturating_add(length));
        let key = (task.id.clone(), task.lease);
        lock(&self.running).insert(key.clone(), Lease { end: end.clone(), length });
        Held { end, key, running: Arc::clone(&self.running) }
    }

    /// The deliveries whose lease is not over.
    pub(crate) fn running(&self, now: Duration) -> Vec<RunningTask> {
        lock(&self.running)
            .iter()
            .filter(|(_, lease)| lease.end.get() > now)
            .map(|((id, lease), _)| RunningTask { id: id.clone(), lease: *lease })
            .collect()
    }

    /// The server answered a heartbeat that listed `named`: those that are not over by now
    /// last for their full length from when it was sent.
    pub(crate) fn renew(&self, named: &[RunningTask], sent: Sent, now: Duration) {
        let running = lock(&self.running);
        for task in named {
            if let Some(lease) = running.get(&(task.id.clone(), task.lease))
                && lease.end.get() > now
            {
                lease.end.extend_to(sent.0.saturating_add(lease.length));
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.key);
    }
}

fn lock(running: &Running) -> MutexGuard<'_, BTreeMap<(TaskId, i64), Lease>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets one task at a time work on a principal.
#[derive(Debug, Default)]
pub(crate) struct PrincipalLocks {
    locks: Mutex<BTreeMap<Holder, Arc<tokio::sync::Mutex<()>>>>,
}

impl PrincipalLocks {
    /// Waits until nobody else works on the principal.
    pub(crate) async fn acquire(&self, holder: &Holder) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(holder.clone()).or_default())
        };
        lock.lock_owned().await
    }
}
