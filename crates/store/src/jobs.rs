//! Timers and background work of the server.
//!
//! A job is a row that is claimed under a lease. At most one job is open per dedupe key; asking
//! again while it runs has it run once more. [`Tx::finish_job`] and [`Tx::retry_job`] refuse a
//! claim that has been lost, so that the effects written in the same transaction are undone.

use std::time::Duration;

use jiff::Timestamp;
use latchkey_domain::ids::JobId;
use serde_json::Value;

use crate::{
    error::{Result, StoreError},
    leases::Leased,
    sql::{Row, Sql, json, micros, values},
    tx::Tx,
    wake::Wake,
};

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

const COLUMNS: &str = "jobs.id, jobs.lease, jobs.kind, jobs.payload, jobs.dedupe_key, \
     jobs.run_at, jobs.attempts";

fn read_job(row: &Row) -> Result<Job> {
    Ok(Job {
        id: JobId::new(row.text("id")?),
        lease: row.int("lease")?,
        kind: row.text("kind")?,
        payload: row.json("payload")?,
        dedupe_key: row.opt_text("dedupe_key")?,
        run_at: row.time("run_at")?,
        attempts: row.int("attempts")?,
    })
}

const LOST: StoreError = StoreError::Conflict { what: "the job's claim" };

impl Tx {
    /// Queues a job. If one with its key is queued, the earlier time holds and its payload
    /// stays; if it runs, it runs again afterwards, with the new payload. True if a row was
    /// added.
    pub async fn enqueue_job(&mut self, job: &NewJob) -> Result<bool> {
        let id = JobId::generate(self.now(), self.rng());
        let sql = Sql::with(
            "INSERT INTO jobs (id, kind, dedupe_key, payload, run_at, state, ready_at, lease, \
             attempts, created_at) VALUES ($1, $2, $3, $4, $5, 'queued', $5, 0, 0, $6) \
             ON CONFLICT (dedupe_key) DO UPDATE SET \
             run_at = CASE WHEN jobs.state = 'queued' AND excluded.run_at < jobs.run_at \
               THEN excluded.run_at ELSE jobs.run_at END, \
             ready_at = CASE WHEN jobs.state = 'queued' AND excluded.run_at < jobs.ready_at \
               THEN excluded.run_at ELSE jobs.ready_at END, \
             again_at = CASE WHEN jobs.state = 'claimed' AND \
               (jobs.again_at IS NULL OR excluded.run_at < jobs.again_at) \
               THEN excluded.run_at ELSE jobs.again_at END, \
             again_payload = CASE WHEN jobs.state = 'claimed' \
               THEN excluded.payload ELSE jobs.again_payload END \
             RETURNING id",
            values![
                id.as_str(),
                job.kind,
                job.dedupe_key.as_deref(),
                json(&job.payload)?,
                micros(job.run_at),
                micros(self.now()),
            ],
        );
        let row = self.row(sql).await?;
        self.wake_after(Wake::Jobs);
        row.map_or(Ok(false), |row| Ok(row.text("id")? == id.as_str()))
    }

    /// Gives up to `max` jobs that are due, or whose lease ran out, to `owner`; the earliest
    /// first. A lease lasts 15 minutes at most.
    pub async fn claim_jobs(&mut self, owner: &str, max: u32, lease: Duration) -> Result<Vec<Job>> {
        self.end_impossible_leases(Leased::Jobs).await?;
        let sql = format!(
            "WITH picked AS MATERIALIZED (SELECT id FROM jobs \
             WHERE ready_at <= $1 \
             ORDER BY ready_at, id LIMIT $2{}) \
             UPDATE jobs SET attempts = attempts + CASE WHEN state = 'claimed' THEN 1 ELSE 0 END, \
             state = 'claimed', lease = lease + 1, owner = $3, ready_at = $4 \
             WHERE id IN (SELECT id FROM picked) RETURNING {COLUMNS}",
            self.skip_locked()
        );
        let sql = Sql::with(
            &sql,
            values![micros(self.now()), i64::from(max), owner, self.lease_end(lease),],
        );
        let mut jobs = self.rows(sql, read_job).await?;
        jobs.sort_by(|one, other| (one.run_at, &one.id).cmp(&(other.run_at, &other.id)));
        Ok(jobs)
    }

