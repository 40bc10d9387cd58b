//! Access by automatic flows: it follows the flow's conditions, and nobody asks for it.
//!
//! A pass takes no input but the rows. It compares what people hold by each automatic flow with
//! what they should hold, and makes up the difference person by person, each in a transaction of
//! its own that looks again: two servers may pass at once, and a pass may be cut short anywhere.
//! What was given is an ordinary request, filed by nobody for the person; all that holds of
//! requests holds of it: claims, receipts, the audit trail.
//!
//! Invariants: the conditions and the entitlements are judged by the plain evaluator in the
//! transaction that gives or takes; more people than the setting allows an hour are not changed
//! until somebody confirms it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchkey_domain::{
    flow::{AccessFlow, FlowTrigger},
    ids::{FlowId, RequestId, UserId},
    policy::{
        automatic::{Allowed, HeldBack, Holding, Pace, Pair, is_automatic, turn},
        matching::meets,
    },
    request::RequestState,
    settings::SettingSpec,
};
use latchkey_inventory::{Filter, Position, Snapshot};
use latchkey_store::{AuditFilter, PageQuery, RequestFilter, Tx, Wake};
use serde_json::json;

use crate::{
    Actor, App, Operation,
    error::AppError,
    indexed, notifications,
    requests::{by_request, follow_for_person, people::walk_active},
    trail,
};

/// How long a change may wait before somebody looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long changes are gathered once one was noticed.
const GATHER: Duration = Duration::from_millis(250);
/// Names the lease of the server that passes, and how long it is good without a pass.
const LEASE_NAME: &str = "automatic_access";
const LEASE: Duration = Duration::from_secs(30);
/// How long nothing is done while nothing seems to have changed.
const AT_LEAST_EVERY: Duration = Duration::from_mins(1);
/// The most entitlements that an automatic flow may come to.
pub(crate) const MOST_ENTITLEMENTS: usize = 1000;

/// What a pass came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// How many people were given access.
    pub given: u64,
    /// How many people lost access.
    pub taken: u64,
    /// How many flows have changes held back.
    pub held_back: u64,
}

/// How an automatic flow gets on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutomaticStanding {
    /// The flow.
    pub flow: AccessFlow,
    /// How many people have access by it.
    pub people: u64,
    /// What is held back.
    pub held_back: Option<HeldBack>,
}

/// Keeps access by automatic flows current. Of several servers one does it. Ends with the process.
pub async fn keep_automatic_access(app: App) {
    // Whatever changes leaves a record.
    let mut records = app.store().wake().waiter(Wake::Audit);
    let mut last: Option<(Mark, Duration)> = None;
    loop {
        match step(&app, last.take()).await {
            Ok(done) => last = done,
            Err(error) => tracing::warn!(error = ?error.source,
                "Access by automatic flows could not be brought up to date; trying again."),
        }
        if records.wait(LOOK_EVERY).await {
            tokio::time::sleep(GATHER).await;
        }
    }
}

/// By what a change is noticed without looking at everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    record: Option<String>,
    versions: Vec<i64>,
}

async fn step(
    app: &App,
    last: Option<(Mark, Duration)>,
) -> Result<Option<(Mark, Duration)>, AppError> {
    let now = app.clock().monotonic();
    let mark = app.store().read(async |tx: &mut Tx| mark(tx).await).await?;
    if let Some((known, at)) = last
        && known == mark
        && now.saturating_sub(at) < AT_LEAST_EVERY
    {
        return Ok(Some((known, at)));
    }
    let flows = app.store().read(async |tx: &mut Tx| flows_to_follow(tx).await).await?;
    if flows.is_empty() {
        return Ok(Some((mark, now)));
    }
    if !is_my_turn(app).await? {
        return Ok(None);
    }
    follow_conditions(app).await?;
    Ok(Some((mark, now)))
}

