//! What a token may do about second factors: ask. It neither gives one nor lets anything go on.
//!
//! A request goes on when its requestor gives the second factor on a page that names it, and by
//! nothing else. So a program that calls with a token is told which requests went on that way, or
//! that some still wait; a proof that was given in a browser for other requests is of no use to it.

use latchkey_domain::{ids::RequestId, request::AccessRequest, second_factor::is_fresh};
use latchkey_store::{PageQuery, RequestFilter, Tx};
use serde_json::json;

use super::{age_sec, step_up::waiting_of};
use crate::{
    Actor, App, Operation,
    error::{AppError, codes},
    trail::record,
};

/// How many of the newest requests are looked at.
const LOOKED_AT: u32 = 200;

/// The requests that went on by the caller's second factor of late, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedMfa {
    /// Their ids.
    pub released: Vec<RequestId>,
}

/// Whether the caller has a second factor that counts.
pub async fn has_second_factor(app: &App, actor: &Actor) -> Result<bool, AppError> {
    actor.require(Operation::ReadOwnSecondFactor)?;
    app.store().read(async |tx: &mut Tx| Ok(tx.find_factor(&actor.user.id).await?.is_some())).await
}

/// Says which of the caller's requests went on by a second factor that was given for them, as long
/// as such a proof counts. Nothing goes on by asking; that somebody asked is on record.
///
/// # Errors
/// 403 `SecondFactorRequired` as long as any request of the caller's waits for one.
pub async fn pass_by_token(app: &App, actor: &Actor) -> Result<PassedMfa, AppError> {
    actor.require(Operation::PassSecondFactor)?;
    let (waiting, released) = app
        .store()
        .write(async |tx: &mut Tx| -> Result<_, AppError> {
            let waiting = waiting_of(tx, actor).await?.len();
            let age = age_sec(tx).await?;
            let now = tx.now();
            let filter = RequestFilter {
                requestor: Some(actor.user.id.clone()),
                ..RequestFilter::default()
            };
            let page = PageQuery { newest_first: true, ..PageQuery::first(LOOKED_AT) };
            // One that was covered when it was filed never waited.
            let went_on = |request: &AccessRequest| {
                let given = request.second_factor_at.filter(|at| *at >= request.created_at);
                is_fresh(given, age, now)
            };
            let requests = tx.list_requests(&filter, &page).await?;
            let released: Vec<RequestId> =
                requests.into_iter().filter(went_on).map(|request| request.id).collect();
            let detail = json!({ "waiting": waiting, "released": released });
            let (action, id) = ("second_factor.asked_about", actor.user.id.as_str());
            record(tx, &actor.audit(), action, "user", id, detail).await?;
            Ok((waiting, released))
        })
        .await?;
    if waiting > 0 {
        return Err(AppError::forbidden(
            codes::SECOND_FACTOR_REQUIRED,
            "requests of yours wait for your second factor; a token cannot give it: open \
             /account/step-up in a browser",
        ));
    }
    Ok(PassedMfa { released })
}
