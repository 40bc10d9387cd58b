//! What discovery finds in an integration, and the pairs of it that can be asked for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{IntegrationId, PermissionId, ResourceId};

/// Whether a resource can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResourceStatus {
    /// Seen by the last discovery run.
    Active,
    /// Seen, but in a state in which access cannot be given.
    Error,
    /// Gone from the target; kept with its history.
    Deleted,
}

/// How much harm access to it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// The worst.
    Critical,
}

/// Something discovered in an integration: a table, a schema, a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Derived from the integration and the native id.
    pub id: ResourceId,
    /// The integration it was found in.
    pub integration_id: IntegrationId,
    /// Resource type, such as `postgresql-table`.
    pub resource_type: String,
    /// Native id: stable and unique within the integration.
    pub source_id: String,
    /// The last part of the path.
    pub name: String,
    /// Where it is, such as `shop/public/orders`.
    pub path: String,
    /// Tags that discovery found.
    pub tags: BTreeMap<String, String>,
    /// Tags that people set here; they win over found ones of the same key.
    pub user_tags: BTreeMap<String, String>,
    /// Further facts that discovery found, such as the table's oid.
    pub context: BTreeMap<String, String>,
    /// Whether it can be asked for.
    pub status: ResourceStatus,
    /// Risk, where a rule gave one.
    pub risk: Option<RiskLevel>,
    /// When it was first seen.
    pub created_at: Timestamp,
}

impl Resource {
    /// The value of the tag `key`: a user tag before a discovered one.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.user_tags.get(key).or_else(|| self.tags.get(key)).map(String::as_str)
    }
}

/// A right that can be given on resources of one type of one integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Derived from integration, resource type and name.
    pub id: PermissionId,
    /// The integration it belongs to.
    pub integration_id: IntegrationId,
    /// The resource type it applies to.
    pub resource_type: String,
    /// Its name, such as `READ_ONLY`.
    pub name: String,
    /// Risk, where a rule gave one.
    pub risk: Option<RiskLevel>,
}

/// One (resource, permission) pair: what a person asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// The resource.
    pub resource: Resource,
    /// The permission on it.
    pub permission: Permission,
}
