//! Taking tasks and working on them. A grant goes: one task a principal at a time, journal,
//! target, read-back, journal, report. Whatever happens within a task, it is answered, so that
//! the server can hand it out again.

mod apply;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use jiff::Timestamp;
use latchkey_domain::provisioning::{ExpiredClaim, FaultClass, TargetFault};
use latchkey_integrations::Integration;
use latchkey_protocol::{LeaseAnswer, LeaseRequest, Operation, Outcome, Reconciled, Task, VERSION};
use tokio::{
    sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use crate::{
    agent::{Agent, LinkStatus},
    crash,
    discovery::discover,
    inventories::Seen,
    journal::Holder,
    leases::Held,
    link::LinkError,
    pace,
    report::{Delivery, deliver},
    server_clock::Sent,
};

/// A pause after an answer without work, so that a server that does not wait is not flooded.
const BREATH: Duration = Duration::from_millis(20);

/// How long free slots are gathered while more work waits.
const GATHER: Duration = Duration::from_millis(20);

/// One slot in so many is gathered then.
const SHARE: usize = 8;

/// How long a task that was told to give up may take for it.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Leases tasks and works on them until the agent is told to stop; then waits for those that
/// are running, within the grace time.
pub(crate) async fn take(agent: &Arc<Agent>) {
    let slots = Arc::new(Semaphore::new(agent.max_tasks));
    let mut running = JoinSet::new();
    let mut status = agent.status.subscribe();
    tokio::select! {
        () = agent.stopping.cancelled() => return,
        _ = status.wait_for(|status| *status == LinkStatus::Connected) => {}
    }
    let mut more_waits = false;
    loop {
        while running.try_join_next().is_some() {}
        let leased = tokio::select! {
            () = agent.stopping.cancelled() => break,
            leased = lease(agent, &slots, more_waits) => leased,
        };
        let Some(Leased { slot, answer, sent, is_full }) = leased else { continue };
        more_waits = is_full;
        let LeaseAnswer { server_time, tasks } = answer;
        let mut slot = Some(slot);
        for task in tasks {
            let slot = slot.take().or_else(|| Arc::clone(&slots).try_acquire_owned().ok());
            let held = hold(agent, &task, server_time, sent);
            let agent = Arc::clone(agent);
            running.spawn(async move {
                work_on(&agent, &task, held).await;
                drop(slot);
            });
        }
    }
    let everything = async { while running.join_next().await.is_some() {} };
    tokio::select! {
        () = everything => {}
        () = pace::pause(agent.clock.as_ref(), agent.timing.stop_grace) => {
            tracing::warn!("The connector stops with tasks unfinished; they are handed out again.");
        }
    }
    agent.giving_up.cancel();
    let _ =
        tokio::time::timeout(LAST_WORDS, async { while running.join_next().await.is_some() {} })
            .await;
    running.shutdown().await;
}

/// What a request for work brought.
struct Leased {
    /// The first task's slot.
    slot: OwnedSemaphorePermit,
    answer: LeaseAnswer,
    sent: Sent,
    /// Whether as many came as were asked for: more may be waiting.
    is_full: bool,
}

/// Asks for as many tasks as there are free slots, of which there is one at least. While more
/// waits, tasks are fetched some at a time: each request is a transaction at the server.
async fn lease(agent: &Agent, slots: &Arc<Semaphore>, more_waits: bool) -> Option<Leased> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    let some = u32::try_from(agent.max_tasks / SHARE).unwrap_or(u32::MAX).saturating_sub(1);
    if more_waits && some > 0 {
        let _ = tokio::time::timeout(GATHER, slots.acquire_many(some)).await;
    }
    let free = slots.available_permits().saturating_add(1);
    let request = LeaseRequest {
        protocol: VERSION,
        session_id: agent.session.clone(),
        wait_ms: u64::try_from(agent.timing.lease_wait.as_millis()).unwrap_or(u64::MAX),
        max_tasks: u32::try_from(free).unwrap_or(u32::MAX),
    };
    let sent = agent.server_clock.sent();
    match agent.link.lease(&request).await {
        Ok(answer) => {
            agent.server_clock.heard_late(sent, answer.server_time);
            if answer.tasks.is_empty() {
                tokio::time::sleep(BREATH).await;
            }
            let is_full = answer.tasks.len() >= free;
            Some(Leased { slot, answer, sent, is_full })
        }
        Err(error) => {
            if matches!(error, LinkError::Refused(_)) {
                tracing::warn!(error = %error, "The server handed out no work.");
            }
            agent.beat_now.notify_one();
            agent.back_off().await;
            None
        }
    }
}

