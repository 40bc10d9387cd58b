//! Work for connectors.
//!
//! A task is a row that is queued, or leased to one process under a lease number that grows
//! with every delivery. A lease that ran out makes it ready again; what the late process then
//! says is refused, because its number is not the newest. There is at most one open task per
//! kind and session (or integration): asking again while it runs has it run once more.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use latchkey_domain::ids::{ConnectorId, ConnectorSessionId, IntegrationId, SessionId, TaskId};

use crate::{
    error::{Result, StoreError},
    leases::Leased,
    sql::{Row, Sql, micros, values},
    tx::Tx,
    wake::Wake,
};

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
    /// When somebody may take it next: of one that is held, the end of its lease.
    pub ready_at: Timestamp,
    /// Whether a process holds it now.
    pub leased: bool,
    /// How often it has failed.
    pub attempts: i64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// How many tasks of each integration go out before more of any.
const FAIR_SHARE: usize = 4;

/// How often other tasks are looked for where other servers are taking those that were chosen.
const ROUNDS: usize = 4;

/// A delivery that is no longer the newest, or was answered.
const LOST: StoreError = StoreError::Conflict { what: "the task's lease" };

const LEASED_COLUMNS: &str = "tasks.id, tasks.lease, tasks.holder, tasks.connector_id, \
     tasks.integration_id, tasks.kind, tasks.session_id, tasks.attempts, tasks.desired_version, \
     tasks.ready_at, tasks.priority, tasks.due";

fn read_leased(row: &Row) -> Result<LeasedTask> {
    Ok(LeasedTask {
        id: TaskId::new(row.text("id")?),
        lease: row.int("lease")?,
        connector_session_id: ConnectorSessionId::new(row.text("holder")?),
        connector_id: ConnectorId::new(row.text("connector_id")?),
        integration_id: IntegrationId::new(row.text("integration_id")?),
        kind: row.word("kind", TaskKind::parse)?,
        session_id: row.opt_text("session_id")?.map(SessionId::new),
        attempts: row.int("attempts")?,
        desired_version: row.opt_int("desired_version")?,
        lease_until: row.time("ready_at")?,
    })
}

fn read_open(row: &Row) -> Result<OpenTask> {
    Ok(OpenTask {
        id: TaskId::new(row.text("id")?),
        integration_id: IntegrationId::new(row.text("integration_id")?),
        connector_id: ConnectorId::new(row.text("connector_id")?),
        kind: row.word("kind", TaskKind::parse)?,
        session_id: row.opt_text("session_id")?.map(SessionId::new),
        due: row.time("due")?,
        ready_at: row.time("ready_at")?,
        leased: row.text("state")? == "leased",
        attempts: row.int("attempts")?,
        last_error: row.opt_text("last_error")?,
    })
}

/// What tasks go out by: the highest priority, then the earliest due, then the oldest.
type TaskOrder = (Reverse<i64>, i64, String);

fn order_of(row: &Row) -> Result<TaskOrder> {
    Ok((Reverse(row.int("priority")?), row.int("due")?, row.text("id")?))
}

impl Tx {
    /// Queues a task. If one like it is queued, the earlier due and the higher priority hold; if
    /// one runs, it runs again afterwards. True if a row was added.
    pub async fn enqueue_task(&mut self, task: &NewTask) -> Result<bool> {
        let id = TaskId::generate(self.now(), self.rng());
        let about =
            task.session_id.as_ref().map_or(task.integration_id.as_str(), SessionId::as_str);
        let sql = Sql::with(
            "INSERT INTO tasks (id, open_key, integration_id, connector_id, kind, session_id, \
             priority, due, state, ready_at, lease, attempts, again, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $8, 0, 0, FALSE, $9) \
             ON CONFLICT (open_key) DO UPDATE SET \
             priority = CASE WHEN excluded.priority > tasks.priority \
               THEN excluded.priority ELSE tasks.priority END, \
             connector_id = CASE WHEN tasks.state = 'queued' \
               THEN excluded.connector_id ELSE tasks.connector_id END, \
             due = CASE WHEN tasks.state = 'queued' AND excluded.due < tasks.due \
               THEN excluded.due ELSE tasks.due END, \
             ready_at = CASE WHEN tasks.state = 'queued' AND excluded.due < tasks.ready_at \
               THEN excluded.due ELSE tasks.ready_at END, \
             again = CASE WHEN tasks.state = 'leased' THEN TRUE ELSE tasks.again END \
             RETURNING id",
            values![
                id.as_str(),
                format!("{}:{about}", task.kind.as_str()),
                task.integration_id.as_str(),
                task.connector_id.as_str(),
                task.kind.as_str(),
                task.session_id.as_ref().map(SessionId::as_str),
                i64::from(task.priority),
                micros(task.due),
                micros(self.now()),
            ],
        );
        let row = self.row(sql).await?;
        self.wake_after(Wake::Tasks);
        row.map_or(Ok(false), |row| Ok(row.text("id")? == id.as_str()))
    }

