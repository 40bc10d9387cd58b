//! Decisions: who may decide, what a decision leads to, and the list of what waits for one.
//!
//! Eligible approvers, the frozen policy, the flow as it is now, people and entitlements are all
//! read again in the transaction that stores a decision.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    audit::AuditActor,
    flow::{Condition, FlowPolicy, MatchOperator},
    ids::{ApprovalId, AttributeValueId, FlowId, PermissionId, RequestId, ResourceId, UserId},
    inventory::{Entitlement, Permission, Resource},
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
    people::{People, Person},
    reading::{find_by_reference, find_visible},
    view::{RequestView, view, views},
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
            let mut people = People::default();
            let mut rows = Vec::new();
            let mut query = PageQuery { after: page.after.clone(), ..PageQuery::first(200) };
            loop {
                let pending = tx.pending_requests(&query).await?;
                let Some(last) = pending.last() else { break };
                query.after = Some(PageKey::new(last.created_at, last.id.as_str()));
                rows.extend(waiting_for(tx, pending, &me, &mut people).await?);
                if rows.len() > page.limit as usize {
                    break;
                }
            }
            let page =
                page.page(rows, |request| PageKey::new(request.created_at, request.id.as_str()));
            let seen = views(tx, page.items).await?;
            Ok(Page { items: with_deciders(tx, actor, seen).await?, next: page.next })
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
    let me = Person::of(tx, actor.user.clone()).await?;
    let question = Parties::among(&people, request)?.question(request);
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
    let current = tx.find_flow(&request.flow_id).await?;
    let policies = [&request.flow_policy].into_iter().chain(current.as_ref().map(|f| &f.policy));
    let contents = Contents::of(tx, policies).await?;
    let entitlements = entitlements_now(tx, units).await?;
    let digest = request_digest(request, units);
    let approvals = tx.approvals_of(&request.id).await?;
    let deciders = approvals.iter().map(|approval| &approval.approver_id);
    let people = People::read(tx, parties_of(request).into_iter().chain(deciders)).await?;
    let parties = Parties::among(&people, request)?;
    let given: Vec<Given<'_>> = approvals
        .iter()
        .filter_map(|approval| {
            let person = people.find(&approval.approver_id)?;
            Some(Given { approval, approver: person.facts() })
        })
        .collect();
    let facts = Facts {
        frozen: &request.flow_policy,
        current: current.as_ref(),
        requestor: parties.requestor.facts(),
        asker: parties.asker.facts(),
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
    let resources: BTreeSet<&ResourceId> = units.iter().map(|unit| &unit.resource_id).collect();
    let resources: Vec<ResourceId> = resources.into_iter().cloned().collect();
    let permissions: BTreeSet<&PermissionId> =
        units.iter().map(|unit| &unit.permission_id).collect();
    let permissions: Vec<PermissionId> = permissions.into_iter().cloned().collect();
    let resources = tx.find_resources(&resources).await?;
    let resources: BTreeMap<&ResourceId, &Resource> =
        resources.iter().map(|resource| (&resource.id, resource)).collect();
    let permissions = tx.find_permissions(&permissions).await?;
    let permissions: BTreeMap<&PermissionId, &Permission> =
        permissions.iter().map(|permission| (&permission.id, permission)).collect();
    let entitlement = |unit: &RequestUnit| {
        let resource = (*resources.get(&unit.resource_id)?).clone();
        let permission = (*permissions.get(&unit.permission_id)?).clone();
        Some(Entitlement { resource, permission })
    };
    Ok(units.iter().filter_map(entitlement).collect())
}

fn parties_of(request: &AccessRequest) -> [&UserId; 2] {
    [&request.requestor_id, &request.grantee_id]
}

/// Who a request is about, as they are now.
#[derive(Debug, Clone, Copy)]
struct Parties<'a> {
    requestor: &'a Person,
    /// At whom policy looks as the one who asked.
    asker: &'a Person,
    grantee: &'a Person,
}

impl<'a> Parties<'a> {
    fn among(people: &'a People, request: &AccessRequest) -> Result<Self, AppError> {
        let requestor = people.get(&request.requestor_id)?;
        let grantee = people.get(&request.grantee_id)?;
        let asker = if request.asked_as_grantee { grantee } else { requestor };
        Ok(Self { requestor, asker, grantee })
    }

    fn question(self, request: &'a AccessRequest) -> Question<'a> {
        self.question_of(&request.flow_policy, &request.digest)
    }

    fn question_of(self, policy: &'a FlowPolicy, digest: &'a str) -> Question<'a> {
        Question::new(policy, &self.requestor.user, &self.grantee.user, digest)
            .asked_as(&self.asker.user)
    }
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
    let people = People::read(tx, parties_of(request)).await?;
    Ok(Parties::among(&people, request)?.question(request).standing_of(person))
}

/// Those of the pending requests that wait for this very person: an approver who has not said
/// yes yet. `people` keeps who was read, for the next page.
async fn waiting_for(
    tx: &mut Tx,
    pending: Vec<AccessRequest>,
    me: &Person,
    people: &mut People,
) -> Result<Vec<AccessRequest>, AppError> {
    people.add(tx, pending.iter().flat_map(parties_of)).await?;
    let mut mine = Vec::new();
    for request in pending {
        let question = Parties::among(people, &request)?.question(&request);
        if question.standing_of(me.facts()) == DeciderStanding::Eligible {
            mine.push(request);
        }
    }
    let ids: Vec<RequestId> = mine.iter().map(|request| request.id.clone()).collect();
    let given = tx.approvals_of_requests(&ids).await?;
    let mine_given: BTreeSet<&RequestId> = given
        .iter()
        .filter(|approval| approval.approver_id == me.user.id)
        .map(|approval| &approval.request_id)
        .collect();
    mine.retain(|request| !mine_given.contains(&request.id));
    Ok(mine)
}

