//! `bench api`: reads and writes over HTTP beside a bare handler on the same database file, in one
//! run.
//!
//! The bare handler is what one would write without Latchkey: a route, one or two statements, the
//! same JSON. It knows no callers, no rights, no audit trail, and runs as a process of its own, as
//! the server does. Both sides take turns, round after round.

mod bare;
mod data;
mod lists;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use self::{
    bare::Bare,
    lists::{LIST_PARTS, Lists, Unpaged},
};
pub(crate) use self::{
    bare::{Options as BareOptions, serve as serve_bare},
    data::Tenant,
};
use crate::{
    machine,
    report::{Bound, Report, Target, number, print_series},
    run_options::RunOptions,
    samples::Series,
};

/// Requests in the large tenant, and in the small one.
const REQUESTS: usize = 100_000;
const FEW_REQUESTS: usize = 1_000;
/// Flows and people in both.
const FLOWS: usize = 1_000;
const PEOPLE: usize = 10_000;
/// What an unpaged list of the whole tenant may take of memory: a page of rows, not the rows.
const FLAT_MB: f64 = 16.0;

/// How `bench api` is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    run: RunOptions,
    /// Fewer repetitions, to see that everything runs.
    #[arg(long)]
    quick: bool,
}

/// Runs the benchmark, prints its table, writes its file.
pub(crate) async fn run(options: Options) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix("latchkey-bench-").tempdir()?;
    let machine = machine::describe(scratch.path());
    let share = if options.run.tenth { 10 } else { 1 };
    let (people, flows) = (PEOPLE / share, FLOWS / share);
    println!("Storing {people} people, {flows} flows and {} requests", REQUESTS / share);
    let many = scratch.path().join("many");
    let few = scratch.path().join("few");
    let mut many =
        Tenant::create(&options.run.program, many, people, flows, REQUESTS / share).await?;
    let mut few =
        Tenant::create(&options.run.program, few, people, flows, FEW_REQUESTS / share).await?;
    many.start().await?;
    few.start().await?;
    let bare = Bare::start(&many).await?;

    let lists = Lists { quick: options.quick, many: &many, few: &few, bare: &bare };
    let series = lists.run().await?;
    let unpaged = lists.unpaged().await?;
    bare.stop()?;
    many.stop()?;
    few.stop()?;

    let targets = if options.run.tenth { targets(&[], &[]) } else { targets(&series, &unpaged) };
    let mut rows: Vec<Map<String, Value>> = series.iter().map(Series::row).collect();
    rows.extend(unpaged.iter().map(Unpaged::row));
    let common = Map::from_iter([
        ("commit".to_owned(), json!(options.run.commit)),
        ("versions".to_owned(), json!({ "latchkey": env!("CARGO_PKG_VERSION") })),
        (
            "settings".to_owned(),
            json!({
                "database": "SQLite, WAL, synchronous=FULL, on both sides",
                "people": people, "flows": flows, "requests": REQUESTS / share,
                "few_requests": FEW_REQUESTS / share,
                "quick": options.quick, "tenth": options.run.tenth,
            }),
        ),
    ]);
    let report = Report::new(machine, rows, &common, targets);
    print_series(&series);
    print_unpaged(&unpaged);
    report.print_targets();
    report.write(&options.run.out).context("the report")?;
    println!("wrote {}", options.run.out.display());
    Ok(())
}

fn print_unpaged(unpaged: &[Unpaged]) {
    println!(
        "\n{:<22} {:>9} {:>12} {:>12} {:>14}",
        "unpaged list", "rows", "rows/s", "bare rows/s", "memory, MB"
    );
    for one in unpaged {
        println!(
            "{:<22} {:>9} {:>12} {:>12} {:>14}",
            one.list,
            one.rows,
            number(Some(one.rows_per_second())),
            number(Some(one.bare_rows_per_second())),
            number(Some(one.growth_mb)),
        );
    }
}

/// The targets with the bounds.
fn targets(series: &[Series], unpaged: &[Unpaged]) -> Vec<Target> {
    let median = |operation: &str, side: &str, clients: usize| {
        let one = series
            .iter()
            .find(|one| one.operation == operation && one.side == side && one.clients == clients)?;
        one.part_quantile_ms(0, 50)
    };
    // The worst list counts.
    let worst = |values: Vec<Option<f64>>| -> Option<f64> {
        let known: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
        known.into_iter().reduce(f64::max)
    };
    let over_bare = |clients: usize| {
        worst(
            lists::CURSOR_LISTS
                .iter()
                .map(|list| {
                    Some(
                        median(list.operation, lists::MANY, clients)?
                            / median(list.operation, lists::BARE, clients)?,
                    )
                })
                .collect(),
        )
    };
    let flat = |clients: usize| {
        worst(
            lists::CURSOR_LISTS
                .iter()
                .map(|list| {
                    Some(
                        median(list.operation, lists::MANY, clients)?
                            / median(list.operation, lists::FEW, clients)?,
                    )
                })
                .collect(),
        )
    };
    let share = unpaged
        .iter()
        .map(|one| one.rows_per_second() / one.bare_rows_per_second())
        .reduce(f64::min);
    let growth = unpaged.iter().map(|one| one.growth_mb).reduce(f64::max);
    debug_assert_eq!(LIST_PARTS.len(), 1, "a list has one part");
    vec![
        Target::new(
            "cursor lists, 1 client: time over the bare handler's",
            over_bare(1),
            "x",
            Bound::AtMost(1.5),
        ),
        Target::new(
            "cursor lists, 32 clients: time over the bare handler's",
            over_bare(32),
            "x",
            Bound::AtMost(1.5),
        ),
        Target::new(
            "cursor lists, 1 client: 100,000 over 1,000 requests stored",
            flat(1),
            "x",
            Bound::AtMost(1.2),
        ),
        Target::new(
            "cursor lists, 32 clients: 100,000 over 1,000 requests stored",
            flat(32),
            "x",
            Bound::AtMost(1.2),
        ),
        Target::new(
            "unpaged lists: share of the bare handler's rows per second",
            share,
            "x",
            Bound::AtLeast(0.7),
        ),
        Target::new(
            "unpaged lists: memory while the whole tenant is listed",
            growth,
            "MB",
            Bound::AtMost(FLAT_MB),
        ),
    ]
}
