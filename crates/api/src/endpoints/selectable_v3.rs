//! `/api/v3/selectable-integrations`: what a user may ask for, step by step.

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{App, selectable};
use latchkey_domain::{ids::IntegrationId, inventory};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::references::ResourceTypeRef;
use crate::{
    ApiState,
    body::Reply,
    caller::{May, ReadSelectable},
    documentation::described,
    error::ApiError,
    query::{Places, Query},
    streaming::{Counted, OffsetPage, WholeList, pages},
};

const TAG: &str = "Access Requests";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    let path = |rest: &str| format!("/api/v3/selectable-integrations{rest}");
    ApiRouter::new()
        .api_route(
            &path(""),
            get_with(integrations, |op| {
                let summary = "List the integrations in which a user may ask for something.";
                described(op, TAG, "listSelectableIntegrationsV3", summary)
            }),
        )
        .api_route(
            &path("/{integration_id}/resource-types"),
            get_with(resource_types, |op| {
                let summary = "List the resource types a user may ask for in an integration.";
                described(op, TAG, "listSelectableResourceTypesV3", summary)
            }),
        )
        .api_route(
            &path("/{integration_id}/{resource_type}/permissions"),
            get_with(permissions, |op| {
                let summary = "List the names of the permissions a user may ask for.";
                described(op, TAG, "listSelectablePermissionsV3", summary)
            }),
        )
        .api_route(
            &path("/{integration_id}/{resource_type}/resources"),
            get_with(resources, |op| {
                let summary = "List the resources a user may ask for.";
                described(op, TAG, "listSelectableResourcesV3", summary)
            }),
        )
}

/// Integration in which the user may ask for something.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SelectableIntegration {
    /// Integration id.
    pub id: String,
}

/// Resource type of which the user may ask for something.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SelectableResourceType {
    /// The type's key.
    pub id: String,
    /// The type's name for people.
    pub name: String,
}

/// Permissions the user may ask for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SelectablePermissionPage")]
pub struct SelectablePermissions {
    /// Their names, weakest first.
    pub data: Vec<String>,
    /// How many there are.
    pub pagination: OffsetPage,
    /// Whether one request may carry several of them.
    pub allow_multiple: bool,
}

/// Resource the user may ask for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SelectableResource {
    /// Resource id.
    pub id: String,
    /// Its type's key.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Its name.
    pub name: String,
}

impl From<inventory::Resource> for SelectableResource {
    fn from(resource: inventory::Resource) -> Self {
        Self { id: resource.id.into(), resource_type: resource.resource_type, name: resource.name }
    }
}

/// Through whose eyes to look.
#[derive(Debug, Deserialize, JsonSchema)]
struct OnBehalf {
    /// Id or e-mail of the user who would ask; the token's owner when left out.
    user_id: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct IntegrationPlace {
    /// Integration id.
    integration_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct TypePlace {
    /// Integration id.
    integration_id: String,
    /// Resource type.
    resource_type: String,
}

async fn integrations(
    State(app): State<App>,
    May(actor, ..): May<ReadSelectable>,
    Query(who): Query<OnBehalf>,
) -> Result<Reply<Counted<SelectableIntegration>>, ApiError> {
    let user = who.user_id.as_deref();
    let found = selectable::selectable_integrations(&app, &actor, user).await?;
    let rows = found.into_iter().map(|id| SelectableIntegration { id: id.into() });
    Ok(Reply(Counted::all(rows.collect())))
}

async fn resource_types(
    State(app): State<App>,
    May(actor, ..): May<ReadSelectable>,
    Places(place): Places<IntegrationPlace>,
    Query(who): Query<OnBehalf>,
) -> Result<Reply<Counted<SelectableResourceType>>, ApiError> {
    let (id, user) = (IntegrationId::new(place.integration_id), who.user_id.as_deref());
    let found = selectable::selectable_resource_types(&app, &actor, user, &id).await?;
    let rows = found.iter().map(|key| {
        let ResourceTypeRef { id, label } = ResourceTypeRef::of(key);
        SelectableResourceType { id, name: label }
    });
    Ok(Reply(Counted::all(rows.collect())))
}

async fn permissions(
    State(app): State<App>,
    May(actor, ..): May<ReadSelectable>,
    Places(place): Places<TypePlace>,
    Query(who): Query<OnBehalf>,
) -> Result<Reply<SelectablePermissions>, ApiError> {
    let (id, user) = (IntegrationId::new(place.integration_id), who.user_id.as_deref());
    let kind = place.resource_type.as_str();
    let found = selectable::selectable_permissions(&app, &actor, user, &id, kind).await?;
    let Counted { data, pagination } = Counted::all(found);
    let allow_multiple = selectable::SEVERAL_PERMISSIONS;
    Ok(Reply(SelectablePermissions { data, pagination, allow_multiple }))
}

async fn resources(
    State(app): State<App>,
    May(actor, ..): May<ReadSelectable>,
    Places(place): Places<TypePlace>,
    Query(who): Query<OnBehalf>,
) -> Result<WholeList<SelectableResource>, ApiError> {
    let id = IntegrationId::new(place.integration_id);
    let held = (app, actor, who.user_id, id, place.resource_type);
    WholeList::of(pages(held, |held, page| async move {
        let (app, actor, user, id, kind) = &*held;
        let user = user.as_deref();
        let page = selectable::selectable_resources(app, actor, user, id, kind, &page).await?;
        Ok(page.map(SelectableResource::from))
    }))
    .await
}
