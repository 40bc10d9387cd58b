//! Handing out work: tasks are leased, and what they ask for is read in the same transaction.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use latchkey_domain::{
    ids::{ConnectorSessionId, IntegrationId, SessionId, UnitId},
    provisioning::{ClaimExtension, DesiredClaim, DesiredPrincipal, KnownSession},
    request::RequestUnit,
    session::{AccessSession, CredentialsStatus, SessionState},
};
use latchkey_protocol::{IntegrationTarget, LeaseAnswer, LeaseRequest, Operation, Task};
use latchkey_store::{LeasedTask, PageKey, PageQuery, SessionFilter, TaskKind, Tx, Wake};

use super::{LEASE, LONGEST_WAIT, presence::check_version, targets};
use crate::{App, ConnectorActor, crash_points, error::AppError, reconcile};

/// How often the database is asked for work while a request waits: wake-ups are a hint only.
const POLL: Duration = Duration::from_millis(500);

/// The most tasks in one answer.
const MOST_TASKS: u32 = 128;

/// Waits for work and leases it.
pub async fn lease_tasks(
    app: &App,
    actor: &ConnectorActor,
    request: LeaseRequest,
) -> Result<LeaseAnswer, AppError> {
    check_version(request.protocol)?;
    let wait = Duration::from_millis(request.wait_ms).min(LONGEST_WAIT);
    let give_up = app.clock().monotonic() + wait;
    let mut hints = app.store().wake().waiter(Wake::Tasks);
    loop {
        let answer = lease_now(app, actor, &request).await?;
        let now = app.clock().monotonic();
        if !answer.tasks.is_empty() || now >= give_up {
            return Ok(answer);
        }
        hints.wait(POLL.min(give_up.saturating_sub(now))).await;
    }
}

/// What is ready now. The answer's time is the one that the leases are counted from, not that
/// of the commit after it: a connector must never believe that a lease lasts longer.
async fn lease_now(
    app: &App,
    actor: &ConnectorActor,
    request: &LeaseRequest,
) -> Result<LeaseAnswer, AppError> {
    let ready = app
        .store()
        .read(async |tx: &mut Tx| -> Result<bool, AppError> {
            let next = tx.next_task_at(&actor.connector_id).await?;
            Ok(next.is_some_and(|at| at <= tx.now()))
        })
        .await?;
    if !ready {
        return Ok(LeaseAnswer { server_time: app.clock().now(), tasks: Vec::new() });
    }
    let answer = app
        .store()
        .write(async |tx: &mut Tx| -> Result<LeaseAnswer, AppError> {
            let public_key = public_key_of(tx, actor, &request.session_id).await?;
            let max = request.max_tasks.clamp(1, MOST_TASKS);
            let leased =
                tx.lease_tasks(&actor.connector_id, &request.session_id, max, LEASE).await?;
            let mut tasks = Vec::with_capacity(leased.len());
            let mut targets = Targets { app, public_key, known: BTreeMap::new() };
            for task in &leased {
                match describe(tx, task, &mut targets).await? {
                    Some(described) => tasks.push(described),
                    None => {
                        tx.finish_task(task).await?;
                    }
                }
            }
            Ok(LeaseAnswer { server_time: tx.now(), tasks })
        })
        .await?;
    if !answer.tasks.is_empty() {
        app.crash_point(crash_points::TASKS_LEASED);
        metrics::counter!("latchkey_tasks_leased_total").increment(answer.tasks.len() as u64);
    }
    Ok(answer)
}

/// The public key that the process said in its heartbeat.
async fn public_key_of(
    tx: &mut Tx,
    actor: &ConnectorActor,
    session: &ConnectorSessionId,
) -> Result<String, AppError> {
    let connector =
        tx.find_connector(&actor.connector_id).await?.ok_or_else(AppError::unauthorized)?;
    connector
        .sessions
        .into_iter()
        .find(|known| known.id == *session)
        .map(|known| STANDARD.encode(known.public_key))
        .ok_or_else(|| AppError::conflict("send a heartbeat before asking for work"))
}

/// The targets of one answer, each read once. Tasks that come together are mostly about one.
struct Targets<'a> {
    app: &'a App,
    public_key: String,
    known: BTreeMap<IntegrationId, Option<IntegrationTarget>>,
}

