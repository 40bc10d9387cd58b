//! Taking results: what the target was proved to hold moves units, and units move requests.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    audit::AuditActor,
    ids::{ReceiptId, RequestId, TaskId, UnitId},
    provisioning::{ClaimOutcome, ClaimState, FaultClass, TargetFault},
    request::{RequestState, RequestUnit, UnitState},
    session::{AccessSession, CredentialsStatus, SessionState},
};
use latchkey_protocol::{Applied, Outcome, TaskResult};
use latchkey_store::{LeasedTask, ReceiptRecord, TaskKind, Tx};
use serde_json::json;

use super::{discovered, presence::check_version, together};
use crate::{
    App, ConnectorActor, crash_points,
    error::{AppError, ErrorKind},
    lifecycle::{desired_changed, extend_unit, plan_end, settle, settle_extension},
    reconcile,
    trail::record,
};

/// How often storing a result is tried when others change the same rows.
const MOST_TRIES: u32 = 5;

/// The longest back-off after an error that the target itself returned.
const LONGEST_BACK_OFF_SEC: i64 = 60;

/// Stores a result and everything that follows from it. A result of a lease that is no longer
/// the newest changes nothing and is answered like any other: the sender has nothing left to do.
pub async fn task_result(
    app: &App,
    actor: &ConnectorActor,
    task_id: &TaskId,
    result: TaskResult,
) -> Result<(), AppError> {
    check_version(result.protocol)?;
    app.crash_point(crash_points::RESULT_RECEIVED);
    together::store(app, actor, task_id, result).await?;
    app.crash_point(crash_points::RESULT_STORED);
    Ok(())
}

/// Stores a result in a transaction of its own.
pub(super) async fn store_alone(
    app: &App,
    actor: &ConnectorActor,
    task_id: &TaskId,
    result: &TaskResult,
) -> Result<(), AppError> {
    let mut tries = 1;
    // Somebody else changed a row meanwhile, or a newer lease was handed out: look again. What
    // is then no longer the newest is ignored below.
    while let Err(error) = store_result(app, actor, task_id, result).await {
        if error.kind != ErrorKind::Conflict || tries == MOST_TRIES {
            return Err(error);
        }
        tries += 1;
    }
    Ok(())
}

/// One try, in one transaction.
async fn store_result(
    app: &App,
    actor: &ConnectorActor,
    task_id: &TaskId,
    result: &TaskResult,
) -> Result<(), AppError> {
    let store = async |tx: &mut Tx| -> Result<(), AppError> {
        store_one(tx, app, actor, task_id, result).await
    };
    app.store().write(store).await
}

/// Stores a result within a transaction.
pub(super) async fn store_one(
    tx: &mut Tx,
    app: &App,
    actor: &ConnectorActor,
    task_id: &TaskId,
    result: &TaskResult,
) -> Result<(), AppError> {
    // Refused below if a newer lease was handed out meanwhile.
    let Some(task) = tx.find_leased_task(task_id, result.lease).await? else {
        tracing::info!(task.id = %task_id, task.lease = result.lease,
            "A result of a former lease arrived and was ignored.");
        return Ok(());
    };
    if task.connector_id != actor.connector_id {
        return Err(AppError::not_found());
    }
    match &result.outcome {
        Outcome::Applied(applied) => store_applied(tx, app, &actor.audit(), &task, applied).await,
        Outcome::Discovered(page) => {
            discovered::store_page(tx, app, &actor.audit(), &task, page).await
        }
        Outcome::Reconciled(found) => {
            discovered::store_reconciled(tx, &actor.audit(), &task, found).await
        }
        Outcome::Fenced { fence } => raise_fence(tx, &actor.audit(), &task, *fence).await,
        Outcome::Failed(fault) => store_fault(tx, &actor.audit(), &task, fault).await,
    }
}

/// What an apply came to.
async fn store_applied(
    tx: &mut Tx,
    app: &App,
    actor: &AuditActor,
    task: &LeasedTask,
    applied: &Applied,
) -> Result<(), AppError> {
    let Some(mut session) = lock_session_of(tx, task).await? else {
        tx.finish_task(task).await?;
        return Ok(());
    };
    let now = tx.now();
    let mut units = tx.units_of_session(&session.id).await?;
    let touched = move_units(tx, now, &mut units, applied).await?;

    if let Some(sealed) = &applied.credentials {
        keep_credentials(tx, app, &mut session, sealed).await?;
    }
    if let Some(details) = &applied.access_details {
        tx.put_access_details(&session.id, details).await?;
    }
    for request_id in &touched {
        keep_receipt(tx, app, &session, task, applied, Some(request_id.clone())).await?;
    }

    let receipt = &applied.receipt;
    let wants_nothing = !units.iter().any(|unit| unit.state.is_claim());
    let is_gone = receipt.open_sessions == 0 && !receipt.can_log_in && receipt.holds.is_empty();
    session.fence = session.fence.max(applied.fence);
    session.applied_version = task.desired_version.unwrap_or(session.desired_version);
    if wants_nothing && is_gone {
        session.state = SessionState::Ended;
        session.ended_at = Some(now);
        tx.delete_credentials(&session.id).await?;
        let detail = json!({
            "principal": session.principal,
            "principal_exists": receipt.principal_exists,
            "leftover": receipt.leftover,
        });
        record(tx, actor, "access_session.ended", "access_session", session.id.as_str(), detail)
            .await?;
    }
    let wants_nothing_more =
        session.state == SessionState::Live && !units.iter().any(|unit| unit.state.is_desired());
    if wants_nothing_more {
        // Every claim failed: the principal that was made for them has to go as well.
        desired_changed(tx, &mut session, &units, now).await?;
    } else {
        tx.update_session(&session).await?;
    }

    for request_id in touched {
        move_request(tx, actor, &request_id, now).await?;
    }
    let unproven = applied.claims.iter().filter(|claim| claim.state == ClaimState::Unknown);
    let why = unproven.filter_map(|claim| claim.fault.as_ref()).map(|fault| &*fault.message).next();
    finish_or_repeat(tx, task, &session, &units, why).await
}

