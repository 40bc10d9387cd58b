//! Each case, three ways.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use latchkey_domain::{
    inventory::Entitlement,
    policy::{
        selection::is_usable_by,
        targets::{Contents as _, bundle_covers, flow_covers},
    },
};
use latchkey_inventory::Filter;
use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};
use tokio::runtime::Handle;

use crate::{
    case::{Case, case},
    fixtures::{Ground, on_both},
    people::Plain,
    random::{check_pages, check_selected},
    stored::Stored,
};

on_both!(f10_index_plain_evaluator_and_sql_say_the_same);

/// How many cases are asked.
fn cases() -> u32 {
    if std::env::var_os("LATCHKEY_TEST_SOAK").is_some() { 3000 } else { 40 }
}

/// How many entitlements the answers had: cases that select nothing show nothing.
#[derive(Debug, Default)]
struct Answered {
    queries: AtomicUsize,
    bundles: AtomicUsize,
    flows: AtomicUsize,
}

async fn f10_index_plain_evaluator_and_sql_say_the_same(ground: Ground) {
    let stored = Stored::new(ground).await;
    let answered = Answered::default();
    // A case that fails is shown when it is small, and is not kept in a file.
    let config =
        ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    let outcome = tokio::task::block_in_place(|| {
        let asked = |case| Handle::current().block_on(check(&stored, case, &answered));
        // The error holds the whole case.
        TestRunner::new(config).run(&case(), asked).map_err(|error| error.to_string())
    });
    outcome.unwrap();
    for count in [answered.queries, answered.bundles, answered.flows] {
        assert!(count.into_inner() > 0);
    }
}

async fn check(stored: &Stored, mut case: Case, answered: &Answered) -> Result<(), TestCaseError> {
    stored.put(&mut case).await;
    let inventory = stored.inventory().await;
    let index = inventory.index();
    index.set_rules(case.rules.clone());
    let snapshot = index.snapshot();
    let dialect = stored.raw.dialect();

    for query in &case.queries {
        let expected = inventory.selects(query);
        check_selected(&snapshot.select(query), &expected, &inventory)?;
        let rows = stored.raw.rows(&dialect.selected(query)).await;
        prop_assert_eq!(pairs(&expected), once(rows)?, "{}", query);
        answered.queries.fetch_add(expected.len(), Ordering::Relaxed);
    }

    let plain = Plain { rules: &case.rules, inventory: &inventory };
    for bundle in &case.rules.bundles {
        let expected = inventory.where_(|one, _| bundle_covers(&bundle.id, &plain, one));
        check_selected(&snapshot.covered_by_any(&bundle.targets), &expected, &inventory)?;
        let rows = stored.raw.rows(&dialect.covered(&bundle.targets, &case.rules)).await;
        prop_assert_eq!(pairs(&expected), once(rows)?, "{:?}", bundle.targets);
        answered.bundles.fetch_add(expected.len(), Ordering::Relaxed);
    }

    let mut everybodys = BTreeSet::new();
    for person in stored.people().await {
        let facts = person.facts();
        let expected = inventory.where_(|one, _| {
            case.rules.flows.iter().any(|flow| {
                is_usable_by(flow, facts, facts)
                    && flow_covers(&flow.policy, &plain, one)
                    && !plain.floor_on(one).bars(&flow.policy)
            })
        });
        let flows = snapshot.policy().flows_for(facts, facts);
        let available = snapshot.available(&flows, &Filter::default());
        prop_assert_eq!(available.count(), expected.len() as u64);
        check_pages(50, &expected, |after, limit| available.page(after, limit))?;
        let user = person.user.id.to_string();
        everybodys
            .extend(pairs(&expected).into_iter().map(|[one, other]| [user.clone(), one, other]));
    }
    answered.flows.fetch_add(everybodys.len(), Ordering::Relaxed);
    let rows = stored.raw.rows(&dialect.available(&case.rules)).await;
    prop_assert_eq!(everybodys, once(rows)?);
    Ok(())
}

fn pairs(entitlements: &[Entitlement]) -> BTreeSet<[String; 2]> {
    let ids = |one: &Entitlement| [one.resource.id.to_string(), one.permission.id.to_string()];
    entitlements.iter().map(ids).collect()
}

/// The rows, of which none may come twice.
fn once<const COLUMNS: usize>(
    rows: Vec<[String; COLUMNS]>,
) -> Result<BTreeSet<[String; COLUMNS]>, TestCaseError> {
    let count = rows.len();
    let rows: BTreeSet<_> = rows.into_iter().collect();
    prop_assert_eq!(rows.len(), count);
    Ok(rows)
}
