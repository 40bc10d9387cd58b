//! Every course that one request can take, explored to a fixed point: two units, two approvers, an
//! escalation, one extension, an edit of the flow, its person disabled, one outage of the target,
//! and two connector processes of which one may fall asleep with a task in its hands.
//!
//! What is explored is the product and no model of it: each step is a use case on a copy of the
//! database as the step before left it. States are told apart by what could make a difference
//! later: how everything stands, what is due, and in which order the rest falls due. Time passes
//! from one due thing to the next.
//!
//! Without `LATCHKEY_TEST_SOAK` one of edit and disabling happens, the target stays up, both
//! processes stay awake, the server does at once what is due, and nobody tries what the state
//! forbids. With it, any two of the four happen in one course, and everything is tried everywhere.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    time::Duration,
};

use jiff::Timestamp;
use latchkey_app::{
    Actor,
    jobs::run_due_jobs,
    requests::{approve_request, extend_request, reject_request, revoke_request},
    users::disable_user,
};
use latchkey_domain::{
    Clock,
    flow::{ApproverGroup, EscalationPolicy, LogicalOperator},
    ids::{ConnectorSessionId, FlowId, RequestId},
    people::{Role, TokenScope, User},
    policy::digest::covers,
    request::{AccessRequest, Approval, Decision, RequestState, RequestUnit},
    session::AccessSession,
};
use latchkey_protocol::{Operation, Task};
use latchkey_store::{Job, OpenTask, TaskKind, Tx};
use latchkey_testkit::DatabaseKind;

use crate::ground::{Ground, Mood, Standing, is_user};

const HOUR_MIN: u32 = 60;
const EXTENSION_MIN: u32 = 30;

/// A process that sleeps, with what it took.
#[derive(Debug, Clone)]
struct Asleep {
    task: Task,
    /// The end of its lease: nothing is begun after it.
    until: Timestamp,
}

/// What somebody or something does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    BobApproves,
    CleoApproves,
    BobRejects,
    AnaEndsIt,
    AnaExtends,
    FlowIsEdited,
    AnaIsDisabled,
    TargetGoes,
    /// A process takes a task and falls asleep.
    FallsAsleep,
    /// The server runs what is due.
    ServerWorks,
    /// The other process does what is due.
    ConnectorWorks,
    /// The sleeper wakes, and does what it took if its lease is not over.
    WakesUp,
    TargetReturns,
    TimePasses,
}

impl Act {
    const ALL: [Self; 14] = [
        Self::BobApproves,
        Self::CleoApproves,
        Self::BobRejects,
        Self::AnaEndsIt,
        Self::AnaExtends,
        Self::FlowIsEdited,
        Self::AnaIsDisabled,
        Self::TargetGoes,
        Self::FallsAsleep,
        Self::ServerWorks,
        Self::ConnectorWorks,
        Self::WakesUp,
        Self::TargetReturns,
        Self::TimePasses,
    ];

    /// What happens once at most.
    const ONCE: [Self; 4] =
        [Self::FlowIsEdited, Self::AnaIsDisabled, Self::TargetGoes, Self::FallsAsleep];

    /// Whether it happens by itself sooner or later. Nobody has to decide, end or extend anything.
    fn is_certain(self) -> bool {
        self >= Self::ServerWorks
    }
}

/// A state, to go on from.
struct World {
    standing: Standing,
    sleeper: Option<Asleep>,
    /// What of [`Act::ONCE`] may still happen.
    left: BTreeSet<Act>,
    seen: Seen,
    /// How it was reached.
    path: Vec<Act>,
}

/// What a state looks like.
#[derive(Clone)]
struct Seen {
    now: Timestamp,
    request: AccessRequest,
    units: Vec<RequestUnit>,
    approvals: Vec<Approval>,
    sessions: Vec<AccessSession>,
    jobs: Vec<Job>,
    tasks: Vec<OpenTask>,
    next_task: Option<Timestamp>,
    receipts: usize,
    /// Units that the target knows, with their tables.
    held: BTreeMap<String, String>,
}

