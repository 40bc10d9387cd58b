//! Decisions: who may make them, and what they lead to.
//!
//! Eligible approvers, the frozen policy, the flow as it is now, people and entitlements are all
//! read again in the transaction that stores a decision.

use latchkey_domain::{
    audit::AuditActor,
    ids::ApprovalId,
    policy::{
        approvals::{ApprovedBy, DeciderStanding},
        deciding::{Verdict, decide},
        digest::request_digest,
        texts::check_reason,
    },
    request::{AccessRequest, Approval, Decision, RequestState, RequestUnit},
};
use latchkey_store::{Tx, Wake};
use serde_json::json;

use super::{
    approvers::{Parties, parties_of},
    escalating::go_on_waiting,
    owners::owners_of,
    people::{People, Person},
    reading::{find_by_reference, find_visible},
    seen_again::SeenAgain,
    view::{RequestView, view},
    waiting::with_deciders_of,
};
use crate::{
    Actor, App, Operation, crash_points,
    error::{AppError, codes},
    jobs,
    lifecycle::{Because, begin_granting, cancel, enter, lock_with_claims},
    outbound::host_of,
    trail::record,
};

/// Approves a request. `shorten_to_sec` lowers the duration; it never raises it.
pub async fn approve_request(
    app: &App,
    actor: &Actor,
    id: &str,
    reason: Option<String>,
    shorten_to_sec: Option<i64>,
) -> Result<RequestView, AppError> {
    actor.require(Operation::DecideRequest)?;
    let said = Said { decision: Decision::Approved, reason, shorten_to_sec, forced: false };
    store_decision(app, actor, id, said).await
}

/// Approves a request in place of its approvers. Never for the caller's own.
pub async fn force_approve_request(
    app: &App,
    actor: &Actor,
    id: &str,
    reason: Option<String>,
) -> Result<RequestView, AppError> {
    actor.require(Operation::ForceDecision)?;
    let said = Said { decision: Decision::Approved, reason, shorten_to_sec: None, forced: true };
    store_decision(app, actor, id, said).await
}

/// Rejects a request; one rejection by an approver is enough.
pub async fn reject_request(
    app: &App,
    actor: &Actor,
    id: &str,
    reason: Option<String>,
) -> Result<RequestView, AppError> {
    actor.require(Operation::DecideRequest)?;
    let said = Said { decision: Decision::Rejected, reason, shorten_to_sec: None, forced: false };
    store_decision(app, actor, id, said).await
}

/// What an approver says.
struct Said {
    decision: Decision,
    reason: Option<String>,
    shorten_to_sec: Option<i64>,
    forced: bool,
}

