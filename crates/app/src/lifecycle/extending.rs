//! From one end of access to a later one.
//!
//! The later end is written down beside the end that stands, and the targets are asked for it.
//! Only when all of them have it does the end of the request move; if the end that stands comes
//! first, the request ends there, and what targets had by then goes with it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use latchkey_domain::{
    audit::AuditActor,
    ids::SessionId,
    provisioning::ClaimExtension,
    request::{AccessRequest, RequestState, RequestUnit},
};
use latchkey_store::Tx;
use serde_json::json;

use super::{claims::desired_changed, plan_end};
use crate::{error::AppError, jobs, notifications, trail::record};

/// Asks the targets for the end `later`. The caller holds the locks of the claims and of the
/// request, and has checked that the request may be extended.
pub(crate) async fn begin_extending(
    tx: &mut Tx,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &mut [RequestUnit],
    later: Timestamp,
) -> Result<(), AppError> {
    let now = tx.now();
    request.extending_to = Some(later);
    tx.update_request(request).await?;
    let mut sessions: BTreeSet<SessionId> = BTreeSet::new();
    for unit in units.iter_mut().filter(|unit| unit.state.is_desired()) {
        unit.extends_to = Some(later);
        tx.update_unit(unit).await?;
        sessions.extend(unit.session_id.clone());
    }
    for id in sessions {
        let session = tx.lock_session(&id).await?;
        let mut session =
            session.ok_or_else(|| AppError::internal("a claim's session is missing"))?;
        let claims = tx.units_of_session(&id).await?;
        desired_changed(tx, &mut session, &claims, now).await?;
    }
    let told = json!({ "from": request.ends_at, "to": later, "before": request.extension_count });
    let (action, id) = ("access_request.extension_asked", request.id.as_str());
    record(tx, actor, action, "access_request", id, told).await
}

/// Moves the end of a unit whose target has the later one. One that comes after the end that
/// stood is too late; the request is ending.
pub(crate) fn extend_unit(
    unit: &mut RequestUnit,
    extended: &[ClaimExtension],
    now: Timestamp,
) -> bool {
    let has_it = |later: Timestamp| {
        extended.iter().any(|one| one.unit_id == unit.id && one.ends_at == later)
    };
    let Some(later) = unit.extends_to.filter(|later| has_it(*later)) else { return false };
    if !unit.state.is_desired() || unit.ends_at.is_none_or(|end| end <= now) {
        return false;
    }
    unit.ends_at = Some(later);
    unit.extends_to = None;
    true
}

/// Moves the end of the request if every claim of it has the later one.
pub(crate) async fn settle_extension(
    tx: &mut Tx,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &[RequestUnit],
) -> Result<(), AppError> {
    let Some(later) = request.extending_to else { return Ok(()) };
    let mut claims = units.iter().filter(|unit| unit.state.is_desired());
    let stands = request.ends_at.is_some_and(|end| end > tx.now());
    let is_everywhere = claims.all(|unit| unit.ends_at == Some(later));
    if request.state != RequestState::Active || !stands || !is_everywhere {
        return Ok(());
    }
    let from = request.ends_at.replace(later);
    request.extending_to = None;
    request.extension_count = request.extension_count.saturating_add(1);
    tx.update_request(request).await?;
    tx.cancel_job(&jobs::expiry_key(&request.id)).await?;
    plan_end(tx, &request.id, later).await?;
    let told = json!({ "from": from, "to": later, "count": request.extension_count });
    let (action, id) = ("access_request.extended", request.id.as_str());
    record(tx, actor, action, "access_request", id, told).await?;
    notifications::queue_news(tx, &request.id, notifications::News::Extended).await
}