/// Whether this server is the one that passes. Nothing breaks if two do; they count twice.
async fn is_my_turn(app: &App) -> Result<bool, AppError> {
    let owner = app.config().instance.as_str();
    app.store()
        .write(async |tx: &mut Tx| -> Result<bool, AppError> {
            Ok(tx.acquire_lease(LEASE_NAME, owner, LEASE).await?)
        })
        .await
}

async fn mark(tx: &mut Tx) -> Result<Mark, AppError> {
    let page = PageQuery { newest_first: true, ..PageQuery::first(1) };
    let newest = tx.list_audit(&AuditFilter::default(), &page).await?;
    let versions = tx.inventory_versions().await?.into_iter().map(|one| one.version);
    Ok(Mark { record: newest.first().map(|one| one.id.to_string()), versions: versions.collect() })
}

/// Brings what people hold by automatic flows to what they should hold.
pub async fn follow_conditions(app: &App) -> Result<Passed, AppError> {
    let snapshot = indexed::snapshot(app).await?;
    let flows = app.store().read(async |tx: &mut Tx| flows_to_follow(tx).await).await?;
    let mut passed = Passed::default();
    for flow in flows {
        follow(app, &snapshot, &flow, &mut passed).await?;
    }
    Ok(passed)
}

/// Every flow that is automatic, and every one by which somebody holds access automatically.
async fn flows_to_follow(tx: &mut Tx) -> Result<BTreeSet<FlowId>, AppError> {
    let active = tx.active_flows().await?.into_iter();
    let mut flows: BTreeSet<FlowId> =
        active.filter(|flow| is_automatic(&flow.policy)).map(|flow| flow.id).collect();
    flows.extend(tx.flows_of_requests(FlowTrigger::Automatic, &LIVE).await?);
    Ok(flows)
}

/// States in which somebody has access, or is about to.
const LIVE: [RequestState; 2] = [RequestState::Granting, RequestState::Active];

/// What one flow is about to change.
#[derive(Default)]
struct Changes {
    gaining: BTreeSet<UserId>,
    losing: BTreeSet<UserId>,
    /// Whether the flow is automatic no more, by somebody's own act.
    is_over: bool,
}

async fn follow(
    app: &App,
    snapshot: &Snapshot,
    id: &FlowId,
    passed: &mut Passed,
) -> Result<(), AppError> {
    let proposed = proposed(snapshot, id);
    let changes = app.store().read(async |tx: &mut Tx| changes(tx, id, &proposed).await).await?;
    if changes.gaining.is_empty() && changes.losing.is_empty() {
        return settle(app, id).await;
    }
    let allowed = if changes.is_over {
        Allowed { gains: false, losses: true }
    } else {
        admit(app, id, &changes).await?
    };
    passed.held_back += u64::from(!(changes.is_over || allowed.gains && allowed.losses));
    let people: BTreeSet<&UserId> = changes.gaining.union(&changes.losing).collect();
    let (mut given, mut taken) = (0, 0);
    for user in people {
        let (gains, loses) = (changes.gaining.contains(user), changes.losing.contains(user));
        // Somebody whose access would only change in part waits for the part that is held back.
        if gains && !allowed.gains || loses && !allowed.losses {
            continue;
        }
        let followed = app
            .store()
            .write(async |tx: &mut Tx| follow_for_person(tx, app, id, user, &proposed).await)
            .await;
        match followed {
            Ok(followed) => {
                given += u64::from(followed && gains);
                taken += u64::from(followed && loses);
            }
            // One person's trouble is not the others'.
            Err(error) => tracing::warn!(access_flow.id = %id, user.id = %user,
                error = ?error.source,
                "What an automatic flow gives to a person could not be changed; trying again."),
        }
    }
    passed.given += given;
    passed.taken += taken;
    app.store().wake().notify(Wake::Tasks);
    count(app, id, given, taken).await
}

