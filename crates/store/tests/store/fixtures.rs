//! A store on a database of its own, and rows to put into it.

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use latchkey_domain::{
    Clock, Rng,
    audit::{AuditActor, AuditEvent},
    flow::{
        AccessFlow, ConditionSet, FlowPolicy, FlowSettings, FlowTarget, FlowTrigger,
        IntegrationTarget, LegacyPolicy, LogicalOperator,
    },
    ids::{
        ConnectorId, FlowId, GroupId, IntegrationId, PermissionId, RequestId, ResourceId,
        SessionId, UnitId, UserId,
    },
    integration::{Connector, Integration, IntegrationStatus},
    people::{Group, User, UserStatus},
    request::{AccessRequest, RequestState, RequestUnit, UnitState},
    session::{AccessSession, CredentialsStatus, SessionState},
};
use latchkey_store::{DatabaseUrl, KeyRing, Result, Store, StoreOptions};
use latchkey_testkit::{DatabaseKind, SeededRng, TestClock, TestDatabase};

/// Runs each of these functions on both kinds of database, as two tests.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use latchkey_testkit::DatabaseKind;

            use crate::fixtures::Ground;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$name(Ground::new(DatabaseKind::BOTH[0]).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$name(Ground::new(DatabaseKind::BOTH[1]).await).await;
            }
        }
    )*};
}
pub(crate) use on_both;

/// A database, a clock, randomness, and the store over them.
pub(crate) struct Ground {
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) rng: Arc<SeededRng>,
    pub(crate) database: TestDatabase,
}

pub(crate) const MASTER_KEY: [u8; 32] = [7; 32];

