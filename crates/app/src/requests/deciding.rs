//! Decisions: who may decide, what a decision leads to, and the list of what waits for one.
//!
//! Eligible approvers, the frozen policy, the flow as it is now, people and entitlements are all
//! read again in the transaction that stores a decision.

use std::collections::BTreeSet;

use latchkey_domain::{
    audit::AuditActor,
    flow::{Condition, FlowPolicy, MatchOperator},
    ids::{ApprovalId, AttributeValueId, UserId},
    inventory::Entitlement,
    people::User,
    policy::{
        approvals::{ApprovedBy, DeciderStanding, Given, Question},
        deciding::{Facts, Verdict, decide},
        digest::request_digest,
        matching::{GROUP, MANAGER, OWNER, PersonFacts, USER, WEBHOOK},
        texts::check_reason,
    },
    request::{AccessRequest, Approval, Decision, RequestState, RequestUnit},
};
use latchkey_store::{PageKey, PageQuery, Tx, UserFilter, Wake};
use serde_json::json;

use super::{
    people::Person,
    reading::find_visible,
    view::{RequestView, view},
};
use crate::{
    Actor, App, Operation, Page, PageRequest,
    contents::Contents,
    crash_points,
    error::{AppError, codes},
    jobs,
    lifecycle::{Because, begin_granting, cancel, enter, lock_with_claims},
    trail::record,
};

/// How many people are looked at to say who would be asked; conditions on texts can match
/// anybody, and a longer list would help nobody.
const MOST_CANDIDATES: u32 = 1000;

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

/// The requests that wait for the caller's decision, oldest first.
pub async fn list_my_tasks(
    app: &App,
    actor: &Actor,
    page: &PageRequest,
) -> Result<Page<RequestView>, AppError> {
    actor.require(Operation::ReadTasks)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<RequestView>, AppError> {
            let me = Person::of(tx, actor.user.clone()).await?;
            let mut rows = Vec::new();
            let mut query = PageQuery { after: page.after.clone(), ..PageQuery::first(200) };
            loop {
                let pending = tx.pending_requests(&query).await?;
                let Some(last) = pending.last() else { break };
                query.after = Some(PageKey::new(last.created_at, last.id.as_str()));
                for request in pending {
                    if waits_for(tx, &request, &me).await? {
                        rows.push(request);
                    }
                }
                if rows.len() > page.limit as usize {
                    break;
                }
            }
            let page =
                page.page(rows, |request| PageKey::new(request.created_at, request.id.as_str()));
            let mut items = Vec::with_capacity(page.items.len());
            for request in page.items {
                let seen = view(tx, request).await?;
                items.push(with_deciders(tx, actor, seen).await?);
            }
            Ok(Page { items, next: page.next })
        })
        .await
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
            let seen = find_visible(tx, actor, id).await?;
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
            with_deciders(tx, actor, seen).await
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
    let parties = Parties::read(tx, request).await?;
    let me = Person::of(tx, actor.user.clone()).await?;
    let question = parties.question(&request.flow_policy, &request.digest);
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
            .with_field("reason", problem.to_string())
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
async fn proceed(
    tx: &mut Tx,
    app: &App,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &mut [RequestUnit],
) -> Result<(), AppError> {
    let verdict = verdict(tx, request, units).await?;
    match verdict {
        Verdict::Wait(_) => Ok(()),
        Verdict::Grant(by) => {
            tx.cancel_job(&jobs::approval_expiry_key(&request.id)).await?;
            let told = match by {
                ApprovedBy::Nobody => json!({ "approved_by": [] }),
                ApprovedBy::Approvers(ids) => json!({ "approved_by": ids }),
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
        Verdict::Cancel(reason) => {
            cancel(tx, actor, request, &Because::FlowChanged(reason.to_string())).await
        }
    }
}

/// What the decisions so far come to, with everything read again.
async fn verdict(
    tx: &mut Tx,
    request: &AccessRequest,
    units: &[RequestUnit],
) -> Result<Verdict, AppError> {
    let parties = Parties::read(tx, request).await?;
    let current = tx.find_flow(&request.flow_id).await?;
    let policies = [&request.flow_policy].into_iter().chain(current.as_ref().map(|f| &f.policy));
    let contents = Contents::of(tx, policies).await?;
    let entitlements = entitlements_now(tx, units).await?;
    let digest = request_digest(request, units);
    let approvals = tx.approvals_of(&request.id).await?;
    let approvers = people_of(tx, approvals.iter().map(|one| one.approver_id.clone())).await?;
    let given: Vec<Given<'_>> = approvals
        .iter()
        .filter_map(|approval| {
            let person = approvers.iter().find(|one| one.user.id == approval.approver_id)?;
            Some(Given { approval, approver: person.facts() })
        })
        .collect();
    let facts = Facts {
        frozen: &request.flow_policy,
        current: current.as_ref(),
        requestor: parties.requestor.facts(),
        grantee: parties.grantee.facts(),
        bundle: request.bundle_id.as_ref(),
        contents: &contents,
        entitlements: &entitlements,
        unit_count: units.len(),
        duration_sec: request.duration_sec,
        digest: &digest,
        now: tx.now(),
    };
    Ok(decide(&facts, &given, &[]))
}

/// The entitlements as they are now; those that are gone are left out.
async fn entitlements_now(
    tx: &mut Tx,
    units: &[RequestUnit],
) -> Result<Vec<Entitlement>, AppError> {
    let mut found = Vec::with_capacity(units.len());
    for unit in units {
        let resource = tx.find_resource(&unit.resource_id).await?;
        let permission = tx.find_permission(&unit.permission_id).await?;
        if let (Some(resource), Some(permission)) = (resource, permission) {
            found.push(Entitlement { resource, permission });
        }
    }
    Ok(found)
}

/// Requestor and grantee as they are now.
struct Parties {
    requestor: Person,
    grantee: Person,
}

impl Parties {
    async fn read(tx: &mut Tx, request: &AccessRequest) -> Result<Self, AppError> {
        let requestor = person(tx, &request.requestor_id).await?;
        let grantee = person(tx, &request.grantee_id).await?;
        Ok(Self { requestor, grantee })
    }

    fn question<'a>(&'a self, policy: &'a FlowPolicy, digest: &'a str) -> Question<'a> {
        Question::new(policy, &self.requestor.user, &self.grantee.user, digest)
    }
}

