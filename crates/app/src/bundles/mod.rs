//! Bundles: targets that are asked for together, as people write and read them.
//!
//! Invariants: references are stored as ids and shown with the names they have now; what was
//! sent comes back unchanged and in order; the older format changes only what it can say; a
//! bundle that a flow names cannot be deleted.

mod change;

use std::collections::BTreeMap;

use latchkey_domain::{
    bundle::{Bundle, BundleTarget},
    ids::{AccessScopeId, BundleId, IntegrationId},
};
use latchkey_store::{BundleFilter, PageKey, StoreError, TextMatch, Tx};

pub use change::{
    BundleCommand, BundlePatch, BundleTargetInput, create_bundle, delete_bundle, patch_bundle,
    update_bundle,
};
pub(crate) use change::{create, delete, replace_if_different, would_be};

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::AppError,
    paging::{Page, PageRequest},
};

/// A bundle with the names of what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleView {
    /// The bundle.
    pub bundle: Bundle,
    /// Names of the integrations it refers to.
    pub integration_names: BTreeMap<IntegrationId, String>,
    /// Names of the access scopes it refers to.
    pub access_scope_names: BTreeMap<AccessScopeId, String>,
}

/// Lists bundles in order of creation.
pub async fn list_bundles(
    app: &App,
    actor: &Actor,
    name: Option<TextMatch>,
    page: &PageRequest,
) -> Result<Page<BundleView>, AppError> {
    actor.require(Operation::ReadBundles)?;
    let filter = BundleFilter { names: name.into_iter().collect() };
    app.store()
        .read(async |tx| {
            let rows = tx.list_bundles(&filter, &page.query()).await?;
            let page = page.page(rows, |one| PageKey::new(one.created_at, one.id.as_str()));
            Ok(Page { items: views(tx, page.items).await?, next: page.next })
        })
        .await
}

/// Reads one bundle.
pub async fn get_bundle(app: &App, actor: &Actor, id: &BundleId) -> Result<BundleView, AppError> {
    actor.require(Operation::ReadBundles)?;
    app.store()
        .read(async |tx| {
            let bundle = tx.find_bundle(id).await?.ok_or_else(AppError::not_found)?;
            view(tx, bundle).await
        })
        .await
}

/// The bundle that a reference means: an id, else a name.
pub(crate) async fn find_by_reference(
    tx: &mut Tx,
    reference: &str,
) -> Result<Option<Bundle>, StoreError> {
    match tx.find_bundle(&BundleId::new(reference)).await? {
        Some(found) => Ok(Some(found)),
        None => tx.find_bundle_by_name(reference).await,
    }
}

/// A bundle with its names.
pub(crate) async fn view(tx: &mut Tx, bundle: Bundle) -> Result<BundleView, AppError> {
    let mut seen = views(tx, vec![bundle]).await?;
    seen.pop().ok_or_else(|| AppError::internal("a bundle without a view"))
}

/// Adds names, in a few statements however many the bundles are.
pub(crate) async fn views(
    tx: &mut Tx,
    bundles: Vec<Bundle>,
) -> Result<Vec<BundleView>, StoreError> {
    let named = change::named(bundles.iter().flat_map(|bundle| &bundle.targets));
    let integrations: Vec<IntegrationId> = named.integrations.into_iter().collect();
    let scopes: Vec<AccessScopeId> = named.access_scopes.into_iter().collect();
    let integrations = tx.integration_names(&integrations).await?;
    let scopes = tx.find_access_scopes(&scopes).await?;
    let scopes: BTreeMap<AccessScopeId, String> =
        scopes.into_iter().map(|scope| (scope.id, scope.name)).collect();
    let view = |bundle: Bundle| {
        let mut view = BundleView {
            bundle,
            integration_names: BTreeMap::new(),
            access_scope_names: BTreeMap::new(),
        };
        for target in &view.bundle.targets {
            match target {
                BundleTarget::Integration(target) => {
                    let name = integrations.get_key_value(&target.integration_id);
                    let name = name.map(|(id, name)| (id.clone(), name.clone()));
                    view.integration_names.extend(name);
                }
                BundleTarget::AccessScope(id) => {
                    let name = scopes.get(id).map(|name| (id.clone(), name.clone()));
                    view.access_scope_names.extend(name);
                }
            }
        }
        view
    };
    Ok(bundles.into_iter().map(view).collect())
}
