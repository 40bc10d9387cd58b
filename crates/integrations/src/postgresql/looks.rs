//! Looks for open sessions, shared by everybody who waits for sessions at one server to end.
//!
//! Ending a principal takes two looks 100 ms apart. Where many principals end together, each
//! look is one query for all of them, and nobody holds a connection while they wait.
//!
//! Invariant: a look answers only what was asked before it began. So a role that was closed
//! before its question is known to have been closed before the look, just as if it had looked
//! alone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use latchkey_domain::provisioning::{FaultClass, TargetFault};
use tokio::sync::oneshot;

use super::{
    Context,
    connection::{Rows, number, string},
    fault::Failure,
    planned::{CLOCK, Planned},
    pool::{Key, Pool, key},
    quote,
    settings::{Endpoint, Settings},
};
use crate::{LeaseEnd, Work};

/// How long one look may take. It is nobody's own work, so it has a limit of its own.
const LIMIT: Duration = Duration::from_secs(10);

/// What a look saw of one role. What it saw it has asked to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// The target's time, in milliseconds since 1970.
    pub now: i64,
    /// Open sessions, by their process.
    pub sessions: BTreeSet<i32>,
    /// Prepared transactions; a replica shows none.
    pub prepared: Vec<Prepared>,
    /// Whether a replica does not know yet that the role cannot log in.
    pub lags: bool,
}

impl Sight {
    /// Whether nothing was there.
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.prepared.is_empty() && !self.lags
    }
}

/// A transaction that was prepared and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prepared {
    /// Its name.
    pub gid: String,
    /// The database it is in.
    pub database: String,
}

/// The looks of this process. An entry is a server at which somebody is looking now, with the
/// questions that wait for the next look.
#[derive(Debug, Default)]
pub(super) struct Looks(Arc<Mutex<HashMap<Key, Vec<Question>>>>);

#[derive(Debug)]
struct Question {
    role: u32,
    lease: LeaseEnd,
    answer: oneshot::Sender<Result<Sight, Failure>>,
}