/// Adds who may decide, and whether the caller may, to one request.
pub(super) async fn with_deciders_of(
    tx: &mut Tx,
    actor: &Actor,
    seen: RequestView,
) -> Result<RequestView, AppError> {
    let mut seen = with_deciders(tx, actor, vec![seen]).await?;
    seen.pop().ok_or_else(|| AppError::internal("a request without a view"))
}

/// Adds who may decide, and whether the caller may, to those of the requests that are pending.
pub(super) async fn with_deciders(
    tx: &mut Tx,
    actor: &Actor,
    mut seen: Vec<RequestView>,
) -> Result<Vec<RequestView>, AppError> {
    let is_pending = |view: &&mut RequestView| view.request.state == RequestState::Pending;
    let mut people = People::default();
    people.add(tx, seen.iter().flat_map(|view| parties_of(&view.request))).await?;
    // Requests of one flow, as it was in one version, may ask the same people.
    let mut named: BTreeMap<(FlowId, i64), BTreeSet<UserId>> = BTreeMap::new();
    for view in seen.iter_mut().filter(is_pending) {
        let request = &view.request;
        let key = (request.flow_id.clone(), request.flow_version);
        if !named.contains_key(&key) {
            let candidates = candidates(tx, &request.flow_policy).await?;
            people.add(tx, &candidates).await?;
            named.insert(key.clone(), candidates);
        }
        let parties = Parties::among(&people, request)?;
        let manager = manager_of(&request.flow_policy, &parties.asker.user);
        people.add(tx, &manager).await?;
        let parties = Parties::among(&people, request)?;
        let candidates = named.get(&key).into_iter().flatten();
        let asked = eligible(&people, parties.question(request), candidates.chain(&manager));
        view.can_decide = asked.iter().any(|user| user.id == actor.user.id);
        view.asked_approvers = asked;
    }
    Ok(seen)
}

/// The people who may decide about a request now.
pub(crate) async fn approvers_of(
    tx: &mut Tx,
    request: &AccessRequest,
) -> Result<Vec<User>, AppError> {
    let people = People::read(tx, parties_of(request)).await?;
    let Parties { requestor, asker, grantee } = Parties::among(&people, request)?;
    people_to_ask(tx, &request.flow_policy, requestor, asker, grantee).await
}

/// The people who may decide about a request under `policy` that `asker` made, or that was made
/// in their place by `requestor`.
pub(super) async fn people_to_ask(
    tx: &mut Tx,
    policy: &FlowPolicy,
    requestor: &Person,
    asker: &Person,
    grantee: &Person,
) -> Result<Vec<User>, AppError> {
    let mut ids = candidates(tx, policy).await?;
    ids.extend(manager_of(policy, &asker.user));
    let people = People::read(tx, &ids).await?;
    let parties = Parties { requestor, asker, grantee };
    Ok(eligible(&people, parties.question_of(policy, ""), &ids))
}

/// Those who may decide, each once.
fn eligible<'a>(
    people: &People,
    question: Question<'_>,
    candidates: impl IntoIterator<Item = &'a UserId>,
) -> Vec<User> {
    let candidates: BTreeSet<&UserId> = candidates.into_iter().collect();
    candidates
        .into_iter()
        .filter_map(|id| people.find(id))
        .filter(|person| question.standing_of(person.facts()) == DeciderStanding::Eligible)
        .map(|person| person.user.clone())
        .collect()
}

/// The asker's manager, if an approver of `policy` is one.
fn manager_of(policy: &FlowPolicy, asker: &User) -> Option<UserId> {
    let is_asked = approver_conditions(policy).any(|condition| condition.attribute_type == MANAGER);
    asker.manager_id.clone().filter(|_| is_asked)
}

/// The conditions that say who may agree; those that only narrow it are left out.
fn approver_conditions(policy: &FlowPolicy) -> impl Iterator<Item = &Condition> {
    let groups = policy.approver_policy.iter().flat_map(|policy| &policy.approver_groups);
    let conditions = groups.flat_map(|group| &group.approvers);
    conditions.filter(|condition| !condition.operator().is_negative())
}

/// Everybody whom `policy` may mean by its approvers, whoever asks: a superset, cut by the
/// caller. A manager is added by [`manager_of`].
async fn candidates(tx: &mut Tx, policy: &FlowPolicy) -> Result<BTreeSet<UserId>, AppError> {
    let mut ids = BTreeSet::new();
    for condition in approver_conditions(policy) {
        match (condition.attribute_type.as_str(), condition.operator()) {
            (MANAGER | OWNER | WEBHOOK, _) => {}
            (USER, MatchOperator::Is) => ids.extend(named_users(tx, condition).await?),
            (GROUP, MatchOperator::Is) => {
                for group in named_groups(tx, condition).await? {
                    ids.extend(tx.group_member_ids(&group).await?);
                }
            }
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
    Ok(ids)
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
