//! `bench inventory`: the in-memory index at 10,000, 100,000 and 1,000,000 resources and 10 to
//! 10,000 flows, beside an indexed query on PostgreSQL and, with the cargo feature `rivals`, other
//! policy engines.
//!
//! Everything is measured cold where a user has it cold: a query is asked once, and a person's
//! flows are worked out for the first time. What is warm says so.

mod data;
mod decisions;
mod index;
#[cfg(feature = "rivals")]
mod rivals;
mod sql;
mod timings;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use latchkey::surroundings::Surroundings;
use latchkey_systems::{Postgres, PostgresVersion};
use serde_json::{Map, Value, json};

use self::{
    decisions::BESIDE,
    index::{Measured, Plan},
    sql::Sql,
    timings::Timings,
};
use crate::{
    machine,
    report::{Bound, Report, Target, number},
    run_options::RunOptions,
};

/// How many resources there are.
const SCALES: [u64; 3] = [10_000, 100_000, 1_000_000];
/// How many flows decisions are made among.
const FLOWS: [u64; 4] = [10, 100, 1_000, 10_000];
/// What share of a hundred flows concerns a person.
const SHARES: [u64; 3] = [1, 10, 50];

/// How many rows the queries on `PostgreSQL` go over together, for each number of conditions.
const SQL_ROWS: u64 = 10_000_000;

/// How `bench inventory` is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    run: RunOptions,
    /// Fewer repetitions, to see that everything runs.
    #[arg(long)]
    quick: bool,
    /// Measure these parts only; the targets of the others do not hold then.
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// What a person may ask for.
    Access,
    /// One entitlement.
    Decisions,
    /// AQL.
    Queries,
    /// Pushes and whole segments.
    Changes,
    /// `PostgreSQL`, and decisions by every side.
    Rivals,
}

const ALL_PARTS: [Part; 5] =
    [Part::Access, Part::Decisions, Part::Queries, Part::Changes, Part::Rivals];

/// Runs the benchmark, prints its table, writes its file.
pub(crate) async fn run(options: Options) -> Result<()> {
    let clock = Surroundings::of_the_machine().clock;
    let scratch = tempfile::Builder::new().prefix("latchkey-bench-").tempdir()?;
    let machine = machine::describe(scratch.path());
    let parts = if options.parts.is_empty() { &ALL_PARTS[..] } else { &options.parts };
    let rivals = parts.contains(&Part::Rivals);
    let server = rivals.then(|| Postgres::start(PostgresVersion::V15)).transpose()?;
    let mut measured = Measured::default();
    let mut sql_settings = Value::Null;
    for scale in SCALES {
        let resources = if options.run.tenth { scale / 10 } else { scale };
        let repetitions = if options.quick { 50 } else { 500 };
        let plan = Plan { resources, flows: &FLOWS, shares: &SHARES, repetitions, parts };
        println!("Indexing {resources} resources");
        let index = index::build(&plan)?;
        index::measure(&*clock, &plan, &index, &mut measured)?;
        if let Some(server) = &server {
            println!("The same questions to PostgreSQL");
            let sql = Sql::fill(server, resources).await?;
            println!("{}", sql.settings);
            sql_settings = json!(sql.settings);
            // A statement over a million rows takes seconds.
            let statements = (repetitions / 10).min(SQL_ROWS / resources);
            sql.queries(&*clock, &index, resources, statements, &mut measured).await?;
            if Some(&scale) == SCALES.last() {
                println!("The same decisions by every side");
                let repetitions = repetitions / 5;
                decisions::measure(
                    &*clock,
                    &index,
                    &sql,
                    resources,
                    &FLOWS,
                    repetitions,
                    &mut measured,
                )
                .await?;
            }
        }
    }
    measured.print();

    let targets = targets(&if options.run.tenth { Measured::default() } else { measured.clone() });
    let common = Map::from_iter([
        ("commit".to_owned(), json!(options.run.commit)),
        ("versions".to_owned(), json!({ "latchkey": env!("CARGO_PKG_VERSION") })),
        (
            "settings".to_owned(),
            json!({
                "tags_per_resource": data::TAGS.len(),
                "permissions_per_type": data::PERMISSIONS.len(),
                "groups": data::GROUPS,
                "people": index::PEOPLE,
                "policy_engines": cfg!(feature = "rivals"),
                "sql": sql_settings,
                "durability": "the index and the engines are in memory; PostgreSQL only reads while it is measured",
                "quick": options.quick, "tenth": options.run.tenth,
            }),
        ),
    ]);
    let rows: Vec<Map<String, Value>> = measured.rows();
    let report = Report::new(machine, rows, &common, targets);
    report.print_targets();
    report.write(&options.run.out).context("the report")?;
    println!("wrote {}", options.run.out.display());
    Ok(())
}

