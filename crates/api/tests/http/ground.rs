//! The ground of these tests: the router over an app on a fresh database, people with tokens,
//! and a connector that speaks over the same router to a target that does all it is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use latchkey_api::{ApiState, router};
use latchkey_app::{
    Actor, App, AppConfig,
    bootstrap::bootstrap,
    connectors::create_connector_token,
    jobs::run_due_jobs,
    roles::grant_role,
    tokens::{CreateToken, create_token},
    users::{CreateUser, create_user},
};
use latchkey_domain::{
    Clock,
    people::{Role, TokenScope},
    provisioning::{
        AccessDetails, ClaimOutcome, ClaimState, DesiredPrincipal, DiscoveredResource, Receipt,
    },
};
use latchkey_protocol::{
    Applied, DiscoveryPage, LeaseAnswer, Operation, Outcome, Reconciled, VERSION, sealing,
};
use latchkey_store::{
    AuditFilter, DatabaseUrl, KeyRing, PageQuery, Store, StoreError, StoreOptions, Tx,
};
use latchkey_testkit::{DatabaseKind, SeededRng, TestClock, TestDatabase};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;

/// What the generated password holds, so that a test finds it wherever it leaks.
pub const CANARY: &str = "canary-password";

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Answer {
    /// The body of a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        self.json
    }

    /// Asserts a 204 without a body.
    #[track_caller]
    pub fn done(self) {
        assert_eq!(self.status, 204, "{}", self.text);
        assert_eq!(self.text, "");
    }

    /// The body of a failure, which has the one shape of all failures.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(self.json["status"], status.to_string());
        assert_eq!(self.json["code"], code, "{}", self.text);
        assert!(self.json["message"].as_str().is_some_and(|text| text.len() > 3), "{}", self.text);
        self.json
    }

    /// Asserts a 400 that names `field`.
    #[track_caller]
    pub fn refuses(self, field: &str) {
        let body = self.refused(400, "BadRequest");
        assert_eq!(body["errors"][0]["field"], field, "{body}");
    }
}

pub struct Ground {
    pub app: App,
    pub clock: Arc<TestClock>,
    /// The token of the first Admin.
    pub admin: String,
    /// Operations that changed something and left an audit record.
    pub audited: Mutex<BTreeSet<String>>,
    router: Router,
    process: u32,
    database: TestDatabase,
    _keys: tempfile::TempDir,
}

