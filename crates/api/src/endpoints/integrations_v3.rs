//! `/api/v3/integrations`: what discovery found in an integration, whoever could ask for it, and
//! the tags that people set on it.

use std::collections::BTreeMap;

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{App, inventory_view};
use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    inventory,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    body::{Body, Message, Reply},
    caller::{May, ReadInventory, SetUserTags},
    documentation::described,
    error::ApiError,
    query::{Id, Places, Query},
    streaming::{Counted, WholeList, pages},
    words::LegacyResourceStatus,
};

const TAG: &str = "Integrations";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    let tags = get_with(read_tags, |op| {
        described(op, TAG, "getResourceUserTagsV3", "Read the tags that people set on a resource.")
    });
    let tags = tags.put_with(replace_tags, |op| {
        let summary = "Replace the tags that people set on a resource. They win over discovered \
                       ones of the same key.";
        described(op, TAG, "replaceResourceUserTagsV3", summary)
    });
    ApiRouter::new()
        .api_route(
            "/api/v3/integrations/{id}/permissions",
            get_with(permissions, |op| {
                let summary = "List every permission found in an integration.";
                described(op, TAG, "listIntegrationPermissionsV3", summary)
            }),
        )
        .api_route(
            "/api/v3/integrations/{id}/resources",
            get_with(resources, |op| {
                let summary = "List every resource found in an integration, those that are gone \
                               included.";
                described(op, TAG, "listIntegrationResourcesV3", summary)
            }),
        )
        .api_route("/api/v3/integrations/resources/{resource_id}/user-tags", tags)
}

/// Permission found in an integration.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IntegrationPermissionV3")]
pub struct Permission {
    /// Permission id.
    pub id: String,
    /// Its name, such as `READ_ONLY`.
    pub name: String,
    /// Resource type it applies to.
    pub resource_type: String,
}

impl From<inventory::Permission> for Permission {
    fn from(permission: inventory::Permission) -> Self {
        Self {
            id: permission.id.into(),
            name: permission.name,
            resource_type: permission.resource_type,
        }
    }
}

/// Resource found in an integration.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IntegrationResourceV3")]
pub struct Resource {
    /// Resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How the last discovery run saw it.
    pub status: ResourceStatus,
}

/// How a discovery run saw a resource.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ResourceStatusV3")]
pub struct ResourceStatus {
    /// Whether it can be asked for.
    pub status: LegacyResourceStatus,
    /// More on that.
    pub message: Option<String>,
}

impl From<inventory::Resource> for Resource {
    fn from(resource: inventory::Resource) -> Self {
        Self {
            id: resource.id.into(),
            name: resource.name,
            kind: resource.resource_type,
            status: ResourceStatus { status: resource.status.into(), message: None },
        }
    }
}

/// Tags that people set on a resource.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ResourceUserTags")]
pub struct UserTags {
    /// Resource id.
    pub resource_id: String,
    /// Value by key.
    pub tags: BTreeMap<String, String>,
}

/// Replacement for the tags that people set on a resource.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResourceUserTagsInput")]
struct UserTagsInput {
    /// All of them, value by key; keys that begin with `comment/` belong to discovery.
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OfType {
    /// Keep this resource type.
    #[serde(rename = "resource-type")]
    resource_type: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct ResourcePlace {
    /// Resource id.
    resource_id: String,
}

async fn permissions(
    State(app): State<App>,
    May(actor, ..): May<ReadInventory>,
    Id(id): Id,
    Query(OfType { resource_type }): Query<OfType>,
) -> Result<Reply<Counted<Permission>>, ApiError> {
    let id = IntegrationId::new(id);
    let kind = resource_type.as_deref();
    let found = inventory_view::list_integration_permissions(&app, &actor, &id, kind).await?;
    Ok(Reply(Counted::all(found.into_iter().map(Permission::from).collect())))
}

async fn resources(
    State(app): State<App>,
    May(actor, ..): May<ReadInventory>,
    Id(id): Id,
    Query(OfType { resource_type }): Query<OfType>,
) -> Result<WholeList<Resource>, ApiError> {
    let held = (app, actor, IntegrationId::new(id), resource_type);
    WholeList::of(pages(held, |held, page| async move {
        let (app, actor, id, kind) = &*held;
        let found =
            inventory_view::list_integration_resources(app, actor, id, kind.as_deref(), &page);
        Ok(found.await?.map(Resource::from))
    }))
    .await
}

async fn read_tags(
    State(app): State<App>,
    May(actor, ..): May<ReadInventory>,
    Places(ResourcePlace { resource_id }): Places<ResourcePlace>,
) -> Result<Reply<UserTags>, ApiError> {
    let id = ResourceId::new(resource_id.clone());
    let tags = inventory_view::get_user_tags(&app, &actor, &id).await?;
    Ok(Reply(UserTags { resource_id, tags }))
}

async fn replace_tags(
    State(app): State<App>,
    May(actor, ..): May<SetUserTags>,
    Places(ResourcePlace { resource_id }): Places<ResourcePlace>,
    Body(input): Body<UserTagsInput>,
) -> Result<Reply<Message>, ApiError> {
    let id = ResourceId::new(resource_id);
    inventory_view::set_user_tags(&app, &actor, &id, input.tags).await?;
    Ok(Message::reply("The tags were replaced."))
}