/// The goals, with their bounds.
fn targets(measured: &Measured) -> Vec<Target> {
    let million = |one: &&Timings| one.resources == 1_000_000 && one.side == index::SIDE;
    // The worst of all that the goal speaks of counts.
    let worst = |what: &str, percent: usize, ask: &dyn Fn(&Timings) -> bool| {
        let all = measured.timings.iter().filter(million);
        let own = all.filter(|one| one.what.starts_with(what) && ask(one));
        own.map(|one| one.quantile_us(percent)).reduce(f64::max)
    };
    let ms = |us: Option<f64>| us.map(|us| us / 1e3);
    let decisions = |flows: u64| {
        worst(index::DECISION, 50, &|one| one.what == index::DECISION && one.flows == flows)
    };
    let flat = decisions(10_000).zip(decisions(10)).map(|(many, few)| many / few);
    let bytes = measured.figures.iter().find(|one| one.resources == 1_000_000);
    vec![
        Target::new(
            "available access, first page and count, 1,000,000: p99",
            ms(worst(index::AVAILABLE, 99, &|one| one.what != index::AVAILABLE_BY_NAME)),
            "ms",
            Bound::AtMost(10.0),
        ),
        Target::new(
            "AQL of 1, 5, 20 conditions, 1,000,000, worst p99",
            ms(worst(index::QUERY, 99, &|_| true)),
            "ms",
            Bound::AtMost(10.0),
        ),
        Target::new(
            "AQL, first query after a segment swap, 1,000,000: p99",
            ms(worst(index::QUERY_AFTER_SWAP, 99, &|_| true)),
            "ms",
            Bound::AtMost(10.0),
        ),
        Target::new(
            "one decision at 10,000 flows, worst share: p50",
            decisions(10_000),
            "us",
            Bound::AtMost(20.0),
        ),
        Target::new("one decision, 10,000 over 10 flows: p50", flat, "x", Bound::AtMost(3.0)),
        Target::new(
            "one decision at 10,000 flows: p50 of the best rival over ours",
            over_best_rival(measured),
            "x",
            Bound::AtLeast(100.0),
        ),
        Target::new(
            "re-index of an integration of 100,000",
            worst(index::REINDEX, 99, &|_| true).map(|us| us / 1e6),
            "s",
            Bound::AtMost(2.0),
        ),
        Target::new(
            "push of one change, 1,000,000: p99",
            ms(worst(index::PUSH, 99, &|_| true)),
            "ms",
            Bound::AtMost(10.0),
        ),
        Target::new(
            "index, 1,000,000 resources: bytes a resource",
            bytes.map(|one| one.value),
            "B",
            Bound::AtMost(400.0),
        ),
    ]
}

/// Sides that decisions are compared with.
const RIVALS: usize = 5;

/// How much longer the best rival takes for one of the same decisions; `None` unless all ran.
fn over_best_rival(measured: &Measured) -> Option<f64> {
    let all = || measured.timings.iter().filter(|one| one.what == BESIDE && one.flows == 10_000);
    let ours = all().find(|one| one.side == index::SIDE)?.quantile_us(50);
    let rivals = || all().filter(|one| one.side != index::SIDE);
    let best = rivals().map(|one| one.quantile_us(50)).reduce(f64::min)?;
    (rivals().count() == RIVALS).then_some(best / ours)
}

/// A figure for the table.
fn shown(micros: f64) -> String {
    number(Some(micros / 1e3))
}
