//! What a request would come to: which flow would govern, which were passed over and why, who
//! would be asked, until when access would exist, and what is missing. Nothing is stored, and
//! what is answered here is what filing would do at this instant.

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    flow::FlowPolicy,
    people::User,
    policy::{
        ends::{fix_end, granted_duration},
        escalation,
        explanation::Explanation,
        owners::Owners,
        second_factor::needs_second_factor,
        selection::{Part, Refusal, is_break_glass},
        timeframe::Window,
    },
};
use latchkey_store::Tx;

use super::{
    approvers::{Parties, people_to_ask},
    filing::{Asked, RequestAccess, check_command, picture_for},
    form::{Form, justification_field},
    programs::{AskedProgram, Heard, newly_asked_hosts},
};
use crate::{
    Actor, App, Operation,
    error::{AppError, FieldError},
};

/// What a request would come to.
#[derive(Debug, Clone)]
pub struct DryRun {
    /// One part for each request that would be made.
    pub parts: Vec<DryRunPart>,
    /// Why nothing would be made, if so.
    pub refusal: Option<Refusal>,
    /// Members that are missing, or do not say what is asked: filing would refuse them.
    pub missing: Vec<FieldError>,
    /// How each entitlement came to its flow, in the order in which they were asked for; cut to
    /// what the caller may see.
    pub explanations: Vec<Explanation>,
    /// Why an entitlement has no flow, by its place.
    pub refused: Vec<(usize, Refusal)>,
}

/// One request that would be made.
#[derive(Debug, Clone)]
pub struct DryRunPart {
    /// The governing flow's name.
    pub flow_name: String,
    /// Places of its entitlements in the list that was asked for.
    pub entitlements: Vec<usize>,
    /// The length of the grant in seconds; `None` until revoked.
    pub duration_sec: Option<i64>,
    /// When access would end if it began now.
    pub ends_at: Option<Timestamp>,
    /// The flow's timeframe, if it has one.
    pub window: Option<OpenWindow>,
    /// Whether it is a flow for emergencies.
    pub break_glass: bool,
    /// Whether it would wait for the requestor's second factor before anybody is asked.
    pub needs_second_factor: bool,
    /// Whether somebody has to agree.
    pub needs_approval: bool,
    /// Who would be asked.
    pub asked: Vec<User>,
    /// Which programs would be asked.
    pub programs: Vec<AskedProgram>,
    /// Why they could not approve it, or not by every group; `None` where nothing is in the way.
    pub trouble: Option<String>,
    /// Who would be asked later, if nobody decides.
    pub tiers: Vec<LaterTier>,
}

/// A timeframe that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenWindow {
    /// When it closes: access ends then at the latest.
    pub closes_at: Timestamp,
    /// When it opens again.
    pub next_opening: Option<Timestamp>,
}

/// A tier of escalation that has not been told.
#[derive(Debug, Clone)]
pub struct LaterTier {
    /// When it is told, if nothing is decided by then.
    pub at: Timestamp,
    /// Who may decide then and may not before.
    pub asked: Vec<User>,
    /// Which programs are asked then and are not before.
    pub programs: Vec<AskedProgram>,
}

/// What [`super::request_access`] would answer, without storing anything.
pub async fn dry_run_request(
    app: &App,
    actor: &Actor,
    command: RequestAccess,
) -> Result<DryRun, AppError> {
    actor.require(Operation::DryRunRequest)?;
    check_command(&command)?;
    let picture = picture_for(app, &command).await;
    app.store()
        .read(async |tx: &mut Tx| -> Result<DryRun, AppError> {
            let asked = Asked::read(tx, actor, &command, false, picture.as_deref()).await?;
            let form = Form::read(tx).await?;
            let split = asked.split(tx.now(), &command);
            let mut missing = form.missing_answers(&command, true);
            let mut parts = Vec::with_capacity(split.parts.len());
            for part in &split.parts {
                if let Err(problem) = form.check_justification(&part.policy(), &command, false) {
                    missing.push(justification_field(&problem));
                }
                parts.push(dry_part(tx, &asked, &command, part).await?);
            }
            missing.dedup();
            let explanations = split.explanations.iter().cloned();
            Ok(DryRun {
                parts,
                refusal: split.refusal(),
                missing,
                explanations: explanations.map(|one| as_seen_by(actor, one)).collect(),
                refused: split.refused.clone(),
            })
        })
        .await
}

