//! The ground of these tests: an app on a fresh database, three people, one integration with
//! three tables, and a connector whose target is a map.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use latchkey_app::{
    Actor, App, AppConfig, ConnectorActor, PageRequest,
    connector_protocol::{heartbeat, lease_tasks, task_result},
    jobs::run_due_jobs,
    requests::{RequestAccess, RequestView, get_client_request, request_access},
};
use latchkey_domain::{
    Clock,
    flow::{
        AccessFlow, ApprovalMode, ApproverGroup, ApproverPolicy, Condition, ConditionSet,
        FlowPolicy, FlowSettings, FlowTarget, FlowTrigger, IntegrationTarget, LegacyPolicy,
        LogicalOperator,
    },
    ids::{
        ConnectorId, ConnectorSessionId, FlowId, IntegrationId, PermissionId, ResourceId, UserId,
    },
    integration::{Connector, Integration, IntegrationStatus},
    people::{TokenScope, User, UserStatus},
    provisioning::{
        ClaimExtension, ClaimOutcome, ClaimState, DesiredPrincipal, DiscoveredResource, FaultClass,
        Receipt, TargetFault,
    },
    request::RequestState,
};
use latchkey_protocol::{
    Applied, DiscoveryPage, Heartbeat, HeartbeatAnswer, LeaseRequest, Operation, Outcome, Task,
    TaskResult, VERSION, sealing,
};
use latchkey_store::{DatabaseUrl, KeyRing, Store, StoreOptions, Tx};
use latchkey_testkit::{DatabaseKind, SeededRng, TestClock, TestDatabase};

pub const TABLES: [&str; 3] = ["orders", "customers", "invoices"];
pub const PERMISSION: &str = "READ_ONLY";
const RESOURCE_TYPE: &str = "postgresql-table";

/// Runs each test on both databases.
#[macro_export]
macro_rules! on_both_databases {
    ($(async fn $name:ident($ground:ident) $body:block)*) => {$(
        async fn $name($ground: &mut $crate::ground::Ground) $body

        mod $name {
            use latchkey_testkit::DatabaseKind;

            use $crate::ground::Ground;

            async fn run(kind: DatabaseKind) {
                let mut ground = Ground::new(kind).await;
                super::$name(&mut ground).await;
                ground.leaves_nothing_behind().await;
            }

            #[tokio::test]
            async fn on_sqlite() {
                run(DatabaseKind::Sqlite).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                run(DatabaseKind::BOTH[1]).await;
            }
        }
    )*};
}

/// What a principal holds in the target of these tests.
#[derive(Debug, Default, Clone)]
pub struct Principal {
    pub fence: i64,
    /// Which unit holds which table.
    pub claims: BTreeMap<String, String>,
    pub password_number: u32,
}

