//! From access to none: every way in which a request ends.

use std::collections::BTreeSet;

use jiff::Timestamp;
use latchkey_domain::{
    audit::AuditActor,
    ids::{FlowId, RequestId, SessionId, UserId},
    request::{AccessRequest, RequestState, RequestUnit, UnitState},
};
use latchkey_store::{NewJob, PageQuery, RequestFilter, Tx};
use serde_json::json;

use super::{claims::desired_changed, enter, lock_with_claims, settle};
use crate::{error::AppError, jobs};

/// Plans the timer that ends the request. Where one is planned already, the earlier time holds.
pub(crate) async fn plan_end(
    tx: &mut Tx,
    request: &RequestId,
    run_at: Timestamp,
) -> Result<(), AppError> {
    tx.enqueue_job(&NewJob {
        kind: jobs::EXPIRE_REQUEST,
        dedupe_key: Some(jobs::expiry_key(request)),
        payload: json!({ "request_id": request }),
        run_at,
    })
    .await?;
    Ok(())
}

/// Why a request ends; the words stand in the audit trail and are shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// Its end has come.
    Expired,
    /// The grantee or requestor gave it up.
    GivenUp,
    /// An Admin ended it.
    EndedByAdmin,
    /// Nobody decided in time.
    NotDecidedInTime,
    /// The requestor did not give the second factor in time.
    NoSecondFactorInTime,
    /// Its flow was deleted.
    FlowDeleted,
    /// Its flow was switched off.
    FlowSwitchedOff,
    /// Its flow asks for more now, or does not allow it any more.
    FlowChanged(String),
    /// It is automatic, and its flow's conditions are not met any more.
    ConditionsNotMet,
    /// The target lost it, by somebody else's hand.
    LostAtTarget,
    /// The person was disabled.
    PersonDisabled,
    /// The target is gone for good; nothing can be proved any more.
    TargetRetired,
}

impl Because {
    /// The reason in words.
    pub fn words(&self) -> String {
        match self {
            Self::Expired => "its end has come".to_owned(),
            Self::GivenUp => "ended by the person it was for or who asked".to_owned(),
            Self::EndedByAdmin => "ended by an administrator".to_owned(),
            Self::NotDecidedInTime => "nobody decided in time; ask again".to_owned(),
            Self::NoSecondFactorInTime => {
                "its second factor was not given in time; ask again".to_owned()
            }
            Self::FlowDeleted => "its access flow was deleted".to_owned(),
            Self::FlowSwitchedOff => "its access flow was switched off".to_owned(),
            Self::FlowChanged(what) => format!("{what}; ask again"),
            Self::ConditionsNotMet => {
                "its access flow's conditions are not met any more, or no longer for all of it"
                    .to_owned()
            }
            Self::LostAtTarget => "the target no longer has what it was for".to_owned(),
            Self::PersonDisabled => "the person was disabled".to_owned(),
            Self::TargetRetired => "its target was retired".to_owned(),
        }
    }
}

/// Begins to end access: every claim of the request is to be removed. The caller holds the
/// locks; the request is Granting or Active.
pub(crate) async fn begin_ending(
    tx: &mut Tx,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &mut [RequestUnit],
    because: &Because,
) -> Result<(), AppError> {
    let now = tx.now();
    if request.revoke_requested_at.is_none() && *because != Because::Expired {
        request.revoke_requested_at = Some(now);
    }
    // A later end that not every target had by now never was in force.
    let lapsed = request.extending_to.take();
    let told = json!({ "extension_lapsed": lapsed });
    enter(tx, actor, request, RequestState::Revoking, Some(because.words()), told).await?;
    for unit in units.iter_mut().filter(|unit| unit.state.is_desired()) {
        unit.state = UnitState::Ending;
        unit.error = None;
        unit.extends_to = None;
        tx.update_unit(unit).await?;
    }
    queue_sessions_of(tx, units, now).await?;
    tx.cancel_job(&jobs::expiry_key(&request.id)).await?;
    tx.cancel_job(&jobs::grant_deadline_key(&request.id)).await?;
    tx.cancel_job(&jobs::reminder_key(&request.id)).await?;
    settle(tx, actor, request, units).await
}

