//! This server's picture of the inventory and of policy in memory, and keeping it current.
//!
//! Invariants: a change made through this server is in the picture before whoever made it can ask
//! again, because the commit leaves a hint that the next reader follows; one made through another
//! is there within [`LONGEST_AGE`]. The picture is of one instant of the database. It proposes
//! only: what creates, approves or grants reads the rows again in its own transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    inventory::{Permission, Resource, ResourceStatus},
};
use latchkey_inventory::{Index, Rules, Segment, SegmentBuilder, Snapshot, TooLarge};
use latchkey_store::{
    AccessScopeFilter, BundleFilter, InventoryVersion, PageKey, PageQuery, PolicyMark,
    ResourceFilter, Tx, Waiter, Wake,
};
use tokio::sync::Mutex;

use crate::{App, contents::read_floors, error::AppError};

/// How old the picture may become without a look into the database.
const LONGEST_AGE: Duration = Duration::from_secs(1);

/// How many resources are read at a time.
const PAGE: u32 = 2000;

/// The picture, and what it was made from.
#[derive(Debug, Default)]
pub(crate) struct Indexed {
    index: Index,
    /// Held while the picture is brought up to date; readers that need that wait for it.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    hints: Option<Waiter>,
    /// When the database was last looked into, on the monotonic clock.
    looked_at: Option<Duration>,
    policy: Option<PolicyMark>,
    permissions: BTreeMap<IntegrationId, Vec<Permission>>,
}

impl Known {
    /// Whether nothing has changed, as far as anybody said.
    fn is_fresh(&mut self, app: &App) -> bool {
        let hints = self.hints.get_or_insert_with(|| app.store().wake().waiter(Wake::Inventory));
        // Taken before the look, so that what comes meanwhile leads to another one.
        let was_told = hints.take_hint();
        let age = self.looked_at.map(|at| app.clock().monotonic().saturating_sub(at));
        !was_told && age.is_some_and(|age| age < LONGEST_AGE)
    }
}

/// The picture as the database is now.
pub(crate) async fn snapshot(app: &App) -> Result<Arc<Snapshot>, AppError> {
    let indexed = app.indexed();
    let mut known = indexed.known.lock().await;
    if !known.is_fresh(app) {
        let looked_at = app.clock().monotonic();
        let known = &mut *known;
        let looked = app
            .store()
            .read(async |tx: &mut Tx| -> Result<(), AppError> {
                follow_inventory(tx, &indexed.index, &mut known.permissions).await?;
                let policy = tx.policy_mark().await?;
                if known.policy.as_ref() != Some(&policy) {
                    indexed.index.set_rules(read_rules(tx).await?);
                    known.policy = Some(policy);
                }
                Ok(())
            })
            .await;
        if let Err(error) = looked {
            // The hint was taken and not followed: whoever comes next looks again.
            known.looked_at = None;
            return Err(error);
        }
        known.looked_at = Some(looked_at);
        metrics::gauge!("latchkey_inventory_index_bytes").set(gauge(indexed.index.bytes()));
    }
    Ok(indexed.index.snapshot())
}

