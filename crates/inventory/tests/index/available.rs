//! What a person may ask for, by the index and by the plain evaluator.

use latchkey_domain::{
    ids::{IntegrationId, ResourceId},
    inventory::{Entitlement, Resource},
    policy::{
        selection::is_usable_by,
        targets::{Contents, flow_covers},
    },
};
use latchkey_inventory::{Filter, Rules, Snapshot, TextFilter};
use proptest::prelude::*;

use crate::{
    people::{Person, Plain, people, rules},
    random::{INTEGRATIONS, Inventory, a_quarter, check_pages, inventory, word},
};

fn text_filter() -> impl Strategy<Value = TextFilter> {
    prop_oneof![
        word().prop_map(TextFilter::Exact),
        word().prop_map(TextFilter::Prefix),
        word().prop_map(TextFilter::Suffix),
        word().prop_map(TextFilter::Contains),
    ]
}

pub fn filter() -> impl Strategy<Value = Filter> {
    let integration = prop::sample::select(INTEGRATIONS.map(|(id, _)| id).to_vec());
    let kinds = prop::collection::vec(prop::sample::select(vec!["table", "host", "none"]), 0..2);
    (
        prop::option::weighted(0.2, integration.prop_map(IntegrationId::new)),
        prop::option::weighted(0.2, text_filter()),
        prop_oneof![3 => Just(Vec::new()), 1 => kinds],
        prop::option::weighted(0.4, text_filter()),
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(text_filter(), 1..3)],
    )
        .prop_map(
            |(integration_id, integration_name, kinds, resource_name, permission_names)| Filter {
                integration_id,
                integration_name,
                resource_types: kinds.into_iter().map(str::to_owned).collect(),
                resource_name,
                permission_names,
            },
        )
}

fn text_passes(filter: &TextFilter, text: &str) -> bool {
    let text = text.to_lowercase();
    match filter {
        TextFilter::Exact(wanted) => text == wanted.to_lowercase(),
        TextFilter::Prefix(wanted) => text.starts_with(&wanted.to_lowercase()),
        TextFilter::Suffix(wanted) => text.ends_with(&wanted.to_lowercase()),
        TextFilter::Contains(wanted) => text.contains(&wanted.to_lowercase()),
    }
}

fn passes(filter: &Filter, Entitlement { resource, permission }: &Entitlement, name: &str) -> bool {
    let may = |wanted: &Option<TextFilter>, text: &str| {
        wanted.as_ref().is_none_or(|wanted| text_passes(wanted, text))
    };
    filter.integration_id.as_ref().is_none_or(|id| *id == resource.integration_id)
        && may(&filter.integration_name, name)
        && (filter.resource_types.is_empty()
            || filter.resource_types.contains(&resource.resource_type))
        && may(&filter.resource_name, &resource.name)
        && (filter.permission_names.is_empty()
            || filter.permission_names.iter().any(|one| text_passes(one, &permission.name)))
}

pub fn check(
    snapshot: &Snapshot,
    inventory: &Inventory,
    rules: &Rules,
    people: &[Person],
    filter: &Filter,
    size: usize,
) -> Result<(), TestCaseError> {
    let plain = Plain { rules, inventory };
    for (requestor, grantee) in
        people.iter().zip(people.iter().cycle().skip(1)).chain(people.iter().zip(people))
    {
        let expected = inventory.where_(|entitlement, name| {
            passes(filter, entitlement, name)
                && rules.flows.iter().any(|flow| {
                    is_usable_by(flow, requestor.facts(), grantee.facts())
                        && flow_covers(&flow.policy, &plain, entitlement)
                        && !plain.floor_on(entitlement).bars(&flow.policy)
                })
        });
        let flows = snapshot.policy().flows_for(requestor.facts(), grantee.facts());
        let available = snapshot.available(&flows, filter);
        prop_assert_eq!(available.count(), expected.len() as u64);
        check_pages(size, &expected, |after, limit| available.page(after, limit))?;
        let facets = available.facets();
        let sum: u64 = facets.iter().map(|facet| facet.resources).sum();
        prop_assert_eq!(sum, expected.len() as u64);
        for facet in facets {
            let own = expected.iter().filter(|one| {
                one.permission.id == facet.permission.id
                    && one.resource.integration_id == *facet.integration_id
            });
            prop_assert_eq!(facet.resources, own.count() as u64);
        }
        for part in &inventory.parts {
            let integration = IntegrationId::new(part.id);
            let mut resources: Vec<Resource> = expected
                .iter()
                .filter(|one| one.resource.integration_id == integration)
                .map(|one| one.resource.clone())
                .collect();
            resources.dedup();
            let mut found: Vec<Resource> = Vec::new();
            loop {
                let last = found.last().cloned();
                let after: Option<(jiff::Timestamp, &ResourceId)> =
                    last.as_ref().map(|one| (one.created_at, &one.id));
                let next = available.resources(&integration, after, size);
                if next.is_empty() {
                    break;
                }
                found.extend(next);
            }
            prop_assert_eq!(&found, &resources);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(a_quarter())]

    #[test]
    fn f10_what_is_available_by_index_is_what_the_plain_evaluator_lets_one_ask_for(
        inventory in inventory(),
        rules in rules(),
        people in people(),
        filter in filter(),
        size in 1..6usize,
    ) {
        let index = inventory.index();
        index.set_rules(rules.clone());
        check(&index.snapshot(), &inventory, &rules, &people, &filter, size)?;
    }
}
