//! What a person may ask for, step by step: integrations, types, permissions, resources. For
//! people with a role, who may look through anybody's eyes.
//!
//! Invariant: it is the set of [`crate::available_access`], from the same flows and the same
//! rules.

use std::collections::BTreeSet;

use latchkey_domain::{
    bundle::BundleTarget,
    flow::{AccessFlow, FlowTarget, IntegrationTarget},
    ids::IntegrationId,
    integration::Integration,
    inventory::{Entitlement, Permission, Resource},
    people::User,
    policy::targets::{Contents as _, flow_covers},
};
use latchkey_store::{IntegrationFilter, PageKey, PageQuery, ResourceFilter, Tx};

use crate::{
    Actor, App, Operation, Page, PageRequest,
    available_access::flows_for,
    contents::Contents,
    error::AppError,
    requests::people::{Person, find_person},
};

/// Whether one request may carry several permissions on one resource: each is a claim of its own,
/// counted by itself, whatever the target is.
pub const SEVERAL_PERMISSIONS: bool = true;

/// How many resources are looked at in one go.
const STRIDE: u32 = 500;

/// The integrations in which the person may ask for something, oldest first.
pub async fn selectable_integrations(
    app: &App,
    actor: &Actor,
    user: Option<&str>,
) -> Result<Vec<IntegrationId>, AppError> {
    actor.require(Operation::ReadSelectable)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Vec<IntegrationId>, AppError> {
            let given = Given::read(tx, actor, user).await?;
            let mut integrations = if given.by_query() {
                tx.list_integrations(&IntegrationFilter::default(), &PageQuery::all()).await?
            } else {
                let ids: BTreeSet<&IntegrationId> =
                    given.parts().map(|part| &part.integration_id).collect();
                let ids: Vec<IntegrationId> = ids.into_iter().cloned().collect();
                tx.find_integrations(&ids).await?
            };
            integrations.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
            let mut selectable = Vec::new();
            for integration in integrations {
                if !types_in(tx, &given, &integration.id, true).await?.is_empty() {
                    selectable.push(integration.id);
                }
            }
            Ok(selectable)
        })
        .await
}

/// The resource types of an integration of which the person may ask for something, sorted.
pub async fn selectable_resource_types(
    app: &App,
    actor: &Actor,
    user: Option<&str>,
    integration: &IntegrationId,
) -> Result<Vec<String>, AppError> {
    actor.require(Operation::ReadSelectable)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Vec<String>, AppError> {
            let integration = find(tx, integration).await?;
            let given = Given::read(tx, actor, user).await?;
            types_in(tx, &given, &integration.id, false).await
        })
        .await
}

/// Names of the permissions that the person may ask for on resources of a type, weakest first.
pub async fn selectable_permissions(
    app: &App,
    actor: &Actor,
    user: Option<&str>,
    integration: &IntegrationId,
    resource_type: &str,
) -> Result<Vec<String>, AppError> {
    actor.require(Operation::ReadSelectable)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Vec<String>, AppError> {
            let integration = find(tx, integration).await?;
            let order = permissions_of_type(&integration, resource_type)?;
            let given = Given::read(tx, actor, user).await?;
            let mut open = tx.list_permissions(&integration.id, Some(resource_type)).await?;
            let mut found = Vec::new();
            let mut walk = Walk::new(&integration.id, resource_type);
            while !open.is_empty()
                && let Some(resources) = walk.next(tx).await?
            {
                open.retain(|permission| {
                    let is_given = resources.iter().any(|one| given.gives(one, permission));
                    if is_given {
                        found.push(permission.name.clone());
                    }
                    !is_given
                });
            }
            let rank = |name: &String| order.iter().position(|known| known == name);
            found.sort_by(|a, b| {
                (rank(a).is_none(), rank(a), a).cmp(&(rank(b).is_none(), rank(b), b))
            });
            Ok(found)
        })
        .await
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
    actor.require(Operation::ReadSelectable)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<Resource>, AppError> {
            let integration = find(tx, integration).await?;
            permissions_of_type(&integration, resource_type)?;
            let given = Given::read(tx, actor, user).await?;
            let permissions = tx.list_permissions(&integration.id, Some(resource_type)).await?;
            let mut walk = Walk::new(&integration.id, resource_type);
            walk.after.clone_from(&page.after);
            let mut found: Vec<Resource> = Vec::new();
            while found.len() <= page.limit as usize
                && let Some(resources) = walk.next(tx).await?
            {
                found.extend(resources.into_iter().filter(|resource| {
                    permissions.iter().any(|permission| given.gives(resource, permission))
                }));
            }
            Ok(page.page(found, |one| PageKey::new(one.created_at, one.id.as_str())))
        })
        .await
}

