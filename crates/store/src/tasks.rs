//! Work for connectors.
//!
//! A task is a row that is queued, or leased to one process under a lease number that grows
//! with every delivery. A lease that ran out makes it ready again; what the late process then
//! says is refused, because its number is not the newest. There is at most one open task per
//! kind and session (or integration): asking again while it runs has it run once more.

use std::time::Duration;

use jiff::Timestamp;
use latchkey_domain::ids::{ConnectorId, ConnectorSessionId, IntegrationId, SessionId, TaskId};

use crate::{error::Result, tx::Tx};

/// What a task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// Find what there is in an integration.
    Discover,
    /// Make a session's principal hold what it should.
    Apply,
    /// Find access that nothing explains.
    Reconcile,
}

impl TaskKind {
    /// The kind's name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Apply => "apply",
            Self::Reconcile => "reconcile",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Discover, Self::Apply, Self::Reconcile].into_iter().find(|k| k.as_str() == name)
    }
}

/// A task to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// The target.
    pub integration_id: IntegrationId,
    /// Who does it.
    pub connector_id: ConnectorId,
    /// What to do.
    pub kind: TaskKind,
    /// The session, for [`TaskKind::Apply`].
    pub session_id: Option<SessionId>,
    /// Not before.
    pub due: Timestamp,
    /// Of tasks that are due, higher goes first, then the earlier due.
    pub priority: i32,
}

/// A task that a process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedTask {
    /// Names the task.
    pub id: TaskId,
    /// Which delivery this is.
    pub lease: i64,
    /// The process that holds it.
    pub connector_session_id: ConnectorSessionId,
    /// Who does it.
    pub connector_id: ConnectorId,
    /// The target.
    pub integration_id: IntegrationId,
    /// What to do.
    pub kind: TaskKind,
    /// The session, for [`TaskKind::Apply`].
    pub session_id: Option<SessionId>,
    /// How often it has failed or was lost since it was queued; 0 at first.
    pub attempts: i64,
    /// The session's desired version that was sent along; see [`Tx::set_task_version`].
    pub desired_version: Option<i64>,
    /// When the lease runs out.
    pub lease_until: Timestamp,
}

/// A task that is not finished, as `doctor` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTask {
    /// Names the task.
    pub id: TaskId,
    /// The target.
    pub integration_id: IntegrationId,
    /// Who does it.
    pub connector_id: ConnectorId,
    /// What to do.
    pub kind: TaskKind,
    /// The session, for [`TaskKind::Apply`].
    pub session_id: Option<SessionId>,
    /// Not before.
    pub due: Timestamp,
    /// Whether a process holds it now.
    pub leased: bool,
    /// How often it has failed.
    pub attempts: i64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl Tx {
    /// Queues a task. If one like it is queued, the earlier due and higher priority hold; if one runs, it runs again afterwards. True if a row was added.
    pub async fn enqueue_task(&mut self, task: &NewTask) -> Result<bool> {
        unimplemented!()
    }
    /// Gives up to `max` tasks that are due, or whose lease ran out, to a process.
    pub async fn lease_tasks(
        &mut self,
        connector: &ConnectorId,
        session: &ConnectorSessionId,
        max: u32,
        lease: Duration,
    ) -> Result<Vec<LeasedTask>> {
        unimplemented!()
    }
    /// When the connector's next task is due, or the next lease runs out.
    pub async fn next_task_at(&mut self, connector: &ConnectorId) -> Result<Option<Timestamp>> {
        unimplemented!()
    }
    /// Notes the desired version that goes out with the present delivery.
    pub async fn set_task_version(&mut self, id: &TaskId, desired_version: i64) -> Result<()> {
        unimplemented!()
    }
    /// The task if this delivery is the newest and not answered yet; locked until the transaction ends.
    pub async fn find_leased_task(
        &mut self,
        id: &TaskId,
        lease: i64,
    ) -> Result<Option<LeasedTask>> {
        unimplemented!()
    }
    /// Ends a task. True if it was asked for again meanwhile, and is queued, due now.
    pub async fn finish_task(&mut self, id: &TaskId) -> Result<bool> {
        unimplemented!()
    }
    /// Queues a task again after a failure.
    pub async fn retry_task(&mut self, id: &TaskId, due: Timestamp, error: &str) -> Result<()> {
        unimplemented!()
    }
    /// Prolongs the leases of a process; returns how many.
    pub async fn renew_task_leases(
        &mut self,
        session: &ConnectorSessionId,
        until: Timestamp,
    ) -> Result<u64> {
        unimplemented!()
    }
    /// Takes back the leases of a process that is gone: its tasks are due now.
    pub async fn release_task_leases(&mut self, session: &ConnectorSessionId) -> Result<u64> {
        unimplemented!()
    }
    /// Has every open task of an integration done by this connector, due now; leases are void.
    pub async fn requeue_tasks_of_integration(
        &mut self,
        integration: &IntegrationId,
        connector: &ConnectorId,
    ) -> Result<u64> {
        unimplemented!()
    }
    /// Makes every queued task of an integration due now: its target has just answered.
    pub async fn hurry_tasks_of_integration(&mut self, integration: &IntegrationId) -> Result<u64> {
        unimplemented!()
    }
    /// Forgets every open task of an integration.
    pub async fn delete_tasks_of_integration(
        &mut self,
        integration: &IntegrationId,
    ) -> Result<u64> {
        unimplemented!()
    }
    /// Forgets the open apply task of a session.
    pub async fn delete_task_of_session(&mut self, session: &SessionId) -> Result<bool> {
        unimplemented!()
    }
    /// Tasks that are not finished, earliest due first.
    pub async fn list_open_tasks(&mut self, limit: u32) -> Result<Vec<OpenTask>> {
        unimplemented!()
    }
    /// How many tasks are not finished.
    pub async fn count_open_tasks(&mut self) -> Result<u64> {
        unimplemented!()
    }
}