/// Tells the sessions that carry `units` that what they should hold has changed.
pub(super) async fn queue_sessions_of(
    tx: &mut Tx,
    units: &[RequestUnit],
    due: Timestamp,
) -> Result<(), AppError> {
    let sessions: BTreeSet<&SessionId> = units
        .iter()
        .filter(|unit| unit.state == UnitState::Ending)
        .filter_map(|unit| unit.session_id.as_ref())
        .collect();
    for session_id in sessions {
        let mut session = tx
            .lock_session(session_id)
            .await?
            .ok_or_else(|| AppError::internal("a claim's session is missing"))?;
        let claims = tx.units_of_session(session_id).await?;
        desired_changed(tx, &mut session, &claims, due).await?;
    }
    Ok(())
}

/// Ends a request before access began.
pub(crate) async fn cancel(
    tx: &mut Tx,
    actor: &AuditActor,
    request: &mut AccessRequest,
    because: &Because,
) -> Result<(), AppError> {
    request.decided_at = Some(tx.now());
    enter(tx, actor, request, RequestState::Cancelled, Some(because.words()), json!({})).await?;
    tx.cancel_job(&jobs::approval_expiry_key(&request.id)).await?;
    Ok(())
}

/// Ends the request whatever its state: cancels it while open, revokes it while it may hold
/// access. Returns whether there was anything to end: only a request in one of `states` is
/// touched. Takes the locks itself.
pub(crate) async fn end_or_cancel(
    tx: &mut Tx,
    actor: &AuditActor,
    id: &RequestId,
    states: &[RequestState],
    because: &Because,
) -> Result<bool, AppError> {
    let Some((mut request, mut units)) = lock_with_claims(tx, id).await? else {
        return Ok(false);
    };
    if !states.contains(&request.state) {
        return Ok(false);
    }
    if request.state.is_open() {
        cancel(tx, actor, &mut request, because).await?;
        return Ok(true);
    }
    if matches!(request.state, RequestState::Granting | RequestState::Active) {
        begin_ending(tx, actor, &mut request, &mut units, because).await?;
        return Ok(true);
    }
    Ok(false)
}

/// Ends everything that a person asked for or holds.
pub async fn end_everything_of_user(
    tx: &mut Tx,
    actor: &AuditActor,
    user: &UserId,
    because: &Because,
) -> Result<u64, AppError> {
    let filter = RequestFilter {
        either: Some(user.clone()),
        states: UNFINISHED.to_vec(),
        ..RequestFilter::default()
    };
    end_all(tx, actor, &filter, because).await
}

/// Ends everything that a flow governs: pending requests are cancelled, live access is revoked.
pub async fn end_everything_of_flow(
    tx: &mut Tx,
    actor: &AuditActor,
    flow: &FlowId,
    because: &Because,
) -> Result<u64, AppError> {
    let filter = RequestFilter {
        flow: Some(flow.clone()),
        states: UNFINISHED.to_vec(),
        ..RequestFilter::default()
    };
    end_all(tx, actor, &filter, because).await
}

/// Cancels what waits under a flow; live access stays.
pub async fn cancel_open_requests_of_flow(
    tx: &mut Tx,
    actor: &AuditActor,
    flow: &FlowId,
    because: &Because,
) -> Result<u64, AppError> {
    let filter = RequestFilter {
        flow: Some(flow.clone()),
        states: vec![RequestState::PendingMfa, RequestState::Pending],
        ..RequestFilter::default()
    };
    end_all(tx, actor, &filter, because).await
}

/// The states in which there is something to end.
pub(crate) const UNFINISHED: &[RequestState] = &[
    RequestState::Initializing,
    RequestState::PendingMfa,
    RequestState::Pending,
    RequestState::Granting,
    RequestState::Active,
];

/// Ends every request that `filter` finds, a page at a time until none is left.
async fn end_all(
    tx: &mut Tx,
    actor: &AuditActor,
    filter: &RequestFilter,
    because: &Because,
) -> Result<u64, AppError> {
    let mut ended = 0;
    loop {
        let page = PageQuery::first(200);
        let found = tx.list_requests(filter, &page).await?;
        if found.is_empty() {
            return Ok(ended);
        }
        for request in found {
            if end_or_cancel(tx, actor, &request.id, &filter.states, because).await? {
                ended += 1;
            }
        }
    }
}
