//! `/api/user/v1/available-access`: what the caller may ask for.

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    App, available_access as available,
    available_access::{AvailableQuery, available_bundles, available_entitlements},
    wildcard::text_match,
};
use latchkey_domain::ids::IntegrationId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::references::{EntitlementResource, IntegrationRef, ResourceTypeRef};
use crate::{
    ApiState,
    body::Reply,
    caller::{May, ReadAvailableAccess},
    documentation::described,
    error::ApiError,
    paging::{Listing, PageOf},
};

const TAG: &str = "Available Access";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/user/v1/available-access/bundles",
            get_with(bundles, |op| {
                let summary = "Page through the bundles the caller may ask for.";
                described(op, TAG, "listAvailableBundlesV1", summary)
            }),
        )
        .api_route(
            "/api/user/v1/available-access/entitlements",
            get_with(entitlements, |op| {
                let summary = "Page through the pairs of resource and permission the caller may \
                               ask for.";
                described(op, TAG, "listAvailableEntitlementsV1", summary)
            }),
        )
}

/// Resource and permission that the user may ask for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AvailableEntitlement {
    /// Where the resource is.
    pub integration: IntegrationRef,
    /// The resource.
    pub resource: EntitlementResource,
    /// The permission.
    pub permission: EntitlementPermission,
}

/// Permission side of an entitlement.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EntitlementPermission {
    /// Id of the permission here.
    pub id: String,
    /// Its native id in the target.
    pub source_id: String,
    /// Its name.
    pub name: String,
}

impl From<available::AvailableEntitlement> for AvailableEntitlement {
    fn from(row: available::AvailableEntitlement) -> Self {
        let (resource, permission) = (row.entitlement.resource, row.entitlement.permission);
        Self {
            integration: IntegrationRef {
                id: resource.integration_id.into(),
                name: row.integration_name,
            },
            resource: EntitlementResource {
                id: resource.id.into(),
                source_id: resource.source_id,
                resource_type: ResourceTypeRef::of(&resource.resource_type),
                name: resource.name,
            },
            permission: EntitlementPermission {
                id: permission.id.into(),
                source_id: permission.name.clone(),
                name: permission.name,
            },
        }
    }
}

/// What to keep of the bundles.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct BundleFilters {
    /// Id or e-mail of the user to look at; the caller when left out.
    grantee: Option<String>,
    /// One of these names; asterisks at the ends match anything, case is ignored.
    #[serde(default)]
    name: Vec<String>,
}

/// What to keep of the entitlements. In names, asterisks at the ends match anything and case is
/// ignored.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct EntitlementFilters {
    /// Id or e-mail of the user to look at; the caller when left out.
    grantee: Option<String>,
    /// In this integration.
    integration_id: Option<String>,
    /// In an integration with this name.
    integration_name: Option<String>,
    /// Permissions with one of these names.
    #[serde(default)]
    permission_name: Vec<String>,
    /// Resources with this name.
    resource_name: Option<String>,
    /// Resources of one of these types.
    #[serde(default)]
    resource_type_id: Vec<String>,
}

impl From<&EntitlementFilters> for AvailableQuery {
    fn from(filters: &EntitlementFilters) -> Self {
        let names = filters.permission_name.iter();
        Self {
            grantee: filters.grantee.clone(),
            integration_id: filters.integration_id.clone().map(IntegrationId::new),
            integration_name: filters.integration_name.as_deref().map(text_match),
            permission_names: names.map(|name| text_match(name)).collect(),
            resource_name: filters.resource_name.as_deref().map(text_match),
            resource_type_ids: filters.resource_type_id.clone(),
        }
    }
}

async fn bundles(
    State(app): State<App>,
    May(actor, ..): May<ReadAvailableAccess>,
    listing: Listing<BundleFilters>,
) -> Result<Reply<PageOf<AvailableBundle>>, ApiError> {
    let filters = &listing.filters;
    let names: Vec<_> = filters.name.iter().map(|name| text_match(name)).collect();
    let grantee = filters.grantee.as_deref();
    let page = available_bundles(&app, &actor, grantee, &names, &listing.page).await?;
    Ok(listing.reply(page, AvailableBundle::from))
}

async fn entitlements(
    State(app): State<App>,
    May(actor, ..): May<ReadAvailableAccess>,
    listing: Listing<EntitlementFilters>,
) -> Result<Reply<PageOf<AvailableEntitlement>>, ApiError> {
    let query = AvailableQuery::from(&listing.filters);
    let page = available_entitlements(&app, &actor, &query, &listing.page).await?;
    Ok(listing.reply(page, AvailableEntitlement::from))
}

/// Bundle that the user may ask for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AvailableBundle {
    /// Bundle id.
    pub id: String,
    /// Its name now.
    pub name: String,
}

impl From<available::AvailableBundle> for AvailableBundle {
    fn from(bundle: available::AvailableBundle) -> Self {
        Self { id: bundle.id.into(), name: bundle.name }
    }
}
