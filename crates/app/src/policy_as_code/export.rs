//! What documents could say of what is stored.
//!
//! Invariant: the order does not depend on when something was made, so that two installations
//! with the same policy tell the same.

use latchkey_store::{
    AccessScopeFilter, BundleFilter, GroupFilter, IntegrationFilter, PageQuery, Tx,
};

use super::{GroupWithMembers, PolicyKind, PolicyObject};
use crate::{Actor, App, bundles, error::AppError, flows, integrations};

/// Everything that documents can be about, as it is stored: by kind, then by name. Groups of
/// identity sources are changed there and left out.
pub async fn export_policy(app: &App, actor: &Actor) -> Result<Vec<PolicyObject>, AppError> {
    for kind in PolicyKind::ALL {
        actor.require(kind.reading())?;
    }
    app.store()
        .read(async |tx: &mut Tx| {
            let mut objects = Vec::new();
            for kind in PolicyKind::ALL {
                objects.extend(read(tx, kind).await?);
            }
            Ok(objects)
        })
        .await
}

/// Everything of one kind, by name.
pub(super) async fn read(tx: &mut Tx, kind: PolicyKind) -> Result<Vec<PolicyObject>, AppError> {
    let all = PageQuery::all();
    let mut objects = Vec::new();
    match kind {
        PolicyKind::Group => {
            for group in tx.list_groups(&GroupFilter::default(), &all).await? {
                if group.source_integration_id.is_none() {
                    objects.push(PolicyObject::Group(GroupWithMembers::of(tx, group).await?));
                }
            }
        }
        PolicyKind::Integration => {
            for one in tx.list_integrations(&IntegrationFilter::default(), &all).await? {
                let view = integrations::view(tx, one).await?;
                objects.push(PolicyObject::Integration(Box::new(view)));
            }
        }
        PolicyKind::AccessScope => {
            let scopes = tx.list_access_scopes(&AccessScopeFilter::default(), &all).await?;
            objects.extend(scopes.into_iter().map(PolicyObject::AccessScope));
        }
        PolicyKind::Bundle => {
            let stored = tx.list_bundles(&BundleFilter::default(), &all).await?;
            objects.extend(bundles::views(tx, stored).await?.into_iter().map(PolicyObject::Bundle));
        }
        PolicyKind::AccessFlow => {
            let stored = tx.list_flows(&all).await?;
            let views = flows::views(tx, stored).await?.into_iter().map(Box::new);
            objects.extend(views.map(PolicyObject::AccessFlow));
        }
    }
    objects.sort_by_cached_key(|one| (one.name().to_lowercase(), one.id().to_owned()));
    Ok(objects)
}
