//! Claiming due jobs and running them.

use std::{future::Future, time::Duration};

use jiff::SignedDuration;
use latchkey_store::{Job, Tx, Wake};

use super::handlers;
use crate::{App, crash_points, error::AppError};

/// How long a job belongs to the server that claimed it.
const LEASE: Duration = Duration::from_secs(10);
/// How many jobs one transaction claims and does: timers that fall due together share a commit.
const BATCH: u32 = 50;
/// The longest the runner sleeps: another server may have planned something sooner.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Runs every job that is due now; returns how many ran. A job that fails is planned again and
/// does not stop the others.
pub async fn run_due_jobs(app: &App) -> Result<usize, AppError> {
    let mut ran = 0;
    loop {
        let owner = app.config().instance.as_str();
        let jobs =
            app.store().write(async |tx: &mut Tx| tx.claim_jobs(owner, BATCH, LEASE).await).await?;
        if jobs.is_empty() {
            return Ok(ran);
        }
        app.crash_point(crash_points::JOBS_CLAIMED);
        if let Err(error) = run_together(app, &jobs).await {
            tracing::debug!(error = %error, "A batch of jobs failed; each runs on its own.");
            for job in &jobs {
                if let Err(error) = run_alone(app, job).await {
                    tracing::error!(job.id = %job.id, error = ?error.source,
                        "A failed job could not be planned again; its lease ends by itself.");
                }
            }
        }
        ran += jobs.len();
        app.crash_point(crash_points::JOB_DONE);
    }
}

/// All of them in one transaction.
async fn run_together(app: &App, jobs: &[Job]) -> Result<(), AppError> {
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            for job in jobs {
                handlers::run(tx, job).await?;
                tx.finish_job(job).await?;
            }
            Ok(())
        })
        .await
}

/// One in a transaction of its own; when it fails it is planned again, later each time.
async fn run_alone(app: &App, job: &Job) -> Result<(), AppError> {
    let outcome = app
        .store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            handlers::run(tx, job).await?;
            tx.finish_job(job).await?;
            Ok(())
        })
        .await;
    let Err(error) = outcome else { return Ok(()) };
    let detail = error.source.as_ref().map_or_else(|| error.to_string(), ToString::to_string);
    tracing::error!(job.id = %job.id, job.kind = %job.kind, error = %detail,
        "A job failed and will be tried again.");
    metrics::counter!("latchkey_job_failures_total", "kind" => job.kind.clone()).increment(1);
    let pause = SignedDuration::from_secs((job.attempts.clamp(1, 30)) * 2);
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let run_at = tx.now().saturating_add(pause).map_err(AppError::internal)?;
            tx.retry_job(job, run_at, &detail).await?;
            Ok(())
        })
        .await
}

/// Runs jobs as they fall due, until `stop` is ready. Errors of the database are logged and
/// tried again: the runner never ends by itself.
pub async fn run_jobs_until(app: &App, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    let mut hints = app.store().wake().waiter(Wake::Jobs);
    loop {
        let mut pause = match run_due_jobs(app).await {
            Ok(_) => until_next(app).await,
            Err(error) => {
                tracing::error!(error = ?error.source, "Jobs could not be run; trying again.");
                LONGEST_SLEEP
            }
        };
        let look_again = app.clock().monotonic() + LONGEST_SLEEP;
        // Most hints are about jobs for later: a look at them costs no turn at the writer.
        while !pause.is_zero() {
            let hinted = tokio::select! {
                () = &mut stop => return,
                hinted = hints.wait(pause) => hinted,
            };
            if !hinted {
                break;
            }
            let left = look_again.saturating_sub(app.clock().monotonic());
            pause = until_next(app).await.min(left);
        }
    }
}

/// How long until the next job is due, at most [`LONGEST_SLEEP`].
async fn until_next(app: &App) -> Duration {
    let next = app.store().read(async |tx: &mut Tx| tx.next_job_at().await).await;
    let Ok(Some(at)) = next else { return LONGEST_SLEEP };
    let wait = at.duration_since(app.clock().now());
    Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
}
