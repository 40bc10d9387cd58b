//! Entitlements by their ids, as they are in a transaction.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    ids::{PermissionId, ResourceId},
    inventory::{Entitlement, Permission, Resource},
};
use latchkey_store::{StoreError, Tx};

/// The entitlements with these ids, in their order; `None` in place of one that is not there.
/// Whether a pair can be given is not looked at.
pub(crate) async fn find_entitlements<'a>(
    tx: &mut Tx,
    pairs: impl IntoIterator<Item = (&'a ResourceId, &'a PermissionId)>,
) -> Result<Vec<Option<Entitlement>>, StoreError> {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let resources: BTreeSet<&ResourceId> = pairs.iter().map(|(id, _)| *id).collect();
    let resources: Vec<ResourceId> = resources.into_iter().cloned().collect();
    let permissions: BTreeSet<&PermissionId> = pairs.iter().map(|(_, id)| *id).collect();
    let permissions: Vec<PermissionId> = permissions.into_iter().cloned().collect();
    let resources = tx.find_resources(&resources).await?;
    let resources: BTreeMap<&ResourceId, &Resource> =
        resources.iter().map(|resource| (&resource.id, resource)).collect();
    let permissions = tx.find_permissions(&permissions).await?;
    let permissions: BTreeMap<&PermissionId, &Permission> =
        permissions.iter().map(|permission| (&permission.id, permission)).collect();
    let find = |(resource, permission): (&ResourceId, &PermissionId)| {
        let resource = (*resources.get(resource)?).clone();
        let permission = (*permissions.get(permission)?).clone();
        Some(Entitlement { resource, permission })
    };
    Ok(pairs.into_iter().map(find).collect())
}
