//! What becomes of requests under way. A change of a flow is noticed when a request is decided:
//! until then it waits on, and access that began stays. Only a flow that is switched off or
//! deleted acts at once.

use latchkey_domain::{
    flow::AccessFlow,
    policy::{
        approvals::Given,
        automatic::{effective, is_automatic},
        deciding::{Facts, Verdict, decide, still_allowed},
    },
    request::{AccessRequest, RequestState},
};
use latchkey_store::{PageQuery, RequestFilter, Tx};

use super::Sides;
use crate::{
    error::AppError,
    requests::{RequestView, SeenAgain, read_view},
};

/// How many requests are looked at.
const MOST_REQUESTS: u32 = 1000;

/// What becomes of requests under way.
#[derive(Debug, Clone, Default)]
pub struct RequestsChanged {
    /// How many wait for a decision and would not get it any more, or from others.
    pub pending: u64,
    /// How many are in place and would end, or could not be prolonged or asked for again.
    pub live: u64,
    /// Whether every request of the flows was looked at; the newest ones are.
    pub complete: bool,
    /// The newest of them.
    pub requests: Vec<RequestChanged>,
}

/// What becomes of one request.
#[derive(Debug, Clone)]
pub struct RequestChanged {
    /// The request.
    pub seen: RequestView,
    /// What becomes of it.
    pub effect: Effect,
    /// Why.
    pub reason: String,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is cancelled with the change.
    Cancelled,
    /// It is cancelled once somebody decides about it.
    CancelledWhenDecided,
    /// Others have to agree than were asked: the approvals of those who were do not suffice.
    AsksOthers,
    /// Its access ends with the change.
    Revoked,
    /// Its access stays until its end, and could not be prolonged or asked for again.
    Kept,
}

const LOOKED_AT: [RequestState; 4] =
    [RequestState::PendingMfa, RequestState::Pending, RequestState::Granting, RequestState::Active];

/// Looks at the requests that the changed flows govern.
pub(super) async fn compare(
    tx: &mut Tx,
    sides: &Sides,
    limit: usize,
) -> Result<RequestsChanged, AppError> {
    let mut changed = RequestsChanged { complete: true, ..RequestsChanged::default() };
    for flow in &sides.flows {
        let filter = RequestFilter {
            flow: Some(flow.clone()),
            states: LOOKED_AT.to_vec(),
            ..RequestFilter::default()
        };
        let page = PageQuery { newest_first: true, ..PageQuery::first(MOST_REQUESTS) };
        let requests = tx.list_requests(&filter, &page).await?;
        changed.complete &= requests.len() < MOST_REQUESTS as usize;
        let after = sides.after.policy().find_flow(flow);
        for request in requests {
            let Some((effect, reason)) = effect(tx, sides, &request, after).await? else {
                continue;
            };
            if request.state.is_open() {
                changed.pending += 1;
            } else {
                changed.live += 1;
            }
            if changed.requests.len() < limit {
                let seen = read_view(tx, request).await?;
                changed.requests.push(RequestChanged { seen, effect, reason });
            }
        }
    }
    Ok(changed)
}

async fn effect(
    tx: &mut Tx,
    sides: &Sides,
    request: &AccessRequest,
    after: Option<&AccessFlow>,
) -> Result<Option<(Effect, String)>, AppError> {
    let is_open = request.state.is_open();
    let Some(after) = after else {
        let effect = if is_open { Effect::Cancelled } else { Effect::Revoked };
        return Ok(Some((effect, "its access flow is deleted".to_owned())));
    };
    if is_automatic(&request.flow_policy) {
        return of_automatic(tx, sides, request, after).await;
    }
    let was_active = sides.before.policy().find_flow(&after.id).is_some_and(|flow| flow.active);
    if is_open && was_active && !after.active {
        return Ok(Some((Effect::Cancelled, "its access flow is made inactive".to_owned())));
    }
    let units = tx.units_of(&request.id).await?;
    let again = SeenAgain::read(tx, request, &units).await?;
    let now = again.facts(request, tx.now())?;
    let then = Facts { current: Some(after), contents: &sides.after, ..now };
    Ok(if is_open { of_pending(&now, &then, &again.given()) } else { of_live(&now, &then) })
}

/// What becomes of access that follows conditions: it ends where it does not meet them any more.
async fn of_automatic(
    tx: &mut Tx,
    sides: &Sides,
    request: &AccessRequest,
    after: &AccessFlow,
) -> Result<Option<(Effect, String)>, AppError> {
    if !is_automatic(&after.policy) {
        return Ok(Some((Effect::Revoked, "its access flow is automatic no more".to_owned())));
    }
    let units = tx.units_of(&request.id).await?;
    let again = SeenAgain::read(tx, request, &units).await?;
    let now = again.facts(request, tx.now())?;
    let judged = |flow: &AccessFlow| AccessFlow {
        active: true,
        policy: effective(&flow.policy),
        ..flow.clone()
    };
    let (current, after) = (now.current.map(judged), judged(after));
    let now = Facts { current: current.as_ref(), ..now };
    let then =
        Facts { frozen: &after.policy, current: Some(&after), contents: &sides.after, ..now };
    Ok(of_live(&now, &then).map(|(_, reason)| (Effect::Revoked, reason)))
}

fn of_pending(now: &Facts<'_>, then: &Facts<'_>, given: &[Given<'_>]) -> Option<(Effect, String)> {
    let verdict = |facts| decide(facts, given, &[]);
    match (verdict(now), verdict(then)) {
        (Verdict::Cancel(_) | Verdict::Reject { .. } | Verdict::RejectByProgram { .. }, _) => None,
        (_, Verdict::Cancel(reason)) => Some((Effect::CancelledWhenDecided, reason.to_string())),
        _ => {
            let approvers = |facts: &Facts<'_>| {
                facts.current.and_then(|flow| flow.policy.approver_policy.clone())
            };
            let (before, after) = (approvers(now), approvers(then));
            (after.is_some() && before != after).then(|| {
                let reason = "its access flow asks other approvers, beside those that it was filed \
                              under";
                (Effect::AsksOthers, reason.to_owned())
            })
        }
    }
}

fn of_live(now: &Facts<'_>, then: &Facts<'_>) -> Option<(Effect, String)> {
    still_allowed(now).ok()?;
    let reason = still_allowed(then).err()?;
    Some((Effect::Kept, reason.to_string()))
}
