//! Programs among the approvers: asking them, and taking what they say.
//!
//! The call is a message of the outbox, written in the transaction in which the request begins to
//! wait, or in which a tier is told, and made outside of any. What comes back is looked at like an
//! approver's decision, in a transaction that reads everything again.

use latchkey_domain::{
    audit::AuditActor,
    flow::FlowPolicy,
    ids::RequestId,
    policy::{
        digest::{covers, request_digest},
        programs::{ProgramAnswer, asks_programs, programs},
    },
    request::{AccessRequest, Decision, RequestState, RequestUnit},
};
use latchkey_store::{Tx, Wake};
use serde_json::json;

use super::deciding::proceed;
use crate::{
    App, error::AppError, lifecycle::lock_with_claims, notifications, outbound::host_of,
    trail::record,
};

/// A program that is asked about a request, as people see it: an address may hold what is secret,
/// so they see its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedProgram {
    /// The host of its address.
    pub host: String,
    /// What came of it; `None` as long as it has not answered.
    pub said: Option<ProgramSaid>,
}

/// What came of asking a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramSaid {
    /// Yes.
    Approved,
    /// No.
    Rejected,
    /// Nothing that counts, or nothing that counts any more.
    Nothing,
}

/// What programs have said about a request, and what it is that they had to say it about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    /// What came of asking them so far.
    pub(super) answers: &'a [ProgramAnswer],
    /// The request's digest now.
    pub(super) digest: &'a str,
}

impl Heard<'_> {
    /// Of a request that no program was asked about.
    pub(super) const NOTHING: Self = Self { answers: &[], digest: "" };

    /// The programs that are asked once so many tiers of the policy were told.
    pub(super) fn asked(&self, policy: &FlowPolicy, told: usize) -> Vec<AskedProgram> {
        let asked = programs(policy, told).into_iter();
        asked.map(|url| AskedProgram { host: host_of(url), said: self.said_by(url) }).collect()
    }

    fn said_by(&self, url: &str) -> Option<ProgramSaid> {
        let answer = self.answers.iter().find(|answer| answer.url == url)?;
        let decision = answer.decision.filter(|_| covers(&answer.digest, self.digest));
        Some(match decision {
            Some(Decision::Approved) => ProgramSaid::Approved,
            Some(Decision::Rejected) => ProgramSaid::Rejected,
            None => ProgramSaid::Nothing,
        })
    }
}

/// The hosts of the programs that a policy asks once so many of its tiers were told, and had not
/// asked before.
pub(super) fn newly_asked_hosts(
    policy: &FlowPolicy,
    told: usize,
    told_before: Option<usize>,
) -> Vec<String> {
    newly_asked(policy, told, told_before).into_iter().map(host_of).collect()
}

fn newly_asked(policy: &FlowPolicy, told: usize, told_before: Option<usize>) -> Vec<&str> {
    let before = told_before.map(|told| programs(policy, told)).unwrap_or_default();
    let mut urls = programs(policy, told);
    urls.retain(|url| !before.contains(url));
    urls
}

/// What came of asking programs about a request.
pub(super) async fn answers_about(
    tx: &mut Tx,
    request: &AccessRequest,
) -> Result<Vec<ProgramAnswer>, AppError> {
    answers_about_all(tx, [request]).await
}

/// The same about several; nothing is read where no policy asks a program.
pub(super) async fn answers_about_all<'a>(
    tx: &mut Tx,
    requests: impl IntoIterator<Item = &'a AccessRequest>,
) -> Result<Vec<ProgramAnswer>, AppError> {
    let asking = requests.into_iter().filter(|request| asks_programs(&request.flow_policy));
    let ids: Vec<RequestId> = asking.map(|request| request.id.clone()).collect();
    Ok(tx.program_answers_of_requests(&ids).await?)
}

/// Queues the calls of the programs that the request's flow asks, except those that were asked
/// when only so many tiers had been told.
pub(super) async fn ask_programs(
    tx: &mut Tx,
    request: &AccessRequest,
    told_before: Option<usize>,
) -> Result<(), AppError> {
    for url in newly_asked(&request.flow_policy, request.escalations.len(), told_before) {
        notifications::queue_program_call(tx, &request.id, url).await?;
    }
    Ok(())
}

/// What came back from a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramSays {
    /// Its decision; `None` for none.
    pub(crate) decision: Option<Decision>,
    /// Why.
    pub(crate) reason: Option<String>,
    /// What it was asked about.
    pub(crate) digest: String,
}

/// Stores what came of asking a program and moves the request on, as far as that allows. Nothing
/// happens where the request does not wait any more or the program has spoken already; what was
/// said about something else than is asked by now is no decision.
pub(crate) async fn take_program_answer(
    app: &App,
    id: &RequestId,
    url: &str,
    says: &ProgramSays,
) -> Result<(), AppError> {
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let Some((mut request, mut units)) = lock_with_claims(tx, id).await? else {
                return Ok(());
            };
            if request.state != RequestState::Pending {
                return Ok(());
            }
            let answer = answer(tx, &request, &units, url, says);
            if !tx.insert_program_answer(&answer).await? {
                return Ok(());
            }
            let told = json!({
                "program": host_of(url),
                "decision": answer.decision,
                "reason": answer.reason,
                "digest": answer.digest,
            });
            let (by, action) = (AuditActor::System, "access_request.program_answered");
            record(tx, &by, action, "access_request", id.as_str(), told).await?;
            proceed(tx, app, &by, &mut request, &mut units).await
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    Ok(())
}

fn answer(
    tx: &Tx,
    request: &AccessRequest,
    units: &[RequestUnit],
    url: &str,
    says: &ProgramSays,
) -> ProgramAnswer {
    let is_about_this = covers(&says.digest, &request_digest(request, units));
    let reason = if is_about_this {
        says.reason.clone()
    } else {
        Some("the request was changed after it was asked".to_owned())
    };
    ProgramAnswer {
        request_id: request.id.clone(),
        url: url.to_owned(),
        decision: says.decision.filter(|_| is_about_this),
        reason,
        digest: says.digest.clone(),
        at: tx.now(),
    }
}
