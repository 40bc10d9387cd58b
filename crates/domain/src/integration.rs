//! Connectors and integrations: where the work is done, and on what.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ConnectorId, ConnectorSessionId, IntegrationId};

/// The agent that runs beside target systems, dials out to the server and does the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connector {
    /// Chosen by the operator; never changes.
    pub id: ConnectorId,
    /// Shown to people; starts as the id.
    pub name: String,
    /// Hash of the connector's token; `None` for the in-process one.
    pub token_hash: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When any of its processes was last heard of.
    pub last_connected_at: Option<Timestamp>,
    /// Software version of the process heard of last; empty before the first.
    pub version: String,
    /// Where it runs: `AWS`, `GCP`, `AZURE`, `KUBERNETES`, or `ON_PREM`.
    pub cloud_provider_type: String,
    /// Its processes that are alive now.
    pub sessions: Vec<ConnectorSession>,
}

/// One live process of a connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorSession {
    /// Names the process; new at each start.
    pub id: ConnectorSessionId,
    /// Cloud metadata as the process found it.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// When it was last heard of.
    pub last_connected_at: Timestamp,
    /// X25519 public key, 32 bytes: platform-stored secrets are sealed to it.
    pub public_key: Vec<u8>,
}

/// Where an integration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IntegrationStatus {
    /// Created; not validated and discovered yet.
    Initializing,
    /// A discovery run is under way.
    Refreshing,
    /// Validated and discovered.
    Active,
    /// None of the configured work can be done.
    Error,
    /// Some of the configured work cannot be done.
    Warning,
    /// Switched off by an Admin.
    Disabled,
}

impl IntegrationStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Initializing,
        Self::Refreshing,
        Self::Active,
        Self::Error,
        Self::Warning,
        Self::Disabled,
    ];

    /// The word of the v4 wire format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Refreshing => "REFRESHING",
            Self::Active => "ACTIVE",
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Disabled => "DISABLED",
        }
    }
}

/// Where the target's admin secret is kept. The server sees the secret only for
/// [`SecretStore::Platform`], and keeps that sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SecretStore {
    /// Kept by the server, sealed at rest (`apono` on the wire). The values are not here.
    Platform {
        /// The names of the stored parameters, so that answers can show them masked.
        keys: Vec<String>,
    },
    /// A file below the connector's secret folder: `secret_ref = "file:NAME"`.
    File {
        /// The file's name below the folder.
        name: String,
    },
    /// A variable of the connector's process: `secret_ref = "env:NAME"`.
    Env {
        /// The variable's name after the prefix `LATCHKEY_SECRET_`.
        name: String,
    },
}

/// One configured target system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// Never reused.
    pub id: IntegrationId,
    /// Unique without letter case.
    pub name: String,
    /// The integration type, such as `postgresql`. Never changes.
    pub integration_type: String,
    /// `RESOURCES` or `USER-INFORMATION`.
    pub category: String,
    /// The connector that serves it.
    pub connector_id: Option<ConnectorId>,
    /// Where it stands.
    pub status: IntegrationStatus,
    /// What `validate` or discovery had to say: a fault, or advice.
    pub status_detail: Option<String>,
    /// Configuration as sent, unknown keys included; values of known keys are text.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Where its secret is kept.
    pub secret_store: Option<SecretStore>,
    /// Resource types to discover; `None` for all of the type.
    pub connected_resource_types: Option<Vec<String>>,
    /// Text of the admin's own, shown with access details; 400 characters at most.
    pub custom_access_details: Option<String>,
    /// Who owns its resources unless the mapping says otherwise.
    pub owner: Option<OwnerRule>,
    /// Which tag names a resource's owner.
    pub owners_mapping: Option<OwnersMapping>,
    /// When a discovery run last ended well.
    pub last_sync_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed by somebody.
    pub updated_at: Timestamp,
    /// Grows with every change by somebody; part of what an approval is bound to.
    pub version: i64,
}

/// The owner of everything in an integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerRule {
    /// Condition type, such as `user` or `group`.
    pub attribute_type: String,
    /// Source ids; e-mail addresses for `user`.
    pub attribute_value: Vec<String>,
    /// The identity source, where the caller gave one.
    pub source_integration_id: Option<IntegrationId>,
}

/// The tag whose value names a resource's owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnersMapping {
    /// The tag's key.
    pub key_name: String,
    /// Condition type of the tag's value.
    pub attribute_type: String,
    /// The identity source, where the caller gave one.
    pub source_integration_id: Option<IntegrationId>,
}

/// Named values as they are handed to an integration module.
pub type ConfigMap = BTreeMap<String, String>;
