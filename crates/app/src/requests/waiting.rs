//! What waits for whom: the requests that somebody may decide about, and who may decide about a
//! request.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    ids::{FlowId, RequestId, UserId},
    people::User,
    policy::{approvals::DeciderStanding, matching::PersonFacts},
    request::{AccessRequest, RequestState},
};
use latchkey_store::{PageKey, PageQuery, Tx};

use super::{
    approvers::{Parties, approver_conditions, candidates, eligible, manager_of, parties_of},
    owners::{OwnersOf, owners_of},
    people::{People, Person},
    view::{RequestView, views},
};
use crate::{Actor, App, Operation, Page, PageRequest, error::AppError};

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

/// Whether `user` may decide about the pending request.
pub(super) async fn may_decide(
    tx: &mut Tx,
    request: &AccessRequest,
    user: &User,
) -> Result<bool, AppError> {
    let me = Person::of(tx, user.clone()).await?;
    let standing = standing(tx, request, me.facts()).await?;
    if request.state == RequestState::PendingMfa {
        // Nobody is asked before the second factor is given, so there is nothing to read yet.
        return Ok(false);
    }
    if request.state != RequestState::Pending {
        // Who was asked may still read how it ended.
        return Ok(standing == DeciderStanding::Eligible);
    }
    // One's own request is visible anyway, and the refusal to decide should say why.
    Ok(standing != DeciderStanding::NotAnApprover)
}

async fn standing(
    tx: &mut Tx,
    request: &AccessRequest,
    person: PersonFacts<'_>,
) -> Result<DeciderStanding, AppError> {
    let people = People::read(tx, parties_of(request)).await?;
    let owners = owners_of(tx, request).await?;
    let question = Parties::among(&people, request)?.question(request, &owners);
    Ok(question.standing_of(person))
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
    let owners = OwnersOf::read(tx, &pending).await?;
    let mut mine = Vec::new();
    for request in pending {
        let parties = Parties::among(people, &request)?;
        let question = parties.question(&request, owners.get(&request.id));
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
    let owners = OwnersOf::read(tx, seen.iter().map(|view| &view.request)).await?;
    // Requests of one flow, as it was in one version, may ask the same people in the same tiers.
    let mut named: BTreeMap<(FlowId, i64, usize), BTreeSet<UserId>> = BTreeMap::new();
    for view in seen.iter_mut().filter(is_pending) {
        let request = &view.request;
        let told = request.escalations.len();
        let key = (request.flow_id.clone(), request.flow_version, told);
        if !named.contains_key(&key) {
            let candidates =
                candidates(tx, approver_conditions(&request.flow_policy, told)).await?;
            people.add(tx, &candidates).await?;
            named.insert(key.clone(), candidates);
        }
        let owners = owners.get(&request.id);
        let who_asks = Parties::among(&people, request)?.asker.user.clone();
        let mut own = candidates(tx, owners.rules()).await?;
        own.extend(manager_of(&request.flow_policy, told, &who_asks));
        people.add(tx, &own).await?;
        let question = Parties::among(&people, request)?.question(request, owners);
        let asked = eligible(&people, question, named.get(&key).into_iter().flatten().chain(&own));
        view.asked_in_tier = asked
            .iter()
            .filter_map(|user| {
                let person = people.find(&user.id)?;
                let had_no_say = |tier: &usize| {
                    let before = question.escalated(&request.flow_policy, tier - 1);
                    before.standing_of(person.facts()) != DeciderStanding::Eligible
                };
                Some((user.id.clone(), (1..=told).rev().find(had_no_say)?))
            })
            .collect();
        view.can_decide = asked.iter().any(|user| user.id == actor.user.id);
        view.asked_approvers = asked;
    }
    Ok(seen)
}
