//! The wire shapes of access requests, v4.

use std::collections::BTreeMap;

use latchkey_app::{
    Actor,
    requests::{RequestOverview, RequestPart, UnitView},
};
use latchkey_domain::{ids::IntegrationId, people::User};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    endpoints::references::{
        BundleRef, EntitlementResource, IntegrationRef, ResourceTypeRef, UserRef,
    },
    time::{DurationSec, Timestamp, seconds32},
};

/// Access request, end-user view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccessRequestV4")]
pub struct AccessRequest {
    /// Request id.
    pub id: String,
    /// `Initializing`, `PendingMFA`, `Pending`, `Granting`, `Active`, `Rejected`, `Revoking`,
    /// `Revoked` or `Failed`.
    pub status: String,
    /// Length of the grant; null means until revoked.
    pub duration_in_sec: Option<i32>,
    /// Reason that was given.
    pub justification: Option<String>,
    /// When it was filed.
    pub creation_date: Timestamp,
    /// When access had ended; null before, and if it never began.
    pub revocation_date: Option<Timestamp>,
    /// Further answers, by field name.
    pub custom_fields: BTreeMap<String, String>,
    /// The request's parts, one an integration.
    pub access_groups: Vec<AccessGroup>,
    /// Who asked; null when that is the caller.
    pub requestor: Option<UserRef>,
    /// Who receives the access; null when that is the caller.
    pub grantee: Option<UserRef>,
    /// Bundle that was asked for.
    pub bundle: Option<BundleRef>,
}

/// Part of a request that belongs to one integration.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccessGroup {
    /// The integration.
    pub integration: IntegrationRef,
    /// Types of the resources in it.
    pub resource_types: Vec<ResourceTypeRef>,
}

impl AccessRequest {
    /// A request as `actor` sees it.
    pub(crate) fn seen_by(actor: &Actor, seen: RequestOverview) -> Self {
        let request = seen.request;
        let unless_caller = |user: &User| (user.id != actor.user.id).then(|| UserRef::from(user));
        Self {
            requestor: unless_caller(&seen.requestor),
            grantee: unless_caller(&seen.grantee),
            status: request.state.wire_word().to_owned(),
            duration_in_sec: request.duration_sec.map(seconds32),
            justification: request.justification,
            creation_date: request.created_at.into(),
            revocation_date: request.ended_at.map(Into::into),
            custom_fields: request.custom_fields,
            access_groups: request.parts.into_iter().map(AccessGroup::from).collect(),
            bundle: request.bundle_id.map(|id| BundleRef {
                name: seen.bundle_name.unwrap_or_else(|| id.to_string()),
                id: id.into(),
            }),
            id: request.id.into(),
        }
    }
}

impl From<(IntegrationId, RequestPart)> for AccessGroup {
    fn from((id, part): (IntegrationId, RequestPart)) -> Self {
        let types = part.resource_types.iter();
        Self {
            integration: IntegrationRef { id: id.into(), name: part.integration_name },
            resource_types: types.map(|kind| ResourceTypeRef::of(kind)).collect(),
        }
    }
}

/// Ask for a bundle or for entitlements, not both.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AccessRequestCreateV4")]
pub struct AccessRequestCreate {
    /// Id or name of a bundle.
    pub bundle_reference: Option<String>,
    /// Pairs from the list of available entitlements.
    pub entitlements: Option<Vec<EntitlementSelection>>,
    /// Reason for the request.
    pub justification: Option<String>,
    /// Wanted length of the grant in seconds; the governing flow's longest when left out.
    pub duration_in_sec: Option<DurationSec>,
    /// Further answers, by field name. `break_glass` = `true` asks for a break-glass flow.
    pub custom_fields: Option<BTreeMap<String, String>>,
    /// Id or e-mail of the receiver; the caller when left out.
    pub grantee: Option<String>,
}

/// Resource and permission pair.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct EntitlementSelection {
    /// `resource.id` of an available entitlement.
    pub resource_id: String,
    /// `permission.id` of the same.
    pub permission_id: String,
}

/// Inputs for repeating a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "RequestAgainV4")]
pub struct RequestAgain {
    /// Reason for the new request.
    pub justification: Option<String>,
    /// Further answers, by field name.
    pub custom_fields: Option<BTreeMap<String, String>>,
}

/// Single grant inside a request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RequestEntitlement {
    /// Where the resource is.
    pub integration: IntegrationRef,
    /// The resource as it was when asked for.
    pub resource: EntitlementResource,
    /// The permission that was asked for.
    pub permission: PermissionName,
    /// State of this entitlement, in the words of requests.
    pub status: String,
}

/// Permission that was asked for; name only.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PermissionName {
    /// Permission name.
    pub name: String,
}

impl From<UnitView> for RequestEntitlement {
    fn from(view: UnitView) -> Self {
        let unit = view.unit;
        Self {
            integration: IntegrationRef {
                id: unit.integration_id.into(),
                name: view.integration_name,
            },
            resource: EntitlementResource {
                id: unit.resource_id.into(),
                source_id: unit.resource_source_id,
                resource_type: ResourceTypeRef::of(&unit.resource_type),
                name: unit.resource_name,
            },
            permission: PermissionName { name: unit.permission },
            status: view.status.to_owned(),
        }
    }
}
