//! Short forms of objects that several answers share: id and name side by side.

use latchkey_app::catalogue::kind_of_resource;
use latchkey_domain::people::User;
use schemars::JsonSchema;
use serde::Serialize;

/// Short form of an integration.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct IntegrationRef {
    /// Integration id.
    pub id: String,
    /// Its name now.
    pub name: String,
}

/// Short form of a resource type.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ResourceTypeRef {
    /// The type's key.
    pub id: String,
    /// The type's name for people.
    pub label: String,
}

/// Short form of a bundle.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BundleRef {
    /// Bundle id.
    pub id: String,
    /// Its name now.
    pub name: String,
}

/// Short form of a user.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UserRef {
    /// User id.
    pub id: String,
    /// E-mail address known to the identity provider.
    pub source_id: String,
}

/// Resource side of an entitlement.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EntitlementResource {
    /// Id of the resource here.
    pub id: String,
    /// Its native id in the target.
    pub source_id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub resource_type: ResourceTypeRef,
    /// Its name.
    pub name: String,
}

impl ResourceTypeRef {
    /// The type with this key; one that is not known is labelled by its key.
    pub(crate) fn of(key: &str) -> Self {
        let label = kind_of_resource(key).map_or(key, |kind| kind.label);
        Self { id: key.to_owned(), label: label.to_owned() }
    }
}

impl From<&User> for UserRef {
    fn from(user: &User) -> Self {
        Self { id: user.id.to_string(), source_id: user.email.clone() }
    }
}
