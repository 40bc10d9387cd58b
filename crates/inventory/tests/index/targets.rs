//! Targets by the index and by the plain evaluator.

use latchkey_aql::{Query, Subject};
use latchkey_domain::{
    bundle::BundleTarget,
    ids::AccessScopeId,
    policy::targets::{covers, is_grantable},
};
use latchkey_inventory::Rules;
use proptest::prelude::*;

use crate::random::{bundle_target, check_pages, check_selected, inventory, query, target};

proptest! {
    #[test]
    fn f10_a_target_covers_the_same_by_index_and_by_the_plain_evaluator(
        inventory in inventory(),
        targets in prop::collection::vec(target(), 1..12),
    ) {
        let snapshot = inventory.index().snapshot();
        for target in targets {
            let expected = inventory.where_(|entitlement, _| covers(&target, entitlement));
            check_selected(&snapshot.covered(&target), &expected, &inventory)?;
        }
    }

    #[test]
    fn f10_a_bundle_holds_the_same_by_index_and_by_the_plain_evaluator(
        inventory in inventory(),
        queries in prop::collection::vec(query(), 3),
        targets in prop::collection::vec(bundle_target(), 0..5),
        size in 1..5usize,
    ) {
        let index = inventory.index();
        let access_scopes: Vec<(AccessScopeId, Query)> = queries
            .into_iter()
            .enumerate()
            .map(|(n, query)| (AccessScopeId::new(format!("s{n}")), query))
            .collect();
        index.set_rules(Rules { access_scopes: access_scopes.clone(), ..Rules::default() });
        let snapshot = index.snapshot();
        let expected = inventory.where_(|entitlement, integration_name| {
            targets.iter().any(|target| match target {
                BundleTarget::Integration(target) => covers(target, entitlement),
                BundleTarget::AccessScope(id) => {
                    let query = access_scopes.iter().find(|(known, _)| known == id);
                    is_grantable(entitlement)
                        && query.is_some_and(|(_, query)| {
                            query.selects(&Subject { entitlement, integration_name })
                        })
                }
            })
        });
        let selected = snapshot.covered_by_any(&targets);
        check_selected(&selected, &expected, &inventory)?;
        check_pages(size, &expected, |after, limit| selected.page(after, limit))?;
    }
}