impl Ground {
    pub async fn new() -> Self {
        let database = TestDatabase::create(DatabaseKind::Sqlite).await.unwrap();
        let keys = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::default());
        let rng = Arc::new(SeededRng::default());
        let store = Store::open(StoreOptions {
            database: DatabaseUrl::parse(&database.url()).unwrap(),
            keys: KeyRing::open_or_create(keys.path(), rng.as_ref()).unwrap(),
            clock: clock.clone(),
            rng: rng.clone(),
            max_connections: 4,
        })
        .await
        .unwrap();
        let config = AppConfig {
            version: "0.1.0".to_owned(),
            local_connector: false,
            listens: vec![SocketAddr::from(([127, 0, 0, 1], 8470))],
            instance: "test".to_owned(),
        };
        let app = App::new(store, clock.clone(), rng, config);
        let made = bootstrap(&app, person("ada")).await.unwrap();
        Self {
            router: router(ApiState::new(app.clone())),
            admin: made.token.expose_secret().to_owned(),
            app,
            clock,
            audited: Mutex::default(),
            process: 1,
            database,
            _keys: keys,
        }
    }

    /// A new user with this role, and a token of the usual scopes.
    pub async fn somebody(&self, name: &str, role: Option<Role>) -> String {
        let shell = Actor::command_line();
        let user = create_user(&self.app, &shell, person(name)).await.unwrap();
        if let Some(role) = role {
            grant_role(&self.app, &shell, user.id.as_str(), role).await.unwrap();
        }
        self.token(name, &[]).await
    }

    /// A token for a user, with these scopes or the usual ones.
    pub async fn token(&self, name: &str, scopes: &[TokenScope]) -> String {
        let command = CreateToken {
            user: Some(format!("{name}@example.com")),
            scopes: scopes.iter().copied().collect(),
            ..CreateToken::default()
        };
        let made = create_token(&self.app, &Actor::command_line(), command).await.unwrap();
        made.token.expose_secret().to_owned()
    }

    /// A token for a connector, which is registered by it.
    pub async fn connector(&self, id: &str) -> String {
        let shell = Actor::command_line();
        let made = create_connector_token(&self.app, &shell, id).await.unwrap();
        made.token.expose_secret().to_owned()
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.call("GET", token, path, None).await
    }

    pub async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call("POST", token, path, Some(body)).await
    }

    pub async fn put(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call("PUT", token, path, Some(body)).await
    }

    pub async fn patch(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call("PATCH", token, path, Some(body)).await
    }

    pub async fn delete(&self, token: &str, path: &str) -> Answer {
        self.call("DELETE", token, path, None).await
    }

    /// Calls with a JSON body, and notes whether a change left an audit record.
    pub async fn call(&self, method: &str, token: &str, path: &str, body: Option<Value>) -> Answer {
        let before = self.audit_records().await;
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let answer = self.send(request.body(body).unwrap()).await;
        if method != "GET" && answer.status.is_success() && self.audit_records().await > before {
            self.audited.lock().unwrap().insert(format!("{method} {path}"));
        }
        answer
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        // Everything but a PDF is text.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(head.headers.contains_key("x-request-id"), "an answer without a request id");
        let json = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: head.status, headers: head.headers, text, json }
    }

    async fn audit_records(&self) -> usize {
        let count = async |tx: &mut Tx| -> Result<usize, StoreError> {
            Ok(tx.list_audit(&AuditFilter::default(), &PageQuery::all()).await?.len())
        };
        self.app.store().read(count).await.unwrap()
    }

    /// The audit trail as text, and the bytes of the database's files.
    pub async fn everything_stored(&self) -> (String, Vec<u8>) {
        let list = async |tx: &mut Tx| -> Result<String, StoreError> {
            let records = tx.list_audit(&AuditFilter::default(), &PageQuery::all()).await?;
            Ok(format!("{records:?}"))
        };
        let records = self.app.store().read(list).await.unwrap();
        let file = self.database.sqlite_file().unwrap();
        let folder = std::fs::read_dir(file.parent().unwrap()).unwrap();
        let files = folder.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        (records, files.flatten().collect())
    }

    /// An integration with two tables, served by the connector whose token is given.
    pub async fn shop(&self, connector: &str, connector_id: &str) -> Value {
        let body = json!({
            "name": "shop", "type": "postgresql", "connector_id": connector_id,
            "integration_config": {"hostname": "127.0.0.1", "port": "5432", "dbname": "shop"},
            "secret_store_config": {
                "apono": {"parameters": {"username": "latchkey", "password": CANARY}},
            },
        });
        let made = self.post(&self.admin, "/api/admin/v4/integrations", body).await.ok();
        self.beat(connector).await;
        self.work(connector).await;
        made
    }

    async fn beat(&self, connector: &str) -> String {
        let key = sealing::SealingKey::from_bytes([7; 32]);
        let beat = json!({
            "protocol": VERSION, "session_id": format!("process-{}", self.process),
            "running": [], "version": "0.1.0", "cloud_provider_type": "ON_PREM",
            "public_key": key.public_key(),
        });
        let answer = self.post(connector, "/api/connector/v1/heartbeat", beat).await.ok();
        answer["server_public_key"].as_str().unwrap().to_owned()
    }

    /// Does all the work there is, over the connector protocol; timers of the server too.
    pub async fn work(&self, connector: &str) {
        let server_key = self.beat(connector).await;
        loop {
            let jobs = run_due_jobs(&self.app).await.unwrap();
            let session_id = format!("process-{}", self.process);
            let ask = json!({
                "protocol": VERSION, "session_id": session_id, "wait_ms": 0, "max_tasks": 16,
            });
            let leased = self.post(connector, "/api/connector/v1/lease", ask).await.ok();
            let leased: LeaseAnswer = serde_json::from_value(leased).unwrap();
            for task in &leased.tasks {
                let outcome = match &task.operation {
                    Operation::Discover => Outcome::Discovered(tables()),
                    Operation::Apply(desired) => self.apply(desired, &server_key),
                    Operation::Reconcile { .. } => Outcome::Reconciled(Reconciled::default()),
                };
                let path = format!("/api/connector/v1/tasks/{}/result", task.id);
                let result = json!({
                    "protocol": VERSION, "session_id": session_id, "lease": task.lease,
                    "outcome": outcome,
                });
                self.post(connector, &path, result).await.done();
            }
            if jobs == 0 && leased.tasks.is_empty() {
                return;
            }
        }
    }

    fn apply(&self, desired: &DesiredPrincipal, server_key: &str) -> Outcome {
        let outcome = |state| {
            move |claim: &latchkey_domain::provisioning::DesiredClaim| ClaimOutcome {
                unit_id: claim.unit_id.clone(),
                state,
                fault: None,
            }
        };
        let present = desired.claims.iter().map(outcome(ClaimState::Present));
        let absent = desired.removed.iter().map(outcome(ClaimState::Absent));
        let exists = !desired.claims.is_empty();
        let credentials = desired.issue_credentials.then(|| {
            let username = desired.principal.clone();
            let made = sealing::Credentials { username, password: CANARY.to_owned() };
            sealing::seal_credentials(server_key, &made).unwrap()
        });
        Outcome::Applied(Applied {
            fence: desired.fence,
            claims: present.chain(absent).collect(),
            receipt: Receipt {
                principal: desired.principal.clone(),
                observed_at: self.clock.now(),
                principal_exists: exists,
                can_log_in: exists,
                open_sessions: 0,
                sessions_ended: 0,
                holds: Vec::new(),
                leftover: Vec::new(),
                notes: Vec::new(),
            },
            extended: desired.extensions.clone(),
            expired_by_connector: Vec::new(),
            credentials,
            access_details: Some(AccessDetails {
                instructions: "Log in with {{password}}.".to_owned(),
                cli: Some("psql shop".to_owned()),
                parameters: BTreeMap::from([("database".to_owned(), "shop".to_owned())]),
            }),
        })
    }

    /// Moves the clock.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn tables() -> DiscoveryPage {
    let table = |name: &str| DiscoveredResource {
        resource_type: "postgresql-table".to_owned(),
        source_id: format!("table:shop/public/{name}"),
        name: name.to_owned(),
        path: format!("shop/public/{name}"),
        tags: BTreeMap::new(),
        context: BTreeMap::new(),
    };
    let resources = ["orders", "customers"].map(table).to_vec();
    DiscoveryPage { page: 0, last: true, resources, findings: Vec::new() }
}

fn person(name: &str) -> CreateUser {
    CreateUser {
        email: format!("{name}@example.com"),
        first_name: name.to_owned(),
        ..CreateUser::default()
    }
}

/// A flow by which `requestor` may read the shop's tables for an hour; approved by `approver`,
/// or at once.
pub fn flow(name: &str, requestor: &str, approver: Option<&str>) -> Value {
    let condition = |name: &str| json!({"type": "user", "values": [format!("{name}@example.com")]});
    json!({
        "name": name, "active": true, "trigger": "SELF_SERVE",
        "requestors": {"logical_operator": "OR", "conditions": [condition(requestor)]},
        "access_targets": [{"integration": {
            "integration_reference": "shop", "resource_type": "postgresql-table",
            "permissions": ["READ_ONLY"],
        }}],
        "approver_policy": approver.map(|approver| json!({
            "approval_mode": "ANY_OF",
            "approver_groups": [{"logical_operator": "OR", "approvers": [condition(approver)]}],
        })),
        "grant_duration_in_min": 60,
        "settings": {
            "justification_required": false, "require_approver_reason": false,
            "requestor_cannot_approve_himself": true, "require_mfa": false, "labels": [],
        },
        "request_for_others": false,
    })
}
