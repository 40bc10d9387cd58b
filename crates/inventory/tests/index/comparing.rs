//! What a change of policy gives and takes, by the comparison and entitlement by entitlement.

use std::collections::BTreeSet;

use latchkey_domain::{ids::FlowId, inventory::Entitlement};
use latchkey_inventory::{Comparison, EntitlementRef, Rules, Snapshot};
use proptest::prelude::*;

use crate::{
    people::{Person, people, rules},
    random::{Inventory, a_quarter, inventory},
};

fn may(snapshot: &Snapshot, person: &Person, entitlement: &Entitlement) -> bool {
    let flows = snapshot.policy().flows_for(person.facts(), person.facts());
    let named = EntitlementRef {
        integration: &entitlement.resource.integration_id,
        resource: &entitlement.resource.id,
        permission: &entitlement.permission.id,
    };
    snapshot.may_ask(&flows, named, None)
}

fn check(
    inventory: &Inventory,
    (before, after): (&Snapshot, &Snapshot),
    changed: &BTreeSet<FlowId>,
    people: &[Person],
) -> Result<(), TestCaseError> {
    let comparison = Comparison::of(before, after, changed);
    for person in people {
        let had = before.policy().flows_for(person.facts(), person.facts());
        let has = after.policy().flows_for(person.facts(), person.facts());
        let told = comparison.difference(&had, &has);
        let (mut gains, mut loses) = (0, 0);
        for entitlement in inventory.where_(|_, _| true) {
            match (may(before, person, &entitlement), may(after, person, &entitlement)) {
                (false, true) => gains += 1,
                (true, false) => loses += 1,
                _ => {}
            }
        }
        prop_assert_eq!((told.gains, told.loses), (gains, loses));
        prop_assert_eq!(told.gained.is_empty(), gains == 0);
        for gained in &told.gained {
            prop_assert!(!may(before, person, gained) && may(after, person, gained));
        }
        for lost in &told.lost {
            prop_assert!(may(before, person, lost) && !may(after, person, lost));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(a_quarter())]

    #[test]
    fn f10_gains_and_losses_are_what_the_lists_say_before_and_after(
        inventory in inventory(),
        one in rules(),
        other in rules(),
        people in people(),
    ) {
        let index = inventory.index();
        index.set_rules(one.clone());
        let before = index.snapshot();
        let every: BTreeSet<FlowId> =
            one.flows.iter().chain(&other.flows).map(|flow| flow.id.clone()).collect();
        check(&inventory, (&before, &before.with_rules(other.clone())), &every, &people)?;
        check(&inventory, (&before, &before), &every, &people)?;

        // One flow alone is changed, taken away or added.
        let id = other.flows.first().map(|flow| flow.id.clone());
        let mut flows = one.flows.clone();
        flows.retain(|flow| Some(&flow.id) != id.as_ref());
        let without = before.with_rules(Rules { flows: flows.clone(), ..one.clone() });
        flows.extend(other.flows.first().cloned());
        let with = before.with_rules(Rules { flows, ..one });
        let changed: BTreeSet<FlowId> = id.into_iter().collect();
        check(&inventory, (&before, &with), &changed, &people)?;
        check(&inventory, (&before, &without), &changed, &people)?;
        check(&inventory, (&without, &with), &changed, &people)?;
    }
}