/// Places the lease on this process's monotonic clock: it began when the server made the answer,
/// which was after the request was sent.
fn hold(agent: &Agent, task: &Task, made_at: Timestamp, sent: Sent) -> Held {
    let now = agent.clock.monotonic();
    let age = agent.server_clock.now().duration_since(made_at);
    let age = Duration::try_from(age).unwrap_or_default().min(now.saturating_sub(sent.0));
    agent.leases.hold(task, now.saturating_sub(age))
}

/// What came of a task.
struct Done {
    /// `None`: nobody waits for an answer any more.
    outcome: Option<Outcome>,
    /// What the outcome tells besides.
    telling: Option<Telling>,
    /// What the server knows of the target once it has taken the outcome.
    seen: Option<Seen>,
}

/// Claims that the connector ended by itself, on their way to the server.
struct Telling {
    holder: Holder,
    claims: Vec<ExpiredClaim>,
    /// The next task on the principal starts once the server has been told.
    _turn: OwnedMutexGuard<()>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), telling: None, seen: None }
    }
}

async fn work_on(agent: &Agent, task: &Task, held: Held) {
    agent.crash_points.reached(crash::LEASED).await;
    let done = AssertUnwindSafe(run(agent, task, &held)).catch_unwind().await;
    let done = done.unwrap_or_else(|_| {
        tracing::error!(task.id = %task.id, integration.id = %task.integration.id,
            "A task ended in a panic.");
        let message = "the connector failed inside; see its log";
        Outcome::Failed(TargetFault::new(FaultClass::Unknown, message)).into()
    });
    let Some(outcome) = done.outcome else { return };
    if let Outcome::Failed(fault) = &outcome {
        tracing::warn!(task.id = %task.id, integration.id = %task.integration.id,
            error = %fault, "A task failed.");
    }
    if deliver(agent, task, outcome).await == Delivery::Taken {
        if let Some(seen) = done.seen {
            agent.inventories.put(&task.integration.id, seen);
        }
        agent.crash_points.reached(crash::REPORTED).await;
        if let Some(Telling { holder, claims, .. }) = &done.telling {
            // Not told again is all that is lost if this fails.
            let _ = agent.journal.told(holder, claims).await;
        }
    }
}

async fn run(agent: &Agent, task: &Task, held: &Held) -> Done {
    let Some(integration) = agent.integrations.get(task.integration.integration_type.as_str())
    else {
        let message = format!(
            "this connector cannot serve integrations of the type `{}`; update it",
            task.integration.integration_type.escape_debug()
        );
        return Outcome::Failed(TargetFault::new(FaultClass::Refused, message)).into();
    };
    let done = match &task.operation {
        Operation::Apply(desired) => {
            apply::apply(agent, task, integration.as_ref(), desired, held).await
        }
        Operation::Discover => run_discovery(agent, task, integration.as_ref(), held).await,
        Operation::Reconcile { known_sessions, remove } => {
            let run = async {
                let target = agent.secrets.open(&task.integration)?;
                let work = agent.work(held.end.clone());
                integration.reconcile(&target, &work, known_sessions, *remove).await
            };
            within_lease(agent, held, run)
                .await
                .map(|drift| Outcome::Reconciled(Reconciled { drift }).into())
        }
    };
    done.unwrap_or_else(|fault| Outcome::Failed(fault).into())
}

async fn run_discovery(
    agent: &Agent,
    task: &Task,
    integration: &dyn Integration,
    held: &Held,
) -> Result<Done, TargetFault> {
    let run = async {
        agent.secrets.config.ceilings.check_type(integration.integration_type())?;
        let target = agent.secrets.open(&task.integration)?;
        let work = agent.work(held.end.clone());
        discover(agent, task, integration, &target, &work).await
    };
    let (outcome, seen) = within_lease(agent, held, run).await?.unzip();
    Ok(Done { outcome, telling: None, seen })
}

/// Runs work on a target until it is done or its lease is over, whichever is first.
async fn within_lease<T, E: From<TargetFault>>(
    agent: &Agent,
    held: &Held,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let over = |message: &str| Err(TargetFault::new(FaultClass::Unknown, message).into());
    tokio::select! {
        biased;
        () = pace::until_over(agent.clock.as_ref(), &held.end) => {
            over("the lease ended before the work was done; what it did is read back next time")
        }
        () = agent.giving_up.cancelled() => {
            over("the connector stopped before the work was done; what it did is read back next time")
        }
        done = work => done,
    }
}