/// The picture as it is, which may be older than the database: for whoever compares versions.
pub(crate) fn present(app: &App) -> Arc<Snapshot> {
    app.indexed().index.snapshot()
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and no index has 2^52 bytes")]
fn gauge(bytes: usize) -> f64 {
    bytes as f64
}

/// Keeps the picture current while nobody asks, so that whoever asks finds it so. Ends with the
/// process.
pub async fn keep_index_current(app: App) {
    let mut hints = app.store().wake().waiter(Wake::Inventory);
    loop {
        if let Err(error) = snapshot(&app).await {
            tracing::warn!(%error, "The inventory index could not be brought up to date.");
        }
        tidy(&app).await;
        hints.wait(LONGEST_AGE).await;
    }
}

/// Builds segments anew in which changes have piled up.
async fn tidy(app: &App) {
    let snapshot = app.indexed().index.snapshot();
    for segment in snapshot.segments().filter(|segment| segment.wants_rebuild()) {
        let (app, integration) = (app.clone(), segment.integration_id().clone());
        let tidied = tokio::task::spawn_blocking(move || app.indexed().index.tidy(&integration));
        if let Ok(Err(error)) = tidied.await {
            tracing::warn!(%error, "A part of the inventory index could not be built anew.");
        }
    }
}

/// Brings every integration's segment to the database's version.
async fn follow_inventory(
    tx: &mut Tx,
    index: &Index,
    permissions: &mut BTreeMap<IntegrationId, Vec<Permission>>,
) -> Result<(), AppError> {
    let wanted = tx.inventory_versions().await?;
    let present: BTreeSet<&IntegrationId> = wanted.iter().map(|one| &one.integration_id).collect();
    for gone in index.versions().into_keys().filter(|id| !present.contains(id)) {
        index.remove(&gone);
        permissions.remove(&gone);
    }
    for one in &wanted {
        let before = index.snapshot().segment(&one.integration_id).cloned();
        if before.as_ref().is_some_and(|before| {
            before.version() == one.version && before.integration_name() == one.integration_name
        }) {
            continue;
        }
        let now = tx.list_permissions(&one.integration_id, None).await?;
        let segment = match before {
            Some(before) if before.version() <= one.version => {
                let same = permissions.get(&one.integration_id) == Some(&now);
                let other = if same { None } else { Some(now.clone()) };
                follow_changes(tx, &before, one, other).await?
            }
            _ => read_whole(tx, one, now.clone()).await?,
        };
        permissions.insert(one.integration_id.clone(), now);
        index.put(segment);
    }
    Ok(())
}

/// An integration's segment, read from the beginning.
async fn read_whole(
    tx: &mut Tx,
    wanted: &InventoryVersion,
    permissions: Vec<Permission>,
) -> Result<Segment, AppError> {
    let InventoryVersion { integration_id, integration_name, version } = wanted;
    let name = integration_name.as_str();
    let mut builder = SegmentBuilder::new(integration_id.clone(), name, *version, permissions);
    let filter = ResourceFilter {
        integration_ids: vec![integration_id.clone()],
        ..ResourceFilter::default()
    };
    let mut page = PageQuery::first(PAGE);
    loop {
        let resources = tx.list_resources(&filter, &page).await?;
        builder.push(&resources).map_err(too_large)?;
        page.after = resources.last().map(|last| PageKey::new(last.created_at, last.id.as_str()));
        if resources.len() < PAGE as usize {
            break;
        }
    }
    // Millions of rows take seconds, in which others have work.
    tokio::task::spawn_blocking(|| builder.finish())
        .await
        .map_err(AppError::internal)?
        .map_err(too_large)
}

/// An integration's segment after what changed since `before`.
async fn follow_changes(
    tx: &mut Tx,
    before: &Segment,
    wanted: &InventoryVersion,
    permissions: Option<Vec<Permission>>,
) -> Result<Segment, AppError> {
    let id = &wanted.integration_id;
    let mut segment = before.clone();
    let mut after: Option<ResourceId> = None;
    loop {
        let changed =
            tx.resources_changed_since(id, before.version(), after.as_ref(), PAGE).await?;
        after = changed.last().map(|last| last.id.clone());
        let is_last = changed.len() < PAGE as usize;
        let (gone, present): (Vec<Resource>, Vec<Resource>) =
            changed.into_iter().partition(|one| one.status == ResourceStatus::Deleted);
        let gone: Vec<ResourceId> = gone.into_iter().map(|one| one.id).collect();
        segment = segment.with_changes(wanted.version, &present, &gone).map_err(too_large)?;
        if is_last {
            break;
        }
    }
    if let Some(permissions) = permissions {
        segment = segment.with_permissions(wanted.version, permissions);
    }
    if segment.integration_name() != wanted.integration_name {
        segment = segment.renamed(wanted.version, &wanted.integration_name);
    }
    Ok(segment)
}

/// Every flow, with what flows can name.
async fn read_rules(tx: &mut Tx) -> Result<Rules, AppError> {
    let all = PageQuery::all();
    let access_scopes = tx.list_access_scopes(&AccessScopeFilter::default(), &all).await?;
    let access_scopes = access_scopes.into_iter().filter_map(|scope| {
        let query = latchkey_aql::parse(&scope.query);
        if query.is_err() {
            tracing::warn!(
                access_scope.id = %scope.id,
                "A stored query cannot be read, so its access scope selects nothing"
            );
        }
        Some((scope.id, query.ok()?))
    });
    Ok(Rules {
        floors: read_floors(tx).await?,
        flows: tx.list_flows(&all).await?,
        bundles: tx.list_bundles(&BundleFilter::default(), &all).await?,
        access_scopes: access_scopes.collect(),
    })
}

fn too_large(error: TooLarge) -> AppError {
    AppError::internal(error)
}
