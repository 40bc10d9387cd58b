//! What the bundles and access scopes hold that some flows name, and what the floors ask for, read
//! in one transaction: the plain evaluator decides by it.
//!
//! Invariant: it fails closed. What is deleted meanwhile, or whose query cannot be read any more,
//! holds nothing; a floor whose query cannot be read is about everything.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_aql::{Query, Subject};
use latchkey_domain::{
    bundle::{Bundle, BundleTarget},
    flow::FlowPolicy,
    ids::{AccessScopeId, BundleId, IntegrationId},
    inventory::Entitlement,
    policy::{
        floors::{Floor, parse_floors},
        targets,
    },
    settings::{FLOORS, SettingSpec},
};
use latchkey_inventory::Floors;
use latchkey_store::{IntegrationFilter, PageQuery, StoreError, Tx};

use crate::flows::named_by_targets;

/// Bundles and parsed queries by id.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    bundles: BTreeMap<BundleId, Bundle>,
    queries: BTreeMap<AccessScopeId, Query>,
    floors: Floors,
    integration_names: BTreeMap<IntegrationId, String>,
}

impl Contents {
    /// What the flows with these policies name.
    pub(crate) async fn of<'p>(
        tx: &mut Tx,
        policies: impl IntoIterator<Item = &'p FlowPolicy>,
    ) -> Result<Self, StoreError> {
        let mut bundles = BTreeSet::new();
        let mut scopes = BTreeSet::new();
        for policy in policies {
            let named = named_by_targets(policy);
            bundles.extend(named.bundles);
            scopes.extend(named.access_scopes);
        }
        let bundles: Vec<BundleId> = bundles.into_iter().collect();
        Self::read(tx, &bundles, scopes).await
    }

    /// What a bundle names.
    pub(crate) async fn of_bundle(tx: &mut Tx, bundle: &BundleId) -> Result<Self, StoreError> {
        Self::read(tx, std::slice::from_ref(bundle), BTreeSet::new()).await
    }

    async fn read(
        tx: &mut Tx,
        bundles: &[BundleId],
        mut scopes: BTreeSet<AccessScopeId>,
    ) -> Result<Self, StoreError> {
        let bundles = tx.find_bundles(bundles).await?;
        for target in bundles.iter().flat_map(|bundle| &bundle.targets) {
            if let BundleTarget::AccessScope(id) = target {
                scopes.insert(id.clone());
            }
        }
        let mut contents = Self::default();
        let scopes: Vec<AccessScopeId> = scopes.into_iter().collect();
        for scope in tx.find_access_scopes(&scopes).await? {
            if let Ok(query) = latchkey_aql::parse(&scope.query) {
                contents.queries.insert(scope.id, query);
            } else {
                tracing::warn!(
                    access_scope.id = %scope.id,
                    "A stored query cannot be read, so its access scope selects nothing"
                );
            }
        }
        contents.floors = read_floors(tx).await?;
        if !contents.queries.is_empty() || !contents.floors.is_empty() {
            let (every, whole) = (IntegrationFilter::default(), PageQuery::all());
            let all = tx.list_integrations(&every, &whole).await?;
            contents.integration_names = all.into_iter().map(|one| (one.id, one.name)).collect();
        }
        contents.bundles = bundles.into_iter().map(|one| (one.id.clone(), one)).collect();
        Ok(contents)
    }

    /// The query of an access scope.
    pub(crate) fn query(&self, id: &AccessScopeId) -> Option<&Query> {
        self.queries.get(id)
    }
}

impl targets::Contents for Contents {
    fn bundle(&self, id: &BundleId) -> Option<&[BundleTarget]> {
        self.bundles.get(id).map(|bundle| bundle.targets.as_slice())
    }

    fn scope_selects(&self, id: &AccessScopeId, entitlement: &Entitlement) -> bool {
        let integration_name = self.integration_names.get(&entitlement.resource.integration_id);
        self.queries.get(id).zip(integration_name).is_some_and(|(query, integration_name)| {
            query.selects(&Subject { entitlement, integration_name })
        })
    }

    fn floor_on(&self, entitlement: &Entitlement) -> Floor {
        match self.integration_names.get(&entitlement.resource.integration_id) {
            Some(integration_name) => self.floors.on(&Subject { entitlement, integration_name }),
            // Nobody knows what the queries would say.
            None => self.floors.all(),
        }
    }
}

/// Every floor.
pub(crate) async fn read_floors(tx: &mut Tx) -> Result<Floors, StoreError> {
    let spec = SettingSpec::get(FLOORS).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let value = tx.setting(spec).await?;
    let rules = parse_floors(&value)
        .map_err(|problem| StoreError::Corrupt(format!("the setting {FLOORS} ({problem})")))?;
    let floors = Floors::new(rules);
    for name in floors.unreadable() {
        tracing::warn!(floor.name = %name, "A floor's query cannot be read, so it binds everything");
    }
    Ok(floors)
}
