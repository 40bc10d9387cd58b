//! What each kind of job does. A handler looks at what it finds and may find nothing to do.

use jiff::Timestamp;
use latchkey_domain::{
    audit::AuditActor,
    ids::{IntegrationId, ReportId, RequestId},
    integration::{Integration, IntegrationStatus},
    request::RequestState,
};
use latchkey_store::{Job, NewTask, TaskKind, Tx};

use super::{
    ESCALATE, EXPIRE_APPROVAL, EXPIRE_REQUEST, GIVE_UP_GRANTING, RECONCILE_INTEGRATION,
    REMIND_OF_END, SEND_REPORT, SYNC_INTEGRATION,
};
use crate::{
    error::AppError,
    lifecycle::{Because, begin_ending, cancel, give_up_granting, lock_with_claims, plan_end},
    notifications, reports,
    requests::escalate,
};

/// Runs one job inside the caller's transaction.
pub(super) async fn run(tx: &mut Tx, job: &Job) -> Result<(), AppError> {
    match job.kind.as_str() {
        EXPIRE_REQUEST => expire_request(tx, &request_of(job)?).await,
        EXPIRE_APPROVAL => expire_approval(tx, &request_of(job)?).await,
        ESCALATE => escalate(tx, &request_of(job)?, tier_of(job)?).await,
        GIVE_UP_GRANTING => grant_deadline(tx, &request_of(job)?).await,
        SYNC_INTEGRATION => queue(tx, &integration_of(job)?, TaskKind::Discover).await,
        RECONCILE_INTEGRATION => queue(tx, &integration_of(job)?, TaskKind::Reconcile).await,
        SEND_REPORT => reports::occurrence_due(tx, &report_of(job)?, occurrence_of(job)?).await,
        REMIND_OF_END => notifications::remind_of_end(tx, &request_of(job)?).await,
        other => Err(AppError::internal(format!("no handler for jobs of kind {other}"))),
    }
}

async fn expire_request(tx: &mut Tx, id: &RequestId) -> Result<(), AppError> {
    let Some((mut request, mut units)) = lock_with_claims(tx, id).await? else { return Ok(()) };
    if !matches!(request.state, RequestState::Granting | RequestState::Active) {
        return Ok(());
    }
    let because = if request.ends_at.is_some_and(|end| end <= tx.now()) {
        Because::Expired
    } else if units.iter().any(|unit| unit.state.is_claim()) {
        // Some of it is gone from the target; the timer still has to run at the end.
        return match request.ends_at {
            Some(end) => plan_end(tx, &request.id, end).await,
            None => Ok(()),
        };
    } else {
        Because::LostAtTarget
    };
    begin_ending(tx, &AuditActor::System, &mut request, &mut units, &because).await
}

async fn expire_approval(tx: &mut Tx, id: &RequestId) -> Result<(), AppError> {
    let Some(mut request) = tx.lock_request(id).await? else { return Ok(()) };
    if !request.state.is_open() {
        return Ok(());
    }
    let because = if request.state == RequestState::PendingMfa {
        Because::NoSecondFactorInTime
    } else {
        Because::NotDecidedInTime
    };
    cancel(tx, &AuditActor::System, &mut request, &because).await
}

async fn grant_deadline(tx: &mut Tx, id: &RequestId) -> Result<(), AppError> {
    let Some((mut request, mut units)) = lock_with_claims(tx, id).await? else { return Ok(()) };
    let is_due = request.grant_deadline.is_some_and(|deadline| deadline <= tx.now());
    if !is_due || request.state != RequestState::Granting {
        return Ok(());
    }
    give_up_granting(tx, &AuditActor::System, &mut request, &mut units).await
}

async fn queue(tx: &mut Tx, id: &IntegrationId, kind: TaskKind) -> Result<(), AppError> {
    let Some(integration) = tx.find_integration(id).await? else { return Ok(()) };
    let Integration { connector_id: Some(connector_id), .. } = integration else { return Ok(()) };
    if integration.status == IntegrationStatus::Disabled {
        return Ok(());
    }
    let due = tx.now();
    tx.enqueue_task(&NewTask {
        integration_id: id.clone(),
        connector_id,
        kind,
        session_id: None,
        due,
        priority: 20,
    })
    .await?;
    Ok(())
}

fn request_of(job: &Job) -> Result<RequestId, AppError> {
    text_of(job, "request_id").map(RequestId::new)
}

fn integration_of(job: &Job) -> Result<IntegrationId, AppError> {
    text_of(job, "integration_id").map(IntegrationId::new)
}

fn report_of(job: &Job) -> Result<ReportId, AppError> {
    text_of(job, "report_id").map(ReportId::new)
}

fn occurrence_of(job: &Job) -> Result<Timestamp, AppError> {
    text_of(job, "occurrence")?.parse().map_err(AppError::internal)
}

fn tier_of(job: &Job) -> Result<usize, AppError> {
    let tier = job.payload.get("tier").and_then(serde_json::Value::as_u64);
    let tier = tier.and_then(|tier| usize::try_from(tier).ok());
    tier.ok_or_else(|| AppError::internal(format!("job {} has no tier", job.id)))
}

fn text_of(job: &Job, key: &str) -> Result<String, AppError> {
    job.payload
        .get(key)
        .and_then(serde_json::Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| AppError::internal(format!("job {} has no {key}", job.id)))
}