pub(super) async fn person(tx: &mut Tx, id: &UserId) -> Result<Person, AppError> {
    let user = tx
        .find_user(id)
        .await?
        .ok_or_else(|| AppError::internal(format!("user {id} is missing")))?;
    Person::of(tx, user).await
}

async fn people_of(
    tx: &mut Tx,
    ids: impl IntoIterator<Item = UserId>,
) -> Result<Vec<Person>, AppError> {
    let ids: Vec<UserId> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let users = tx.find_users(&ids).await?;
    Person::of_all(tx, users).await
}

/// Whether `user` may decide about the pending request.
pub(super) async fn may_decide(
    tx: &mut Tx,
    request: &AccessRequest,
    user: &User,
) -> Result<bool, AppError> {
    if request.state != RequestState::Pending {
        // Who was asked may still read how it ended.
        let me = Person::of(tx, user.clone()).await?;
        return standing(tx, request, me.facts()).await.map(|s| s == DeciderStanding::Eligible);
    }
    let me = Person::of(tx, user.clone()).await?;
    let standing = standing(tx, request, me.facts()).await?;
    // One's own request is visible anyway, and the refusal to decide should say why.
    Ok(standing != DeciderStanding::NotAnApprover)
}

async fn standing(
    tx: &mut Tx,
    request: &AccessRequest,
    person: PersonFacts<'_>,
) -> Result<DeciderStanding, AppError> {
    let parties = Parties::read(tx, request).await?;
    Ok(parties.question(&request.flow_policy, &request.digest).standing_of(person))
}

/// Whether the pending request waits for this very person: an approver who has not said yes yet.
async fn waits_for(tx: &mut Tx, request: &AccessRequest, me: &Person) -> Result<bool, AppError> {
    if standing(tx, request, me.facts()).await? != DeciderStanding::Eligible {
        return Ok(false);
    }
    let given = tx.approvals_of(&request.id).await?;
    Ok(!given.iter().any(|one| one.approver_id == me.user.id))
}

