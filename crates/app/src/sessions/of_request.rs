//! The sessions of one request, for people with a role: how to connect, new credentials.
//!
//! Invariant: anybody but the grantee reads instructions without secrets, and reading them marks
//! nothing as viewed. Having new credentials made is another's right, seeing them is not.

use std::collections::BTreeSet;

use latchkey_domain::{
    ids::SessionId,
    request::{AccessRequest, RequestState},
    session::{AccessSession, SessionState},
};
use latchkey_store::{Tx, Wake};

use super::{AccessDetailsView, is_resettable, reset, show, show_to_grantee};
use crate::{
    Actor, App, Operation, crash_points, error::AppError, lifecycle::lock_claims_of,
    requests::find_by_reference,
};

/// How to connect with what a request gives.
#[derive(Debug, Clone)]
pub struct RequestDetails {
    /// One part for each session, with the integration's name.
    pub parts: Vec<(String, AccessDetailsView)>,
    /// Whether the caller is the grantee, so that secrets are shown where they were not before.
    pub is_grantee: bool,
}

/// How to connect with what a request gives. The grantee is shown what was not shown yet.
///
/// # Errors
/// 404 for an unknown request, 409 when it is not in place.
pub async fn request_access_details(
    app: &App,
    actor: &Actor,
    id: &str,
) -> Result<RequestDetails, AppError> {
    actor.require(Operation::ReadAnyAccessDetails)?;
    let may_see_own = actor.may(Operation::ReadAccessDetails);
    let is_grantee = async |tx: &mut Tx| -> Result<bool, AppError> {
        let request = find_by_reference(tx, id).await?;
        Ok(may_see_own && request.grantee_id == actor.user.id)
    };
    let is_grantee = app.store().read(is_grantee).await?;
    let read = async |tx: &mut Tx| -> Result<RequestDetails, AppError> {
        let request = find_by_reference(tx, id).await?;
        let mut parts = Vec::new();
        for session in live_sessions(tx, &request).await? {
            let integration = tx.find_integration(&session.integration_id).await?;
            let name = integration.ok_or_else(AppError::not_found)?.name;
            let shown = if is_grantee {
                show_to_grantee(tx, actor, session).await?
            } else {
                show(tx, &session).await?
            };
            parts.push((name, shown));
        }
        Ok(RequestDetails { parts, is_grantee })
    };
    // Only showing a secret writes.
    if !is_grantee {
        return app.store().read(read).await;
    }
    let details = app.store().write(read).await?;
    if details.parts.iter().any(|(_, shown)| shown.password.is_some()) {
        app.crash_point(crash_points::CREDENTIALS_MARKED);
    }
    Ok(details)
}

/// Has new credentials made for every session of a request; only the grantee will see them.
///
/// # Errors
/// 404 for an unknown request, 409 when it is not in place or has no credentials.
pub async fn reset_request_credentials(app: &App, actor: &Actor, id: &str) -> Result<(), AppError> {
    actor.require(Operation::ResetAnyCredentials)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let request = find_by_reference(tx, id).await?;
            let units = tx.units_of(&request.id).await?;
            lock_claims_of(tx, &request.grantee_id, &units).await?;
            let mut is_any = false;
            for seen in live_sessions(tx, &request).await? {
                let session = tx.lock_session(&seen.id).await?.ok_or_else(AppError::not_found)?;
                if is_resettable(&session) {
                    reset(tx, actor, session).await?;
                    is_any = true;
                }
            }
            if is_any {
                return Ok(());
            }
            Err(AppError::conflict("this access has no credentials to reset"))
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    app.crash_point(crash_points::RESET_ASKED);
    Ok(())
}

/// The live sessions that carry what a request gives, in id order; 409 when it gives nothing.
async fn live_sessions(
    tx: &mut Tx,
    request: &AccessRequest,
) -> Result<Vec<AccessSession>, AppError> {
    if request.state != RequestState::Active {
        return Err(AppError::conflict(format!(
            "this request is {} and gives no access now",
            request.state.as_str()
        )));
    }
    let units = tx.units_of(&request.id).await?;
    let ids: BTreeSet<SessionId> = units
        .into_iter()
        .filter(|unit| unit.state.is_desired())
        .filter_map(|unit| unit.session_id)
        .collect();
    let mut sessions = tx.find_sessions(&ids.into_iter().collect::<Vec<_>>()).await?;
    sessions.retain(|session| session.state == SessionState::Live);
    sessions.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(sessions)
}