/// How the target behaves at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    Works,
    Unreachable,
    /// Refuses claims on this table.
    Refuses(&'static str),
    /// Does all but giving claims on this table a later end.
    ExtendsAllBut(&'static str),
}

pub struct Ground {
    pub app: App,
    pub clock: Arc<TestClock>,
    pub ana: Actor,
    pub bob: Actor,
    pub cleo: Actor,
    pub integration: IntegrationId,
    pub connector: ConnectorActor,
    pub process: ConnectorSessionId,
    pub target: BTreeMap<String, Principal>,
    pub mood: Mood,
    server_key: String,
    database: TestDatabase,
    keys: Arc<tempfile::TempDir>,
}

/// A ground that was put away, to go on from as often as one likes.
#[derive(Clone)]
pub struct Standing {
    file: Arc<Vec<u8>>,
    now: Timestamp,
    ana: Actor,
    bob: Actor,
    cleo: Actor,
    integration: IntegrationId,
    connector: ConnectorActor,
    process: ConnectorSessionId,
    target: BTreeMap<String, Principal>,
    mood: Mood,
    server_key: String,
    keys: Arc<tempfile::TempDir>,
}

impl Ground {
    pub async fn new(kind: DatabaseKind) -> Self {
        let database = TestDatabase::create(kind).await.unwrap();
        let keys = Arc::new(tempfile::tempdir().unwrap());
        let clock = Arc::new(TestClock::default());
        let app = app_over(&database, &keys, &clock, SeededRng::default()).await;
        let now = clock.now();
        let ana = actor(&app, now, "ana");
        let bob = actor(&app, now, "bob");
        let cleo = actor(&app, now, "cleo");
        let integration = IntegrationId::generate(now, app.rng());
        let connector = ConnectorActor { connector_id: ConnectorId::new("edge") };
        let mut ground = Self {
            process: ConnectorSessionId::new("process-1"),
            target: BTreeMap::new(),
            mood: Mood::Works,
            server_key: String::new(),
            app,
            clock,
            ana,
            bob,
            cleo,
            integration,
            connector,
            database,
            keys,
        };
        ground.fill(now).await;
        ground.beat(None).await;
        ground.discover().await;
        ground
    }

    /// Another server over the same database.
    pub async fn second_server(&self) -> App {
        app_over(&self.database, &self.keys, &self.clock, SeededRng::new(2)).await
    }

    /// Puts the ground away as it stands. On SQLite alone.
    pub async fn put_away(self) -> Standing {
        self.app.store().close().await;
        // The last connection to go writes everything into the one file.
        drop(self.app);
        let file = std::fs::read(self.database.sqlite_file().unwrap()).unwrap();
        Standing {
            file: Arc::new(file),
            now: self.clock.now(),
            ana: self.ana,
            bob: self.bob,
            cleo: self.cleo,
            integration: self.integration,
            connector: self.connector,
            process: self.process,
            target: self.target,
            mood: self.mood,
            server_key: self.server_key,
            keys: self.keys,
        }
    }

    /// Goes on from a ground that was put away. Each number gives other random bytes.
    pub async fn go_on(from: &Standing, number: u64) -> Self {
        let database = TestDatabase::create(DatabaseKind::Sqlite).await.unwrap();
        std::fs::write(database.sqlite_file().unwrap(), from.file.as_slice()).unwrap();
        let keys = Arc::clone(&from.keys);
        let clock = Arc::new(TestClock::at(from.now));
        let app = app_over(&database, &keys, &clock, SeededRng::new(number)).await;
        let Standing { ana, bob, cleo, integration, connector, .. } = from.clone();
        let Standing { process, target, mood, server_key, .. } = from.clone();
        Self {
            app,
            clock,
            ana,
            bob,
            cleo,
            integration,
            connector,
            process,
            target,
            mood,
            server_key,
            database,
            keys,
        }
    }

    async fn fill(&mut self, now: Timestamp) {
        let people = [&self.ana, &self.bob, &self.cleo].map(|actor| actor.user.clone());
        let connector = Connector {
            id: self.connector.connector_id.clone(),
            name: "edge".to_owned(),
            token_hash: None,
            created_at: now,
            last_connected_at: None,
            version: String::new(),
            cloud_provider_type: "ON_PREM".to_owned(),
            sessions: Vec::new(),
        };
        let integration = Integration {
            id: self.integration.clone(),
            name: "shop".to_owned(),
            integration_type: "postgresql".to_owned(),
            category: "RESOURCES".to_owned(),
            connector_id: Some(connector.id.clone()),
            status: IntegrationStatus::Initializing,
            status_detail: None,
            config: serde_json::Map::new(),
            secret_store: None,
            connected_resource_types: None,
            custom_access_details: Some("Ask #data for help.".to_owned()),
            owner: None,
            owners_mapping: None,
            last_sync_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        self.write(async |tx| {
            for user in &people {
                tx.insert_user(user).await.unwrap();
            }
            tx.insert_connector(&connector).await.unwrap();
            tx.insert_integration(&integration).await.unwrap();
            tx.enqueue_task(&latchkey_store::NewTask {
                integration_id: integration.id.clone(),
                connector_id: connector.id.clone(),
                kind: latchkey_store::TaskKind::Discover,
                session_id: None,
                due: now,
                priority: 0,
            })
            .await
            .unwrap();
        })
        .await;
    }

    pub async fn write<T>(&self, f: impl AsyncFnOnce(&mut Tx) -> T) -> T {
        let run = async |tx: &mut Tx| -> Result<T, latchkey_store::StoreError> { Ok(f(tx).await) };
        self.app.store().write(run).await.unwrap()
    }

    /// A heartbeat of the present process, which may take over from another.
    pub async fn beat(&mut self, replaces: Option<ConnectorSessionId>) {
        let answer = self.say(Heartbeat { replaces, ..self.heartbeat() }).await;
        self.server_key = answer.server_public_key;
    }

    /// What the present process says of itself.
    pub fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            protocol: VERSION,
            connector_id: None,
            session_id: self.process.clone(),
            running: Vec::new(),
            replaces: None,
            version: "0.1.0".to_owned(),
            metadata: serde_json::Map::new(),
            cloud_provider_type: "ON_PREM".to_owned(),
            public_key: sealing::SealingKey::from_bytes([7; 32]).public_key(),
            audit_head: None,
            targets: None,
        }
    }

    /// The answer to a heartbeat.
    pub async fn say(&self, beat: Heartbeat) -> HeartbeatAnswer {
        heartbeat(&self.app, &self.connector, beat).await.unwrap()
    }

    /// Leases whatever is due, without waiting.
    pub async fn lease(&self) -> Vec<Task> {
        let request = LeaseRequest {
            protocol: VERSION,
            session_id: self.process.clone(),
            wait_ms: 0,
            max_tasks: 16,
        };
        lease_tasks(&self.app, &self.connector, request).await.unwrap().tasks
    }

    async fn discover(&mut self) {
        for task in self.lease().await {
            self.answer(&task, found_tables()).await;
        }
    }

    pub async fn answer(&self, task: &Task, outcome: Outcome) {
        let result = TaskResult {
            protocol: VERSION,
            session_id: self.process.clone(),
            lease: task.lease,
            outcome,
        };
        task_result(&self.app, &self.connector, &task.id, result).await.unwrap();
    }

    /// Brings the target to what a task asks for, as its mood allows.
    pub fn apply(&mut self, desired: &DesiredPrincipal) -> Outcome {
        if self.mood == Mood::Unreachable {
            let fault = TargetFault::new(FaultClass::Unreachable, "the target does not answer");
            return Outcome::Failed(fault);
        }
        let known = self.target.get(&desired.principal).map_or(0, |principal| principal.fence);
        if known > desired.fence {
            return Outcome::Fenced { fence: known };
        }
        let mut principal = self.target.remove(&desired.principal).unwrap_or_default();
        principal.fence = desired.fence;
        principal.claims.clear();
        let mut claims = Vec::new();
        for claim in &desired.claims {
            let refused = matches!(&self.mood, Mood::Refuses(table) if claim.path.ends_with(table));
            let fault = refused.then(|| TargetFault::new(FaultClass::Refused, "refused, says it"));
            if !refused {
                principal.claims.insert(claim.unit_id.to_string(), claim.path.clone());
            }
            let state = if refused { ClaimState::Absent } else { ClaimState::Present };
            claims.push(ClaimOutcome { unit_id: claim.unit_id.clone(), state, fault });
        }
        for claim in &desired.removed {
            let state = ClaimState::Absent;
            claims.push(ClaimOutcome { unit_id: claim.unit_id.clone(), state, fault: None });
        }
        if desired.issue_credentials {
            principal.password_number += 1;
        }
        let password = format!("canary-{}-{}", desired.principal, principal.password_number);
        let exists = !desired.claims.is_empty();
        let receipt = Receipt {
            principal: desired.principal.clone(),
            observed_at: self.clock.now(),
            principal_exists: exists,
            can_log_in: exists,
            open_sessions: 0,
            sessions_ended: 0,
            holds: principal.claims.values().cloned().collect(),
            leftover: Vec::new(),
            notes: Vec::new(),
        };
        if exists {
            self.target.insert(desired.principal.clone(), principal);
        }
        let credentials = desired.issue_credentials.then(|| {
            let username = desired.principal.clone();
            let made = sealing::Credentials { username, password };
            sealing::seal_credentials(&self.server_key, &made).unwrap()
        });
        Outcome::Applied(Applied {
            fence: desired.fence,
            claims,
            receipt,
            extended: self.extended(desired),
            expired_by_connector: Vec::new(),
            credentials,
            access_details: Some(latchkey_domain::provisioning::AccessDetails {
                instructions: "Connect with psql.".to_owned(),
                cli: Some("psql shop".to_owned()),
                parameters: BTreeMap::from([("database".to_owned(), "shop".to_owned())]),
            }),
        })
    }

    /// The later ends that the target takes.
    fn extended(&self, desired: &DesiredPrincipal) -> Vec<ClaimExtension> {
        let takes = |later: &&ClaimExtension| {
            let Mood::ExtendsAllBut(table) = &self.mood else { return true };
            let claim = desired.claims.iter().find(|claim| claim.unit_id == later.unit_id);
            claim.is_some_and(|claim| !claim.path.ends_with(table))
        };
        desired.extensions.iter().filter(takes).cloned().collect()
    }

    /// Does every apply task that is due, once.
    pub async fn work(&mut self) -> usize {
        let tasks = self.lease().await;
        for task in &tasks {
            match &task.operation {
                Operation::Apply(desired) => {
                    let outcome = self.apply(desired);
                    self.answer(task, outcome).await;
                }
                Operation::Discover => self.answer(task, found_tables()).await,
                Operation::Reconcile { .. } => {
                    let found = latchkey_protocol::Reconciled::default();
                    self.answer(task, Outcome::Reconciled(found)).await;
                }
            }
        }
        tasks.len()
    }

    /// Runs timers and tasks until nothing is due.
    pub async fn settle(&mut self) {
        loop {
            let jobs = run_due_jobs(&self.app).await.unwrap();
            if self.work().await + jobs == 0 {
                return;
            }
        }
    }

    /// Somebody sets the clock.
    pub async fn set_clock(&mut self, at: Timestamp) {
        self.clock.set(at);
        self.beat(None).await;
    }

    /// Time passes.
    pub async fn pass(&mut self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.beat(None).await;
    }

    /// A flow by which Ana may read the tables; Bob and Cleo approve if `approvers` say so.
    pub async fn flow(&self, name: &str, minutes: Option<u32>, approvers: &[&Actor]) -> AccessFlow {
        let now = self.clock.now();
        let flow = AccessFlow {
            id: FlowId::generate(now, self.app.rng()),
            name: name.to_owned(),
            description: None,
            active: true,
            policy: FlowPolicy {
                trigger: FlowTrigger::SelfServe,
                requestors: ConditionSet {
                    logical_operator: LogicalOperator::Or,
                    conditions: vec![is_user(&self.ana.user)],
                },
                request_for: None,
                request_for_others: false,
                access_targets: vec![FlowTarget::Integration(IntegrationTarget {
                    integration_id: self.integration.clone(),
                    resource_type: RESOURCE_TYPE.to_owned(),
                    permissions: vec![PERMISSION.to_owned()],
                    resources_scopes: None,
                })],
                approver_policy: (!approvers.is_empty()).then(|| ApproverPolicy {
                    approval_mode: ApprovalMode::AnyOf,
                    approver_groups: vec![ApproverGroup {
                        logical_operator: LogicalOperator::Or,
                        approvers: approvers.iter().map(|actor| is_user(&actor.user)).collect(),
                    }],
                }),
                escalation_policy: None,
                grant_duration_in_min: minutes,
                timeframe: None,
                settings: FlowSettings {
                    justification_required: false,
                    require_approver_reason: false,
                    requestor_cannot_approve_himself: true,
                    require_mfa: false,
                    labels: Vec::new(),
                    max_extensions: 0,
                    extension_duration_in_min: 0,
                    require_justification_on_request_again: false,
                },
                legacy: LegacyPolicy::default(),
            },
            version: 1,
            created_at: now,
            updated_at: None,
        };
        self.write(async |tx| tx.insert_flow(&flow).await.unwrap()).await;
        flow
    }

    pub fn entitlement(&self, table: &str) -> (ResourceId, PermissionId) {
        let source_id = format!("table:shop/public/{table}");
        (
            ResourceId::derive(&self.integration, &source_id),
            PermissionId::derive(&self.integration, RESOURCE_TYPE, PERMISSION),
        )
    }

    /// Ana asks for tables, for so many seconds.
    pub async fn ask(&self, tables: &[&str], duration_sec: Option<i64>) -> RequestView {
        let command = RequestAccess {
            entitlements: tables.iter().map(|table| self.entitlement(table)).collect(),
            duration_sec,
            justification: Some("to test".to_owned()),
            ..RequestAccess::default()
        };
        let mut filed = request_access(&self.app, &self.ana, command).await.unwrap();
        assert_eq!(filed.len(), 1);
        filed.remove(0)
    }

    pub async fn state(&self, request: &RequestView) -> RequestState {
        let id = request.request.id.as_str();
        get_client_request(&self.app, &self.ana, id).await.unwrap().request.state
    }

    /// The tables that anybody holds in the target, with how often.
    pub fn held(&self) -> BTreeSet<String> {
        self.target
            .values()
            .flat_map(|principal| principal.claims.values())
            .filter_map(|path| path.rsplit('/').next())
            .map(str::to_owned)
            .collect()
    }

    /// After every test: whoever still has access has a request that says so, and nothing that
    /// is due is left undone.
    pub async fn leaves_nothing_behind(mut self) {
        self.settle().await;
        let page = PageRequest::default();
        let live = latchkey_app::sessions::list_sessions(
            &self.app,
            &self.ana,
            &latchkey_app::sessions::SessionQuery::default(),
            &page,
        )
        .await
        .unwrap();
        let explained: BTreeSet<String> =
            live.items.into_iter().map(|view| view.session.principal).collect();
        if self.mood == Mood::Works {
            for principal in self.target.keys() {
                assert!(explained.contains(principal), "nothing explains {principal}");
            }
        }
        let due = self
            .write(async |tx| tx.next_job_at().await.unwrap())
            .await
            .is_some_and(|at| at <= self.clock.now());
        assert!(!due, "a job that is due was left undone");
    }
}