impl Seen {
    async fn of(ground: &Ground, id: &RequestId) -> Self {
        let connector = ground.connector.connector_id.clone();
        let held = ground.target.values().flat_map(|principal| principal.claims.clone()).collect();
        let now = ground.clock.now();
        ground
            .write(async |tx: &mut Tx| {
                let mut units = tx.units_of(id).await.unwrap();
                units.sort_by(|a, b| a.resource_name.cmp(&b.resource_name));
                let mut sessions = Vec::new();
                let ids: BTreeSet<_> =
                    units.iter().filter_map(|one| one.session_id.clone()).collect();
                for session in ids {
                    sessions.push(tx.find_session(&session).await.unwrap().unwrap());
                }
                let ids = std::slice::from_ref(id);
                Self {
                    now,
                    request: tx.find_request(id).await.unwrap().unwrap(),
                    approvals: tx.approvals_of(id).await.unwrap(),
                    jobs: own_jobs(tx.list_open_jobs(100).await.unwrap(), id),
                    tasks: tx.list_open_tasks(100).await.unwrap(),
                    next_task: tx.next_task_at(&connector).await.unwrap(),
                    receipts: tx.receipts_of_requests(ids).await.unwrap().len(),
                    held,
                    units,
                    sessions,
                }
            })
            .await
    }

