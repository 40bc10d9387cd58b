//! The step-up page: what waits for the caller's second factor, and giving it.
//!
//! Invariant: a success covers exactly the requests that the page named when it was shown, which
//! is written down with the showing; what was filed since then waits for a showing of its own.

use std::collections::BTreeSet;

use latchkey_domain::{
    ids::{RequestId, StepUpPageId},
    request::{AccessRequest, RequestState},
    second_factor::StepUpPage,
};
use latchkey_store::{PageQuery, RequestFilter, Tx, Wake};
use serde_json::json;

use super::{
    in_browser, lock_session,
    proof::{Checked, Proof, check},
};
use crate::{
    Actor, App, Operation,
    error::AppError,
    lifecycle::lock_claims,
    requests::{Released, RequestView, read_views, release},
    trail::record,
};

/// How many requests one page names.
const MOST_SHOWN: u32 = 50;

/// What the step-up page shows.
#[derive(Debug)]
pub struct StepUpView {
    /// Names this showing; goes with the proof.
    pub page: StepUpPageId,
    /// Whether the caller has a second factor to give.
    pub is_enrolled: bool,
    /// What a success covers, oldest first.
    pub requests: Vec<RequestView>,
    /// Whether more of the caller's requests wait than the page names.
    pub has_more: bool,
}

/// What came of giving the second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepUp {
    /// It was right.
    Passed {
        /// The requests that go on by it.
        released: Vec<RequestId>,
        /// Those that their access flow does not allow any more; they are cancelled.
        cancelled: Vec<RequestId>,
    },
    /// It was wrong, or used before.
    Wrong,
    /// Nobody looked: there were too many tries.
    TooManyTries,
    /// The caller has no second factor.
    NotEnrolled,
    /// No such page was shown in this browser session; look at a new one.
    NotShown,
}

/// Shows what waits for the caller's second factor: all of it, or one request, named by id or
/// `AR-n`, if it does wait. What is shown is written down.
pub async fn show_step_up(
    app: &App,
    actor: &Actor,
    only: Option<&str>,
) -> Result<StepUpView, AppError> {
    actor.require(Operation::PassSecondFactor)?;
    let session = in_browser(actor)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<StepUpView, AppError> {
            lock_session(tx, session).await?;
            let mut waiting = waiting_of(tx, actor).await?;
            let count = waiting.len();
            waiting.retain(|request| match only {
                None => true,
                Some(named) => {
                    request.id.as_str() == named || format!("AR-{}", request.number) == named
                }
            });
            waiting.truncate(MOST_SHOWN as usize);
            let page = StepUpPage {
                id: StepUpPageId::generate(tx.now(), app.rng()),
                web_session_id: session.id.clone(),
                request_ids: waiting.iter().map(|request| request.id.clone()).collect(),
                shown_at: tx.now(),
            };
            tx.insert_step_up_page(&page).await?;
            Ok(StepUpView {
                page: page.id,
                is_enrolled: tx.find_factor(&actor.user.id).await?.is_some(),
                has_more: count > waiting.len(),
                requests: read_views(tx, waiting).await?,
            })
        })
        .await
}

/// The caller's requests that wait for the second factor, oldest first, one more than a page
/// names at most.
pub(super) async fn waiting_of(tx: &mut Tx, actor: &Actor) -> Result<Vec<AccessRequest>, AppError> {
    let filter = RequestFilter {
        requestor: Some(actor.user.id.clone()),
        states: vec![RequestState::PendingMfa],
        ..RequestFilter::default()
    };
    Ok(tx.list_requests(&filter, &PageQuery::first(MOST_SHOWN + 1)).await?)
}

/// Takes the second factor that was given on a page. If it is right, it counts for this browser
/// session from now on, and what the page named goes on as if it were filed now.
pub async fn pass_step_up(
    app: &App,
    actor: &Actor,
    page: &StepUpPageId,
    proof: &Proof,
) -> Result<StepUp, AppError> {
    actor.require(Operation::PassSecondFactor)?;
    let session = in_browser(actor)?;
    let passed = app
        .store()
        .write(async |tx: &mut Tx| -> Result<StepUp, AppError> {
            lock_session(tx, session).await?;
            let Some(shown) = tx.find_step_up_page(page, &session.id).await? else {
                return Ok(StepUp::NotShown);
            };
            match check(tx, app, actor, proof).await? {
                Checked::Right => {}
                Checked::Wrong => return Ok(StepUp::Wrong),
                Checked::TooManyTries => return Ok(StepUp::TooManyTries),
                Checked::NotEnrolled => return Ok(StepUp::NotEnrolled),
            }
            tx.delete_step_up_page(&shown.id).await?;
            tx.set_second_factor_of_session(&session.id, tx.now()).await?;
            release_all(tx, app, actor, shown).await
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    Ok(passed)
}

async fn release_all(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    shown: StepUpPage,
) -> Result<StepUp, AppError> {
    let (audit, now) = (actor.audit(), tx.now());
    let requests = tx.find_requests(&shown.request_ids).await?;
    let ids: BTreeSet<RequestId> = requests
        .iter()
        .filter(|request| request.requestor_id == actor.user.id)
        .map(|request| request.id.clone())
        .collect();
    // All claims before any request, in the one order in which everybody takes them.
    let named: Vec<RequestId> = ids.iter().cloned().collect();
    let units = tx.units_of_requests(&named).await?;
    let pairs = units.iter().filter_map(|unit| {
        let request = requests.iter().find(|request| request.id == unit.request_id)?;
        Some((&unit.integration_id, &request.grantee_id))
    });
    lock_claims(tx, pairs).await?;
    let (mut released, mut cancelled) = (Vec::new(), Vec::new());
    for id in ids {
        match release(tx, app, &audit, &id, now).await? {
            Released::Yes => released.push(id),
            Released::Cancelled => cancelled.push(id),
            Released::NotWaiting => {}
        }
    }
    let detail = json!({
        "web_session_id": shown.web_session_id,
        "shown": shown.request_ids,
        "released": released,
        "cancelled": cancelled,
    });
    record(tx, &audit, "second_factor.passed", "user", actor.user.id.as_str(), detail).await?;
    Ok(StepUp::Passed { released, cancelled })
}