impl Targets<'_> {
    async fn find(
        &mut self,
        tx: &mut Tx,
        id: &IntegrationId,
    ) -> Result<Option<IntegrationTarget>, AppError> {
        if let Some(known) = self.known.get(id) {
            return Ok(known.clone());
        }
        let found = match tx.find_integration(id).await? {
            Some(found) => Some(targets::describe(tx, self.app, &found, &self.public_key).await?),
            None => None,
        };
        self.known.insert(id.clone(), found.clone());
        Ok(found)
    }
}

/// The task with what it asks for now; `None` when there is nothing to do any more.
async fn describe(
    tx: &mut Tx,
    task: &LeasedTask,
    targets: &mut Targets<'_>,
) -> Result<Option<Task>, AppError> {
    let Some(integration) = targets.find(tx, &task.integration_id).await? else {
        return Ok(None);
    };
    let operation = match task.kind {
        TaskKind::Discover => Operation::Discover,
        TaskKind::Reconcile => Operation::Reconcile {
            known_sessions: known_sessions(tx, &integration.id).await?,
            remove: reconcile::may_remove(tx).await?,
        },
        TaskKind::Apply => {
            let Some(session_id) = &task.session_id else { return Ok(None) };
            let Some(session) = tx.find_session(session_id).await? else { return Ok(None) };
            if session.state == SessionState::Ended {
                return Ok(None);
            }
            tx.set_task_version(&task.id, session.desired_version).await?;
            let units = tx.units_of_session(session_id).await?;
            Operation::Apply(desired_state(tx.now(), &session, &units, task.lease))
        }
    };
    Ok(Some(Task {
        id: task.id.clone(),
        lease: task.lease,
        lease_ms: u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX),
        integration,
        operation,
    }))
}

/// What the session's principal should hold. A claim whose end has passed is to be removed,
/// whether or not its timer has run.
fn desired_state(
    now: Timestamp,
    session: &AccessSession,
    units: &[RequestUnit],
    lease: i64,
) -> DesiredPrincipal {
    let (claims, removed): (Vec<_>, Vec<_>) = units
        .iter()
        .filter(|unit| unit.state.is_claim())
        .partition(|unit| unit.state.is_desired() && unit.ends_at.is_none_or(|end| end > now));
    let extension = |unit: &&RequestUnit| {
        let ends_at = unit.extends_to?;
        Some(ClaimExtension { unit_id: unit.id.clone(), ends_at })
    };
    let extensions = claims.iter().filter_map(extension).collect();
    DesiredPrincipal {
        session_id: session.id.clone(),
        generation: session.generation,
        principal: session.principal.clone(),
        fence: session.fence.max(0).saturating_add(lease),
        server_time: now,
        issue_credentials: !claims.is_empty()
            && session.credentials_status == CredentialsStatus::Resetting,
        claims: claims.into_iter().map(claim).collect(),
        removed: removed.into_iter().map(claim).collect(),
        extensions,
    }
}

fn claim(unit: &RequestUnit) -> DesiredClaim {
    DesiredClaim {
        unit_id: unit.id.clone(),
        resource_type: unit.resource_type.clone(),
        source_id: unit.resource_source_id.clone(),
        path: unit.resource_path.clone(),
        context: unit.resource_context.clone(),
        permission: unit.permission.clone(),
        ends_at: unit.ends_at,
    }
}

/// The sessions that may exist in a target, and the units that may be in place there.
async fn known_sessions(
    tx: &mut Tx,
    integration: &IntegrationId,
) -> Result<Vec<KnownSession>, AppError> {
    let filter = SessionFilter {
        integration_ids: vec![integration.clone()],
        states: vec![SessionState::Live, SessionState::Ending],
        ..SessionFilter::default()
    };
    let mut page = PageQuery::first(500);
    let mut known = Vec::new();
    loop {
        let sessions = tx.list_sessions(&filter, &page).await?;
        let Some(last) = sessions.last() else { return Ok(known) };
        page.after = Some(PageKey::new(last.created_at, last.id.as_str()));
        let ids: Vec<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
        let mut units: BTreeMap<SessionId, Vec<UnitId>> = BTreeMap::new();
        for unit in tx.units_of_sessions(&ids).await? {
            if let (true, Some(session)) = (unit.state.is_claim(), unit.session_id) {
                units.entry(session).or_default().push(unit.id);
            }
        }
        known.extend(sessions.into_iter().map(|session| KnownSession {
            units: units.remove(&session.id).unwrap_or_default(),
            session_id: session.id,
            principal: session.principal,
        }));
    }
}
