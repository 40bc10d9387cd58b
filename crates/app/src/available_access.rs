//! What a person may ask for: the union of what the flows that concern the person give.

use latchkey_domain::{
    bundle::Bundle,
    ids::{BundleId, IntegrationId, PermissionId, ResourceId},
    inventory::Entitlement,
};
use latchkey_inventory::{Filter, Position, Snapshot, TextFilter};
use latchkey_store::{PageKey, TextMatch, Tx};

use crate::{
    Actor, App, Operation, Page, PageRequest,
    error::AppError,
    indexed,
    requests::people::{Person, grantee_of},
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
    let after = page.after.as_ref().map(position).transpose()?;
    let snapshot = indexed::snapshot(app).await?;
    let (requestor, grantee) = parties(app, actor, query.grantee.as_deref()).await?;
    let flows = snapshot.policy().flows_for(requestor.facts(), grantee.facts());
    let available = snapshot.available(&flows, &query.filter());
    let rows = available.page(after.as_ref(), page.query().limit as usize);
    let page = page.page(rows, key);
    Ok(page.map(|entitlement| AvailableEntitlement::of(&snapshot, entitlement)))
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
    let snapshot = indexed::snapshot(app).await?;
    let (requestor, grantee) = parties(app, actor, grantee).await?;
    let flows = snapshot.policy().flows_for(requestor.facts(), grantee.facts());
    let names: Vec<TextFilter> = names.iter().map(text_filter).collect();
    let key = |bundle: &&Bundle| PageKey::new(bundle.created_at, bundle.id.as_str());
    let is_wanted = |bundle: &&Bundle| {
        (names.is_empty() || names.iter().any(|name| name.passes(&bundle.name)))
            && page.after.as_ref().is_none_or(|after| key(bundle) > *after)
    };
    let mut rows: Vec<&Bundle> = snapshot.policy().bundles_of(&flows).filter(is_wanted).collect();
    rows.sort_by_cached_key(key);
    let page = page.page(rows, key);
    Ok(page.map(|bundle| AvailableBundle { id: bundle.id.clone(), name: bundle.name.clone() }))
}

/// Who asks, and for whom it would be.
async fn parties(
    app: &App,
    actor: &Actor,
    grantee: Option<&str>,
) -> Result<(Person, Person), AppError> {
    app.store()
        .read(async |tx: &mut Tx| -> Result<(Person, Person), AppError> {
            let requestor = Person::of(tx, actor.user.clone()).await?;
            Ok((requestor, grantee_of(tx, &actor.user, grantee).await?))
        })
        .await
}

/// Where an entitlement stands in lists.
pub(crate) fn key(entitlement: &Entitlement) -> PageKey {
    let Entitlement { resource, permission } = entitlement;
    let id = format!("{} {} {}", resource.integration_id, resource.id, permission.id);
    PageKey::new(resource.created_at, id)
}

/// The same place in the index.
pub(crate) fn position(key: &PageKey) -> Result<Position, AppError> {
    let mut ids = key.id.split(' ');
    let (Some(integration), Some(resource), Some(permission)) =
        (ids.next(), ids.next(), ids.next())
    else {
        return Err(AppError::invalid("page_token", "is of an older list; begin it anew"));
    };
    Ok(Position {
        integration_id: IntegrationId::new(integration),
        created_at: key.created_at,
        resource_id: ResourceId::new(resource),
        permission_id: PermissionId::new(permission),
    })
}

impl AvailableEntitlement {
    /// With the name of its integration.
    pub(crate) fn of(snapshot: &Snapshot, entitlement: Entitlement) -> Self {
        let integration = &entitlement.resource.integration_id;
        let segment = snapshot.segment(integration);
        let integration_name = segment
            .map_or_else(|| integration.to_string(), |known| known.integration_name().to_owned());
        Self { entitlement, integration_name }
    }
}

impl AvailableQuery {
    fn filter(&self) -> Filter {
        Filter {
            integration_id: self.integration_id.clone(),
            integration_name: self.integration_name.as_ref().map(text_filter),
            resource_types: self.resource_type_ids.clone(),
            resource_name: self.resource_name.as_ref().map(text_filter),
            permission_names: self.permission_names.iter().map(text_filter).collect(),
        }
    }
}

fn text_filter(wanted: &TextMatch) -> TextFilter {
    match wanted {
        TextMatch::Exact(text) => TextFilter::Exact(text.clone()),
        TextMatch::Prefix(text) => TextFilter::Prefix(text.clone()),
        TextMatch::Suffix(text) => TextFilter::Suffix(text.clone()),
        TextMatch::Contains(text) => TextFilter::Contains(text.clone()),
    }
}
