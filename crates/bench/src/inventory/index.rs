//! The index's own side.

use std::{hint::black_box, time::Duration};

use anyhow::{Result, anyhow};
use latchkey_aql::parse;
use latchkey_domain::{
    Clock,
    ids::{IntegrationId, PermissionId, ResourceId},
    inventory::Resource,
};
use latchkey_inventory::{
    EntitlementRef, Filter, Floors, Index, Rules, Segment, SegmentBuilder, Snapshot, TextFilter,
};

use super::{
    Part,
    data::{self, Numbers, Person, Targets},
    shown,
    timings::{Figure, Timings},
};

pub(crate) const SIDE: &str = "index";
pub(crate) const AVAILABLE: &str = "available access";
pub(crate) const AVAILABLE_IN_PARTS: &str = "available access, no whole types";
pub(crate) const AVAILABLE_BY_NAME: &str = "available access by a part of names";
pub(crate) const QUERY: &str = "AQL, conditions:";
pub(crate) const QUERY_AFTER_SWAP: &str = "first AQL after a swap, conditions:";
pub(crate) const DECISION: &str = "decision";
pub(crate) const FIRST_DECISION: &str = "a person's first decision";
pub(crate) const PUSH: &str = "push of one change";
pub(crate) const REINDEX: &str = "re-index of one integration";
pub(crate) const BYTES: &str = "bytes a resource";

/// People who ask.
pub(crate) const PEOPLE: u64 = 10_000;
/// Integrations that the resources are in.
pub(crate) const INTEGRATIONS: u64 = 10;
/// Rows of a first page.
const PAGE: usize = 50;
/// Conditions of the queries.
pub(crate) const CONDITIONS: [u64; 3] = [1, 5, 20];
/// The flows that are in place while resources change.
pub(crate) const MOST_FLOWS: u64 = 10_000;
pub(crate) const LARGEST_SHARE: u64 = 50;
/// Decisions that one sample is the mean of.
const BATCH: u32 = 32;

/// What to measure.
#[derive(Debug)]
pub(crate) struct Plan<'p> {
    pub(crate) resources: u64,
    pub(crate) flows: &'p [u64],
    pub(crate) shares: &'p [u64],
    pub(crate) repetitions: u64,
    pub(crate) parts: &'p [Part],
}

impl Plan<'_> {
    fn measures(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    pub(crate) timings: Vec<Timings>,
    pub(crate) figures: Vec<Figure>,
}

impl Measured {
    pub(crate) fn rows(&self) -> Vec<serde_json::Map<String, serde_json::Value>> {
        let timings = self.timings.iter().map(Timings::row);
        timings.chain(self.figures.iter().map(Figure::row)).collect()
    }

    pub(crate) fn print(&self) {
        println!(
            "\n{:<40} {:<14} {:>9} {:>7} {:>6} {:>7} {:>9} {:>9}",
            "what", "side", "resources", "flows", "share", "n", "p50 ms", "p99 ms"
        );
        for one in &self.timings {
            println!(
                "{:<40} {:<14} {:>9} {:>7} {:>6} {:>7} {:>9} {:>9}",
                one.what,
                one.side,
                one.resources,
                one.flows,
                one.share,
                one.count(),
                fine(one.quantile_us(50)),
                fine(one.quantile_us(99)),
            );
        }
        for one in &self.figures {
            println!(
                "{:<40} {:<14} {:>9} {:>10.2} {}",
                one.name, one.side, one.resources, one.value, one.unit
            );
        }
    }
}

/// Milliseconds; more digits where there are few.
fn fine(micros: f64) -> String {
    if micros < 100.0 { format!("{:.5}", micros / 1e3) } else { shown(micros) }
}

fn timed<T>(clock: &dyn Clock, work: impl FnOnce() -> T) -> (T, Duration) {
    let began = clock.monotonic();
    let done = black_box(work());
    (done, clock.monotonic().saturating_sub(began))
}

/// The resources of an integration.
fn resources_of(plan: &Plan<'_>, number: u64) -> Vec<Resource> {
    let each = plan.resources / INTEGRATIONS;
    let id = data::integration(number);
    (number * each..(number + 1) * each).map(|one| data::resource(&id, one)).collect()
}

fn segment(number: u64, version: i64, resources: &[Resource]) -> Result<Segment> {
    let id = data::integration(number);
    let permissions = data::permissions(&id);
    let mut builder =
        SegmentBuilder::new(id, format!("integration {number}"), version, permissions);
    for page in resources.chunks(1000) {
        builder.push(page)?;
    }
    Ok(builder.finish()?)
}