/// Moves the session's units by what was read back; returns the requests they belong to.
async fn move_units(
    tx: &mut Tx,
    now: Timestamp,
    units: &mut [RequestUnit],
    applied: &Applied,
) -> Result<BTreeSet<RequestId>, AppError> {
    let outcomes: BTreeMap<&UnitId, &ClaimOutcome> =
        applied.claims.iter().map(|outcome| (&outcome.unit_id, outcome)).collect();
    let mut touched = BTreeSet::new();
    for unit in units.iter_mut() {
        let Some(outcome) = outcomes.get(&unit.id) else { continue };
        let (state, error) = next_unit_state(unit, outcome, now);
        let is_moved = state != unit.state || error != unit.error;
        unit.state = state;
        unit.error = error;
        let is_extended =
            outcome.state == ClaimState::Present && extend_unit(unit, &applied.extended, now);
        if !is_moved && !is_extended {
            continue;
        }
        tx.update_unit(unit).await?;
        touched.insert(unit.request_id.clone());
    }
    Ok(touched)
}

/// How a unit stands after a read-back.
fn next_unit_state(
    unit: &RequestUnit,
    outcome: &ClaimOutcome,
    now: Timestamp,
) -> (UnitState, Option<String>) {
    let message = outcome.fault.as_ref().map(|fault| fault.message.clone());
    let is_over = unit.ends_at.is_some_and(|end| end <= now);
    match (unit.state, outcome.state) {
        (UnitState::Wanted, ClaimState::Present) => (UnitState::Held, None),
        (UnitState::Wanted, ClaimState::Absent) if is_final(outcome.fault.as_ref()) => {
            (UnitState::Failed, message)
        }
        (UnitState::Wanted, ClaimState::Absent) if is_over => {
            (UnitState::Failed, Some("its end came before it was in place".to_owned()))
        }
        (UnitState::Held, ClaimState::Absent) if is_over => (UnitState::Ended, None),
        // Gone for good at the target, by somebody else's hand: what it was for is over.
        (UnitState::Held, ClaimState::Absent) if is_final(outcome.fault.as_ref()) => {
            (UnitState::Ended, message)
        }
        (UnitState::Held, ClaimState::Absent) => (UnitState::Wanted, message),
        // Only giving up leaves an error on an ending unit: it never was in place.
        (UnitState::Ending, ClaimState::Absent) => match &unit.error {
            Some(error) => (UnitState::Failed, Some(error.clone())),
            None => (UnitState::Ended, None),
        },
        (UnitState::Wanted, _) => (UnitState::Wanted, message.or_else(|| unit.error.clone())),
        (state, _) => (state, unit.error.clone()),
    }
}

/// Whether trying again would be refused again.
fn is_final(fault: Option<&TargetFault>) -> bool {
    fault.is_some_and(|fault| matches!(fault.class, FaultClass::Refused | FaultClass::Forbidden))
}

/// Moves a request whose units moved. A request whose claims are gone before anybody ended it
/// (their end came before the timer ran, or the target lost them) goes through Revoking like any
/// other; a job of its own does that, because it has to lock other integrations first.
async fn move_request(
    tx: &mut Tx,
    actor: &AuditActor,
    id: &RequestId,
    now: Timestamp,
) -> Result<(), AppError> {
    let Some(mut request) = tx.lock_request(id).await? else { return Ok(()) };
    let units = tx.units_of(id).await?;
    settle(tx, actor, &mut request, &units).await?;
    settle_extension(tx, actor, &mut request, &units).await?;
    let ended = units.iter().any(|unit| unit.state == UnitState::Ended);
    if ended && matches!(request.state, RequestState::Granting | RequestState::Active) {
        plan_end(tx, id, now).await?;
    }
    Ok(())
}

