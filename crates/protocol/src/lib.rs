//! What server and connector say to each other.
//!
//! The connector dials out and asks for work: `POST /api/connector/v1/lease` (long poll),
//! `POST /api/connector/v1/tasks/{id}/result`, `POST /api/connector/v1/heartbeat`; and it says on
//! its own what it sees change in a target, `POST /api/connector/v1/changes`. A task is
//! delivered at least once and applied once; see `docs/architecture.md`, "The connector
//! protocol". Everything here is JSON, versioned by [`VERSION`]; unknown members are ignored,
//! so that either side may be the newer one.

use std::{collections::BTreeMap, net::SocketAddr};

use jiff::Timestamp;
use latchkey_domain::{
    ids::{ConnectorId, ConnectorSessionId, InstallationId, IntegrationId, TaskId},
    provisioning::{
        AccessDetails, ClaimExtension, ClaimOutcome, DesiredPrincipal, DiscoveredResource,
        DriftFinding, ExpiredClaim, Finding, KnownSession, Receipt, TargetFault,
    },
};
use serde::{Deserialize, Serialize};

pub mod sealing;

/// Version of the protocol; part of every request, so that a server can refuse what it does
/// not understand.
pub const VERSION: u32 = 1;

/// `POST …/heartbeat`: said at start and every few seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// [`VERSION`] of the sender.
    pub protocol: u32,
    /// The connector this process was started as, so that a server can say that the token is
    /// another connector's.
    #[serde(default)]
    pub connector_id: Option<ConnectorId>,
    /// This process; new at each start.
    pub session_id: ConnectorSessionId,
    /// The deliveries the process is working on: the server renews the leases of these and of
    /// no others, so that a task whose lease answer got lost on the way is delivered again.
    #[serde(default)]
    pub running: Vec<RunningTask>,
    /// The process that used this data folder before, if this is the first heartbeat after a
    /// start: its leases are taken back at once.
    #[serde(default)]
    pub replaces: Option<ConnectorSessionId>,
    /// Software version.
    pub version: String,
    /// Cloud metadata as found, for the wire format's connector sessions.
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// `AWS`, `GCP`, `AZURE`, `KUBERNETES` or `ON_PREM`.
    pub cloud_provider_type: String,
    /// X25519 public key of the process, base64: platform-stored secrets are sealed to it.
    pub public_key: String,
    /// The newest signed audit head this connector has seen, echoed so that a cut tail shows.
    #[serde(default)]
    pub audit_head: Option<AuditHead>,
    /// [`HeartbeatAnswer::targets`] of the newest answer that this process has taken in: if it
    /// still holds, the server does not say the targets again.
    #[serde(default)]
    pub targets: Option<String>,
}

/// A delivery that is being worked on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunningTask {
    /// The task.
    pub id: TaskId,
    /// [`Task::lease`].
    pub lease: i64,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// The server's time, for the connector's estimate of the difference.
    pub server_time: Timestamp,
    /// Which installation answers.
    pub installation_id: InstallationId,
    /// X25519 public key of the server, base64: generated credentials are sealed to it.
    pub server_public_key: String,
    /// The server's newest signed audit head.
    #[serde(default)]
    pub audit_head: Option<AuditHead>,
    /// The integrations this connector serves; their markers are swept for claims that ended.
    pub integrations: Vec<IntegrationTarget>,
    /// Names what `integrations` says, secrets included, without telling anything about it.
    #[serde(default)]
    pub targets: Option<String>,
    /// The connector's [`Heartbeat::targets`] still holds; `integrations` is empty for that.
    #[serde(default)]
    pub targets_unchanged: bool,
    /// Where the server that answers listens: no target may lead there. An unspecified address
    /// stands for all of its machine's, of which the one that leads out is said too.
    #[serde(default)]
    pub listens: Vec<SocketAddr>,
}

/// A signed head of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the last record linked.
    pub sequence: i64,
    /// Its chain hash, hexadecimal.
    pub hash: String,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// Ed25519 signature, hexadecimal.
    pub signature: String,
}

/// `POST …/lease`: asks for work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// [`VERSION`] of the sender.
    pub protocol: u32,
    /// The process that will do the work.
    pub session_id: ConnectorSessionId,
    /// How long the server may wait for work before it answers with none; 30 s at most.
    pub wait_ms: u64,
    /// How many tasks the process can take now.
    pub max_tasks: u32,
}

/// The answer to a lease request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseAnswer {
    /// The server's time when the tasks were leased (or the wait ended without one).
    pub server_time: Timestamp,
    /// Work, possibly none.
    pub tasks: Vec<Task>,
}