    fn is_due(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| at <= self.now)
    }

    fn next_job(&self) -> Option<Timestamp> {
        self.jobs.iter().map(|job| job.run_at).min()
    }

    /// The next moment at which anything falls due.
    fn next_moment(&self) -> Option<Timestamp> {
        let jobs = self.jobs.iter().map(|job| job.run_at);
        let ends = self.units.iter().filter_map(|unit| unit.ends_at);
        jobs.chain(self.next_task).chain(ends).filter(|at| *at > self.now).min()
    }

    /// Everything that can make a difference later.
    fn key(&self, sleeper: Option<&Asleep>, left: &BTreeSet<Act>, down: bool) -> String {
        let mut key = format!(
            "{:?} x{} {:?} t{} {:?} {down}",
            self.request.state,
            self.request.extension_count,
            self.request.extending_to.is_some(),
            self.request.escalations.len(),
            left,
        );
        for unit in &self.units {
            let later = unit.extends_to.is_some();
            let _ = write!(key, " u{:?}{}{later}", unit.state, unit.error.is_some());
        }
        for approval in &self.approvals {
            let counts = covers(&approval.digest, &self.request.digest);
            let _ = write!(key, " a{}{:?}{counts}", approval.approver_id, approval.decision);
        }
        for session in &self.sessions {
            let is_applied = session.applied_version == session.desired_version;
            let _ =
                write!(key, " s{:?}{is_applied}{:?}", session.state, session.credentials_status);
        }
        if let Some(Asleep { task, until }) = sleeper {
            let known = self.tasks.iter().find(|open| open.id == task.id);
            let wanted = match &task.operation {
                Operation::Apply(desired) => (desired.claims.len(), desired.removed.len()),
                _ => (0, 0),
            };
            let _ = write!(key, " z{wanted:?}{:?}", known.map(|open| open.leased));
            let _ = write!(key, "{}", self.now >= *until);
        }
        for (unit, table) in &self.held {
            let place = self.units.iter().position(|own| own.id.as_str() == unit);
            let _ = write!(key, " h{place:?}{table}");
        }
        let tasks: BTreeSet<String> = self
            .tasks
            .iter()
            .filter(|task| task.kind == TaskKind::Apply)
            .map(|task| format!("{}{}", task.leased, task.ready_at <= self.now))
            .collect();
        // What is due, and in which order the rest falls due.
        let mut moments: Vec<(Timestamp, String)> =
            self.jobs.iter().map(|job| (job.run_at, job.kind.clone())).collect();
        let ends = self.units.iter().filter_map(|unit| unit.ends_at);
        moments.extend(ends.map(|at| (at, "end".to_owned())));
        // Discovery comes and goes beside it, and is due at other times.
        let own = self.tasks.iter().filter(|task| task.kind == TaskKind::Apply);
        moments.extend(own.map(|task| (task.ready_at, "task".to_owned())));
        moments.sort();
        let moments: Vec<(bool, String)> =
            moments.into_iter().map(|(at, what)| (at <= self.now, what)).collect();
        let _ = write!(key, " {tasks:?} {moments:?}");
        key
    }

    /// The promises that can be seen in one state.
    fn keeps_the_promises(&self, bob: &User, cleo: &User) -> Result<(), &'static str> {
        let Self { request, units, .. } = self;
        for unit in self.held.keys() {
            let known = units.iter().find(|own| own.id.as_str() == unit);
            if !known.is_some_and(|own| own.state.is_claim()) || !request.state.may_hold_access() {
                return Err("access without a record");
            }
        }
        if request.state.may_hold_access() {
            let said_yes: BTreeSet<&str> = self
                .approvals
                .iter()
                .filter(|one| one.decision == Decision::Approved)
                .filter(|one| covers(&one.digest, &request.digest))
                .map(|one| one.approver_id.as_str())
                .collect();
            let by_cleo = said_yes.contains(cleo.id.as_str());
            let was_told = !request.escalations.is_empty();
            if !by_cleo || !(said_yes.contains(bob.id.as_str()) || was_told) {
                return Err("access without a decision that the policy allows");
            }
        }
        if request.state.is_final() {
            if !self.held.is_empty() || units.iter().any(|unit| unit.state.is_claim()) {
                return Err("over, and something is left");
            }
            let ever = units.iter().any(|unit| unit.session_id.is_some());
            if request.state == RequestState::Revoked && ever && self.receipts == 0 {
                return Err("revoked without a receipt");
            }
        }
        let decided = request.decided_at.filter(|_| request.state.may_hold_access());
        if let Some(decided) = decided {
            let minutes = i64::from(HOUR_MIN + EXTENSION_MIN * request.extension_count);
            let latest = decided + jiff::SignedDuration::from_mins(minutes);
            if request.ends_at.is_none_or(|end| end > latest) {
                return Err("an end that moved by more than its extensions");
            }
        }
        let overdue = units
            .iter()
            .any(|unit| unit.state.is_desired() && unit.ends_at.is_some_and(|end| end <= self.now));
        if overdue && !self.is_due(self.next_job()) {
            return Err("its end has come, and nothing is planned");
        }
        Ok(())
    }
}

/// What is planned for the request; looks at the integration come and go meanwhile.
fn own_jobs(mut jobs: Vec<Job>, id: &RequestId) -> Vec<Job> {
    jobs.retain(|job| job.payload["request_id"].as_str() == Some(id.as_str()));
    jobs
}

/// Two approvers who are both needed; after ten minutes Cleo alone is enough.
async fn ask(ground: &Ground) -> (FlowId, RequestId) {
    let mut flow = ground.flow("read", Some(HOUR_MIN), &[&ground.bob, &ground.cleo]).await;
    let policy = &mut flow.policy;
    for group in policy.approver_policy.iter_mut().flat_map(|one| &mut one.approver_groups) {
        group.logical_operator = LogicalOperator::And;
    }
    policy.settings.max_extensions = 1;
    policy.settings.extension_duration_in_min = EXTENSION_MIN;
    policy.escalation_policy = Some(EscalationPolicy {
        interval_in_min: 10,
        approver_groups: vec![ApproverGroup {
            logical_operator: LogicalOperator::Or,
            approvers: vec![is_user(&ground.cleo.user)],
        }],
    });
    ground.write(async |tx| tx.update_flow(&mut flow).await.unwrap()).await;
    let request = ground.ask(&["orders", "customers"], None).await;
    (flow.id, request.request.id)
}

