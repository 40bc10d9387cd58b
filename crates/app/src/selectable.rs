//! What a person may ask for, step by step: integrations, types, permissions, resources. For
//! people with a role, who may look through anybody's eyes.
//!
//! Invariant: it is the set of [`crate::available_access`], from the same index.

use std::{collections::BTreeSet, sync::Arc};

use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    integration::Integration,
    inventory::Resource,
    people::User,
};
use latchkey_inventory::{Filter, PersonFlows, Snapshot};
use latchkey_store::{PageKey, Tx};

use crate::{
    Actor, App, Operation, Page, PageRequest,
    error::AppError,
    indexed,
    requests::people::{Person, find_person},
};

/// Whether one request may carry several permissions on one resource: each is a claim of its own,
/// counted by itself, whatever the target is.
pub const SEVERAL_PERMISSIONS: bool = true;

/// The integrations in which the person may ask for something, oldest first.
pub async fn selectable_integrations(
    app: &App,
    actor: &Actor,
    user: Option<&str>,
) -> Result<Vec<IntegrationId>, AppError> {
    let given = Given::read(app, actor, user).await?;
    let available = given.snapshot.available(&given.flows, &Filter::default());
    let ids: BTreeSet<&IntegrationId> =
        available.facets().into_iter().map(|facet| facet.integration_id).collect();
    let ids: Vec<IntegrationId> = ids.into_iter().cloned().collect();
    let mut found = app.store().read(async |tx: &mut Tx| tx.find_integrations(&ids).await).await?;
    found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(found.into_iter().map(|integration| integration.id).collect())
}

/// The resource types of an integration of which the person may ask for something, sorted.
pub async fn selectable_resource_types(
    app: &App,
    actor: &Actor,
    user: Option<&str>,
    integration: &IntegrationId,
) -> Result<Vec<String>, AppError> {
    let given = Given::read(app, actor, user).await?;
    let integration = find(app, integration).await?;
    let available = given.snapshot.available(&given.flows, &within(&integration, None));
    let types: BTreeSet<&String> =
        available.facets().into_iter().map(|facet| &facet.permission.resource_type).collect();
    Ok(types.into_iter().cloned().collect())
}

/// Names of the permissions that the person may ask for on resources of a type, weakest first.
pub async fn selectable_permissions(
    app: &App,
    actor: &Actor,
    user: Option<&str>,
    integration: &IntegrationId,
    resource_type: &str,
) -> Result<Vec<String>, AppError> {
    let given = Given::read(app, actor, user).await?;
    let integration = find(app, integration).await?;
    let order = permissions_of_type(&integration, resource_type)?;
    let filter = within(&integration, Some(resource_type));
    let available = given.snapshot.available(&given.flows, &filter);
    let mut found: Vec<String> =
        available.facets().into_iter().map(|facet| facet.permission.name.clone()).collect();
    let rank = |name: &String| order.iter().position(|known| known == name);
    found.sort_by(|a, b| (rank(a).is_none(), rank(a), a).cmp(&(rank(b).is_none(), rank(b), b)));
    Ok(found)
}

/// The resources of a type that the person may ask for, in order of discovery.
pub async fn selectable_resources(
    app: &App,
    actor: &Actor,
    user: Option<&str>,
    integration: &IntegrationId,
    resource_type: &str,
    page: &PageRequest,
) -> Result<Page<Resource>, AppError> {
    let given = Given::read(app, actor, user).await?;
    let integration = find(app, integration).await?;
    permissions_of_type(&integration, resource_type)?;
    let filter = within(&integration, Some(resource_type));
    let available = given.snapshot.available(&given.flows, &filter);
    let after = page.after.as_ref().map(|key| (key.created_at, ResourceId::new(key.id.clone())));
    let after = after.as_ref().map(|(at, id)| (*at, id));
    let found = available.resources(&integration.id, after, page.query().limit as usize);
    Ok(page.page(found, |one| PageKey::new(one.created_at, one.id.as_str())))
}

/// What a person is given: flows, in the picture that they were found in.
struct Given {
    snapshot: Arc<Snapshot>,
    flows: Arc<PersonFlows>,
}

impl Given {
    /// The flows by which the person may ask for something, as if they asked for themselves.
    async fn read(app: &App, actor: &Actor, user: Option<&str>) -> Result<Self, AppError> {
        actor.require(Operation::ReadSelectable)?;
        let snapshot = indexed::snapshot(app).await?;
        let person = app
            .store()
            .read(async |tx: &mut Tx| -> Result<Person, AppError> {
                let user = match user {
                    None => actor.user.clone(),
                    Some(text) => {
                        find_person(tx, text).await?.filter(User::is_active).ok_or_else(|| {
                            AppError::invalid(
                                "user_id",
                                "no active user has this id or e-mail address",
                            )
                        })?
                    }
                };
                Person::of(tx, user).await
            })
            .await?;
        let flows = snapshot.policy().flows_for(person.facts(), person.facts());
        Ok(Self { snapshot, flows })
    }
}

async fn find(app: &App, id: &IntegrationId) -> Result<Integration, AppError> {
    let found = app.store().read(async |tx: &mut Tx| tx.find_integration(id).await).await?;
    found.ok_or_else(AppError::not_found)
}

/// What is in an integration, of one type if it is named.
fn within(integration: &Integration, resource_type: Option<&str>) -> Filter {
    Filter {
        integration_id: Some(integration.id.clone()),
        resource_types: resource_type.into_iter().map(str::to_owned).collect(),
        ..Filter::default()
    }
}

/// Names of the permissions on a type, weakest first; 404 if the integration knows no such type.
fn permissions_of_type(
    integration: &Integration,
    resource_type: &str,
) -> Result<Vec<&'static str>, AppError> {
    let known = latchkey_catalog::find_type(&integration.integration_type)
        .and_then(|entry| entry.resource_type(resource_type))
        .ok_or_else(AppError::not_found)?;
    Ok(known.permissions.iter().map(|permission| permission.name).collect())
}
