//! What a request's state follows from: its units. Called after every change of a unit.

use latchkey_domain::{
    audit::AuditActor,
    request::{AccessRequest, RequestState, RequestUnit, UnitState},
};
use latchkey_store::Tx;
use serde_json::json;

use super::enter;
use crate::{error::AppError, jobs};

/// Moves the request on if its units say so; otherwise changes nothing.
pub(crate) async fn settle(
    tx: &mut Tx,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &[RequestUnit],
) -> Result<(), AppError> {
    match next_state(request.state, units) {
        Some(RequestState::Active) => {
            request.granted_at = Some(tx.now());
            tx.cancel_job(&jobs::grant_deadline_key(&request.id)).await?;
            let failed = units.iter().filter(|unit| unit.state == UnitState::Failed).count();
            let held = units.iter().filter(|unit| unit.state == UnitState::Held).count();
            let detail = json!({ "units_held": held, "units_failed": failed });
            enter(tx, actor, request, RequestState::Active, None, detail).await
        }
        Some(RequestState::Failed) => {
            tx.cancel_job(&jobs::expiry_key(&request.id)).await?;
            tx.cancel_job(&jobs::grant_deadline_key(&request.id)).await?;
            let reason = units.iter().find_map(|unit| unit.error.clone());
            enter(tx, actor, request, RequestState::Failed, reason, json!({})).await
        }
        Some(RequestState::Revoked) => {
            let now = tx.now();
            request.ended_at = Some(now);
            let late = request.ends_at.map(|end| now.duration_since(end).as_secs().max(0));
            let reason = request.state_reason.clone();
            let detail = json!({ "seconds_after_end": late });
            enter(tx, actor, request, RequestState::Revoked, reason, detail).await
        }
        _ => Ok(()),
    }
}

/// The state that units like these lead to from `state`, if any.
fn next_state(state: RequestState, units: &[RequestUnit]) -> Option<RequestState> {
    let any = |wanted: UnitState| units.iter().any(|unit| unit.state == wanted);
    match state {
        RequestState::Granting if any(UnitState::Wanted) => None,
        RequestState::Granting if any(UnitState::Held) => Some(RequestState::Active),
        RequestState::Granting if any(UnitState::Ending) => None,
        RequestState::Granting => Some(RequestState::Failed),
        RequestState::Revoking if units.iter().any(|unit| unit.state.is_claim()) => None,
        RequestState::Revoking => Some(RequestState::Revoked),
        _ => None,
    }
}
