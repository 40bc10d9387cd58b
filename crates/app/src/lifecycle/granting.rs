//! From a decision to access: the end is fixed, sessions are joined or opened, claims are made.

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    audit::AuditActor,
    policy::{automatic::is_automatic, ends::fix_end, selection::is_break_glass},
    request::{AccessRequest, RequestState, RequestUnit, UnitState},
    settings::SettingSpec,
};
use latchkey_store::{NewJob, Tx};
use serde_json::json;

use super::{
    claims::{desired_changed, join_or_open_session},
    enter, plan_end, settle,
};
use crate::{App, error::AppError, jobs};

/// Enters Granting. The caller holds the locks of [`super::lock_claims_of`] and of the request,
/// and has checked that the request is allowed.
pub(crate) async fn begin_granting(
    tx: &mut Tx,
    app: &App,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &mut [RequestUnit],
) -> Result<(), AppError> {
    let now = tx.now();
    request.decided_at = Some(now);
    request.ends_at = end_of(request, now)?;
    let patience = setting_seconds(tx, "grant_deadline_sec").await?;
    let deadline =
        now.saturating_add(SignedDuration::from_secs(patience)).map_err(AppError::internal)?;
    let deadline = request.ends_at.map_or(deadline, |end| deadline.min(end));
    request.grant_deadline = Some(deadline);
    enter(
        tx,
        actor,
        request,
        RequestState::Granting,
        None,
        json!({ "ends_at": request.ends_at, "duration_sec": request.duration_sec }),
    )
    .await?;

    if is_break_glass(&request.flow_policy) && !is_automatic(&request.flow_policy) {
        tx.insert_emergency(&request.id).await?;
    }

    let mut integrations: Vec<_> = units.iter().map(|unit| unit.integration_id.clone()).collect();
    integrations.sort();
    integrations.dedup();
    for integration_id in integrations {
        let integration = tx
            .find_integration(&integration_id)
            .await?
            .ok_or_else(|| AppError::internal("a unit's integration is missing"))?;
        let entry = latchkey_catalog::find_type(&integration.integration_type)
            .ok_or_else(|| AppError::internal("an integration's type is not in the catalogue"))?;
        let mut session = join_or_open_session(
            tx,
            app,
            &integration_id,
            &request.grantee_id,
            entry.resets_credentials,
        )
        .await?;
        for unit in units.iter_mut().filter(|unit| unit.integration_id == integration_id) {
            unit.state = UnitState::Wanted;
            unit.session_id = Some(session.id.clone());
            unit.ends_at = request.ends_at;
            tx.update_unit(unit).await?;
        }
        let claims = tx.units_of_session(&session.id).await?;
        desired_changed(tx, &mut session, &claims, now).await?;
    }

    if let Some(end) = request.ends_at {
        plan_end(tx, &request.id, end).await?;
    }
    tx.enqueue_job(&NewJob {
        kind: jobs::GIVE_UP_GRANTING,
        dedupe_key: Some(jobs::grant_deadline_key(&request.id)),
        payload: json!({ "request_id": request.id }),
        run_at: deadline,
    })
    .await?;
    Ok(())
}

/// The deadline of granting has passed: what is not in place by now is cleaned up. The request
/// stays Granting until a read-back shows how each unit stands.
pub(crate) async fn give_up_granting(
    tx: &mut Tx,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &mut [RequestUnit],
) -> Result<(), AppError> {
    let now = tx.now();
    for unit in units.iter_mut().filter(|unit| unit.state == UnitState::Wanted) {
        unit.state = UnitState::Ending;
        if unit.error.is_none() {
            unit.error = Some(
                "the target did not confirm the access in time; see the integration's status"
                    .to_owned(),
            );
        }
        tx.update_unit(unit).await?;
    }
    super::ending::queue_sessions_of(tx, units, now).await?;
    crate::trail::record(
        tx,
        actor,
        "access_request.granting_given_up",
        "access_request",
        request.id.as_str(),
        json!({ "deadline": request.grant_deadline }),
    )
    .await?;
    settle(tx, actor, request, units).await
}

/// The end of access that begins now: fixed once, capped by the flow's window.
fn end_of(request: &AccessRequest, now: Timestamp) -> Result<Option<Timestamp>, AppError> {
    let timeframe = request.flow_policy.timeframe.as_ref();
    fix_end(now, request.duration_sec, timeframe).map_err(AppError::internal)
}

async fn setting_seconds(tx: &mut Tx, key: &str) -> Result<i64, AppError> {
    let spec = SettingSpec::get(key).map_err(|error| AppError::internal(error.to_string()))?;
    let value = tx.setting(spec).await?;
    value.as_i64().ok_or_else(|| AppError::internal(format!("setting {key} is not a number")))
}
