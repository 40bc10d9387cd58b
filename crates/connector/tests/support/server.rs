//! A server in memory that keeps the lease protocol: newest lease only, 10 s leases renewed by
//! heartbeats that name them, a former process's leases taken back at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use latchkey_connector::{LinkError, ServerLink};
use latchkey_domain::{
    Clock,
    ids::{ConnectorSessionId, InstallationId, TaskId},
    provisioning::DesiredPrincipal,
};
use latchkey_protocol::{
    AuditHead, Changes, Heartbeat, HeartbeatAnswer, IntegrationTarget, LeaseAnswer, LeaseRequest,
    Operation, Outcome, SecretSource, Task, TaskResult,
    sealing::{SealingKey, SecretValues, seal_values},
};
use latchkey_testkit::TestClock;
use secrecy::SecretString;

use super::{CLOCK_TYPE, SERVER, integration};

/// The admin secret that the server keeps; must appear nowhere in clear.
pub const SERVER_SECRET: &str = "canary-4f1d-admin-password";

const LEASE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Row {
    operation: Operation,
    lease: i64,
    holder: Option<(ConnectorSessionId, Duration)>,
    done: bool,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<TaskId, Row>,
    results: Vec<(TaskId, i64, Outcome)>,
    changes: Vec<Changes>,
    superseded: usize,
    beats: Vec<Heartbeat>,
    away: Option<LinkError>,
    lose_lease_answers: usize,
    lose_result_answers: usize,
    secret: Option<SecretSource>,
    audit_head: Option<AuditHead>,
    forgets_targets: bool,
}

#[derive(Debug)]
pub struct MemoryServer {
    clock: Arc<TestClock>,
    pub key: SealingKey,
    inner: Mutex<Inner>,
}

impl MemoryServer {
    pub fn new(clock: Arc<TestClock>) -> Self {
        let key = SealingKey::from_bytes([7; 32]);
        Self { clock, key, inner: Mutex::default() }
    }

    pub fn queue(&self, id: &str, operation: Operation) {
        let row = Row { operation, lease: 0, holder: None, done: false };
        self.lock().rows.insert(TaskId::new(id), row);
    }

    pub fn queue_apply(&self, id: &str, desired: DesiredPrincipal) {
        self.queue(id, Operation::Apply(desired));
    }

    /// The server cannot be reached, or answers every call so, until given `None`.
    pub fn answer_with(&self, error: Option<LinkError>) {
        self.lock().away = error;
    }

    pub fn go_away(&self) {
        self.answer_with(Some(LinkError::Unreachable("connection refused".to_owned())));
    }

    /// The next answers that hand out tasks get lost on the way.
    pub fn lose_lease_answers(&self, count: usize) {
        self.lock().lose_lease_answers = count;
    }

    /// The next results are stored, and the answers get lost on the way.
    pub fn lose_result_answers(&self, count: usize) {
        self.lock().lose_result_answers = count;
    }

    pub fn keep_secret_at(&self, secret: SecretSource) {
        self.lock().secret = Some(secret);
    }

    pub fn sign(&self, sequence: i64) {
        self.lock().audit_head = Some(AuditHead {
            sequence,
            hash: format!("{sequence:064x}"),
            signed_at: self.clock.now(),
            signature: "00".to_owned(),
        });
    }

    /// Heartbeat answers list no targets.
    pub fn forget_targets(&self) {
        self.lock().forgets_targets = true;
    }

    pub fn heartbeats(&self) -> usize {
        self.lock().beats.len()
    }

    /// The heartbeat that came as number `index`.
    pub fn beat(&self, index: usize) -> Heartbeat {
        self.lock().beats.get(index).unwrap().clone()
    }

    pub fn newest_heartbeat(&self) -> Heartbeat {
        self.lock().beats.last().unwrap().clone()
    }

    pub fn results_of(&self, id: &str) -> Vec<Outcome> {
        let id = TaskId::new(id);
        let inner = self.lock();
        inner.results.iter().filter(|(of, ..)| *of == id).map(|(.., o)| o.clone()).collect()
    }

    pub fn is_done(&self, id: &str) -> bool {
        self.lock().rows.get(&TaskId::new(id)).unwrap().done
    }

    pub fn lease_number(&self, id: &str) -> i64 {
        self.lock().rows.get(&TaskId::new(id)).unwrap().lease
    }

    /// Native ids that were told to have come or changed, and to be gone.
    pub fn changes(&self) -> (Vec<String>, Vec<String>) {
        let inner = self.lock();
        let found = inner.changes.iter().flat_map(|told| &told.found);
        let gone = inner.changes.iter().flat_map(|told| &told.gone);
        (found.map(|one| one.source_id.clone()).collect(), gone.cloned().collect())
    }