impl Ground {
    pub(crate) async fn new(kind: DatabaseKind) -> Self {
        let database = TestDatabase::create(kind).await.unwrap();
        let clock = Arc::new(TestClock::default());
        let rng = Arc::new(SeededRng::default());
        let store = open(&database, MASTER_KEY, &clock, 11).await.unwrap();
        Self { store, clock, rng, database }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn rng(&self) -> &dyn Rng {
        self.rng.as_ref()
    }

    /// A second server over the same database, with the same clock.
    pub(crate) async fn second_server(&self) -> Store {
        open(&self.database, MASTER_KEY, &self.clock, 12).await.unwrap()
    }

    pub(crate) async fn add_user(&self, email: &str) -> User {
        let user = user(self.now(), self.rng(), email);
        self.store.write(async |tx| tx.insert_user(&user).await).await.unwrap();
        user
    }

    pub(crate) async fn add_group(&self, name: &str) -> Group {
        let group = Group {
            id: GroupId::generate(self.now(), self.rng()),
            name: name.to_owned(),
            source_integration_id: None,
            source_id: None,
            created_at: self.now(),
        };
        self.store.write(async |tx| tx.insert_group(&group).await).await.unwrap();
        group
    }

    pub(crate) async fn add_connector(&self, id: &str) -> ConnectorId {
        let connector = Connector {
            id: ConnectorId::new(id),
            name: id.to_owned(),
            token_hash: None,
            created_at: self.now(),
            last_connected_at: None,
            version: String::new(),
            cloud_provider_type: "ON_PREM".to_owned(),
            sessions: Vec::new(),
        };
        self.store.write(async |tx| tx.insert_connector(&connector).await).await.unwrap();
        connector.id
    }

    pub(crate) async fn add_integration(&self, name: &str) -> Integration {
        let integration = integration(self.now(), self.rng(), name);
        self.store.write(async |tx| tx.insert_integration(&integration).await).await.unwrap();
        integration
    }

    pub(crate) async fn add_session(
        &self,
        integration: &IntegrationId,
        user: &UserId,
    ) -> AccessSession {
        let (now, rng) = (self.now(), self.rng());
        self.store
            .write(async |tx| -> Result<_> {
                let generation = tx.next_generation(integration, user).await?;
                let session = session(now, rng, integration, user, generation);
                tx.insert_session(&session).await?;
                Ok(session)
            })
            .await
            .unwrap()
    }

    pub(crate) async fn add_request(
        &self,
        user: &UserId,
        integration: &IntegrationId,
    ) -> AccessRequest {
        let mut request = request(self.now(), self.rng(), user);
        let units = [unit(self.now(), self.rng(), &request, integration)];
        self.store
            .write(async |tx| -> Result<_> {
                request.number = tx.next_request_number().await?;
                tx.insert_request(&request, &units).await
            })
            .await
            .unwrap();
        request
    }
}

pub(crate) async fn open(
    database: &TestDatabase,
    master_key: [u8; 32],
    clock: &Arc<TestClock>,
    seed: u64,
) -> Result<Store> {
    Store::open(StoreOptions {
        database: DatabaseUrl::parse(&database.url()).unwrap(),
        keys: KeyRing::from_bytes(master_key),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        rng: Arc::new(SeededRng::new(seed)),
        max_connections: 8,
    })
    .await
}

pub(crate) fn user(now: Timestamp, rng: &dyn Rng, email: &str) -> User {
    User {
        id: UserId::generate(now, rng),
        email: email.to_owned(),
        email_aliases: Vec::new(),
        first_name: "Grace".to_owned(),
        last_name: "Hopper".to_owned(),
        status: UserStatus::Active,
        roles: BTreeSet::new(),
        source_integration_id: None,
        source_id: None,
        manager_id: None,
        created_at: now,
    }
}

pub(crate) fn integration(now: Timestamp, rng: &dyn Rng, name: &str) -> Integration {
    Integration {
        id: IntegrationId::generate(now, rng),
        name: name.to_owned(),
        integration_type: "postgresql".to_owned(),
        category: "RESOURCES".to_owned(),
        connector_id: None,
        status: IntegrationStatus::Initializing,
        status_detail: None,
        config: serde_json::Map::new(),
        secret_store: None,
        connected_resource_types: None,
        custom_access_details: None,
        owner: None,
        owners_mapping: None,
        last_sync_at: None,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

pub(crate) fn policy(integration: &IntegrationId) -> FlowPolicy {
    FlowPolicy {
        trigger: FlowTrigger::SelfServe,
        requestors: ConditionSet { logical_operator: LogicalOperator::Or, conditions: Vec::new() },
        request_for: None,
        request_for_others: false,
        access_targets: vec![FlowTarget::Integration(IntegrationTarget {
            integration_id: integration.clone(),
            resource_type: "postgresql-table".to_owned(),
            permissions: vec!["READ_ONLY".to_owned()],
            resources_scopes: None,
        })],
        approver_policy: None,
        escalation_policy: None,
        grant_duration_in_min: Some(60),
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
    }
}

pub(crate) fn flow(
    now: Timestamp,
    rng: &dyn Rng,
    name: &str,
    target: &IntegrationId,
) -> AccessFlow {
    AccessFlow {
        id: FlowId::generate(now, rng),
        name: name.to_owned(),
        description: None,
        active: true,
        policy: policy(target),
        version: 1,
        created_at: now,
        updated_at: None,
    }
}

pub(crate) fn request(now: Timestamp, rng: &dyn Rng, user: &UserId) -> AccessRequest {
    AccessRequest {
        id: RequestId::generate(now, rng),
        number: 0,
        requestor_id: user.clone(),
        grantee_id: user.clone(),
        asked_as_grantee: false,
        flow_id: FlowId::generate(now, rng),
        flow_version: 1,
        flow_policy: policy(&IntegrationId::new("any")),
        bundle_id: None,
        state: RequestState::Pending,
        state_reason: None,
        justification: Some("an incident".to_owned()),
        duration_sec: Some(3600),
        duration_was_asked: true,
        custom_fields: BTreeMap::from([("ticket".to_owned(), "OPS-1".to_owned())]),
        digest: "d".repeat(64),
        escalations: Vec::new(),
        created_at: now,
        decided_at: None,
        ends_at: None,
        extending_to: None,
        extension_count: 0,
        granted_at: None,
        grant_deadline: None,
        ended_at: None,
        revoke_requested_at: None,
        second_factor_at: None,
        version: 1,
    }
}

pub(crate) fn unit(
    now: Timestamp,
    rng: &dyn Rng,
    request: &AccessRequest,
    integration: &IntegrationId,
) -> RequestUnit {
    RequestUnit {
        id: UnitId::generate(now, rng),
        request_id: request.id.clone(),
        integration_id: integration.clone(),
        resource_id: ResourceId::derive(integration, "shop/public/orders"),
        resource_type: "postgresql-table".to_owned(),
        resource_source_id: "shop/public/orders".to_owned(),
        resource_name: "orders".to_owned(),
        resource_path: "shop/public/orders".to_owned(),
        resource_context: BTreeMap::from([("oid".to_owned(), "16384".to_owned())]),
        permission_id: PermissionId::derive(integration, "postgresql-table", "READ_ONLY"),
        permission: "READ_ONLY".to_owned(),
        state: UnitState::Idle,
        error: None,
        session_id: None,
        ends_at: None,
        extends_to: None,
    }
}

pub(crate) fn session(
    now: Timestamp,
    rng: &dyn Rng,
    integration: &IntegrationId,
    user: &UserId,
    generation: i64,
) -> AccessSession {
    let id = SessionId::generate(now, rng);
    AccessSession {
        principal: format!("lk_u_{id}_{generation}"),
        id,
        integration_id: integration.clone(),
        grantee_id: user.clone(),
        generation,
        state: SessionState::Live,
        fence: 0,
        desired_version: 1,
        applied_version: 0,
        credentials_status: CredentialsStatus::Available,
        can_reset_credentials: true,
        created_at: now,
        ended_at: None,
    }
}

pub(crate) fn event(action: &'static str, object_id: &str) -> AuditEvent {
    AuditEvent {
        actor: AuditActor::System,
        action,
        object_type: "access_request",
        object_id: object_id.to_owned(),
        detail: serde_json::json!({ "zeta": 1, "alpha": "ä", "n": 1.5 }),
    }
}