    /// Ends a job, or queues it again if it was asked for meanwhile. [`StoreError::Conflict`]
    /// if the claim was lost: everything written with it is then undone.
    pub async fn finish_job(&mut self, job: &Job) -> Result<()> {
        let sql = Sql::with(
            "UPDATE jobs SET state = 'queued', run_at = again_at, ready_at = again_at, \
             payload = again_payload, owner = NULL, attempts = 0, again_at = NULL, \
             again_payload = NULL, last_error = NULL \
             WHERE id = $1 AND lease = $2 AND state = 'claimed' AND again_at IS NOT NULL",
            values![job.id.as_str(), job.lease],
        );
        if self.exec(sql).await? > 0 {
            self.wake_after(Wake::Jobs);
            return Ok(());
        }
        let sql = "DELETE FROM jobs WHERE id = $1 AND lease = $2 AND state = 'claimed'";
        match self.exec(Sql::with(sql, values![job.id.as_str(), job.lease])).await? {
            0 => Err(LOST),
            _ => Ok(()),
        }
    }

    /// Queues a job again after a failure: for `run_at`, or earlier if it was asked for
    /// meanwhile. [`StoreError::Conflict`] if the claim was lost.
    pub async fn retry_job(&mut self, job: &Job, run_at: Timestamp, error: &str) -> Result<()> {
        let sql = Sql::with(
            "UPDATE jobs SET state = 'queued', owner = NULL, attempts = attempts + 1, \
             run_at = CASE WHEN again_at < $3 THEN again_at ELSE $3 END, \
             ready_at = CASE WHEN again_at < $3 THEN again_at ELSE $3 END, \
             payload = COALESCE(again_payload, payload), again_at = NULL, \
             again_payload = NULL, last_error = $4 \
             WHERE id = $1 AND lease = $2 AND state = 'claimed'",
            values![job.id.as_str(), job.lease, micros(run_at), error],
        );
        if self.exec(sql).await? == 0 {
            return Err(LOST);
        }
        self.wake_after(Wake::Jobs);
        Ok(())
    }

    /// Prolongs a claim from now on; false if it was lost.
    pub async fn renew_job_lease(&mut self, job: &Job, lease: Duration) -> Result<bool> {
        let sql = Sql::with(
            "UPDATE jobs SET ready_at = $3 WHERE id = $1 AND lease = $2 AND state = 'claimed'",
            values![job.id.as_str(), job.lease, self.lease_end(lease)],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// Takes back the claims of an owner that is gone: its jobs are due now.
    pub async fn release_job_leases(&mut self, owner: &str) -> Result<u64> {
        let sql = Sql::with(
            "UPDATE jobs SET state = 'queued', ready_at = $2, owner = NULL \
             WHERE owner = $1 AND state = 'claimed'",
            values![owner, micros(self.now())],
        );
        self.wake_after(Wake::Jobs);
        self.exec(sql).await
    }

    /// When the next job is due, or the next lease runs out.
    pub async fn next_job_at(&mut self) -> Result<Option<Timestamp>> {
        let row = self.row(Sql::new("SELECT MIN(ready_at) AS at FROM jobs")).await?;
        row.map_or(Ok(None), |row| row.opt_time("at"))
    }

    /// Forgets the queued job with this key; false if there was none. One that runs now is left
    /// to end by itself, but not run once more.
    pub async fn cancel_job(&mut self, dedupe_key: &str) -> Result<bool> {
        let sql = "UPDATE jobs SET again_at = NULL, again_payload = NULL WHERE dedupe_key = $1 \
             AND state = 'claimed'";
        self.exec(Sql::with(sql, values![dedupe_key])).await?;
        let sql = "DELETE FROM jobs WHERE dedupe_key = $1 AND state = 'queued'";
        Ok(self.exec(Sql::with(sql, values![dedupe_key])).await? > 0)
    }

    /// Jobs that are not finished, earliest first.
    pub async fn list_open_jobs(&mut self, limit: u32) -> Result<Vec<Job>> {
        let sql = format!("SELECT {COLUMNS} FROM jobs ORDER BY run_at, id LIMIT $1");
        self.rows(Sql::with(&sql, values![i64::from(limit)]), read_job).await
    }
}
