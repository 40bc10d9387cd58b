//! What a person may ask for: the union of what the flows that concern the person give.

use std::collections::BTreeMap;

use latchkey_domain::{
    flow::{AccessFlow, FlowTarget},
    ids::{BundleId, IntegrationId},
    inventory::{Entitlement, Permission},
    policy::{selection::is_usable_by, targets},
};
use latchkey_store::{PageKey, TextMatch, Tx};

use crate::{
    Actor, App, Operation, Page, PageRequest,
    error::AppError,
    requests::people::{Person, grantee_of},
    wildcard,
};

/// Which entitlements to list.
#[derive(Debug, Clone, Default)]
pub struct AvailableQuery {
    /// Id or e-mail of the person it would be for; the caller when absent.
    pub grantee: Option<String>,
    /// Only in this integration.
    pub integration_id: Option<IntegrationId>,
    /// Only in integrations with such a name.
    pub integration_name: Option<TextMatch>,
    /// Only permissions with one of such names; empty for all.
    pub permission_names: Vec<TextMatch>,
    /// Only resources with such a name.
    pub resource_name: Option<TextMatch>,
    /// Only of these resource types; empty for all.
    pub resource_type_ids: Vec<String>,
}

/// An entitlement with the name of its integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableEntitlement {
    /// The pair.
    pub entitlement: Entitlement,
    /// The integration's name.
    pub integration_name: String,
}

impl AvailableEntitlement {
    /// Its place in lists.
    pub(crate) fn key(entitlement: &Entitlement) -> String {
        format!("{}:{}", entitlement.resource.id, entitlement.permission.id)
    }
}

/// A bundle as the portal lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableBundle {
    /// The bundle.
    pub id: BundleId,
    /// Its name.
    pub name: String,
}

/// Lists the entitlements that some flow lets the caller ask for.
pub async fn available_entitlements(
    app: &App,
    actor: &Actor,
    query: &AvailableQuery,
    page: &PageRequest,
) -> Result<Page<AvailableEntitlement>, AppError> {
    actor.require(Operation::ReadAvailableAccess)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<AvailableEntitlement>, AppError> {
            let requestor = Person::of(tx, actor.user.clone()).await?;
            let grantee = grantee_of(tx, &actor.user, query.grantee.as_deref()).await?;
            let flows = flows_for(tx, &requestor, &grantee).await?;
            let mut rows = entitlements_of(tx, &flows, query).await?;
            if let Some(after) = &page.after {
                rows.retain(|key, _| *key > after.id);
            }
            let created_at = jiff::Timestamp::UNIX_EPOCH;
            let keyed: Vec<(String, AvailableEntitlement)> =
                rows.into_iter().take(page.limit as usize + 1).collect();
            let page = page.page(keyed, |(key, _)| PageKey { created_at, id: key.clone() });
            Ok(page.map(|(_, row)| row))
        })
        .await
}

/// Lists the bundles that some flow lets the caller ask for.
pub async fn available_bundles(
    app: &App,
    actor: &Actor,
    grantee: Option<&str>,
    _names: &[TextMatch],
    _page: &PageRequest,
) -> Result<Page<AvailableBundle>, AppError> {
    actor.require(Operation::ReadAvailableAccess)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<AvailableBundle>, AppError> {
            grantee_of(tx, &actor.user, grantee).await?;
            // Flows that target bundles govern nothing yet, so no bundle can be asked for.
            Ok(Page { items: Vec::new(), next: None })
        })
        .await
}

/// The active flows by which `requestor` may ask for something for `grantee`.
async fn flows_for(
    tx: &mut Tx,
    requestor: &Person,
    grantee: &Person,
) -> Result<Vec<AccessFlow>, AppError> {
    let flows = tx.active_flows().await?;
    Ok(flows
        .into_iter()
        .filter(|flow| is_usable_by(flow, requestor.facts(), grantee.facts()))
        .collect())
}

/// The entitlements that `flows` give, by `resource id:permission id`.
async fn entitlements_of(
    tx: &mut Tx,
    flows: &[AccessFlow],
    query: &AvailableQuery,
) -> Result<BTreeMap<String, AvailableEntitlement>, AppError> {
    let mut found = BTreeMap::new();
    let mut names: BTreeMap<IntegrationId, Option<String>> = BTreeMap::new();
    for target in flows.iter().flat_map(|flow| &flow.policy.access_targets) {
        let FlowTarget::Integration(target) = target else { continue };
        if query.integration_id.as_ref().is_some_and(|id| *id != target.integration_id)
            || !(query.resource_type_ids.is_empty()
                || query.resource_type_ids.contains(&target.resource_type))
        {
            continue;
        }
        if !names.contains_key(&target.integration_id) {
            let integration = tx.find_integration(&target.integration_id).await?;
            names.insert(target.integration_id.clone(), integration.map(|known| known.name));
        }
        let Some(Some(name)) = names.get(&target.integration_id) else { continue };
        if query.integration_name.as_ref().is_some_and(|wanted| !wildcard::matches(wanted, name)) {
            continue;
        }
        let permissions: Vec<Permission> = tx
            .list_permissions(&target.integration_id, Some(&target.resource_type))
            .await?
            .into_iter()
            .filter(|permission| {
                query.permission_names.is_empty()
                    || query
                        .permission_names
                        .iter()
                        .any(|wanted| wildcard::matches(wanted, &permission.name))
            })
            .collect();
        for resource in tx.resources_of(&target.integration_id, &target.resource_type).await? {
            if query
                .resource_name
                .as_ref()
                .is_some_and(|wanted| !wildcard::matches(wanted, &resource.name))
            {
                continue;
            }
            for permission in &permissions {
                let entitlement =
                    Entitlement { resource: resource.clone(), permission: permission.clone() };
                if targets::covers(target, &entitlement) {
                    let key = AvailableEntitlement::key(&entitlement);
                    found.entry(key).or_insert_with(|| AvailableEntitlement {
                        entitlement,
                        integration_name: name.clone(),
                    });
                }
            }
        }
    }
    Ok(found)
}
