//! Prolonging one's running access.

use latchkey_domain::{ids::RequestId, policy::extensions::later_end};
use latchkey_store::{Tx, Wake};

use super::{reading::find_own, seen_again::SeenAgain};
use crate::{
    Actor, App, Operation, crash_points,
    error::AppError,
    lifecycle::{begin_extending, lock_with_claims},
};

/// Asks for a later end of a request that the caller filed or is the grantee of, by the step of
/// its flow. The later end is in force once the target has it; read the request to follow.
///
/// # Errors
/// 404 for a request that is not the caller's, 409 saying why it cannot be extended.
pub async fn extend_request(app: &App, actor: &Actor, id: &str) -> Result<RequestId, AppError> {
    actor.require(Operation::ExtendOwnRequest)?;
    let extending = app
        .store()
        .write(async |tx: &mut Tx| -> Result<RequestId, AppError> {
            let request = find_own(tx, actor, id).await?;
            let locked = lock_with_claims(tx, &request.id).await?;
            let (mut request, mut units) = locked.ok_or_else(AppError::not_found)?;
            let seen = SeenAgain::read(tx, &request, &units).await?;
            let later = later_end(&request, &seen.facts(&request, tx.now())?)
                .map_err(|reason| AppError::conflict(reason.to_string()))?;
            begin_extending(tx, &actor.audit(), &mut request, &mut units, later).await?;
            Ok(request.id)
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    app.crash_point(crash_points::EXTENSION_ASKED);
    Ok(extending)
}
