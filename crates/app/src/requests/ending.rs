//! Ending a request by hand.

use latchkey_domain::{ids::RequestId, request::RequestState};
use latchkey_store::{Tx, Wake};

use super::{automatic::refuse_automatic, reading::find_visible};
use crate::{
    Actor, App, Operation, crash_points,
    error::AppError,
    lifecycle::{Because, UNFINISHED, end_or_cancel},
};

/// Ends a request: cancels it while it waits, revokes it while it may hold access. Allowed to
/// requestor and grantee; with [`Operation::RevokeAnyRequest`] to others too.
///
/// # Errors
/// 404 for a request that is not for the caller's eyes, 409 when it is over already.
pub async fn revoke_request(app: &App, actor: &Actor, id: &str) -> Result<RequestId, AppError> {
    actor.require(Operation::RevokeOwnRequest)?;
    let ended = app
        .store()
        .write(async |tx: &mut Tx| -> Result<RequestId, AppError> {
            let request = find_visible(tx, actor, id).await?;
            let is_party = [&request.requestor_id, &request.grantee_id].contains(&&actor.user.id);
            if !is_party && !actor.may(Operation::RevokeAnyRequest) {
                return Err(AppError::not_found());
            }
            refuse_automatic(tx, &request).await?;
            let because = if is_party { Because::GivenUp } else { Because::EndedByAdmin };
            if end_or_cancel(tx, &actor.audit(), &request.id, UNFINISHED, &because).await? {
                return Ok(request.id);
            }
            Err(AppError::conflict(match request.state {
                RequestState::Revoking => "this access is already being removed",
                _ => "this request is already over",
            }))
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    app.crash_point(crash_points::REVOKE_ASKED);
    Ok(ended)
}