    pub fn superseded(&self) -> usize {
        self.lock().superseded
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn described(inner: &Inner, public_key: &str) -> IntegrationTarget {
        let secret = inner.secret.clone().unwrap_or_else(|| {
            let values: SecretValues =
                [("password".to_owned(), SecretString::from(SERVER_SECRET))].into();
            SecretSource::Platform { sealed: seal_values(public_key, &values).unwrap() }
        });
        IntegrationTarget {
            installation_id: InstallationId::new("installation-1"),
            id: integration(),
            name: "Cells".to_owned(),
            integration_type: CLOCK_TYPE.to_owned(),
            config: [("hostname".to_owned(), "cells.internal".to_owned())].into(),
            secret,
            connected_resource_types: None,
        }
    }

    /// Hands out what is ready to a process that has said its key.
    fn lease_now(&self, request: &LeaseRequest) -> Result<Vec<Task>, LinkError> {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        if let Some(error) = &inner.away {
            return Err(error.clone());
        }
        let known = inner.beats.iter().rev().find(|beat| beat.session_id == request.session_id);
        let Some(public_key) = known.map(|beat| beat.public_key.clone()) else {
            return Err(LinkError::Refused("send a heartbeat first".to_owned()));
        };
        let target = Self::described(&inner, &public_key);
        let mut tasks = Vec::new();
        for (id, row) in &mut inner.rows {
            let is_free = row.holder.as_ref().is_none_or(|(_, until)| *until <= now);
            if row.done || !is_free || tasks.len() >= request.max_tasks as usize {
                continue;
            }
            row.lease += 1;
            row.holder = Some((request.session_id.clone(), now + LEASE));
            tasks.push(Task {
                id: id.clone(),
                lease: row.lease,
                lease_ms: u64::try_from(LEASE.as_millis()).unwrap(),
                integration: target.clone(),
                operation: row.operation.clone(),
            });
        }
        if !tasks.is_empty() && inner.lose_lease_answers > 0 {
            inner.lose_lease_answers -= 1;
            return Err(LinkError::Unreachable("the answer got lost".to_owned()));
        }
        Ok(tasks)
    }
}

#[async_trait]
impl ServerLink for MemoryServer {
    async fn heartbeat(&self, beat: &Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        let now = self.clock.monotonic();
        let mut inner = self.lock();
        if let Some(error) = &inner.away {
            return Err(error.clone());
        }
        for (id, row) in &mut inner.rows {
            let Some((session, until)) = &mut row.holder else { continue };
            if beat.replaces.as_ref() == Some(session) {
                row.holder = None;
                continue;
            }
            let named =
                beat.running.iter().any(|named| named.id == *id && named.lease == row.lease);
            if *session == beat.session_id && named && *until > now {
                *until = now + LEASE;
            }
        }
        inner.beats.push(beat.clone());
        let mut integrations = Vec::new();
        if !inner.forgets_targets {
            integrations.push(Self::described(&inner, &beat.public_key));
        }
        let version = format!("{} {:?} {}", integrations.len(), inner.secret, beat.public_key);
        let targets_unchanged = beat.targets.as_deref() == Some(version.as_str());
        if targets_unchanged {
            integrations.clear();
        }
        Ok(HeartbeatAnswer {
            server_time: self.clock.now(),
            installation_id: InstallationId::new("installation-1"),
            server_public_key: self.key.public_key(),
            audit_head: inner.audit_head.clone(),
            integrations,
            targets: Some(version),
            targets_unchanged,
            listens: vec![SERVER.parse().unwrap()],
        })
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<LeaseAnswer, LinkError> {
        let looks = request.wait_ms / 5;
        for _ in 0..looks {
            let tasks = self.lease_now(request)?;
            if !tasks.is_empty() {
                return Ok(LeaseAnswer { server_time: self.clock.now(), tasks });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(LeaseAnswer { server_time: self.clock.now(), tasks: Vec::new() })
    }

    async fn result(&self, task: &TaskId, result: &TaskResult) -> Result<(), LinkError> {
        let mut inner = self.lock();
        if let Some(error) = &inner.away {
            return Err(error.clone());
        }
        let row = inner.rows.get_mut(task).unwrap();
        let is_newest = row.lease == result.lease && row.holder.is_some();
        if !is_newest {
            if !row.done || row.lease != result.lease {
                inner.superseded += 1;
            }
            return Err(LinkError::Superseded);
        }
        let goes_on = matches!(&result.outcome, Outcome::Discovered(page) if !page.last);
        if !goes_on {
            row.done = true;
            row.holder = None;
        }
        inner.results.push((task.clone(), result.lease, result.outcome.clone()));
        if inner.lose_result_answers > 0 {
            inner.lose_result_answers -= 1;
            return Err(LinkError::Unreachable("the answer got lost".to_owned()));
        }
        Ok(())
    }

    async fn changes(&self, changes: &Changes) -> Result<(), LinkError> {
        let mut inner = self.lock();
        if let Some(error) = &inner.away {
            return Err(error.clone());
        }
        inner.changes.push(changes.clone());
        Ok(())
    }
}