impl Looks {
    /// Looks for sessions of `role` and asks those that it sees to end. The look begins after
    /// this call.
    pub(super) async fn ask(
        &self,
        context: &Context<'_>,
        endpoint: &Endpoint,
        role: u32,
    ) -> Result<Sight, Failure> {
        context.work.check_lease()?;
        let (answer, answered) = oneshot::channel();
        let question = Question { role, lease: context.work.lease_ends.clone(), answer };
        let key = key(&context.settings, endpoint, &context.settings.dbname);
        let is_first = {
            let mut waiting = lock(&self.0);
            let is_first = !waiting.contains_key(&key);
            waiting.entry(key).or_default().push(question);
            is_first
        };
        if is_first {
            let looker = Looker {
                key,
                waiting: Arc::clone(&self.0),
                pool: Arc::clone(context.pool),
                settings: context.settings.clone(),
                endpoint: endpoint.clone(),
                work: context.work.clone(),
                has_ended: false,
            };
            tokio::spawn(looker.run());
        }
        answered.await.unwrap_or_else(|_| {
            let message = "the connector stopped while it looked for sessions";
            Err(TargetFault::new(FaultClass::Transient, message).into())
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks for as long as there are questions.
struct Looker {
    key: Key,
    waiting: Arc<Mutex<HashMap<Key, Vec<Question>>>>,
    pool: Arc<Pool>,
    settings: Settings,
    endpoint: Endpoint,
    work: Work,
    has_ended: bool,
}

impl Looker {
    async fn run(mut self) {
        while let Some(questions) = self.next() {
            let now = self.work.clock.monotonic();
            let mut asked = Vec::new();
            for question in questions {
                // Nothing is ended for somebody who went away or whose lease is over.
                if question.answer.is_closed() {
                    continue;
                }
                if question.lease.get() <= now {
                    let message = "the lease ended before this step";
                    let fault = TargetFault::new(FaultClass::Transient, message);
                    let _ = question.answer.send(Err(fault.into()));
                } else {
                    asked.push(question);
                }
            }
            self.answer(asked).await;
        }
    }

    /// The questions for the next look; `None` when there is none, and then this looker is done.
    fn next(&mut self) -> Option<Vec<Question>> {
        let mut waiting = lock(&self.waiting);
        let questions = waiting.get_mut(&self.key).map(std::mem::take).unwrap_or_default();
        if questions.is_empty() {
            waiting.remove(&self.key);
            self.has_ended = true;
            return None;
        }
        Some(questions)
    }

    async fn answer(&self, asked: Vec<Question>) {
        let roles: BTreeSet<u32> = asked.iter().map(|question| question.role).collect();
        if roles.is_empty() {
            return;
        }
        match self.look(&roles).await {
            Ok(seen) => {
                for Question { role, answer, .. } in asked {
                    let _ = answer.send(Ok(seen.get(&role).cloned().unwrap_or_default()));
                }
            }
            // One role that cannot be looked for must not keep the others.
            Err(failure) if failure.is_denied() && roles.len() > 1 => {
                for Question { role, answer, .. } in asked {
                    let seen = self.look(&BTreeSet::from([role])).await;
                    let sight = seen.map(|mut seen| seen.remove(&role).unwrap_or_default());
                    let _ = answer.send(sight);
                }
            }
            Err(failure) => {
                for Question { answer, .. } in asked {
                    let _ = answer.send(Err(failure.clone()));
                }
            }
        }
    }

    async fn look(&self, roles: &BTreeSet<u32>) -> Result<BTreeMap<u32, Sight>, Failure> {
        let lease_ends = LeaseEnd::at(self.work.clock.monotonic().saturating_add(LIMIT));
        let work = Work { lease_ends, ..self.work.clone() };
        let (settings, endpoint) = (&self.settings, &self.endpoint);
        let connection = self.pool.take_at(settings, endpoint, &settings.dbname, &work).await?;
        let is_primary = *endpoint == settings.primary;
        let answers = connection.batch(&work, &look_sql(roles, is_primary)).await?;
        self.pool.give_back(connection, &work);
        Ok(read(roles, is_primary, &answers))
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        // Whoever still waits learns that nobody will answer.
        if !self.has_ended {
            lock(&self.waiting).remove(&self.key);
        }
    }
}

/// Sessions first, what they may have prepared after that: what has no session prepares nothing.
fn look_sql(roles: &BTreeSet<u32>, is_primary: bool) -> String {
    let roles = quote::oid_array(roles.iter().copied());
    let more = if is_primary { "lk_prepared" } else { "lk_with_login" };
    format!("EXECUTE lk_end_sessions({roles}); EXECUTE {more}({roles}); {CLOCK}")
}

/// The queries of [`look_sql`].
pub(super) fn planned() -> [Planned; 3] {
    let end = "SELECT usesysid, pid, pg_terminate_backend(pid) FROM pg_stat_get_activity(NULL) \
         WHERE usesysid = ANY ($1) AND pid <> pg_backend_pid()";
    let prepared = "SELECT r.oid, x.gid, x.database FROM pg_prepared_xacts x JOIN pg_roles r ON \
         r.rolname = x.owner WHERE r.oid = ANY ($1)";
    let with_login = "SELECT oid FROM pg_roles WHERE rolcanlogin AND oid = ANY ($1)";
    [
        Planned::new("lk_end_sessions", "oid[]", end),
        Planned::new("lk_prepared", "oid[]", prepared),
        Planned::new("lk_with_login", "oid[]", with_login),
    ]
}

fn read(roles: &BTreeSet<u32>, is_primary: bool, answers: &[Rows]) -> BTreeMap<u32, Sight> {
    let clock = answers.get(2).and_then(|rows| rows.first());
    let now = clock.and_then(|row| number(row, 0)).unwrap_or(0);
    let mut seen: BTreeMap<u32, Sight> =
        roles.iter().map(|role| (*role, Sight { now, ..Sight::default() })).collect();
    for row in answers.first().into_iter().flatten() {
        if let Some(sight) = number(row, 0).and_then(|role: u32| seen.get_mut(&role)) {
            sight.sessions.insert(number(row, 1).unwrap_or(0));
        }
    }
    for row in answers.get(1).into_iter().flatten() {
        let Some(sight) = number(row, 0).and_then(|role: u32| seen.get_mut(&role)) else {
            continue;
        };
        if is_primary {
            sight.prepared.push(Prepared { gid: string(row, 1), database: string(row, 2) });
        } else {
            sight.lags = true;
        }
    }
    seen
}
