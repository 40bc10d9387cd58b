//! Queries by the index and by the plain evaluator.

use latchkey_aql::{MAX_DEPTH, parse};
use latchkey_domain::ids::{IntegrationId, ResourceId};
use proptest::prelude::*;

use crate::random::{check_pages, check_selected, inventory, query};

proptest! {
    #[test]
    fn f10_a_query_selects_the_same_by_index_and_by_the_plain_evaluator(
        inventory in inventory(),
        queries in prop::collection::vec(query(), 1..8),
    ) {
        let snapshot = inventory.index().snapshot();
        for query in queries {
            check_selected(&snapshot.select(&query), &inventory.selects(&query), &inventory)?;
        }
    }

    #[test]
    fn pages_put_together_are_the_whole(
        inventory in inventory(),
        query in query(),
        size in 1..9usize,
    ) {
        let snapshot = inventory.index().snapshot();
        let selected = snapshot.select(&query);
        check_pages(size, &inventory.selects(&query), |after, limit| selected.page(after, limit))?;
    }

    #[test]
    fn every_resource_is_given_back_as_it_was(inventory in inventory()) {
        let snapshot = inventory.index().snapshot();
        for part in &inventory.parts {
            let segment = snapshot.segment(&IntegrationId::new(part.id)).unwrap();
            for resource in &part.resources {
                let (found, permissions) = segment.find(&resource.id).unwrap();
                prop_assert_eq!(&found, resource);
                prop_assert!(permissions.iter().all(|one| one.resource_type == resource.resource_type));
            }
            prop_assert!(segment.find(&ResourceId::new("nothing")).is_none());
        }
    }
}

#[test]
fn the_deepest_query_is_answered() {
    let depth = MAX_DEPTH - 1;
    let text = format!("{}resource_type = \"table\"", "not ".repeat(depth));
    let query = parse(&text).unwrap();
    let index = latchkey_inventory::Index::default();
    assert_eq!(index.snapshot().select(&query).count(), 0);
}
