//! How two policies over one inventory differ: what people could ask for before and can ask for
//! after.
//!
//! Only what the changed flows give can differ, so that alone is walked, once. Entitlements that
//! the same flows give on either side are one group, and a person is held against groups, not
//! against entitlements: many people and much inventory cost their sum, not their product.
//!
//! Invariant: a person gains an entitlement exactly if [`Snapshot::may_ask`] says yes of it after
//! and no before, and loses it exactly the other way round.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use latchkey_domain::{ids::FlowId, inventory::Entitlement};

use crate::{
    available::Filter, decision::EntitlementRef, policy::PersonFlows, snapshot::Snapshot,
    walk::Position,
};

/// How many entitlements are walked at a time.
const PAGE: usize = 4096;

/// How many entitlements of a group are kept to be shown.
const EXAMPLES: usize = 5;

/// What may differ between two policies.
#[derive(Debug, Default)]
pub struct Comparison {
    groups: Vec<Group>,
}

/// Entitlements that the same flows give, by their numbers in the two policies.
#[derive(Debug)]
struct Group {
    before: Vec<u32>,
    after: Vec<u32>,
    count: u64,
    examples: Vec<Entitlement>,
}

/// What a person gains and loses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// How many entitlements the person may ask for after and not before.
    pub gains: u64,
    /// How many it is the other way round.
    pub loses: u64,
    /// Some of the first.
    pub gained: Vec<Entitlement>,
    /// Some of the second.
    pub lost: Vec<Entitlement>,
}

impl Comparison {
    /// Walks what these flows give before and after. The snapshots are of one inventory.
    pub fn of(before: &Snapshot, after: &Snapshot, changed: &BTreeSet<FlowId>) -> Self {
        let old = before.policy().flows_alone(changed);
        let new = after.policy().flows_alone(changed);
        let mut groups = Groups::default();
        each(after, &new, &mut |entitlement| groups.add(before, after, entitlement));
        each(before, &old, &mut |entitlement| {
            if !after.may_ask(&new, reference(&entitlement), None) {
                groups.add(before, after, entitlement);
            }
        });
        Self { groups: groups.groups }
    }

    /// How many entitlements may differ for anybody.
    pub fn entitlements(&self) -> u64 {
        self.groups.iter().map(|group| group.count).sum()
    }

    /// What somebody gains and loses who has these flows before and those after.
    pub fn difference(&self, before: &PersonFlows, after: &PersonFlows) -> Difference {
        let mut difference = Difference::default();
        for group in &self.groups {
            let had = group.before.iter().any(|flow| before.flows.contains(*flow));
            let has = group.after.iter().any(|flow| after.flows.contains(*flow));
            let (count, shown) = match (had, has) {
                (false, true) => (&mut difference.gains, &mut difference.gained),
                (true, false) => (&mut difference.loses, &mut difference.lost),
                _ => continue,
            };
            *count += group.count;
            let room = EXAMPLES.saturating_sub(shown.len());
            shown.extend(group.examples.iter().take(room).cloned());
        }
        difference
    }
}

/// Groups by the flows of either side.
#[derive(Debug, Default)]
struct Groups {
    groups: Vec<Group>,
    numbers: HashMap<(Vec<u32>, Vec<u32>), usize>,
}

impl Groups {
    fn add(&mut self, before: &Snapshot, after: &Snapshot, entitlement: Entitlement) {
        let sides = (
            before.numbers_that_give(reference(&entitlement), None),
            after.numbers_that_give(reference(&entitlement), None),
        );
        let next = self.groups.len();
        let number = *self.numbers.entry(sides.clone()).or_insert(next);
        if number == next {
            let (before, after) = sides;
            self.groups.push(Group { before, after, count: 0, examples: Vec::new() });
        }
        if let Some(group) = self.groups.get_mut(number) {
            group.count += 1;
            if group.examples.len() < EXAMPLES {
                group.examples.push(entitlement);
            }
        }
    }
}

/// Shows every entitlement that the flows give.
fn each(snapshot: &Snapshot, flows: &PersonFlows, show: &mut dyn FnMut(Entitlement)) {
    let available = snapshot.available(flows, &Filter::default());
    let mut after: Option<Position> = None;
    loop {
        let page = available.page(after.as_ref(), PAGE);
        after = page.last().map(Position::of);
        let is_last = page.len() < PAGE;
        page.into_iter().for_each(&mut *show);
        if is_last {
            return;
        }
    }
}

fn reference(entitlement: &Entitlement) -> EntitlementRef<'_> {
    EntitlementRef {
        integration: &entitlement.resource.integration_id,
        resource: &entitlement.resource.id,
        permission: &entitlement.permission.id,
    }
}
