//! What a bundle holds now, for whoever asks for it.
//!
//! The index proposes the members, so that a bundle of a few tables out of a million does not
//! keep a write waiting until all of them were read. Two things keep the answer that of the
//! database: a proposal counts only where the index is at the version that this transaction sees,
//! and every member that it names is read in this transaction and looked at by the plain
//! evaluator. Where the index is behind, or there is none, the rows themselves are walked.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_aql::{Query, Subject};
use latchkey_domain::{
    bundle::{Bundle, BundleTarget},
    flow::IntegrationTarget,
    ids::{IntegrationId, PermissionId, ResourceId},
    inventory::Entitlement,
    policy::targets::{covers, is_grantable},
};
use latchkey_inventory::Snapshot;
use latchkey_store::{InventoryVersion, StoreError, Tx};

use crate::{
    contents::Contents,
    entitlements::find_entitlements,
    error::AppError,
    members::{Place, walk},
};

/// The most entitlements that a bundle may come to for it to be asked for at once.
const MOST: usize = 1000;

/// The entitlements that a bundle holds now, each once, in the order of its targets; 400 if there
/// are none, or more than can be asked for at once. `picture` was taken before the transaction
/// began.
pub(crate) async fn entitlements_of_bundle(
    tx: &mut Tx,
    bundle: &Bundle,
    picture: Option<&Snapshot>,
) -> Result<Vec<Entitlement>, AppError> {
    let contents = Contents::of_bundle(tx, &bundle.id).await?;
    let versions = tx.inventory_versions().await?;
    let mut members = Members::default();
    for target in &bundle.targets {
        let part = match target {
            BundleTarget::Integration(target) => Part::Target(target),
            BundleTarget::AccessScope(id) => match contents.query(id) {
                Some(query) => Part::Query(query),
                None => continue,
            },
        };
        match picture.and_then(|picture| part.proposed(picture, &versions)) {
            Some(proposed) => {
                for (integration_name, entitlement) in read(tx, proposed, &versions).await? {
                    members.look(part, &integration_name, &entitlement);
                }
            }
            None => {
                walk(tx, &part.place(), |integration, entitlement| {
                    members.look(part, &integration.name, entitlement);
                })
                .await?;
            }
        }
    }
    members.done()
}

/// What one target of a bundle stands for.
#[derive(Debug, Clone, Copy)]
enum Part<'b> {
    Target(&'b IntegrationTarget),
    Query(&'b Query),
}

impl Part<'_> {
    /// Whether it holds the entitlement, by the plain evaluator.
    fn holds(self, integration_name: &str, entitlement: &Entitlement) -> bool {
        match self {
            Self::Target(target) => covers(target, entitlement),
            Self::Query(query) => {
                is_grantable(entitlement)
                    && query.selects(&Subject { entitlement, integration_name })
            }
        }
    }

    /// Where its members can be.
    fn place(self) -> Place {
        match self {
            Self::Target(target) => Place::of_target(target),
            Self::Query(query) => Place::of_query(query),
        }
    }

    /// What the index says it holds, one more than may be asked for at most; `None` where the
    /// index does not show what this transaction sees.
    fn proposed(
        self,
        picture: &Snapshot,
        versions: &[InventoryVersion],
    ) -> Option<Vec<Entitlement>> {
        let is_current = |seen: &InventoryVersion| {
            picture.segment(&seen.integration_id).is_some_and(|segment| {
                segment.version() == seen.version
                    && segment.integration_name() == seen.integration_name
            })
        };
        let selected = match self {
            Self::Target(target) => {
                let mut own = versions.iter();
                let own = own.find(|seen| seen.integration_id == target.integration_id)?;
                is_current(own).then(|| picture.covered(target))?
            }
            Self::Query(query) => {
                let is_whole = picture.segments().count() == versions.len();
                let is_current = is_whole && versions.iter().all(is_current);
                is_current.then(|| picture.select_grantable(query))?
            }
        };
        Some(selected.page(None, MOST + 1))
    }
}

/// Reads what was proposed, with the names of the integrations, in the order of a walk. What is
/// not there is left out.
async fn read(
    tx: &mut Tx,
    proposed: Vec<Entitlement>,
    versions: &[InventoryVersion],
) -> Result<Vec<(String, Entitlement)>, StoreError> {
    let names: BTreeMap<&IntegrationId, &str> =
        versions.iter().map(|one| (&one.integration_id, one.integration_name.as_str())).collect();
    let pairs = proposed.iter().map(|one| (&one.resource.id, &one.permission.id));
    let read = find_entitlements(tx, pairs).await?.into_iter().flatten();
    let with_name = |one: Entitlement| {
        let name = *names.get(&one.resource.integration_id)?;
        Some((name.to_owned(), one))
    };
    let mut found: Vec<(String, Entitlement)> = read.filter_map(with_name).collect();
    found.sort_by(|(_, one), (_, other)| place_in_walk(one).cmp(&place_in_walk(other)));
    Ok(found)
}

/// Integrations are walked from the oldest on, and their ids grow with time.
fn place_in_walk(entitlement: &Entitlement) -> impl Ord {
    let Entitlement { resource, permission } = entitlement;
    (
        resource.integration_id.clone(),
        resource.created_at,
        resource.id.clone(),
        permission.name.clone(),
        permission.id.clone(),
    )
}

/// The members found so far.
#[derive(Debug, Default)]
struct Members {
    seen: BTreeSet<(ResourceId, PermissionId)>,
    found: Vec<Entitlement>,
}

impl Members {
    fn look(&mut self, part: Part<'_>, integration_name: &str, entitlement: &Entitlement) {
        let pair = || (entitlement.resource.id.clone(), entitlement.permission.id.clone());
        if self.found.len() <= MOST
            && part.holds(integration_name, entitlement)
            && self.seen.insert(pair())
        {
            self.found.push(entitlement.clone());
        }
    }

    fn done(self) -> Result<Vec<Entitlement>, AppError> {
        match self.found.len() {
            0 => Err(AppError::invalid(
                "bundle_reference",
                "this bundle holds nothing that can be asked for now",
            )),
            1..=MOST => Ok(self.found),
            _ => Err(AppError::invalid(
                "bundle_reference",
                format!(
                    "this bundle holds more than {MOST} entitlements; ask for those you need one \
                     by one"
                ),
            )),
        }
    }
}
