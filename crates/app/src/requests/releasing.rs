//! From the second factor to what comes after it: the request goes on as if it were filed now,
//! with the people, the policy and the inventory of this moment.

use jiff::Timestamp;
use latchkey_domain::{
    audit::AuditActor, ids::RequestId, policy::deciding::still_allowed, request::RequestState,
};
use latchkey_store::Tx;

use super::{
    approvers::{Parties, parties_of},
    deciding::proceed,
    filing::ask_approvers,
    people::People,
    seen_again::SeenAgain,
};
use crate::{
    App,
    error::AppError,
    jobs,
    lifecycle::{Because, cancel, lock_with_claims},
};

/// What came of releasing a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Released {
    /// It waits for its approvers, or is being put in place.
    Yes,
    /// It was cancelled: its flow does not allow it any more.
    Cancelled,
    /// It waited for no second factor any more.
    NotWaiting,
}

/// Lets a request go on whose requestor gave the second factor at `given`. The caller has checked
/// who that is, and that the page on which it was given named this very request.
pub(crate) async fn release(
    tx: &mut Tx,
    app: &App,
    actor: &AuditActor,
    id: &RequestId,
    given: Timestamp,
) -> Result<Released, AppError> {
    let Some((mut request, mut units)) = lock_with_claims(tx, id).await? else {
        return Ok(Released::NotWaiting);
    };
    if request.state != RequestState::PendingMfa {
        return Ok(Released::NotWaiting);
    }
    request.second_factor_at = Some(given);
    // It waits anew from now on, if at all.
    tx.cancel_job(&jobs::approval_expiry_key(id)).await?;
    if request.flow_policy.approver_policy.is_none() {
        proceed(tx, app, actor, &mut request, &mut units).await?;
    } else {
        let seen = SeenAgain::read(tx, &request, &units).await?;
        let allowed = still_allowed(&seen.facts(&request, tx.now())?).map(|_| ());
        if let Err(reason) = allowed {
            let because = Because::FlowChanged(reason.to_string());
            cancel(tx, actor, &mut request, &because).await?;
        } else {
            let people = People::read(tx, parties_of(&request)).await?;
            let frozen = request.clone();
            let parties = Parties::among(&people, &frozen)?;
            ask_approvers(tx, actor, &mut request, &units, parties).await?;
        }
    }
    let is_cancelled = request.state == RequestState::Cancelled;
    Ok(if is_cancelled { Released::Cancelled } else { Released::Yes })
}
