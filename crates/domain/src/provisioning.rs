//! What is said about a target system: the state a principal should have, and the evidence of
//! the state it has. Server, connector and integration modules all speak in these terms.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{SessionId, UnitId};

/// The whole desired state of one principal. Applying it twice changes nothing the second time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredPrincipal {
    /// The session it belongs to.
    pub session_id: SessionId,
    /// Its generation.
    pub generation: i64,
    /// The principal's name in the target.
    pub principal: String,
    /// Grows with every delivery; the target refuses a lower one than it has seen.
    pub fence: i64,
    /// The server's time when the task was made; ends are on the same scale.
    pub server_time: Timestamp,
    /// Every claim that should be in place. Empty: the principal is to be removed.
    pub claims: Vec<DesiredClaim>,
    /// Claims that should be gone; each is answered.
    pub removed: Vec<DesiredClaim>,
    /// Later ends that are asked for claims. The connector says which of them it allows; a module
    /// finds those already in `claims`, and nothing here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<ClaimExtension>,
    /// Whether the server holds no credentials for the principal, so that new ones are made.
    pub issue_credentials: bool,
}

/// One claim: a permission on a resource, until an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredClaim {
    /// The unit that claims it.
    pub unit_id: UnitId,
    /// Resource type.
    pub resource_type: String,
    /// The resource's native id.
    pub source_id: String,
    /// Its path.
    pub path: String,
    /// Its context when it was asked for.
    #[serde(default)]
    pub context: BTreeMap<String, String>,
    /// The permission's name.
    pub permission: String,
    /// When the claim ends, on the server's clock; `None` until revoked.
    pub ends_at: Option<Timestamp>,
}

/// A later end of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimExtension {
    /// The unit.
    pub unit_id: UnitId,
    /// The later end, on the server's clock.
    pub ends_at: Timestamp,
}

/// A session that explains a principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSession {
    /// The session.
    pub session_id: SessionId,
    /// Its principal.
    pub principal: String,
    /// Units that may be in place.
    pub units: Vec<UnitId>,
}

/// Why work on a target failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct TargetFault {
    /// What kind of fault it is; decides about trying again.
    pub class: FaultClass,
    /// In words a person can act on. Never a secret.
    pub message: String,
}

/// Kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// The target cannot be reached; tried again at least once a second while a revoke is due.
    Unreachable,
    /// The target answered with an error that may pass: a lock, a restart, a full disk.
    Transient,
    /// The target refused, and will again until somebody changes something.
    Refused,
    /// The connector may not do this by its own rules, or lacks the secret.
    Forbidden,
    /// The outcome is not known: it counts as done until a read-back shows otherwise.
    Unknown,
}

/// A resource as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoveredResource {
    /// Resource type.
    pub resource_type: String,
    /// Native id, unique within the integration.
    pub source_id: String,
    /// The last part of the path.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Further facts.
    #[serde(default)]
    pub context: BTreeMap<String, String>,
}

/// Something `validate` has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, and what mends it.
    pub message: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Works; could be safer.
    Advice,
    /// Some of the configured work cannot be done.
    Warning,
    /// None of it can.
    Error,
}

/// How one claim stands in the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimOutcome {
    /// The unit.
    pub unit_id: UnitId,
    /// How it stands.
    pub state: ClaimState,
    /// Why it could not be put in place.
    #[serde(default)]
    pub fault: Option<TargetFault>,
}

/// How a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimState {
    /// Read back: in place.
    Present,
    /// Read back: not in place (or given by another claim's right, which it did not touch).
    Absent,
    /// Could not be read back.
    Unknown,
}

/// Evidence read back from the target, kept with the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The principal.
    pub principal: String,
    /// When it was read, by the target's own clock.
    pub observed_at: Timestamp,
    /// Whether the principal exists.
    pub principal_exists: bool,
    /// Whether it can log in.
    pub can_log_in: bool,
    /// Open sessions of the principal, by the target's list.
    pub open_sessions: u32,
    /// Sessions that were ended by this run.
    pub sessions_ended: u32,
    /// Rights it holds, as the target names them.
    pub holds: Vec<String>,
    /// Objects that keep an inert principal alive.
    #[serde(default)]
    pub leftover: Vec<String>,
    /// Further lines of evidence.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A claim that a connector removed at its end, without being told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredClaim {
    /// The unit.
    pub unit_id: UnitId,
    /// When it was removed, by the target's clock.
    pub removed_at: Timestamp,
}

/// One difference between what should be and what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftFinding {
    /// The principal or object.
    pub subject: String,
    /// What is wrong with it.
    pub message: String,
    /// Whether the run removed it.
    pub removed: bool,
}

/// How to connect, without secrets: `{{password}}` stands where the password goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessDetails {
    /// Text for a person.
    pub instructions: String,
    /// One shell command, every name quoted for `sh`; no password in it.
    pub cli: Option<String>,
    /// Connection parameters: `host`, `port`, `database`, `username`.
    pub parameters: BTreeMap<String, String>,
}

impl TargetFault {
    /// A fault of this class.
    pub fn new(class: FaultClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}
