//! The one place where a request's state is written.

use latchkey_domain::{
    audit::AuditActor,
    request::{AccessRequest, RequestState},
};
use latchkey_store::Tx;
use serde_json::{Value, json};

use crate::{error::AppError, jobs, trail::record};

/// Moves `request` to `next`, stores it, and records the step.
///
/// # Errors
/// An internal error if the transition table has no such arrow: that is a defect, and the
/// transaction must not commit.
pub(crate) async fn enter(
    tx: &mut Tx,
    actor: &AuditActor,
    request: &mut AccessRequest,
    next: RequestState,
    reason: Option<String>,
    detail: Value,
) -> Result<(), AppError> {
    let from = request.state;
    if !from.may_become(next) {
        return Err(AppError::internal(format!(
            "request {} cannot go from {} to {}",
            request.id,
            from.as_str(),
            next.as_str()
        )));
    }
    if from == RequestState::Pending {
        tx.cancel_job(&jobs::escalation_key(&request.id)).await?;
    }
    request.state = next;
    request.state_reason.clone_from(&reason);
    tx.update_request(request).await?;
    let action = match next {
        RequestState::Initializing => "access_request.initializing",
        RequestState::PendingMfa => "access_request.pending_mfa",
        RequestState::Pending => "access_request.pending",
        RequestState::Granting => "access_request.granting",
        RequestState::Active => "access_request.active",
        RequestState::Revoking => "access_request.revoking",
        RequestState::Revoked => "access_request.revoked",
        RequestState::Rejected => "access_request.rejected",
        RequestState::Cancelled => "access_request.cancelled",
        RequestState::Failed => "access_request.failed",
    };
    let detail = json!({ "from": from.as_str(), "reason": reason, "detail": detail });
    record(tx, actor, action, "access_request", request.id.as_str(), detail).await?;
    tx.push_outbox(
        "access_request.state",
        &json!({ "request_id": request.id, "from": from.as_str(), "to": next.as_str() }),
    )
    .await?;
    metrics::counter!("latchkey_request_transitions_total", "to" => next.as_str()).increment(1);
    Ok(())
}