/// The act on a ground; false if it cannot be done now. A refusal changes nothing and is the
/// product's to give.
async fn act(
    ground: &mut Ground,
    act: Act,
    world: &World,
    flow: &FlowId,
    sleeper: &mut Option<Asleep>,
) -> bool {
    let (seen, id) = (&world.seen, world.seen.request.id.to_string());
    let (awake, asleep) =
        (ConnectorSessionId::new("process-2"), ConnectorSessionId::new("process-1"));
    ground.process = awake;
    match act {
        Act::BobApproves => {
            approve_request(&ground.app, &ground.bob, &id, None, None).await.is_ok()
        }
        Act::CleoApproves => {
            approve_request(&ground.app, &ground.cleo, &id, None, None).await.is_ok()
        }
        Act::BobRejects => reject_request(&ground.app, &ground.bob, &id, None).await.is_ok(),
        Act::AnaEndsIt => revoke_request(&ground.app, &ground.ana, &id).await.is_ok(),
        Act::AnaExtends => extend_request(&ground.app, &ground.ana, &id).await.is_ok(),
        Act::FlowIsEdited => {
            let mut edited =
                ground.write(async |tx| tx.find_flow(flow).await.unwrap().unwrap()).await;
            edited.policy.grant_duration_in_min = Some(2 * HOUR_MIN);
            ground.write(async |tx| tx.update_flow(&mut edited).await.unwrap()).await;
            true
        }
        Act::AnaIsDisabled => {
            let roles = BTreeSet::from([Role::Admin]);
            let admin = User { roles, ..ground.cleo.user.clone() };
            let admin = Actor::new(admin, BTreeSet::from([TokenScope::Admin]), None);
            disable_user(&ground.app, &admin, ground.ana.user.id.as_str()).await.unwrap();
            true
        }
        Act::TargetGoes => {
            ground.mood = Mood::Unreachable;
            true
        }
        Act::TargetReturns => std::mem::replace(&mut ground.mood, Mood::Works) == Mood::Unreachable,
        Act::FallsAsleep => {
            ground.process = asleep;
            ground.beat(None).await;
            *sleeper = ground.lease().await.pop().map(|task| Asleep {
                until: ground.clock.now() + Duration::from_millis(task.lease_ms),
                task,
            });
            sleeper.is_some()
        }
        Act::WakesUp => {
            let Some(Asleep { task, until }) = sleeper.take() else { return false };
            ground.process = asleep;
            ground.beat(None).await;
            // By its own clock: f05 in the connector's tests. What had begun by then is fenced off.
            if ground.clock.now() >= until {
                return true;
            }
            if let Operation::Apply(desired) = &task.operation {
                let outcome = ground.apply(desired);
                ground.answer(&task, outcome).await;
            }
            true
        }
        Act::ServerWorks => {
            seen.is_due(seen.next_job()) && run_due_jobs(&ground.app).await.unwrap() > 0
        }
        Act::ConnectorWorks => {
            ground.beat(None).await;
            seen.is_due(seen.next_task) && ground.work().await > 0
        }
        Act::TimePasses => {
            let Some(at) = seen.next_moment() else { return false };
            ground.clock.set(at);
            true
        }
    }
}

/// Whether the act may be tried here at all.
fn may(act: Act, world: &World, soak: bool) -> bool {
    let state = world.seen.request.state;
    let is_over = state.is_final();
    if !soak {
        let jobs_are_due = world.seen.is_due(world.seen.next_job());
        match act {
            Act::BobApproves | Act::CleoApproves | Act::BobRejects => {
                return state == RequestState::Pending;
            }
            Act::AnaExtends => return state == RequestState::Active,
            Act::TimePasses if jobs_are_due => return false,
            _ => {}
        }
    }
    match act {
        Act::FallsAsleep => {
            let is_due = world.seen.is_due(world.seen.next_task);
            world.left.contains(&act) && world.sleeper.is_none() && is_due
        }
        once if Act::ONCE.contains(&once) => world.left.contains(&once) && !is_over,
        Act::TimePasses => !is_over || world.sleeper.is_some(),
        _ => true,
    }
}