async fn find(tx: &mut Tx, id: &IntegrationId) -> Result<Integration, AppError> {
    tx.find_integration(id).await?.ok_or_else(AppError::not_found)
}

/// What a person is given: flows, and what the bundles and access scopes hold that they name.
struct Given {
    flows: Vec<AccessFlow>,
    contents: Contents,
}

impl Given {
    /// The flows by which the person may ask for something, as if they asked for themselves.
    async fn read(tx: &mut Tx, actor: &Actor, user: Option<&str>) -> Result<Self, AppError> {
        let user = match user {
            None => actor.user.clone(),
            Some(text) => {
                find_person(tx, text).await?.filter(User::is_active).ok_or_else(|| {
                    AppError::invalid("user_id", "no active user has this id or e-mail address")
                })?
            }
        };
        let person = Person::of(tx, user).await?;
        let flows = flows_for(tx, &person, &person).await?;
        let contents = Contents::of(tx, flows.iter().map(|flow| &flow.policy)).await?;
        Ok(Self { flows, contents })
    }

    fn targets(&self) -> impl Iterator<Item = &FlowTarget> {
        self.flows.iter().flat_map(|flow| &flow.policy.access_targets)
    }

    fn in_bundles(&self) -> impl Iterator<Item = &BundleTarget> {
        self.targets()
            .filter_map(|target| match target {
                FlowTarget::Bundle(id) => self.contents.bundle(id),
                _ => None,
            })
            .flatten()
    }

    /// The parts of integrations that are named, by flows or by their bundles.
    fn parts(&self) -> impl Iterator<Item = &IntegrationTarget> {
        let own = self.targets().filter_map(|target| match target {
            FlowTarget::Integration(part) => Some(part),
            _ => None,
        });
        own.chain(self.in_bundles().filter_map(|target| match target {
            BundleTarget::Integration(part) => Some(part),
            BundleTarget::AccessScope(_) => None,
        }))
    }

    /// Whether anything is given by an access scope, which may select from every integration.
    fn by_query(&self) -> bool {
        self.targets().any(|target| matches!(target, FlowTarget::AccessScope(_)))
            || self.in_bundles().any(|target| matches!(target, BundleTarget::AccessScope(_)))
    }

    fn gives(&self, resource: &Resource, permission: &Permission) -> bool {
        let entitlement =
            Entitlement { resource: resource.clone(), permission: permission.clone() };
        self.flows.iter().any(|flow| flow_covers(&flow.policy, &self.contents, &entitlement))
    }
}

/// The types of an integration of which the flows give anything; `any` is content with one.
async fn types_in(
    tx: &mut Tx,
    given: &Given,
    integration: &IntegrationId,
    any: bool,
) -> Result<Vec<String>, AppError> {
    let mut named: BTreeSet<String> = given
        .parts()
        .filter(|part| part.integration_id == *integration)
        .map(|part| part.resource_type.clone())
        .collect();
    if given.by_query() {
        named.extend(tx.resource_types_of(integration).await?);
    }
    let mut types = Vec::new();
    for kind in named {
        let permissions = tx.list_permissions(integration, Some(&kind)).await?;
        let mut walk = Walk::new(integration, &kind);
        while let Some(resources) = walk.next(tx).await? {
            let mut resources = resources.iter();
            if resources.any(|resource| permissions.iter().any(|one| given.gives(resource, one))) {
                types.push(kind);
                break;
            }
        }
        if any && !types.is_empty() {
            break;
        }
    }
    Ok(types)
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

/// A walk along the resources of a type, some at a time.
struct Walk {
    filter: ResourceFilter,
    after: Option<PageKey>,
    is_over: bool,
}

impl Walk {
    fn new(integration: &IntegrationId, resource_type: &str) -> Self {
        let filter = ResourceFilter {
            integration_ids: vec![integration.clone()],
            resource_types: vec![resource_type.to_owned()],
            ..ResourceFilter::default()
        };
        Self { filter, after: None, is_over: false }
    }

    /// The next resources; `None` after the last.
    async fn next(&mut self, tx: &mut Tx) -> Result<Option<Vec<Resource>>, AppError> {
        if self.is_over {
            return Ok(None);
        }
        let page = PageQuery { after: self.after.clone(), ..PageQuery::first(STRIDE) };
        let found = tx.list_resources(&self.filter, &page).await?;
        self.is_over = found.len() < STRIDE as usize;
        self.after = found.last().map(|last| PageKey::new(last.created_at, last.id.as_str()));
        Ok(Some(found))
    }
}
