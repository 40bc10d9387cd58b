//! One entitlement: may a person ask for it, by which flows, and who may at all.
//!
//! Invariants: `may_ask` says yes exactly if one of the person's flows covers the entitlement by
//! [`latchkey_domain::policy::targets::flow_covers`]; `who_may` finds exactly the people of whom
//! `may_ask` says yes. The index proposes; what creates, approves or grants asks the plain
//! evaluator again.

use std::collections::BTreeMap;

use latchkey_domain::{
    flow::AccessFlow,
    ids::{BundleId, FlowId, IntegrationId, PermissionId, ResourceId, UserId},
    policy::{matching::PersonFacts, selection::is_usable_by, targets::targets_bundle},
};

use crate::{
    floors::Bar,
    policy::PersonFlows,
    snapshot::{Found, Snapshot},
};

/// Names an entitlement.
#[derive(Debug, Clone, Copy)]
pub struct EntitlementRef<'e> {
    /// The integration.
    pub integration: &'e IntegrationId,
    /// The resource.
    pub resource: &'e ResourceId,
    /// The permission.
    pub permission: &'e PermissionId,
}

/// Everybody, as conditions see them.
pub trait Directory {
    /// Shows each person once.
    fn each(&self, show: &mut dyn FnMut(PersonFacts<'_>));
}

impl Snapshot {
    /// Whether any of the flows gives the entitlement; through a bundle, only those that target
    /// it, and only what it holds. The flows have to be of this snapshot's policy.
    pub fn may_ask(
        &self,
        flows: &PersonFlows,
        entitlement: EntitlementRef<'_>,
        through: Option<&BundleId>,
    ) -> bool {
        match through {
            None => self.grants_on(entitlement).any(|grant| flows.grants.contains(grant)),
            Some(bundle) => Bar::ALL.into_iter().any(|bar| {
                let held = self.policy.grants_of_bundle(bundle, bar);
                let mut own = self.policy.flows_of_bundle_by(bundle, bar);
                own.any(|flow| flows.flows.contains(flow))
                    && self.grants_on(entitlement).any(|grant| held.contains(&grant))
            }),
        }
    }

    /// Which of the flows give the entitlement, in the order of the policy.
    pub fn flows_that_give(
        &self,
        flows: &PersonFlows,
        entitlement: EntitlementRef<'_>,
        through: Option<&BundleId>,
    ) -> Vec<&AccessFlow> {
        let mut numbers = self.numbers_that_give(entitlement, through);
        numbers.retain(|number| flows.flows.contains(*number));
        numbers.into_iter().filter_map(|number| self.policy.flow(number)).collect()
    }

    /// Every flow that gives the entitlement, whoever may use it, switched-off ones and automatic
    /// ones included, in the order of the policy. One that a floor bars does not give.
    pub fn all_flows_that_give(
        &self,
        entitlement: EntitlementRef<'_>,
        through: Option<&BundleId>,
    ) -> Vec<&AccessFlow> {
        let numbers = self.numbers_that_give(entitlement, through);
        numbers.into_iter().filter_map(|number| self.policy.flow(number)).collect()
    }

    pub(crate) fn numbers_that_give(
        &self,
        entitlement: EntitlementRef<'_>,
        through: Option<&BundleId>,
    ) -> Vec<u32> {
        let mut numbers: Vec<u32> = match through {
            None => {
                let grants = self.grants_on(entitlement);
                grants.flat_map(|grant| self.policy.flows_of_grant(grant)).copied().collect()
            }
            Some(bundle) => {
                let gives = |bar: &Bar| {
                    let held = self.policy.grants_of_bundle(bundle, *bar);
                    self.grants_on(entitlement).any(|grant| held.contains(&grant))
                };
                let giving = Bar::ALL.into_iter().filter(gives);
                giving.flat_map(|bar| self.policy.flows_of_bundle_by(bundle, bar)).collect()
            }
        };
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The grants of the policy that cover an entitlement.
    fn grants_on(&self, entitlement: EntitlementRef<'_>) -> impl Iterator<Item = u32> + '_ {
        let EntitlementRef { integration, resource, permission } = entitlement;
        let found = self.find(integration, resource, permission);
        found.into_iter().flat_map(|Found { held, part, row, slot }| {
            let reached = held.reached.get(part);
            reached.into_iter().flat_map(move |reached| {
                reached.tiles.of_row(row).flat_map(move |tile| {
                    let on = reached.giving.on(tile).iter();
                    on.filter(move |given| {
                        given.word as usize == slot / 64 && given.slots >> (slot % 64) & 1 == 1
                    })
                    .map(|given| given.grant)
                })
            })
        })
    }

    /// Everybody who may ask for the entitlement for themselves, each with the flows that let
    /// them, in the order of the policy.
    pub fn who_may(
        &self,
        entitlement: EntitlementRef<'_>,
        through: Option<&BundleId>,
        directory: &dyn Directory,
    ) -> BTreeMap<UserId, Vec<FlowId>> {
        let mut giving = self.all_flows_that_give(entitlement, through);
        giving.retain(|flow| through.is_none_or(|bundle| targets_bundle(&flow.policy, bundle)));
        let mut people = BTreeMap::new();
        directory.each(&mut |person| {
            let theirs: Vec<FlowId> = giving
                .iter()
                .filter(|flow| is_usable_by(flow, person, person))
                .map(|flow| flow.id.clone())
                .collect();
            if !theirs.is_empty() {
                people.insert(person.user.id.clone(), theirs);
            }
        });
        people
    }
}