/// An index of this many resources, without flows.
pub(crate) fn build(plan: &Plan<'_>) -> Result<Index> {
    let index = Index::default();
    for number in 0..INTEGRATIONS {
        index.put(segment(number, 1, &resources_of(plan, number))?);
    }
    Ok(index)
}

/// Measures everything at one scale; leaves the index with the most flows of the largest share.
pub(crate) fn measure(
    clock: &dyn Clock,
    plan: &Plan<'_>,
    index: &Index,
    measured: &mut Measured,
) -> Result<()> {
    let people: Vec<Person> = (0..PEOPLE).map(data::person).collect();
    let rules = |flows, share, of| Rules {
        flows: data::flows(flows, share, of, INTEGRATIONS, plan.resources),
        bundles: Vec::new(),
        access_scopes: data::access_scopes(),
        floors: Floors::default(),
    };
    for share in plan.shares {
        let load = |flows| Load { clock, plan, flows, share: *share, people: &people };
        if plan.measures(Part::Access) {
            index.set_rules(rules(MOST_FLOWS, *share, Targets::Parts));
            load(MOST_FLOWS).available(AVAILABLE_IN_PARTS, &index.snapshot(), measured);
        }
        for flows in plan.flows {
            index.set_rules(rules(*flows, *share, Targets::Mixed));
            let (load, snapshot) = (load(*flows), index.snapshot());
            if plan.measures(Part::Access) {
                load.available(AVAILABLE, &snapshot, measured);
            }
            if plan.measures(Part::Decisions) {
                load.decisions(&snapshot, measured);
            }
        }
    }
    let bytes = as_f64(index.bytes() as u64) / as_f64(plan.resources);
    measured.figures.push(Figure {
        name: BYTES,
        side: SIDE,
        resources: plan.resources,
        value: bytes,
        unit: "B",
    });
    if plan.measures(Part::Queries) {
        queries(clock, plan, &index.snapshot(), measured)?;
        queries_after_swaps(clock, plan, index, measured)?;
    }
    if plan.measures(Part::Changes) {
        pushes(clock, plan, index, measured)?;
        reindexes(clock, plan, index, measured)?;
    }
    Ok(())
}

fn as_f64(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Some flows and people.
struct Load<'l> {
    clock: &'l dyn Clock,
    plan: &'l Plan<'l>,
    flows: u64,
    share: u64,
    people: &'l [Person],
}

/// An entitlement to ask for.
struct Asked {
    integration: IntegrationId,
    resource: ResourceId,
    permission: PermissionId,
}

impl Asked {
    fn as_ref(&self) -> EntitlementRef<'_> {
        let Self { integration, resource, permission } = self;
        EntitlementRef { integration, resource, permission }
    }
}

impl Load<'_> {
    fn timings(&self, what: &str) -> Timings {
        Timings::new(what, SIDE, self.plan.resources, self.flows, self.share)
    }

    /// Each person for the first time.
    fn available(&self, what: &str, snapshot: &Snapshot, measured: &mut Measured) {
        let mut whole = self.timings(what);
        let mut filtered = self.timings(AVAILABLE_BY_NAME);
        let count = usize::try_from(self.plan.repetitions).unwrap_or_default();
        for (number, person) in self.people.iter().take(count).enumerate() {
            let ask = |filter: &Filter| {
                let flows = snapshot.policy().flows_for(person.facts(), person.facts());
                let available = snapshot.available(&flows, filter);
                (available.count(), available.page(None, PAGE))
            };
            let (_, took) = timed(self.clock, || ask(&Filter::default()));
            whole.add(took);
            let word = data::WORDS.get(number % data::WORDS.len()).map_or("", |word| *word);
            let name = word.chars().take(4).collect();
            let filter =
                Filter { resource_name: Some(TextFilter::Contains(name)), ..Filter::default() };
            let (_, took) = timed(self.clock, || ask(&filter));
            filtered.add(took);
        }
        measured.timings.push(whole.done());
        if what == AVAILABLE {
            measured.timings.push(filtered.done());
        }
    }

    /// Entitlements at random: each person's first, and then again of people who have asked.
    fn decisions(&self, snapshot: &Snapshot, measured: &mut Measured) {
        let mut numbers = Numbers::new(self.flows ^ self.share << 32);
        let entitlements: Vec<Asked> = (0..4096).map(|_| self.asked(&mut numbers)).collect();
        let mut asked = entitlements.iter().cycle();
        let mut decide = |person: &Person| {
            let flows = snapshot.policy().flows_for(person.facts(), person.facts());
            asked.next().map(|asked| snapshot.may_ask(&flows, asked.as_ref(), None))
        };
        let mut first = self.timings(FIRST_DECISION);
        // Whoever listed what they may ask for is left out.
        for person in self.people.iter().rev() {
            let (_, took) = timed(self.clock, || decide(person));
            if first.count() < usize::try_from(self.plan.repetitions).unwrap_or_default() {
                first.add(took);
            }
        }
        let mut again = self.timings(DECISION);
        for _ in 0..self.plan.repetitions * 4 {
            let people: Vec<Person> = (0..BATCH).filter_map(|_| numbers.of(self.people)).collect();
            let ((), took) = timed(self.clock, || {
                for person in &people {
                    black_box(decide(person));
                }
            });
            again.add(took / BATCH);
        }
        measured.timings.extend([first.done(), again.done()]);
    }

    fn asked(&self, numbers: &mut Numbers) -> Asked {
        let number = numbers.below(self.plan.resources);
        let integration = data::integration(number / (self.plan.resources / INTEGRATIONS));
        let resource = data::resource(&integration, number);
        let name = numbers.word(&data::PERMISSIONS);
        let permission = PermissionId::derive(&integration, &resource.resource_type, name);
        Asked { integration, resource: resource.id, permission }
    }
}

