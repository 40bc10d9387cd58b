//! Asking the next tier of approvers: when an interval has passed, or at once where those who
//! were told cannot bring a request to an end, such as when nobody but the requestor is left.

use jiff::Timestamp;
use latchkey_domain::{
    audit::AuditActor,
    ids::RequestId,
    policy::{digest::request_digest, escalation},
    request::{AccessRequest, RequestState, RequestUnit},
};
use latchkey_store::{NewJob, Tx};
use serde_json::json;

use super::{
    approvers::{AskedPeople, Parties, parties_of, people_to_ask},
    owners::owners_of_units,
    people::People,
    programs::{Heard, answers_about, ask_programs, newly_asked_hosts},
};
use crate::{error::AppError, jobs, notifications, trail::record};

/// Tells tiers as long as those who were told could not approve the request even all together.
/// Gives who may decide then. Nothing is stored: the caller has yet to store the request.
pub(super) async fn tell_while_stuck(
    tx: &mut Tx,
    request: &mut AccessRequest,
    parties: Parties<'_>,
    units: &[RequestUnit],
    heard: Heard<'_>,
) -> Result<AskedPeople, AppError> {
    let owners = owners_of_units(tx, &[&request.flow_policy], units).await?;
    loop {
        let told = request.escalations.len();
        let asked = people_to_ask(tx, &request.flow_policy, told, parties, &owners, heard).await?;
        if !asked.is_stuck || told >= escalation::tiers(&request.flow_policy).len() {
            return Ok(asked);
        }
        request.escalations.push(tx.now());
    }
}

/// Plans the timer that tells the next tier, if there is one.
pub(super) async fn plan_escalation(
    tx: &mut Tx,
    request: &AccessRequest,
    last: Timestamp,
) -> Result<(), AppError> {
    let told = request.escalations.len();
    let Some(run_at) = escalation::next_at(&request.flow_policy, told, last) else {
        return Ok(());
    };
    tx.enqueue_job(&NewJob {
        kind: jobs::ESCALATE,
        dedupe_key: Some(jobs::escalation_key(&request.id)),
        // Which tier is meant, so that running twice tells no other one.
        payload: json!({ "request_id": request.id, "tier": told + 1 }),
        run_at,
    })
    .await?;
    Ok(())
}

/// The timer of [`plan_escalation`] has come for this tier, counted from 1.
pub(crate) async fn escalate(tx: &mut Tx, id: &RequestId, tier: usize) -> Result<(), AppError> {
    let Some(mut request) = tx.lock_request(id).await? else { return Ok(()) };
    let told_before = request.escalations.len();
    if request.state != RequestState::Pending || told_before + 1 != tier {
        return Ok(());
    }
    if tier > escalation::tiers(&request.flow_policy).len() {
        return Ok(());
    }
    request.escalations.push(tx.now());
    let units = tx.units_of(id).await?;
    let answers = answers_about(tx, &request).await?;
    let digest = request_digest(&request, &units);
    let heard = Heard { answers: &answers, digest: &digest };
    tell(tx, &mut request, &units, heard, told_before).await
}

/// A pending request stays so: writes down why it cannot go on, so that it says so itself, or
/// clears that once nothing is in the way any more. Where those who were told cannot approve it
/// any more, because people have left or programs gave no decision, the next tiers are told at
/// once. The request is locked.
pub(super) async fn go_on_waiting(
    tx: &mut Tx,
    request: &mut AccessRequest,
    units: &[RequestUnit],
    heard: Heard<'_>,
) -> Result<(), AppError> {
    let told_before = request.escalations.len();
    tell(tx, request, units, heard, told_before).await
}

/// Tells further tiers while there is need to, and whoever is new in those that were told since
/// there were `told_before`.
async fn tell(
    tx: &mut Tx,
    request: &mut AccessRequest,
    units: &[RequestUnit],
    heard: Heard<'_>,
    told_before: usize,
) -> Result<(), AppError> {
    let people = People::read(tx, parties_of(request)).await?;
    let frozen = request.clone();
    let parties = Parties::among(&people, &frozen)?;
    let asked = tell_while_stuck(tx, request, parties, units, heard).await?;
    let told = request.escalations.len();
    if told == told_before && asked.trouble == request.state_reason {
        return Ok(());
    }
    request.state_reason = asked.trouble;
    tx.update_request(request).await?;
    if told == told_before {
        return Ok(());
    }
    let detail = json!({
        "tiers_told": told,
        "may_decide": asked.people.iter().map(|user| &user.id).collect::<Vec<_>>(),
        "programs_asked": newly_asked_hosts(&request.flow_policy, told, Some(told_before)),
    });
    let (by, action) = (AuditActor::System, "access_request.escalated");
    record(tx, &by, action, "access_request", request.id.as_str(), detail).await?;
    let news = notifications::News::Escalated { told_before };
    notifications::queue_news(tx, &request.id, news).await?;
    ask_programs(tx, request, Some(told_before)).await?;
    tx.cancel_job(&jobs::escalation_key(&request.id)).await?;
    plan_escalation(tx, request, tx.now()).await
}