    /// Gives up to `max` tasks that are due, or whose lease ran out, to a process: a few of each
    /// integration before more of any, so that one dead target does not starve the others; then
    /// the highest priority, then the earliest due. A lease lasts 15 minutes at most.
    pub async fn lease_tasks(
        &mut self,
        connector: &ConnectorId,
        session: &ConnectorSessionId,
        max: u32,
        lease: Duration,
    ) -> Result<Vec<LeasedTask>> {
        self.end_impossible_leases(Leased::Tasks).await?;
        let mut leased = Vec::new();
        let mut missed = BTreeSet::new();
        for _ in 0..ROUNDS {
            let wanted = max.saturating_sub(u32::try_from(leased.len()).unwrap_or(max));
            let chosen = self.choose_tasks(connector, wanted, &missed).await?;
            if chosen.is_empty() {
                break;
            }
            let taken = self.take_tasks(&chosen, session, lease).await?;
            // Another server is taking those; they still look ready until it has.
            let is_whole = taken.len() == chosen.len();
            missed.extend(chosen);
            leased.extend(taken);
            if is_whole {
                break;
            }
        }
        leased.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(leased.into_iter().map(|(_, task)| task).collect())
    }

    /// The tasks that go out next: a few of each integration first, then in order. The first ones
    /// of each integration are found through an index, however many wait.
    async fn choose_tasks(
        &mut self,
        connector: &ConnectorId,
        max: u32,
        missed: &BTreeSet<TaskId>,
    ) -> Result<Vec<TaskId>> {
        let sql = Sql::with(
            "WITH RECURSIVE places(id) AS (\
               SELECT MIN(integration_id) FROM tasks WHERE connector_id = $1 UNION ALL \
               SELECT (SELECT MIN(integration_id) FROM tasks WHERE connector_id = $1 \
                 AND integration_id > places.id) FROM places WHERE places.id IS NOT NULL) \
             SELECT id FROM places WHERE id IS NOT NULL",
            values![connector.as_str()],
        );
        let integrations = self.rows(sql, |row| row.text("id")).await?;
        let mut waiting = Vec::new();
        for integration in integrations {
            let limit = i64::from(max) + i64::try_from(missed.len()).unwrap_or(i64::MAX);
            let sql = Sql::with(
                "SELECT id, priority, due FROM tasks WHERE connector_id = $1 \
                 AND integration_id = $2 AND ready_at <= $3 \
                 ORDER BY priority DESC, due, id LIMIT $4",
                values![connector.as_str(), integration, micros(self.now()), limit],
            );
            let read = |row: &Row| Ok((TaskId::new(row.text("id")?), order_of(row)?));
            let found = self.rows(sql, read).await?;
            let new = found.into_iter().filter(|(id, _)| !missed.contains(id));
            waiting.extend(
                new.enumerate().map(|(place, (id, order))| (place >= FAIR_SHARE, order, id)),
            );
        }
        waiting.sort();
        waiting.truncate(usize::try_from(max).unwrap_or(usize::MAX));
        Ok(waiting.into_iter().map(|(_, _, id)| id).collect())
    }

    /// Leases those of these tasks that nobody else is taking.
    async fn take_tasks(
        &mut self,
        ids: &[TaskId],
        session: &ConnectorSessionId,
        lease: Duration,
    ) -> Result<Vec<(TaskOrder, LeasedTask)>> {
        let mut sql =
            Sql::new("WITH picked AS MATERIALIZED (SELECT id FROM tasks WHERE ready_at <= ");
        sql.bind(micros(self.now())).push(" AND id IN ").list(ids.iter().map(TaskId::as_str));
        sql.push(self.skip_locked());
        sql.push(
            ") UPDATE tasks SET attempts = attempts + CASE WHEN state = 'leased' THEN 1 ELSE 0 END, \
             state = 'leased', lease = lease + 1, again = FALSE, desired_version = NULL, holder = ",
        );
        sql.bind(session.as_str()).push(", ready_at = ").bind(self.lease_end(lease));
        sql.push(" WHERE id IN (SELECT id FROM picked) RETURNING ").push(LEASED_COLUMNS);
        self.rows(sql, |row| Ok((order_of(row)?, read_leased(row)?))).await
    }

    /// When the connector's next task is due, or the next lease runs out.
    pub async fn next_task_at(&mut self, connector: &ConnectorId) -> Result<Option<Timestamp>> {
        let sql = "SELECT MIN(ready_at) AS at FROM tasks WHERE connector_id = $1";
        let row = self.row(Sql::with(sql, values![connector.as_str()])).await?;
        row.map_or(Ok(None), |row| row.opt_time("at"))
    }

    /// Notes the desired version that goes out with the present delivery.
    pub async fn set_task_version(&mut self, id: &TaskId, desired_version: i64) -> Result<()> {
        let sql = "UPDATE tasks SET desired_version = $2 WHERE id = $1";
        self.exec(Sql::with(sql, values![id.as_str(), desired_version])).await?;
        Ok(())
    }

