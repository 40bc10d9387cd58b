//! What one person holds by an automatic flow, brought to what the flow's conditions say.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use latchkey_domain::{
    audit::AuditActor,
    flow::{AccessFlow, FlowTrigger},
    ids::{FlowId, IntegrationId, UserId},
    inventory::Entitlement,
    people::User,
    policy::{
        automatic::{Holding, Pair, effective, is_automatic, steps},
        matching::meets,
        targets::{Contents as _, flow_covers, is_grantable},
    },
    request::{AccessRequest, RequestState},
};
use latchkey_store::{PageQuery, RequestFilter, Tx};

use super::{
    fresh::{self, Fresh},
    people::Person,
};
use crate::{
    App,
    contents::Contents,
    entitlements::find_entitlements,
    error::AppError,
    lifecycle::{Because, begin_granting, end_or_cancel, lock_claims},
};

/// How long nothing is tried again that failed.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_mins(15);

/// The states in which somebody has access, or is about to.
const LIVE: [RequestState; 2] = [RequestState::Granting, RequestState::Active];

/// Gives and takes what is to be given and taken; `proposed` is what the index says that the flow
/// covers. False if nothing was to be done.
pub(crate) async fn follow_for_person(
    tx: &mut Tx,
    app: &App,
    flow: &FlowId,
    user: &UserId,
    proposed: &BTreeSet<Pair>,
) -> Result<bool, AppError> {
    let Some(flow) = tx.find_flow(flow).await? else { return Ok(false) };
    let Some(user) = tx.find_user(user).await? else { return Ok(false) };
    let seen = holdings(tx, &flow.id, &user.id).await?;
    let covered = covered(tx, &flow, proposed, &seen).await?;
    if !hold(tx, &flow, &user, &covered).await? {
        return Ok(false);
    }
    lock(tx, &user.id, &covered, &seen).await?;
    // Under the locks: another server may have been here meanwhile.
    let held: Vec<Holding> =
        holdings(tx, &flow.id, &user.id).await?.into_iter().map(|(holding, _)| holding).collect();
    let person = Person::of(tx, user).await?;
    let is_meant = person.user.is_active()
        && is_automatic(&flow.policy)
        && meets(person.facts(), &flow.policy.requestors);
    let wanted: BTreeSet<Pair> =
        if is_meant { covered.iter().map(pair_of).collect() } else { BTreeSet::new() };
    let mut steps = steps(&held, &wanted);
    if !flow.active || has_failed(tx, &flow.id, &person.user.id).await? {
        // A flow that is switched off gives nothing new; what still fits stays.
        let has: BTreeSet<&Pair> = held.iter().flat_map(|one| &one.entitlements).collect();
        steps.give.retain(|pair| has.contains(pair));
        if steps.end.is_empty() {
            steps.give.clear();
        }
    }
    if steps.give.is_empty() && steps.end.is_empty() {
        return Ok(false);
    }
    let given: Vec<&Entitlement> =
        covered.iter().filter(|one| steps.give.contains(&pair_of(one))).collect();
    if !given.is_empty() {
        give(tx, app, &flow, &person, &given).await?;
    }
    for request in &steps.end {
        let because = Because::ConditionsNotMet;
        end_or_cancel(tx, &AuditActor::System, request, &LIVE, &because).await?;
    }
    Ok(true)
}

fn pair_of(entitlement: &Entitlement) -> Pair {
    (entitlement.resource.id.clone(), entitlement.permission.id.clone())
}

/// What the person holds by the flow, with the integrations it is in.
async fn holdings(
    tx: &mut Tx,
    flow: &FlowId,
    user: &UserId,
) -> Result<Vec<(Holding, BTreeSet<IntegrationId>)>, AppError> {
    let filter = RequestFilter {
        flow: Some(flow.clone()),
        grantee: Some(user.clone()),
        trigger: Some(FlowTrigger::Automatic),
        states: LIVE.to_vec(),
        ..RequestFilter::default()
    };
    let mut held = Vec::new();
    for request in tx.list_requests(&filter, &PageQuery::all()).await? {
        let units = tx.units_of(&request.id).await?;
        let integrations = units.iter().map(|unit| unit.integration_id.clone()).collect();
        let pairs = units.into_iter().map(|unit| (unit.resource_id, unit.permission_id));
        held.push((Holding { request: request.id, entitlements: pairs.collect() }, integrations));
    }
    Ok(held)
}

