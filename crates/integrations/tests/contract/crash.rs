//! Dying at a chosen point.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use latchkey_integrations::CrashPoints;
use tokio::sync::Notify;

/// Stops a run for good when it comes to one point for the n-th time.
#[derive(Debug)]
pub struct CrashAt {
    point: &'static str,
    hits_left: AtomicU32,
    reached: Notify,
}

impl CrashAt {
    /// Crashes at the `hit`-th time (from 1) that `point` is reached.
    pub fn new(point: &'static str, hit: u32) -> Arc<Self> {
        Arc::new(Self { point, hits_left: AtomicU32::new(hit), reached: Notify::new() })
    }

    /// Runs `work` until it is done or dies; `None` if it died.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.reached.notified() => None,
        }
    }
}

#[async_trait]
impl CrashPoints for CrashAt {
    async fn reached(&self, name: &'static str) {
        if name == self.point && self.hits_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}