async fn count(app: &App, id: &FlowId, gained: u64, lost: u64) -> Result<(), AppError> {
    if gained + lost == 0 {
        return Ok(());
    }
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let mut pace = read_pace(tx, id).await?;
            pace.count(gained, lost);
            write_pace(tx, id, &pace).await
        })
        .await
}

/// What the flow covers by the index. It proposes; the transaction decides.
fn proposed(snapshot: &Snapshot, id: &FlowId) -> BTreeSet<Pair> {
    let flows = snapshot.policy().flows_alone([id]);
    let available = snapshot.available(&flows, &Filter::default());
    let mut pairs = BTreeSet::new();
    let mut after: Option<Position> = None;
    loop {
        let page = available.page(after.as_ref(), MOST_ENTITLEMENTS);
        after = page.last().map(Position::of);
        let is_last = page.len() < MOST_ENTITLEMENTS;
        pairs.extend(page.into_iter().map(|one| (one.resource.id, one.permission.id)));
        if is_last || pairs.len() > MOST_ENTITLEMENTS {
            return pairs;
        }
    }
}

async fn changes(tx: &mut Tx, id: &FlowId, proposed: &BTreeSet<Pair>) -> Result<Changes, AppError> {
    let mut changes = Changes::default();
    if proposed.len() > MOST_ENTITLEMENTS {
        tracing::warn!(access_flow.id = %id,
            "An automatic flow comes to more than {MOST_ENTITLEMENTS} entitlements; it gives and \
             takes nothing until it comes to fewer.");
        return Ok(changes);
    }
    let Some(flow) = tx.find_flow(id).await? else { return Ok(changes) };
    changes.is_over = !is_automatic(&flow.policy);
    let mut held = holdings(tx, id).await?;
    let gives = flow.active && is_automatic(&flow.policy);
    walk_active(tx, |person| {
        let own = held.remove(&person.user.id).unwrap_or_default();
        let is_meant = is_automatic(&flow.policy) && meets(person.facts(), &flow.policy.requestors);
        let wanted = if is_meant { proposed.clone() } else { BTreeSet::new() };
        let turn = turn(&own, &wanted);
        if turn.gains && gives {
            changes.gaining.insert(person.user.id.clone());
        }
        if turn.loses {
            changes.losing.insert(person.user.id);
        }
    })
    .await?;
    // Whoever is left holds access and is disabled: another path ends it, and this one too.
    changes.losing.extend(held.into_keys());
    Ok(changes)
}

/// What people hold by a flow, automatically.
async fn holdings(tx: &mut Tx, id: &FlowId) -> Result<BTreeMap<UserId, Vec<Holding>>, AppError> {
    let filter = RequestFilter {
        flow: Some(id.clone()),
        trigger: Some(FlowTrigger::Automatic),
        states: LIVE.to_vec(),
        ..RequestFilter::default()
    };
    let requests = tx.list_requests(&filter, &PageQuery::all()).await?;
    let ids: Vec<RequestId> = requests.iter().map(|request| request.id.clone()).collect();
    let units = tx.units_of_requests(&ids).await?;
    let mut units = by_request(units, |unit| unit.request_id.clone());
    let mut held: BTreeMap<UserId, Vec<Holding>> = BTreeMap::new();
    for request in requests {
        let own = units.remove(&request.id).unwrap_or_default().into_iter();
        let entitlements = own.map(|unit| (unit.resource_id, unit.permission_id)).collect();
        let holding = Holding { request: request.id, entitlements };
        held.entry(request.grantee_id).or_default().push(holding);
    }
    Ok(held)
}