#[tokio::test]
async fn f01_every_course_of_a_request_keeps_the_promises_and_comes_to_an_end() {
    let soak = std::env::var_os("LATCHKEY_TEST_SOAK").is_some();
    let mut ground = Ground::new(DatabaseKind::Sqlite).await;
    ground.process = ConnectorSessionId::new("process-2");
    ground.beat(None).await;
    let (flow, id) = ask(&ground).await;
    let (bob, cleo) = (ground.bob.user.clone(), ground.cleo.user.clone());
    let mut left = BTreeSet::from(Act::ONCE);
    if !soak {
        left.retain(|act| !matches!(act, Act::TargetGoes | Act::FallsAsleep));
    }
    let spare = left.len() - if soak { 2 } else { 1 };
    let seen = Seen::of(&ground, &id).await;
    let start = seen.key(None, &left, false);
    let standing = ground.put_away().await;
    let mut open =
        VecDeque::from([(0, World { standing, sleeper: None, left, seen, path: Vec::new() })]);
    let mut known = BTreeMap::from([(start, 0)]);
    // Of each state: what comes of what happens by itself, and whether it is an end.
    let mut certain: Vec<BTreeSet<usize>> = vec![BTreeSet::new()];
    let mut over: Vec<bool> = vec![false];
    let mut paths: Vec<Vec<Act>> = vec![Vec::new()];
    let mut steps: u64 = 0;
    while let Some((number, world)) = open.pop_front() {
        for done in Act::ALL.into_iter().filter(|act| may(*act, &world, soak)) {
            steps += 1;
            let mut after = Ground::go_on(&world.standing, steps).await;
            let (mut sleeper, mut left) = (world.sleeper.clone(), world.left.clone());
            if !act(&mut after, done, &world, &flow, &mut sleeper).await {
                continue;
            }
            if left.remove(&done) && left.len() == spare {
                left.clear();
            }
            let seen = Seen::of(&after, &id).await;
            let path: Vec<Act> = world.path.iter().copied().chain([done]).collect();
            if let Err(broken) = seen.keeps_the_promises(&bob, &cleo) {
                panic!("{broken}, after {path:?}: {:#?}", seen.request);
            }
            let (from, to) = (world.seen.request.state, seen.request.state);
            assert!(reaches(from, to), "{from:?} → {to:?} after {path:?}");
            let key = seen.key(sleeper.as_ref(), &left, after.mood == Mood::Unreachable);
            let next = known.len();
            let next = *known.entry(key).or_insert(next);
            if next == over.len() {
                over.push(seen.request.state.is_final());
                certain.push(BTreeSet::new());
                paths.push(path.clone());
                let standing = after.put_away().await;
                open.push_back((next, World { standing, sleeper, left, seen, path }));
            }
            if done.is_certain() {
                certain[number].insert(next);
            }
        }
    }
    println!("{} states, {steps} steps", known.len());
    for (number, path) in paths.iter().enumerate() {
        assert!(
            comes_to_an_end(number, &certain, &over),
            "nothing that happens by itself ends what began so: {path:?}"
        );
    }
    let ends = over.iter().filter(|over| **over).count();
    assert!(ends > 4 && known.len() > 50, "{ends} of {} states are ends", known.len());
}

/// Whether one step may lead from a state to another, by one arrow of the table or several.
fn reaches(from: RequestState, to: RequestState) -> bool {
    let onward = |next: &RequestState| from.may_become(*next) && reaches(*next, to);
    from == to || RequestState::ALL.iter().any(onward)
}

/// Whether an end is reached from a state by what happens by itself.
fn comes_to_an_end(from: usize, certain: &[BTreeSet<usize>], over: &[bool]) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(state) = open.pop() {
        if over[state] {
            return true;
        }
        open.extend(certain[state].iter().filter(|next| seen.insert(**next)));
    }
    false
}
