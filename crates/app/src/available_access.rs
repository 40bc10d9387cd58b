//! What a person may ask for: the union of what the flows that concern the person give.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    bundle::BundleTarget,
    flow::{AccessFlow, FlowTarget, IntegrationTarget},
    ids::{AccessScopeId, BundleId, IntegrationId},
    integration::Integration,
    inventory::Entitlement,
    policy::{
        selection::is_usable_by,
        targets::{self, Contents as _, is_grantable},
    },
};
use latchkey_store::{BundleFilter, PageKey, TextMatch, Tx};

use crate::{
    Actor, App, Operation, Page, PageRequest,
    contents::{Contents, place_of},
    error::AppError,
    flows::named_by_targets,
    members::{Place, walk},
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
    names: &[TextMatch],
    page: &PageRequest,
) -> Result<Page<AvailableBundle>, AppError> {
    actor.require(Operation::ReadAvailableAccess)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<Page<AvailableBundle>, AppError> {
            let requestor = Person::of(tx, actor.user.clone()).await?;
            let grantee = grantee_of(tx, &actor.user, grantee).await?;
            let flows = flows_for(tx, &requestor, &grantee).await?;
            let ids: BTreeSet<BundleId> =
                flows.iter().flat_map(|flow| named_by_targets(&flow.policy).bundles).collect();
            if ids.is_empty() {
                return Ok(Page { items: Vec::new(), next: None });
            }
            let filter = BundleFilter { ids: ids.into_iter().collect(), names: names.to_vec() };
            let rows = tx.list_bundles(&filter, &page.query()).await?;
            let page = page.page(rows, |one| PageKey::new(one.created_at, one.id.as_str()));
            Ok(page.map(|bundle| AvailableBundle { id: bundle.id, name: bundle.name }))
        })
        .await
}

/// The active flows by which `requestor` may ask for something for `grantee`.
pub(crate) async fn flows_for(
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

/// The entitlements that `flows` give, by `resource id:permission id`: the union of what their
/// targets, those of their bundles, and their access scopes cover.
async fn entitlements_of(
    tx: &mut Tx,
    flows: &[AccessFlow],
    query: &AvailableQuery,
) -> Result<BTreeMap<String, AvailableEntitlement>, AppError> {
    let contents = Contents::of(tx, flows.iter().map(|flow| &flow.policy)).await?;
    let mut parts: Vec<&IntegrationTarget> = Vec::new();
    let mut scopes: BTreeSet<&AccessScopeId> = BTreeSet::new();
    for target in flows.iter().flat_map(|flow| &flow.policy.access_targets) {
        match target {
            FlowTarget::Integration(target) => parts.push(target),
            FlowTarget::AccessScope(id) => {
                scopes.insert(id);
            }
            FlowTarget::Bundle(id) => {
                for target in contents.bundle(id).unwrap_or_default() {
                    match target {
                        BundleTarget::Integration(target) => parts.push(target),
                        BundleTarget::AccessScope(id) => {
                            scopes.insert(id);
                        }
                    }
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    for target in parts {
        if query.may_include(&target.integration_id, &target.resource_type) {
            let covers = |entitlement: &Entitlement| targets::covers(target, entitlement);
            collect(tx, &place_of(target), query, covers, &mut found).await?;
        }
    }
    for id in scopes {
        let Some(parsed) = contents.query(id) else { continue };
        let place =
            Place { integration: query.integration_id.clone(), ..Place::of_queries([parsed]) };
        let covers = |entitlement: &Entitlement| {
            is_grantable(entitlement) && contents.scope_selects(id, entitlement)
        };
        collect(tx, &place, query, covers, &mut found).await?;
    }
    Ok(found)
}

/// Adds what is covered at `place` and passes the filters.
async fn collect(
    tx: &mut Tx,
    place: &Place,
    query: &AvailableQuery,
    covers: impl Fn(&Entitlement) -> bool,
    found: &mut BTreeMap<String, AvailableEntitlement>,
) -> Result<(), AppError> {
    walk(tx, place, |integration, entitlement| {
        if query.passes(integration, entitlement) && covers(entitlement) {
            found.entry(AvailableEntitlement::key(entitlement)).or_insert_with(|| {
                AvailableEntitlement {
                    entitlement: entitlement.clone(),
                    integration_name: integration.name.clone(),
                }
            });
        }
    })
    .await?;
    Ok(())
}

impl AvailableQuery {
    /// Whether resources of this type in this integration can pass.
    fn may_include(&self, integration: &IntegrationId, resource_type: &String) -> bool {
        self.integration_id.as_ref().is_none_or(|id| id == integration)
            && (self.resource_type_ids.is_empty() || self.resource_type_ids.contains(resource_type))
    }

    fn passes(&self, integration: &Integration, entitlement: &Entitlement) -> bool {
        let fits = |wanted: Option<&TextMatch>, name: &str| {
            wanted.is_none_or(|wanted| wildcard::matches(wanted, name))
        };
        let Entitlement { resource, permission } = entitlement;
        let names = &self.permission_names;
        self.may_include(&integration.id, &resource.resource_type)
            && fits(self.integration_name.as_ref(), &integration.name)
            && fits(self.resource_name.as_ref(), &resource.name)
            && (names.is_empty()
                || names.iter().any(|wanted| wildcard::matches(wanted, &permission.name)))
    }
}