/// An explanation as the requestor sees it: whole, if they may see every flow anyway.
pub(super) fn as_seen_by(requestor: &Actor, explanation: Explanation) -> Explanation {
    if requestor.may(Operation::ExplainAccess) { explanation } else { explanation.for_requestor() }
}

async fn dry_part(
    tx: &mut Tx,
    asked: &Asked,
    command: &RequestAccess,
    part: &Part<'_>,
) -> Result<DryRunPart, AppError> {
    let (now, policy) = (tx.now(), &*part.policy());
    let duration_sec = granted_duration(policy, command.duration_sec);
    let ends_at =
        fix_end(now, duration_sec, policy.timeframe.as_ref()).map_err(AppError::internal)?;
    let owners = asked.owners_of(tx, part).await?;
    let first = people_to_ask(tx, policy, 0, asked.parties(), &owners, Heard::NOTHING).await?;
    // Where those who are asked first could not bring it to an end, others are asked at once.
    let mut told = 0;
    let mut at_once = first;
    while at_once.is_stuck && told < escalation::tiers(policy).len() {
        told += 1;
        at_once = people_to_ask(tx, policy, told, asked.parties(), &owners, Heard::NOTHING).await?;
    }
    let tiers = later_tiers(tx, policy, told, now, asked.parties(), &owners).await?;
    Ok(DryRunPart {
        flow_name: part.flow.name.clone(),
        entitlements: part.entitlements.clone(),
        duration_sec,
        ends_at,
        window: open_window(policy, now),
        break_glass: is_break_glass(policy),
        needs_second_factor: needs_second_factor(policy),
        needs_approval: policy.approver_policy.is_some(),
        tiers,
        trouble: at_once.trouble,
        asked: at_once.people,
        programs: at_once.programs,
    })
}

/// The tiers that come after `told` of them, the last of which was told at `last`.
pub(super) async fn later_tiers(
    tx: &mut Tx,
    policy: &FlowPolicy,
    told: usize,
    last: Timestamp,
    parties: Parties<'_>,
    owners: &Owners,
) -> Result<Vec<LaterTier>, AppError> {
    let mut tiers = Vec::new();
    let (mut told, mut last) = (told, last);
    let mut before = people_to_ask(tx, policy, told, parties, owners, Heard::NOTHING).await?.people;
    while let Some(at) = escalation::next_at(policy, told, last) {
        (told, last) = (told + 1, at);
        let hosts = newly_asked_hosts(policy, told, Some(told - 1));
        let asked = people_to_ask(tx, policy, told, parties, owners, Heard::NOTHING).await?;
        let people = asked.people;
        let is_new = |user: &&User| before.iter().all(|known| known.id != user.id);
        tiers.push(LaterTier {
            at,
            asked: people.iter().filter(is_new).cloned().collect(),
            programs: hosts.into_iter().map(|host| AskedProgram { host, said: None }).collect(),
        });
        before = people;
    }
    Ok(tiers)
}

/// The policy's timeframe, if it has one that is open at `now`.
pub(super) fn open_window(policy: &FlowPolicy, now: Timestamp) -> Option<OpenWindow> {
    let window = Window::parse(policy.timeframe.as_ref()?).ok()?;
    let closes_at = window.closes(now)?;
    // The instant of closing itself is closed, but for hours that the clock shows twice.
    let after = closes_at.checked_add(SignedDuration::from_nanos(1)).unwrap_or(closes_at);
    Some(OpenWindow { closes_at, next_opening: window.opens(after) })
}
