//! Asking the next tier of approvers: when an interval has passed, or at once where those who
//! were told cannot bring a request to an end, such as when nobody but the requestor is left.

use jiff::Timestamp;
use latchkey_domain::{
    audit::AuditActor,
    ids::RequestId,
    policy::escalation,
    request::{AccessRequest, RequestState, RequestUnit},
};
use latchkey_store::{NewJob, Tx};
use serde_json::json;

use super::{
    approvers::{AskedPeople, Parties, parties_of, people_to_ask},
    owners::owners_of_units,
    people::People,
};
use crate::{error::AppError, jobs, notifications, trail::record};

/// Tells tiers as long as those who were told could not approve the request even all together.
/// Gives who may decide then. Nothing is stored: the caller has yet to store the request.
pub(super) async fn tell_while_stuck(
    tx: &mut Tx,
    request: &mut AccessRequest,
    parties: Parties<'_>,
    units: &[RequestUnit],
) -> Result<AskedPeople, AppError> {
    let owners = owners_of_units(tx, &[&request.flow_policy], units).await?;
    loop {
        let told = request.escalations.len();
        let asked = people_to_ask(tx, &request.flow_policy, told, parties, &owners).await?;
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
    let people = People::read(tx, parties_of(&request)).await?;
    let parties = Parties::among(&people, &request)?;
    let asked = tell_while_stuck(tx, &mut request, parties, &units).await?;
    request.state_reason = asked.trouble;
    tx.update_request(&mut request).await?;
    let told = json!({
        "tiers_told": request.escalations.len(),
        "may_decide": asked.people.iter().map(|user| &user.id).collect::<Vec<_>>(),
    });
    let (by, action) = (AuditActor::System, "access_request.escalated");
    record(tx, &by, action, "access_request", id.as_str(), told).await?;
    let news = notifications::News::Escalated { told_before };
    notifications::queue_news(tx, id, news).await?;
    plan_escalation(tx, &request, tx.now()).await
}