async fn app_over(
    database: &TestDatabase,
    keys: &tempfile::TempDir,
    clock: &Arc<TestClock>,
    rng: SeededRng,
) -> App {
    let rng = Arc::new(rng);
    let store = Store::open(StoreOptions {
        database: DatabaseUrl::parse(&database.url()).unwrap(),
        keys: KeyRing::open_or_create(keys.path(), rng.as_ref()).unwrap(),
        clock: clock.clone(),
        rng: rng.clone(),
        max_connections: 5,
    })
    .await
    .unwrap();
    let config = AppConfig {
        version: "0.1.0".to_owned(),
        local_connector: true,
        listens: vec![SocketAddr::from(([127, 0, 0, 1], 8470))],
        instance: "test".to_owned(),
    };
    App::new(store, clock.clone(), rng, config)
}

/// The one page of a discovery run.
fn found_tables() -> Outcome {
    let resources = TABLES
        .iter()
        .map(|table| DiscoveredResource {
            resource_type: RESOURCE_TYPE.to_owned(),
            source_id: format!("table:shop/public/{table}"),
            name: (*table).to_owned(),
            path: format!("shop/public/{table}"),
            tags: BTreeMap::new(),
            context: BTreeMap::new(),
        })
        .collect();
    Outcome::Discovered(DiscoveryPage { page: 0, last: true, resources, findings: Vec::new() })
}

pub fn is_user(user: &User) -> Condition {
    Condition {
        source_integration_id: None,
        attribute_type: "user".to_owned(),
        match_operator: None,
        values: Some(vec![user.email.clone()]),
        pinned_ids: vec![Some(user.id.to_string())],
    }
}

fn actor(app: &App, now: Timestamp, name: &str) -> Actor {
    let user = User {
        id: UserId::generate(now, app.rng()),
        email: format!("{name}@example.com"),
        email_aliases: Vec::new(),
        first_name: name.to_owned(),
        last_name: "Test".to_owned(),
        status: UserStatus::Active,
        roles: BTreeSet::new(),
        source_integration_id: None,
        source_id: None,
        manager_id: None,
        created_at: now,
    };
    let scopes = BTreeSet::from([TokenScope::Read, TokenScope::Request, TokenScope::Decide]);
    Actor::new(user, scopes, None)
}