/// Adds who may decide, and whether the caller may, to a pending request.
pub(super) async fn with_deciders(
    tx: &mut Tx,
    actor: &Actor,
    mut seen: RequestView,
) -> Result<RequestView, AppError> {
    if seen.request.state != RequestState::Pending {
        return Ok(seen);
    }
    let parties = Parties::read(tx, &seen.request).await?;
    let policy = seen.request.flow_policy.clone();
    seen.asked_approvers = people_to_ask(tx, &policy, &parties.requestor, &parties.grantee).await?;
    seen.can_decide = seen.asked_approvers.iter().any(|user| user.id == actor.user.id);
    Ok(seen)
}

/// The people who may decide about a request under `policy`.
pub(super) async fn people_to_ask(
    tx: &mut Tx,
    policy: &FlowPolicy,
    requestor: &Person,
    grantee: &Person,
) -> Result<Vec<User>, AppError> {
    let question = Question::new(policy, &requestor.user, &grantee.user, "");
    let mut asked = Vec::new();
    for person in candidates(tx, policy, requestor).await? {
        if question.standing_of(person.facts()) == DeciderStanding::Eligible {
            asked.push(person.user);
        }
    }
    Ok(asked)
}

/// Everybody who may be among the approvers of `policy`: a superset, cut by the caller.
async fn candidates(
    tx: &mut Tx,
    policy: &FlowPolicy,
    requestor: &Person,
) -> Result<Vec<Person>, AppError> {
    let Some(approvers) = &policy.approver_policy else { return Ok(Vec::new()) };
    let conditions: Vec<&Condition> =
        approvers.approver_groups.iter().flat_map(|group| &group.approvers).collect();
    let mut ids = BTreeSet::new();
    for condition in conditions {
        if condition.operator().is_negative() {
            continue;
        }
        match (condition.attribute_type.as_str(), condition.operator()) {
            (MANAGER, _) => ids.extend(requestor.user.manager_id.clone()),
            (USER, MatchOperator::Is) => ids.extend(named_users(tx, condition).await?),
            (GROUP, MatchOperator::Is) => {
                for group in named_groups(tx, condition).await? {
                    ids.extend(tx.group_member_ids(&group).await?);
                }
            }
            (OWNER | WEBHOOK, _) => {}
            (kind, MatchOperator::Is) if !matches!(kind, USER | GROUP) => {
                let named = named_attributes(tx, condition).await?;
                ids.extend(tx.users_with_attributes(&named).await?);
            }
            (kind, _) if !matches!(kind, USER | GROUP) => {
                ids.extend(tx.users_with_attribute_type(kind, MOST_CANDIDATES).await?);
            }
            _ => {
                let page = PageQuery::first(MOST_CANDIDATES);
                let users = tx.list_users(&UserFilter::default(), &page).await?;
                ids.extend(users.into_iter().map(|user| user.id));
            }
        }
    }
    people_of(tx, ids).await
}

async fn named_users(tx: &mut Tx, condition: &Condition) -> Result<Vec<UserId>, AppError> {
    let mut found = Vec::new();
    for (place, value) in condition.values().iter().enumerate() {
        match condition.pinned_ids.get(place).and_then(Option::as_ref) {
            Some(pin) => found.push(UserId::new(pin.clone())),
            None => found.extend(super::people::find_person(tx, value).await?.map(|u| u.id)),
        }
    }
    Ok(found)
}

async fn named_attributes(
    tx: &mut Tx,
    condition: &Condition,
) -> Result<Vec<AttributeValueId>, AppError> {
    let mut found = Vec::new();
    for (place, value) in condition.values().iter().enumerate() {
        if let Some(pin) = condition.pinned_ids.get(place).and_then(Option::as_ref) {
            found.push(AttributeValueId::new(pin.clone()));
        } else {
            let named = tx.find_attribute_values(&condition.attribute_type, value).await?;
            found.extend(named.into_iter().map(|value| value.id));
        }
    }
    Ok(found)
}

async fn named_groups(
    tx: &mut Tx,
    condition: &Condition,
) -> Result<Vec<latchkey_domain::ids::GroupId>, AppError> {
    let mut found = Vec::new();
    for (place, value) in condition.values().iter().enumerate() {
        match condition.pinned_ids.get(place).and_then(Option::as_ref) {
            Some(pin) => found.push(latchkey_domain::ids::GroupId::new(pin.clone())),
            None => found.extend(tx.find_group_by_name(value).await?.map(|group| group.id)),
        }
    }
    Ok(found)
}
