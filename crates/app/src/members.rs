//! What queries and targets stand for now: a walk over the inventory, in the order in which it
//! was discovered, that looks only where something can be found.
//!
//! Invariant: a walk holds one page of resources at a time, however large the inventory is.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_aql::{Bounds, Query};
use latchkey_domain::{
    flow::IntegrationTarget,
    ids::IntegrationId,
    integration::Integration,
    inventory::{Entitlement, Permission},
};
use latchkey_store::{IntegrationFilter, PageKey, PageQuery, ResourceFilter, StoreError, Tx};

/// How many resources are read at a time.
const PAGE: u32 = 1000;

/// Where to look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    /// Only in this integration.
    pub(crate) integration: Option<IntegrationId>,
    /// Only within these bounds.
    pub(crate) bounds: Bounds,
}

impl Place {
    /// Wherever the query can select anything.
    pub(crate) fn of_query(query: &Query) -> Self {
        Self { integration: None, bounds: query.bounds() }
    }

    /// Wherever a part of an integration can be.
    pub(crate) fn of_target(target: &IntegrationTarget) -> Self {
        let mut place =
            Self { integration: Some(target.integration_id.clone()), ..Self::default() };
        place.bounds.resource_types = Some(BTreeSet::from([target.resource_type.clone()]));
        place
    }

    fn has_integration(&self, integration: &Integration) -> bool {
        self.integration.as_ref().is_none_or(|id| *id == integration.id)
            && self.bounds.integrations.as_ref().is_none_or(|named| {
                named.contains(integration.id.as_str()) || named.contains(&integration.name)
            })
    }

    fn has_type(&self, resource_type: &str) -> bool {
        self.bounds.resource_types.as_ref().is_none_or(|types| types.contains(resource_type))
    }
}

/// Shows every entitlement at `place` to `look`, with its integration, those of deleted
/// resources left out.
pub(crate) async fn walk(
    tx: &mut Tx,
    place: &Place,
    mut look: impl FnMut(&Integration, &Entitlement),
) -> Result<(), StoreError> {
    let integrations = match &place.integration {
        Some(id) => tx.find_integration(id).await?.into_iter().collect(),
        None => tx.list_integrations(&IntegrationFilter::default(), &PageQuery::all()).await?,
    };
    for integration in integrations.iter().filter(|one| place.has_integration(one)) {
        let mut permissions: BTreeMap<String, Vec<Permission>> = BTreeMap::new();
        for permission in tx.list_permissions(&integration.id, None).await? {
            if place.has_type(&permission.resource_type) {
                permissions.entry(permission.resource_type.clone()).or_default().push(permission);
            }
        }
        if permissions.is_empty() {
            continue;
        }
        let filter = ResourceFilter {
            integration_ids: vec![integration.id.clone()],
            resource_types: permissions.keys().cloned().collect(),
            ..ResourceFilter::default()
        };
        let mut page = PageQuery::first(PAGE);
        loop {
            let resources = tx.list_resources(&filter, &page).await?;
            let is_last = resources.len() < PAGE as usize;
            page.after =
                resources.last().map(|last| PageKey::new(last.created_at, last.id.as_str()));
            for resource in resources {
                let fitting = permissions.get(&resource.resource_type);
                let Some((first, others)) = fitting.and_then(|all| all.split_first()) else {
                    continue;
                };
                let mut pair = Entitlement { resource, permission: first.clone() };
                look(integration, &pair);
                for permission in others {
                    pair.permission.clone_from(permission);
                    look(integration, &pair);
                }
            }
            if is_last {
                break;
            }
        }
    }
    Ok(())
}