/// Ends the task, or plans it again while anything is left to do.
async fn finish_or_repeat(
    tx: &mut Tx,
    task: &LeasedTask,
    session: &AccessSession,
    units: &[RequestUnit],
    why: Option<&str>,
) -> Result<(), AppError> {
    let is_left = session.state != SessionState::Ended
        && (session.state == SessionState::Ending
            || units
                .iter()
                .any(|unit| matches!(unit.state, UnitState::Wanted | UnitState::Ending))
            || units.iter().any(|unit| unit.state.is_desired() && unit.extends_to.is_some())
            || session.credentials_status == CredentialsStatus::Resetting);
    if !is_left || session.desired_version > session.applied_version {
        // A change that came after the lease has marked the task to run again.
        tx.finish_task(task).await?;
        return Ok(());
    }
    let due = tx.now().saturating_add(back_off(task.attempts)).map_err(AppError::internal)?;
    let why = why.unwrap_or("the target has not confirmed everything yet");
    tx.retry_task(task, due, why).await?;
    Ok(())
}

async fn keep_credentials(
    tx: &mut Tx,
    app: &App,
    session: &mut AccessSession,
    sealed: &str,
) -> Result<(), AppError> {
    let made = app
        .sealing_key()
        .open_credentials(sealed)
        .map_err(|error| AppError::invalid("credentials", error.to_string()))?;
    let password = secrecy::SecretString::from(made.password.clone());
    tx.put_credentials(&session.id, &made.username, &password).await?;
    session.credentials_status = CredentialsStatus::Available;
    Ok(())
}

async fn keep_receipt(
    tx: &mut Tx,
    app: &App,
    session: &AccessSession,
    task: &LeasedTask,
    applied: &Applied,
    request_id: Option<RequestId>,
) -> Result<(), AppError> {
    let now = tx.now();
    let mut receipt = applied.receipt.clone();
    for expired in &applied.expired_by_connector {
        receipt.notes.push(format!(
            "claim {} was removed at {} by the connector on its own",
            expired.unit_id, expired.removed_at
        ));
    }
    tx.insert_receipt(&ReceiptRecord {
        id: ReceiptId::generate(now, app.rng()),
        session_id: session.id.clone(),
        request_id,
        task_id: task.id.clone(),
        receipt,
        fence: applied.fence,
        at: now,
    })
    .await?;
    Ok(())
}

/// Locks the (grantee, integration) pair and then the session of an apply task.
async fn lock_session_of(
    tx: &mut Tx,
    task: &LeasedTask,
) -> Result<Option<AccessSession>, AppError> {
    let Some(id) = &task.session_id else { return Ok(None) };
    let Some(seen) = tx.find_session(id).await? else { return Ok(None) };
    tx.lock_grantee(&seen.integration_id, &seen.grantee_id).await?;
    Ok(tx.lock_session(id).await?)
}

/// The target has seen a higher fence: the counter goes above it, and the task runs again.
async fn raise_fence(
    tx: &mut Tx,
    actor: &AuditActor,
    task: &LeasedTask,
    fence: i64,
) -> Result<(), AppError> {
    let Some(mut session) = lock_session_of(tx, task).await? else {
        tx.finish_task(task).await?;
        return Ok(());
    };
    let before = session.fence.saturating_add(task.lease);
    let detail = json!({ "fence_at_target": fence, "fence_before": before });
    session.fence = session.fence.max(fence);
    tx.update_session(&session).await?;
    reconcile::notice_restore(tx).await?;
    record(tx, actor, "access_session.fence_raised", "access_session", session.id.as_str(), detail)
        .await?;
    let now = tx.now();
    tx.retry_task(task, now, "the target had seen a higher fence").await?;
    Ok(())
}

/// The work failed as a whole: it is planned again, sooner when the target could not be reached.
async fn store_fault(
    tx: &mut Tx,
    actor: &AuditActor,
    task: &LeasedTask,
    fault: &TargetFault,
) -> Result<(), AppError> {
    let now = tx.now();
    match task.kind {
        TaskKind::Discover => return discovered::store_failed(tx, actor, task, fault).await,
        TaskKind::Reconcile => {
            tx.finish_task(task).await?;
            return Ok(());
        }
        TaskKind::Apply => {}
    }
    if let Some(session) = lock_session_of(tx, task).await? {
        for mut unit in tx.units_of_session(&session.id).await? {
            // Remembered for the day when granting is given up; an ending unit keeps its own.
            if unit.state == UnitState::Wanted {
                unit.error = Some(fault.message.clone());
                tx.update_unit(&unit).await?;
            }
        }
    }
    let pause = match fault.class {
        FaultClass::Unreachable | FaultClass::Unknown => SignedDuration::from_secs(1),
        FaultClass::Transient | FaultClass::Refused | FaultClass::Forbidden => {
            back_off(task.attempts)
        }
    };
    let due = now.saturating_add(pause).map_err(AppError::internal)?;
    tx.retry_task(task, due, &fault.message).await?;
    tracing::warn!(task.id = %task.id, integration.id = %task.integration_id,
        fault.class = ?fault.class, "Work on a target failed and will be tried again.");
    Ok(())
}

/// 1, 2, 4 … seconds, 60 at most.
fn back_off(attempts: i64) -> SignedDuration {
    let exponent = u32::try_from(attempts.clamp(0, 6)).unwrap_or(6);
    SignedDuration::from_secs(2_i64.pow(exponent).min(LONGEST_BACK_OFF_SEC))
}
