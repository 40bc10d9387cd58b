//! Deleting what has no document, by the use case by which people delete it: what is in use stays,
//! and is named.

use latchkey_store::Tx;

use super::PolicyObject;
use crate::{Actor, access_scopes, bundles, error::AppError, flows, groups, integrations};

/// Deletes one thing; tells how many requests ended with it.
pub(super) async fn delete(
    tx: &mut Tx,
    actor: &Actor,
    object: &PolicyObject,
) -> Result<u64, AppError> {
    match object {
        PolicyObject::AccessFlow(view) => return flows::delete(tx, actor, &view.flow.id).await,
        PolicyObject::Bundle(view) => bundles::delete(tx, actor, &view.bundle.id).await?,
        PolicyObject::AccessScope(scope) => access_scopes::delete(tx, actor, &scope.id).await?,
        PolicyObject::Integration(view) => {
            integrations::delete(tx, actor, &view.integration.id).await?;
        }
        PolicyObject::Group(one) => groups::delete(tx, actor, &one.group.id).await?,
    }
    Ok(0)
}