/// What the flow covers now, of what the index proposes and of what is held.
async fn covered(
    tx: &mut Tx,
    flow: &AccessFlow,
    proposed: &BTreeSet<Pair>,
    held: &[(Holding, BTreeSet<IntegrationId>)],
) -> Result<Vec<Entitlement>, AppError> {
    let mut pairs = proposed.clone();
    pairs.extend(held.iter().flat_map(|(holding, _)| holding.entitlements.iter().cloned()));
    let read = find_entitlements(tx, pairs.iter().map(|(one, other)| (one, other))).await?;
    let contents = Contents::of(tx, [&flow.policy]).await?;
    let is_covered = |one: &Entitlement| {
        is_grantable(one)
            && flow_covers(&flow.policy, &contents, one)
            && !contents.floor_on(one).bars(&flow.policy)
    };
    Ok(read.into_iter().flatten().filter(is_covered).collect())
}

/// Locks everything that may be touched, in the order in which everybody does.
async fn lock(
    tx: &mut Tx,
    user: &UserId,
    covered: &[Entitlement],
    held: &[(Holding, BTreeSet<IntegrationId>)],
) -> Result<(), AppError> {
    let given = covered.iter().map(|one| &one.resource.integration_id);
    let taken = held.iter().flat_map(|(_, integrations)| integrations);
    lock_claims(tx, given.chain(taken).map(|integration| (integration, user))).await
}

/// Whether the same failed a short while ago.
async fn has_failed(tx: &mut Tx, flow: &FlowId, user: &UserId) -> Result<bool, AppError> {
    let filter = RequestFilter {
        flow: Some(flow.clone()),
        grantee: Some(user.clone()),
        trigger: Some(FlowTrigger::Automatic),
        states: vec![RequestState::Failed],
        created_from: tx.now().checked_sub(AFTER_FAILURE).ok(),
        ..RequestFilter::default()
    };
    Ok(!tx.list_requests(&filter, &PageQuery::first(1)).await?.is_empty())
}

/// Files a request of nobody's for the person, which is granted at once.
async fn give(
    tx: &mut Tx,
    app: &App,
    flow: &AccessFlow,
    person: &Person,
    entitlements: &[&Entitlement],
) -> Result<(), AppError> {
    let fresh = Fresh {
        requestor: &person.user.id,
        grantee: &person.user.id,
        as_grantee: false,
        flow,
        policy: effective(&flow.policy),
        bundle: None,
        justification: None,
        duration_sec: None,
        duration_was_asked: false,
        custom_fields: BTreeMap::new(),
    };
    let (mut request, mut units) = fresh.draft(app, tx.now(), entitlements.iter().copied());
    let by = AuditActor::System;
    fresh::insert(tx, &by, &mut request, &units, None).await?;
    begin_granting(tx, app, &by, &mut request, &mut units).await
}

/// Keeps what it rests on as it was read until the requests are stored; before the claims are
/// locked, as whoever takes these away does. False if it changed just now: the next pass sees it.
async fn hold(
    tx: &mut Tx,
    flow: &AccessFlow,
    user: &User,
    covered: &[Entitlement],
) -> Result<bool, AppError> {
    let integrations: BTreeSet<IntegrationId> =
        covered.iter().map(|one| one.resource.integration_id.clone()).collect();
    let integrations: Vec<IntegrationId> = integrations.into_iter().collect();
    // Who is switched off is given nothing, and loses what is there.
    let is_there =
        !user.is_active() || tx.hold_active_users(std::slice::from_ref(&user.id)).await?;
    Ok(is_there
        && tx.hold_flow(&flow.id, flow.version).await?
        && tx.hold_integrations(&integrations).await?)
}

/// Refuses to end by hand what its flow's conditions would give again at once.
pub(super) async fn refuse_automatic(tx: &mut Tx, request: &AccessRequest) -> Result<(), AppError> {
    if !is_automatic(&request.flow_policy) || request.state.is_final() {
        return Ok(());
    }
    let flow = tx.find_flow(&request.flow_id).await?;
    let Some(flow) = flow.filter(|flow| flow.active && is_automatic(&flow.policy)) else {
        return Ok(());
    };
    Err(AppError::conflict(format!(
        "AR-{} follows the conditions of the automatic access flow \"{}\" and would be given again; \
         change who meets them, or the flow",
        request.number, flow.name
    )))
}