/// Each query once.
fn queries(
    clock: &dyn Clock,
    plan: &Plan<'_>,
    snapshot: &Snapshot,
    measured: &mut Measured,
) -> Result<()> {
    for conditions in CONDITIONS {
        let mut timings = Timings::new(format!("{QUERY} {conditions}"), SIDE, plan.resources, 0, 0);
        for number in 0..plan.repetitions {
            timings.add(ask(clock, snapshot, number, conditions)?);
        }
        measured.timings.push(timings.done());
    }
    Ok(())
}

fn ask(clock: &dyn Clock, snapshot: &Snapshot, number: u64, conditions: u64) -> Result<Duration> {
    let text = data::query(number, conditions);
    let query = parse(&text).map_err(|faults| anyhow!("{text}: {faults:?}"))?;
    let (_, took) = timed(clock, || {
        let selected = snapshot.select(&query);
        (selected.count(), selected.page(None, PAGE))
    });
    Ok(took)
}

/// A query right after an integration's segment was built anew and swapped.
fn queries_after_swaps(
    clock: &dyn Clock,
    plan: &Plan<'_>,
    index: &Index,
    measured: &mut Measured,
) -> Result<()> {
    for (version, conditions) in (2..).zip(CONDITIONS) {
        let what = format!("{QUERY_AFTER_SWAP} {conditions}");
        let mut timings = Timings::new(what, SIDE, plan.resources, 0, 0);
        for number in 0..INTEGRATIONS {
            index.put(segment(number, version, &resources_of(plan, number))?);
            timings.add(ask(clock, &index.snapshot(), 1_000_000 + number, conditions)?);
        }
        measured.timings.push(timings.done());
    }
    Ok(())
}

/// One resource tagged after another, as many as pile up between two rebuilds.
fn pushes(
    clock: &dyn Clock,
    plan: &Plan<'_>,
    index: &Index,
    measured: &mut Measured,
) -> Result<()> {
    let mut timings = Timings::new(PUSH, SIDE, plan.resources, MOST_FLOWS, LARGEST_SHARE);
    let mut numbers = Numbers::new(plan.resources);
    let id = data::integration(0);
    for (version, number) in (100..).zip(0..plan.repetitions) {
        let mut resource = data::resource(&id, numbers.below(plan.resources / INTEGRATIONS));
        resource.user_tags.insert("checked".to_owned(), number.to_string());
        let (pushed, took) = timed(clock, || index.push(&id, version, &[resource], &[]));
        pushed?;
        timings.add(took);
    }
    measured.timings.push(timings.done());
    Ok(())
}

/// One integration after another, from its rows to the snapshot in place.
fn reindexes(
    clock: &dyn Clock,
    plan: &Plan<'_>,
    index: &Index,
    measured: &mut Measured,
) -> Result<()> {
    let mut timings = Timings::new(REINDEX, SIDE, plan.resources, MOST_FLOWS, LARGEST_SHARE);
    for number in 0..INTEGRATIONS {
        let resources = resources_of(plan, number);
        let (done, took) =
            timed(clock, || segment(number, 1_000_000, &resources).map(|one| index.put(one)));
        done?;
        timings.add(took);
    }
    measured.timings.push(timings.done());
    Ok(())
}
