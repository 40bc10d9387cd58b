//! Decisions by the index and by the plain evaluator.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    flow::AccessFlow,
    ids::{BundleId, FlowId, UserId},
    inventory::Entitlement,
    policy::{
        selection::is_usable_by,
        targets::{Contents, flow_covers, gives_through},
    },
};
use latchkey_inventory::{EntitlementRef, Rules, Snapshot};
use proptest::prelude::*;

use crate::{
    people::{Everybody, Person, Plain, people, rules},
    random::{Inventory, a_quarter, inventory},
};

fn named(entitlement: &Entitlement) -> EntitlementRef<'_> {
    EntitlementRef {
        integration: &entitlement.resource.integration_id,
        resource: &entitlement.resource.id,
        permission: &entitlement.permission.id,
    }
}

/// Ids of the flows by which `requestor` may ask for the entitlement for `grantee`, plainly.
fn plainly(
    plain: &Plain<'_>,
    (requestor, grantee): (&Person, &Person),
    entitlement: &Entitlement,
    through: Option<&BundleId>,
) -> Vec<FlowId> {
    let gives = |flow: &&AccessFlow| {
        is_usable_by(flow, requestor.facts(), grantee.facts())
            && !plain.floor_on(entitlement).bars(&flow.policy)
            && match through {
                None => flow_covers(&flow.policy, plain, entitlement),
                Some(bundle) => gives_through(&flow.policy, bundle, plain, entitlement),
            }
    };
    plain.rules.flows.iter().filter(gives).map(|flow| flow.id.clone()).collect()
}

fn check(
    snapshot: &Snapshot,
    inventory: &Inventory,
    rules: &Rules,
    people: &[Person],
) -> Result<(), TestCaseError> {
    let plain = Plain { rules, inventory };
    let bundles = [None, Some(BundleId::new("b0")), Some(BundleId::new("b2"))];
    for entitlement in inventory.where_(|_, _| true).iter().take(60) {
        for through in bundles.iter().map(Option::as_ref) {
            let mut may: BTreeMap<UserId, Vec<FlowId>> = BTreeMap::new();
            for requestor in people {
                for grantee in people {
                    let expected = plainly(&plain, (requestor, grantee), entitlement, through);
                    let flows = snapshot.policy().flows_for(requestor.facts(), grantee.facts());
                    let answer = snapshot.may_ask(&flows, named(entitlement), through);
                    prop_assert_eq!(answer, !expected.is_empty());
                    let by: Vec<FlowId> = snapshot
                        .flows_that_give(&flows, named(entitlement), through)
                        .into_iter()
                        .map(|flow| flow.id.clone())
                        .collect();
                    prop_assert_eq!(&by, &expected);
                    if requestor.user.id == grantee.user.id && !expected.is_empty() {
                        may.insert(requestor.user.id.clone(), expected);
                    }
                }
            }
            let who = snapshot.who_may(named(entitlement), through, &Everybody(people));
            prop_assert_eq!(who, may);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(a_quarter())]

    #[test]
    fn f10_a_decision_by_index_is_that_of_the_plain_evaluator_and_who_may_is_everybody_who_may(
        inventory in inventory(),
        rules in rules(),
        people in people(),
    ) {
        let index = inventory.index();
        index.set_rules(rules.clone());
        check(&index.snapshot(), &inventory, &rules, &people)?;
    }

    #[test]
    fn f10_the_same_holds_after_the_rules_changed(
        inventory in inventory(),
        first in rules(),
        second in rules(),
        people in people(),
    ) {
        let index = inventory.index();
        index.set_rules(first);
        index.set_rules(second.clone());
        check(&index.snapshot(), &inventory, &second, &people)?;
    }

    #[test]
    fn a_person_has_the_flows_that_are_usable_by_them(
        rules in rules(),
        people in people(),
    ) {
        let index = latchkey_inventory::Index::default();
        index.set_rules(rules.clone());
        let snapshot = index.snapshot();
        for requestor in &people {
            for grantee in &people {
                let usable = rules.flows.iter().filter(|flow| {
                    is_usable_by(flow, requestor.facts(), grantee.facts())
                });
                // Twice: worked out, and kept.
                let expected = usable.count() as u64;
                for _ in 0..2 {
                    let flows =
                        snapshot.policy().flows_for(requestor.facts(), grantee.facts());
                    prop_assert_eq!(flows.count(), expected);
                }
            }
        }
        let ids: BTreeSet<&FlowId> = rules.flows.iter().map(|flow| &flow.id).collect();
        prop_assert!(ids.iter().all(|id| snapshot.policy().find_flow(id).is_some()));
    }
}
