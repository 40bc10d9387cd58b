//! The end of an integration: deleted when nothing uses it, or retired when its target is gone
//! for good and nothing can be proved any more.

use std::collections::BTreeSet;

use latchkey_domain::{
    ids::{IntegrationId, RequestId},
    integration::IntegrationStatus,
    request::{RequestState, UnitState},
    session::SessionState,
};
use latchkey_store::{SessionFilter, Tx};
use serde_json::json;

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, codes},
    lifecycle::{Because, UNFINISHED, begin_ending, end_or_cancel, lock_with_claims, settle},
    trail,
};

/// What retiring an integration came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// The integration.
    pub id: IntegrationId,
    /// Claims that were closed without proof.
    pub claims_not_proven: u64,
    /// Requests that ended with them.
    pub requests_ended: u64,
}

/// Deletes an integration. 409, naming the users, while a flow, a bundle, a pending request or live
/// access uses it.
pub async fn delete_integration(
    app: &App,
    actor: &Actor,
    id: &IntegrationId,
) -> Result<(), AppError> {
    actor.require(Operation::ManageIntegrations)?;
    app.store().write(async |tx| delete(tx, actor, id).await).await
}

/// Deletes an integration. The caller has asked whether the actor may.
pub(crate) async fn delete(tx: &mut Tx, actor: &Actor, id: &IntegrationId) -> Result<(), AppError> {
    tx.lock_integration(id).await?;
    let integration = tx.find_integration(id).await?.ok_or_else(AppError::not_found)?;
    let mut users: Vec<String> = Vec::new();
    for flow in tx.flows_using_integration(id).await? {
        users.push(format!("the access flow \"{}\"", flow.name));
    }
    for bundle in tx.bundles_using_integration(id).await? {
        users.push(format!("the bundle \"{}\"", bundle.name));
    }
    for request in tx.open_requests_of_integration(id).await? {
        users.push(format!("the pending request AR-{}", request.number));
    }
    let claims = tx.live_claims_of_integration(id).await?;
    if claims > 0 {
        users.push(format!("live access to {claims} of its entitlements"));
    }
    if !users.is_empty() {
        return Err(AppError::conflict(format!(
            "the integration is used by {}; end those first, or, if the target is gone for \
             good, run `latchkey admin integration retire`",
            users.join(", ")
        )));
    }
    tx.delete_integration(id).await?;
    let detail = json!({
        "name": integration.name,
        "type": integration.integration_type,
    });
    let audit = actor.audit();
    trail::record(tx, &audit, "integration.deleted", "integration", id.as_str(), detail).await
}

/// Closes every claim of an integration whose target is gone for good as *not proven*, and
/// switches the integration off. What was closed stays in the audit trail.
pub async fn retire_integration(
    app: &App,
    actor: &Actor,
    id: &IntegrationId,
    because: &str,
) -> Result<Retired, AppError> {
    actor.require(Operation::RetireIntegration)?;
    let length = because.trim().chars().count();
    if !(1..=1000).contains(&length) {
        return Err(AppError::refused(
            codes::REASON_REQUIRED,
            "say why, in 1 to 1,000 characters: the audit trail keeps it",
        ));
    }
    app.store()
        .write(async |tx| {
            tx.lock_integration(id).await?;
            let mut integration = tx.find_integration(id).await?.ok_or_else(AppError::not_found)?;
            for request in tx.open_requests_of_integration(id).await? {
                let because = Because::TargetRetired;
                end_or_cancel(tx, &actor.audit(), &request.id, UNFINISHED, &because).await?;
            }
            let (claims_not_proven, touched) = close_claims(tx, actor, id).await?;
            let mut requests_ended = 0;
            for request in &touched {
                requests_ended += u64::from(settle_without_proof(tx, actor, request).await?);
            }
            tx.delete_tasks_of_integration(id).await?;
            // A discovery run that finds nothing: none of its entitlements can be asked for.
            let run = tx.begin_sync(id).await?;
            tx.finish_sync(id, &run).await?;
            integration.status = IntegrationStatus::Disabled;
            let reason = format!("retired: {}", because.trim());
            tx.set_integration_status(id, integration.status, Some(&reason), None).await?;
            let detail = json!({
                "name": integration.name,
                "because": because.trim(),
                "claims_not_proven": claims_not_proven,
                "requests": touched,
            });
            let audit = actor.audit();
            trail::record(tx, &audit, "integration.retired", "integration", id.as_str(), detail)
                .await?;
            Ok(Retired { id: id.clone(), claims_not_proven, requests_ended })
        })
        .await
}

/// Closes sessions and claims; how many claims, and of which requests.
async fn close_claims(
    tx: &mut Tx,
    actor: &Actor,
    id: &IntegrationId,
) -> Result<(u64, BTreeSet<RequestId>), AppError> {
    let mut closed = 0;
    let mut touched = BTreeSet::new();
    let filter = SessionFilter {
        integration_ids: vec![id.clone()],
        states: vec![SessionState::Live, SessionState::Ending],
        ..SessionFilter::default()
    };
    let sessions = tx.list_sessions(&filter, &latchkey_store::PageQuery::all()).await?;
    for session in sessions {
        tx.lock_grantee(id, &session.grantee_id).await?;
        let Some(mut session) = tx.lock_session(&session.id).await? else { continue };
        for mut unit in tx.units_of_session(&session.id).await? {
            if unit.state.is_claim() {
                unit.state = UnitState::NotProven;
                unit.error = Some("the target was retired; nothing could be proved".to_owned());
                tx.update_unit(&unit).await?;
                touched.insert(unit.request_id.clone());
                closed += 1;
            }
        }
        session.state = SessionState::Ended;
        session.ended_at = Some(tx.now());
        tx.update_session(&session).await?;
        tx.delete_credentials(&session.id).await?;
        let detail = json!({ "principal": session.principal });
        let audit = actor.audit();
        let session_id = session.id.as_str();
        trail::record(
            tx,
            &audit,
            "access_session.not_proven",
            "access_session",
            session_id,
            detail,
        )
        .await?;
    }
    Ok((closed, touched))
}

/// Ends a request that has no claim left; whether it ended.
async fn settle_without_proof(
    tx: &mut Tx,
    actor: &Actor,
    id: &RequestId,
) -> Result<bool, AppError> {
    let Some((mut request, mut units)) = lock_with_claims(tx, id).await? else {
        return Ok(false);
    };
    let claims_left = units.iter().any(|unit| unit.state.is_claim());
    let audit = actor.audit();
    if !claims_left && matches!(request.state, RequestState::Granting | RequestState::Active) {
        let because = Because::TargetRetired;
        begin_ending(tx, &audit, &mut request, &mut units, &because).await?;
    } else {
        settle(tx, &audit, &mut request, &units).await?;
    }
    Ok(request.state.is_final())
}