    /// The task if this delivery is the newest and not answered yet. Not locked, because what
    /// the answer is about is locked first; [`Tx::finish_task`] and [`Tx::retry_task`] refuse a
    /// delivery that is no longer the newest.
    pub async fn find_leased_task(
        &mut self,
        id: &TaskId,
        lease: i64,
    ) -> Result<Option<LeasedTask>> {
        let sql = format!(
            "SELECT {LEASED_COLUMNS} FROM tasks WHERE id = $1 AND lease = $2 \
             AND state = 'leased'"
        );
        let row = self.row(Sql::with(&sql, values![id.as_str(), lease])).await?;
        row.as_ref().map(read_leased).transpose()
    }

    /// Ends a task. True if it was asked for again meanwhile, and is queued, due now.
    /// [`StoreError::Conflict`] if the delivery is not the newest, or was answered.
    pub async fn finish_task(&mut self, task: &LeasedTask) -> Result<bool> {
        let sql = Sql::with(
            "UPDATE tasks SET state = 'queued', due = $3, ready_at = $3, holder = NULL, \
             attempts = 0, again = FALSE, last_error = NULL \
             WHERE id = $1 AND lease = $2 AND state = 'leased' AND again",
            values![task.id.as_str(), task.lease, micros(self.now())],
        );
        if self.exec(sql).await? > 0 {
            self.wake_after(Wake::Tasks);
            return Ok(true);
        }
        let sql = "DELETE FROM tasks WHERE id = $1 AND lease = $2 AND state = 'leased'";
        let ended = self.exec(Sql::with(sql, values![task.id.as_str(), task.lease])).await?;
        if ended == 0 {
            return Err(LOST);
        }
        Ok(false)
    }

    /// Queues a task again after a failure: for `due`, or now if it was asked for meanwhile.
    /// [`StoreError::Conflict`] if the delivery is not the newest, or was answered.
    pub async fn retry_task(
        &mut self,
        task: &LeasedTask,
        due: Timestamp,
        error: &str,
    ) -> Result<()> {
        let sql = Sql::with(
            "UPDATE tasks SET state = 'queued', due = CASE WHEN again THEN $3 ELSE $2 END, \
             ready_at = CASE WHEN again THEN $3 ELSE $2 END, holder = NULL, \
             attempts = attempts + 1, again = FALSE, last_error = $4 \
             WHERE id = $1 AND lease = $5 AND state = 'leased'",
            values![task.id.as_str(), micros(due), micros(self.now()), error, task.lease],
        );
        if self.exec(sql).await? == 0 {
            return Err(LOST);
        }
        self.wake_after(Wake::Tasks);
        Ok(())
    }

    /// Prolongs the lease of one delivery; false if it is not the newest, was answered, or is
    /// another process's.
    pub async fn renew_task_lease(
        &mut self,
        session: &ConnectorSessionId,
        id: &TaskId,
        lease: i64,
        until: Timestamp,
    ) -> Result<bool> {
        let until = micros(until).min(self.lease_horizon());
        let sql = "UPDATE tasks SET ready_at = $3 WHERE id = $1 AND lease = $2 \
             AND state = 'leased' AND holder = $4";
        let values = values![id.as_str(), lease, until, session.as_str()];
        Ok(self.exec(Sql::with(sql, values)).await? > 0)
    }

    /// Takes back the leases of a process that is gone: its tasks are due now.
    pub async fn release_task_leases(&mut self, session: &ConnectorSessionId) -> Result<u64> {
        let sql = Sql::with(
            "UPDATE tasks SET state = 'queued', ready_at = $2, holder = NULL, again = FALSE \
             WHERE holder = $1 AND state = 'leased'",
            values![session.as_str(), micros(self.now())],
        );
        self.wake_after(Wake::Tasks);
        self.exec(sql).await
    }

    /// Has every open task of an integration done by this connector, due now; leases are void.
    pub async fn requeue_tasks_of_integration(
        &mut self,
        integration: &IntegrationId,
        connector: &ConnectorId,
    ) -> Result<u64> {
        let sql = Sql::with(
            "UPDATE tasks SET connector_id = $2, state = 'queued', due = $3, ready_at = $3, \
             holder = NULL, again = FALSE WHERE integration_id = $1",
            values![integration.as_str(), connector.as_str(), micros(self.now())],
        );
        self.wake_after(Wake::Tasks);
        self.exec(sql).await
    }

    /// Forgets every open task of an integration.
    pub async fn delete_tasks_of_integration(
        &mut self,
        integration: &IntegrationId,
    ) -> Result<u64> {
        let sql = "DELETE FROM tasks WHERE integration_id = $1";
        self.exec(Sql::with(sql, values![integration.as_str()])).await
    }

    /// Tasks that are not finished, earliest due first.
    pub async fn list_open_tasks(&mut self, limit: u32) -> Result<Vec<OpenTask>> {
        let sql = Sql::with(
            "SELECT id, integration_id, connector_id, kind, session_id, due, ready_at, state, \
             attempts, last_error FROM tasks ORDER BY due, id LIMIT $1",
            values![i64::from(limit)],
        );
        self.rows(sql, read_open).await
    }

    /// How many tasks are not finished.
    pub async fn count_open_tasks(&mut self) -> Result<u64> {
        self.count(Sql::new("SELECT COUNT(*) AS n FROM tasks")).await
    }
}