/// Whether the changes may be made now. What may not is written down, and told once.
async fn admit(app: &App, id: &FlowId, changes: &Changes) -> Result<Allowed, AppError> {
    let (gaining, losing) = (changes.gaining.len() as u64, changes.losing.len() as u64);
    app.store()
        .write(async |tx: &mut Tx| -> Result<Allowed, AppError> {
            let spec = SettingSpec::get("automatic_change_limit").map_err(AppError::internal)?;
            let limit = tx.setting(spec).await?.as_u64().unwrap_or_default();
            let mut pace = read_pace(tx, id).await?;
            let (allowed, is_news) = pace.admit(tx.now(), gaining, losing, limit);
            write_pace(tx, id, &pace).await?;
            if is_news {
                hold_back(tx, id, &pace, limit).await?;
            }
            Ok(allowed)
        })
        .await
}

async fn hold_back(tx: &mut Tx, id: &FlowId, pace: &Pace, limit: u64) -> Result<(), AppError> {
    let Some(held) = pace.held_back else { return Ok(()) };
    let name = tx.find_flow(id).await?.map_or_else(|| id.to_string(), |flow| flow.name);
    let told = json!({ "gaining": held.gaining, "losing": held.losing, "limit": limit });
    let by = latchkey_domain::audit::AuditActor::System;
    trail::record(tx, &by, "access_flow.held_back", "access_flow", id.as_str(), told).await?;
    notifications::queue_held_back(tx, &name, held).await
}

/// Nothing is to be changed, so nothing is held back.
async fn settle(app: &App, id: &FlowId) -> Result<(), AppError> {
    let pace = app.store().read(async |tx: &mut Tx| read_pace(tx, id).await).await?;
    if pace.held_back.is_none() {
        return Ok(());
    }
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let pace = read_pace(tx, id).await?;
            write_pace(tx, id, &Pace { held_back: None, confirmed: None, ..pace }).await
        })
        .await
}

/// How an automatic flow gets on; 404 for a flow that is not automatic.
pub async fn get_automatic(
    app: &App,
    actor: &Actor,
    id: &FlowId,
) -> Result<AutomaticStanding, AppError> {
    actor.require(Operation::ReadFlows)?;
    app.store().read(async |tx: &mut Tx| standing(tx, id).await).await
}

/// Lets what is held back go ahead: as much as it is now, within ten minutes. 409 if nothing is.
pub async fn confirm_automatic(
    app: &App,
    actor: &Actor,
    id: &FlowId,
) -> Result<AutomaticStanding, AppError> {
    actor.require(Operation::ManageFlows)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<AutomaticStanding, AppError> {
            let seen = standing(tx, id).await?;
            let mut pace = read_pace(tx, id).await?;
            if !pace.confirm(tx.now()) {
                return Err(AppError::conflict("nothing is held back"));
            }
            write_pace(tx, id, &pace).await?;
            let told = json!(pace.confirmed);
            let (audit, action) = (actor.audit(), "access_flow.automatic_confirmed");
            trail::record(tx, &audit, action, "access_flow", id.as_str(), told).await?;
            Ok(seen)
        })
        .await
}

async fn standing(tx: &mut Tx, id: &FlowId) -> Result<AutomaticStanding, AppError> {
    let flow = tx.find_flow(id).await?.filter(|flow| is_automatic(&flow.policy));
    let flow = flow.ok_or_else(AppError::not_found)?;
    Ok(AutomaticStanding {
        people: holdings(tx, id).await?.len() as u64,
        held_back: read_pace(tx, id).await?.held_back,
        flow,
    })
}

/// Where a flow's pace is kept: beside the settings, and not for people to change.
fn pace_key(id: &FlowId) -> String {
    format!("automatic.{id}")
}

async fn read_pace(tx: &mut Tx, id: &FlowId) -> Result<Pace, AppError> {
    match tx.find_setting(&pace_key(id)).await? {
        Some(value) => serde_json::from_value(value).map_err(AppError::internal),
        None => Ok(Pace::default()),
    }
}

async fn write_pace(tx: &mut Tx, id: &FlowId, pace: &Pace) -> Result<(), AppError> {
    let value = serde_json::to_value(pace).map_err(AppError::internal)?;
    Ok(tx.put_setting(&pace_key(id), &value).await?)
}
