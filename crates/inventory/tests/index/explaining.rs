//! Explanations agree with decisions, from the whole down to the values.

use latchkey_domain::{flow::LogicalOperator, policy::selection::is_usable_by};
use latchkey_inventory::{EntitlementRef, WhyExpr, WhySet, WhyTarget, WhyTargetKind};
use proptest::prelude::*;

use crate::{
    people::{people, rules},
    random::{a_quarter, inventory},
};

fn check_set(set: &WhySet) -> Result<(), TestCaseError> {
    let mut conditions = set.conditions.iter().map(|condition| condition.met);
    let met = match set.logical_operator {
        LogicalOperator::And => !set.conditions.is_empty() && conditions.all(|met| met),
        LogicalOperator::Or => conditions.any(|met| met),
    };
    prop_assert_eq!(set.met, met);
    for condition in &set.conditions {
        if condition.met {
            let mut values = condition.values.iter().map(|value| value.met);
            if condition.operator.is_negative() {
                prop_assert!(values.all(|met| met));
            } else {
                prop_assert!(values.any(|met| met));
            }
        }
    }
    Ok(())
}

fn check_target(target: &WhyTarget) -> Result<(), TestCaseError> {
    match &target.why {
        WhyTargetKind::Integration { grantable, permissions, in_scopes, .. } => {
            let is_named = permissions.iter().any(|name| name.met);
            prop_assert_eq!(target.covers, *grantable && is_named && *in_scopes);
        }
        WhyTargetKind::Bundle { known, targets, .. } => {
            prop_assert_eq!(target.covers, targets.iter().any(|one| one.covers));
            prop_assert!(*known || targets.is_empty());
            targets.iter().try_for_each(check_target)?;
        }
        WhyTargetKind::AccessScope { grantable, query, .. } => {
            let holds = |query: &WhyExpr| query.holds;
            prop_assert_eq!(target.covers, *grantable && query.as_ref().is_some_and(holds));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(a_quarter())]

    #[test]
    fn an_explanation_says_of_each_flow_what_the_decision_says_and_why(
        inventory in inventory(),
        rules in rules(),
        people in people(),
    ) {
        let index = inventory.index();
        index.set_rules(rules.clone());
        let snapshot = index.snapshot();
        for entitlement in inventory.where_(|_, _| true).iter().take(20) {
            let named = EntitlementRef {
                integration: &entitlement.resource.integration_id,
                resource: &entitlement.resource.id,
                permission: &entitlement.permission.id,
            };
            for (requestor, grantee) in people.iter().zip(people.iter().cycle().skip(1)).chain(people.iter().zip(&people)) {
                let (requestor, grantee) = (requestor.facts(), grantee.facts());
                let why = snapshot.explain(requestor, grantee, entitlement);
                let flows = snapshot.policy().flows_for(requestor, grantee);
                let giving: Vec<_> = snapshot
                    .flows_that_give(&flows, named, None)
                    .into_iter()
                    .map(|flow| flow.id.clone())
                    .collect();
                let said: Vec<_> =
                    why.iter().filter(|flow| flow.gives).map(|flow| flow.flow_id.clone()).collect();
                prop_assert_eq!(said, giving);
                for flow in &why {
                    check_set(&flow.requestors)?;
                    flow.grantees.iter().try_for_each(check_set)?;
                    flow.targets.iter().try_for_each(check_target)?;
                    let usable = flow.active
                        && flow.self_serve
                        && flow.people_active
                        && flow.requestors.met
                        && flow.for_grantee;
                    let covers = flow.targets.iter().any(|target| target.covers);
                    let above_floors = flow.below_floors.is_empty();
                    prop_assert_eq!(flow.gives, usable && above_floors && covers);
                    prop_assert!(usable || covers);
                }
                for flow in &rules.flows {
                    let is_said = why.iter().any(|one| one.flow_id == flow.id);
                    prop_assert!(is_said || !is_usable_by(flow, requestor, grantee));
                }
            }
        }
    }
}
