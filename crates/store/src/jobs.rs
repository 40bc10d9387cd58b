//! Timers and background work of the server.
//!
//! A job is a row that is claimed under a lease. At most one job is open per dedupe key; asking
//! again while it runs has it run once more. [`Tx::finish_job`] and [`Tx::retry_job`] refuse a
//! claim that has been lost, so that the effects written in the same transaction are undone.

use std::time::Duration;

use jiff::Timestamp;
use latchkey_domain::ids::JobId;
use serde_json::Value;

use crate::{error::Result, tx::Tx};

/// A job to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// What it does, such as `request.expire`.
    pub kind: &'static str,
    /// At most one job is open per key.
    pub dedupe_key: Option<String>,
    /// What it does it to. Never a secret.
    pub payload: Value,
    /// Not before.
    pub run_at: Timestamp,
}

/// A job that a server holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Names the job.
    pub id: JobId,
    /// Which claim this is.
    pub lease: i64,
    /// What it does.
    pub kind: String,
    /// What it does it to.
    pub payload: Value,
    /// Its dedupe key.
    pub dedupe_key: Option<String>,
    /// When it was to run.
    pub run_at: Timestamp,
    /// How often it has failed or was lost; 0 at first.
    pub attempts: i64,
}

impl Tx {
    /// Queues a job. If one with its key is queued, the earlier time holds (and its payload stays); if it runs, it runs again afterwards. True if a row was added.
    pub async fn enqueue_job(&mut self, job: &NewJob) -> Result<bool> {
        unimplemented!()
    }
    /// Gives up to `max` jobs that are due, or whose lease ran out, to `owner`.
    pub async fn claim_jobs(&mut self, owner: &str, max: u32, lease: Duration) -> Result<Vec<Job>> {
        unimplemented!()
    }
    /// Ends a job, or queues it again if it was asked for meanwhile. [`StoreError::Conflict`] if the claim was lost.
    pub async fn finish_job(&mut self, job: &Job) -> Result<()> {
        unimplemented!()
    }
    /// Queues a job again after a failure. [`StoreError::Conflict`] if the claim was lost.
    pub async fn retry_job(&mut self, job: &Job, run_at: Timestamp, error: &str) -> Result<()> {
        unimplemented!()
    }
    /// Prolongs a claim from now on; false if it was lost.
    pub async fn renew_job_lease(&mut self, job: &Job, lease: Duration) -> Result<bool> {
        unimplemented!()
    }
    /// Takes back the claims of an owner that is gone: its jobs are due now.
    pub async fn release_job_leases(&mut self, owner: &str) -> Result<u64> {
        unimplemented!()
    }
    /// When the next job is due, or the next lease runs out.
    pub async fn next_job_at(&mut self) -> Result<Option<Timestamp>> {
        unimplemented!()
    }
    /// How many jobs are not finished.
    pub async fn count_open_jobs(&mut self) -> Result<u64> {
        unimplemented!()
    }
    /// Forgets the open job with this key; one that runs now ends by itself and is not run again.
    pub async fn cancel_job(&mut self, dedupe_key: &str) -> Result<bool> {
        unimplemented!()
    }
    /// Jobs that are not finished, earliest first.
    pub async fn list_open_jobs(&mut self, limit: u32) -> Result<Vec<Job>> {
        unimplemented!()
    }
}