async fn store_decision(
    app: &App,
    actor: &Actor,
    id: &str,
    said: Said,
) -> Result<RequestView, AppError> {
    let decided = app
        .store()
        .write(async |tx: &mut Tx| -> Result<RequestView, AppError> {
            let seen = if said.forced {
                // Whoever may force a decision may see every request.
                find_by_reference(tx, id).await?
            } else {
                find_visible(tx, actor, id).await?
            };
            let locked = lock_with_claims(tx, &seen.id).await?;
            let (mut request, mut units) = locked.ok_or_else(AppError::not_found)?;
            may_say(tx, actor, &request, &said).await?;
            if let Some(seconds) = said.shorten_to_sec {
                shorten(tx, actor, &mut request, &units, seconds).await?;
            }
            let approval = Approval {
                id: ApprovalId::generate(tx.now(), app.rng()),
                request_id: request.id.clone(),
                approver_id: actor.user.id.clone(),
                decision: said.decision,
                reason: said.reason.clone(),
                digest: request_digest(&request, &units),
                forced: said.forced,
                at: tx.now(),
            };
            tx.insert_approval(&approval).await?;
            let told = json!({
                "decision": said.decision,
                "reason": said.reason,
                "forced": said.forced,
                "digest": approval.digest,
            });
            let audit = actor.audit();
            let object = request.id.to_string();
            record(tx, &audit, "access_request.decided", "access_request", &object, told).await?;
            proceed(tx, app, &audit, &mut request, &mut units).await?;
            let seen = view(tx, request).await?;
            with_deciders_of(tx, actor, seen).await
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    app.crash_point(crash_points::REQUEST_DECIDED);
    Ok(decided)
}

/// Whether the caller may say this about the request now.
async fn may_say(
    tx: &mut Tx,
    actor: &Actor,
    request: &AccessRequest,
    said: &Said,
) -> Result<(), AppError> {
    let people = People::read(tx, parties_of(request)).await?;
    let owners = owners_of(tx, request).await?;
    let me = Person::of(tx, actor.user.clone()).await?;
    let question = Parties::among(&people, request)?.question(request, &owners);
    if said.forced {
        if !question.may_force(me.facts()) {
            return Err(AppError::forbidden(
                codes::SELF_APPROVAL,
                "nobody may force their own request, or one for themselves",
            ));
        }
    } else {
        match question.standing_of(me.facts()) {
            DeciderStanding::Eligible => {}
            DeciderStanding::OwnRequest => {
                return Err(AppError::forbidden(
                    codes::SELF_APPROVAL,
                    "its access flow does not let requestor and grantee decide about it",
                ));
            }
            DeciderStanding::NotAnApprover => {
                return Err(AppError::forbidden(
                    codes::NOT_AN_APPROVER,
                    "you are not among the approvers of this request",
                ));
            }
        }
    }
    if request.state != RequestState::Pending {
        return Err(AppError::conflict(format!(
            "this request does not wait for a decision; it is {}",
            request.state.as_str()
        )));
    }
    let earlier = tx.approvals_of(&request.id).await?;
    let is_repeat = |one: &Approval| {
        one.approver_id == actor.user.id
            && one.forced == said.forced
            && one.decision == said.decision
            && said.shorten_to_sec.is_none()
    };
    if earlier.iter().any(is_repeat) {
        return Err(AppError::conflict("you have already said so; others have to decide now"));
    }
    check_reason(&request.flow_policy, said.reason.as_deref()).map_err(|problem| {
        AppError::refused(codes::REASON_REQUIRED, problem.to_string())
            .with_field("justification", problem.to_string())
    })
}

/// Lowers the duration; approvals that were given for longer still cover it.
async fn shorten(
    tx: &mut Tx,
    actor: &Actor,
    request: &mut AccessRequest,
    units: &[RequestUnit],
    seconds: i64,
) -> Result<(), AppError> {
    let is_shorter = seconds >= 1 && request.duration_sec.is_none_or(|asked| seconds <= asked);
    if !is_shorter {
        return Err(AppError::invalid(
            "duration_in_sec",
            "an approver may shorten the duration, to one second at least; to allow more, the \
             requestor has to ask for more",
        ));
    }
    let told = json!({ "from_sec": request.duration_sec, "to_sec": seconds });
    request.duration_sec = Some(seconds);
    request.digest = request_digest(request, units);
    tx.update_request(request).await?;
    let id = request.id.to_string();
    record(tx, &actor.audit(), "access_request.shortened", "access_request", &id, told).await
}

/// Moves a pending request on, as far as the decisions so far and the flow as it is now allow.
pub(super) async fn proceed(
    tx: &mut Tx,
    app: &App,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &mut [RequestUnit],
) -> Result<(), AppError> {
    let seen = SeenAgain::read(tx, request, units).await?;
    let verdict = decide(&seen.facts(request, tx.now())?, &seen.given(), &[]);
    match verdict {
        Verdict::Wait(_) => go_on_waiting(tx, request, units, seen.heard()).await,
        Verdict::Grant(by) => {
            tx.cancel_job(&jobs::approval_expiry_key(&request.id)).await?;
            let told = match by {
                ApprovedBy::Nobody => json!({ "approved_by": [] }),
                ApprovedBy::Approvers { people, programs } => {
                    let hosts: Vec<String> = programs.iter().map(|url| host_of(url)).collect();
                    json!({ "approved_by": people, "approved_by_programs": hosts })
                }
                ApprovedBy::Force(id) => json!({ "forced_by": id }),
            };
            let id = request.id.to_string();
            record(tx, actor, "access_request.approved", "access_request", &id, told).await?;
            begin_granting(tx, app, actor, request, units).await
        }
        Verdict::Reject { by } => {
            tx.cancel_job(&jobs::approval_expiry_key(&request.id)).await?;
            request.decided_at = Some(tx.now());
            let told = json!({ "by": by });
            let reason = Some("an approver rejected it".to_owned());
            enter(tx, actor, request, RequestState::Rejected, reason, told).await
        }
        Verdict::RejectByProgram { url } => {
            tx.cancel_job(&jobs::approval_expiry_key(&request.id)).await?;
            request.decided_at = Some(tx.now());
            let host = host_of(&url);
            let reason =
                Some(format!("the program at {host}, which its access flow asks, said no"));
            let told = json!({ "by_program": host });
            enter(tx, actor, request, RequestState::Rejected, reason, told).await
        }
        Verdict::Cancel(reason) => {
            cancel(tx, actor, request, &Because::FlowChanged(reason.to_string())).await
        }
    }
}