/// One unit of work, leased to one process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Names the task; its result is posted under this id.
    pub id: TaskId,
    /// Which delivery this is: a result is accepted for the newest one only.
    pub lease: i64,
    /// How long the lease lasts from the answer's `server_time`, which the connector places on
    /// its own monotonic clock. A heartbeat renews the leases of its session for as long again,
    /// counted from when it was sent. No effect starts after the end.
    pub lease_ms: u64,
    /// The target.
    pub integration: IntegrationTarget,
    /// What to do.
    pub operation: Operation,
}

/// A target system as a connector needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationTarget {
    /// The installation, for markers.
    pub installation_id: InstallationId,
    /// The integration.
    pub id: IntegrationId,
    /// Its name, shown in instructions.
    pub name: String,
    /// The integration type.
    pub integration_type: String,
    /// Configuration.
    pub config: BTreeMap<String, String>,
    /// Where its admin secret is.
    pub secret: SecretSource,
    /// Resource types to discover; `None` for all of the type.
    pub connected_resource_types: Option<Vec<String>>,
}

/// Where a connector gets a target's admin secret from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "store", rename_all = "snake_case")]
pub enum SecretSource {
    /// The type needs none.
    None,
    /// Kept by the server; sealed to the leasing process, base64 of a sealed JSON map.
    Platform {
        /// See [`sealing`].
        sealed: String,
    },
    /// A file below the connector's secret folder.
    File {
        /// Its name.
        name: String,
    },
    /// A variable of the connector's process, after its prefix.
    Env {
        /// Its name after `LATCHKEY_SECRET_`.
        name: String,
    },
}

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Operation {
    /// Connect, check the connector's own rights, and find what there is.
    Discover,
    /// Make a principal hold exactly this.
    Apply(DesiredPrincipal),
    /// Find access that nothing explains, and remove what is our own.
    Reconcile {
        /// Sessions that may exist in the target now.
        known_sessions: Vec<KnownSession>,
        /// Whether principals that nothing explains may be removed (not after a restore that
        /// has not been confirmed).
        remove: bool,
    },
}

/// `POST …/tasks/{id}/result`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskResult {
    /// [`VERSION`] of the sender.
    pub protocol: u32,
    /// The process that did the work.
    pub session_id: ConnectorSessionId,
    /// The delivery this answers.
    pub lease: i64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "results are few and short-lived")]
pub enum Outcome {
    /// A page of a discovery run; the run goes on unless it is the last.
    Discovered(DiscoveryPage),
    /// The principal was brought to the desired state, as far as each claim says.
    Applied(Applied),
    /// What a reconcile run found.
    Reconciled(Reconciled),
    /// The target holds a higher fence than the task: somebody newer was here.
    Fenced {
        /// The fence in the target's marker.
        fence: i64,
    },
    /// Nothing is known to have been done.
    Failed(TargetFault),
}

/// A page of resources.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiscoveryPage {
    /// 0 for the first page.
    pub page: u32,
    /// Whether it is the last: only then may what was not seen be called gone.
    pub last: bool,
    /// Resources of this page.
    pub resources: Vec<DiscoveredResource>,
    /// Advice and partial faults found by `validate`; sent with the last page.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// `POST …/changes`: what a process saw change in a target since it last looked. It may be said
/// again, and by several processes; the next whole discovery run puts right what got lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changes {
    /// [`VERSION`] of the sender.
    pub protocol: u32,
    /// The process that looked.
    pub session_id: ConnectorSessionId,
    /// The target.
    pub integration_id: IntegrationId,
    /// Resources that are new or differ; together with `gone` at most [`MOST_CHANGES`].
    #[serde(default)]
    pub found: Vec<DiscoveredResource>,
    /// Native ids of resources that are no longer there.
    #[serde(default)]
    pub gone: Vec<String>,
}

/// How many changes one message may tell.
pub const MOST_CHANGES: usize = 1000;

/// The read-back after an apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The fence that was written.
    pub fence: i64,
    /// How each claim of the task stands in the target now.
    pub claims: Vec<ClaimOutcome>,
    /// What was read back.
    pub receipt: Receipt,
    /// Claims whose later end the target now has. What was asked and is not here was not done,
    /// and the end before it stands.
    #[serde(default)]
    pub extended: Vec<ClaimExtension>,
    /// Claims that the connector removed by itself at their end, before this run.
    #[serde(default)]
    pub expired_by_connector: Vec<ExpiredClaim>,
    /// New credentials: base64 of a sealed JSON [`sealing::Credentials`], sealed to the server.
    #[serde(default)]
    pub credentials: Option<String>,
    /// How to connect, without secrets.
    #[serde(default)]
    pub access_details: Option<AccessDetails>,
}

/// What a reconcile run found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// Principals and grants that nothing explains, in words.
    pub drift: Vec<DriftFinding>,
}
