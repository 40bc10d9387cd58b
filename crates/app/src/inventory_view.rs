//! What discovery found, for people with a role: everything, whoever could ask for it.

use std::collections::BTreeMap;

use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    inventory::{Permission, Resource},
    policy::owners::is_written_in_target,
};
use latchkey_store::{PageKey, ResourceFilter};
use serde_json::json;

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::{AppError, FieldError},
    paging::{Page, PageRequest},
    trail,
};

/// Most tags that people may set on one resource.
const MAX_TAGS: usize = 50;

/// The permissions of an integration, of one resource type or of all.
pub async fn list_integration_permissions(
    app: &App,
    actor: &Actor,
    id: &IntegrationId,
    resource_type: Option<&str>,
) -> Result<Vec<Permission>, AppError> {
    actor.require(Operation::ReadInventory)?;
    app.store()
        .read(async |tx| {
            tx.find_integration(id).await?.ok_or_else(AppError::not_found)?;
            Ok(tx.list_permissions(id, resource_type).await?)
        })
        .await
}

/// The resources of an integration, of one type or of all, those that are gone included; in the
/// order in which they were first seen.
pub async fn list_integration_resources(
    app: &App,
    actor: &Actor,
    id: &IntegrationId,
    resource_type: Option<&str>,
    page: &PageRequest,
) -> Result<Page<Resource>, AppError> {
    actor.require(Operation::ReadInventory)?;
    let filter = ResourceFilter {
        integration_ids: vec![id.clone()],
        resource_types: resource_type.map(str::to_owned).into_iter().collect(),
        include_deleted: true,
        ..ResourceFilter::default()
    };
    app.store()
        .read(async |tx| {
            tx.find_integration(id).await?.ok_or_else(AppError::not_found)?;
            let rows = tx.list_resources(&filter, &page.query()).await?;
            Ok(page.page(rows, |row| PageKey::new(row.created_at, row.id.as_str())))
        })
        .await
}

/// The tags that people set on a resource.
pub async fn get_user_tags(
    app: &App,
    actor: &Actor,
    id: &ResourceId,
) -> Result<BTreeMap<String, String>, AppError> {
    actor.require(Operation::ReadInventory)?;
    app.store()
        .read(async |tx| {
            let resource = tx.find_resource(id).await?.ok_or_else(AppError::not_found)?;
            Ok(resource.user_tags)
        })
        .await
}

/// Replaces the tags that people set on a resource.
pub async fn set_user_tags(
    app: &App,
    actor: &Actor,
    id: &ResourceId,
    tags: BTreeMap<String, String>,
) -> Result<(), AppError> {
    actor.require(Operation::SetUserTags)?;
    check_tags(&tags)?;
    app.store()
        .write(async |tx| {
            let before = tx.find_resource(id).await?.ok_or_else(AppError::not_found)?.user_tags;
            tx.set_user_tags(id, &tags).await?;
            let detail = json!({ "before": before, "after": tags });
            let audit = actor.audit();
            trail::record(tx, &audit, "resource.tags_set", "resource", id.as_str(), detail).await
        })
        .await
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), AppError> {
    let mut errors = Vec::new();
    if tags.len() > MAX_TAGS {
        errors.push(FieldError::new("tags", format!("has more than {MAX_TAGS} keys")));
    }
    for (key, value) in tags {
        let field = format!("tags.{}", key.escape_debug());
        errors.extend(crate::texts::check_name(&field, key).err());
        errors.extend(crate::texts::check_line(&field, value).err());
        if is_written_in_target(key) {
            errors.push(FieldError::new(field, "is reserved for what comments in the target say"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(AppError::invalid_fields(errors)) }
}
