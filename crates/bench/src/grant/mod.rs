//! `bench grant`: from a request to a usable login and back to nothing, beside the same SQL sent
//! by hand and `OpenBao`'s database engine, in one run on one PostgreSQL.
//!
//! The sides take turns, round after round, so that whatever the machine does besides meets all
//! of them alike. A side that could not run leaves its targets unmeasured, and then they do not
//! hold.

mod by_hand;
mod latchkey;
mod live;
mod openbao;
mod rounds;
mod scale;
mod target;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use latchkey_systems::PostgresVersion;
use serde_json::{Map, Value, json};

use self::{
    rounds::Rounds,
    scale::{Counts, Figures, Scale},
    target::Target,
};
use crate::{
    machine,
    report::{Bound, Report, number, print_series},
    run_options::RunOptions,
    samples::Series,
};

/// How `bench grant` is run.
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
    /// PostgreSQL 18 instead of 15.
    #[arg(long)]
    postgres_18: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Issue and revoke at 1, 8 and 32 clients, all sides.
    Rounds,
    /// 400 grants that expire together.
    Together,
    /// 2,441 grants that are revoked at once.
    Outstanding,
    /// A start with 100,000 live grants.
    Live,
}

impl Options {
    fn measures(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

/// Runs the benchmark, prints its table, writes its file.
pub(crate) async fn run(options: Options) -> Result<()> {
    let version = if options.postgres_18 { PostgresVersion::V18 } else { PostgresVersion::V15 };
    println!("Starting PostgreSQL {}, fsync on", version.major());
    let target = Arc::new(Target::open(&options.run.provisioner, version)?);
    let scratch = tempfile::Builder::new().prefix("latchkey-bench-").tempdir()?;
    let machine = machine::describe(scratch.path());
    let mut common = common(&options, &target).await?;

    let mut series = Vec::new();
    let mut figures = Figures::default();
    let counts = Counts::new(options.run.tenth);
    let mut scale = Scale::start(&options.run.program, scratch.path(), &target, counts).await?;
    figures.idle_bytes = Some(scale.idle_bytes().await?);
    if options.measures(Part::Rounds) {
        let rounds = Rounds { quick: options.quick, folder: scratch.path(), target: &target };
        let measured = rounds.run(&scale).await?;
        common.insert("openbao".to_owned(), json!(measured.openbao_version));
        series = measured.series;
        figures.after_load_bytes = Some(scale.resident_bytes()?);
    }
    if options.measures(Part::Together) {
        figures.together = Some(scale.expire_together(&target).await?);
    }
    if options.measures(Part::Outstanding) {
        figures.outstanding = Some(scale.revoke_at_once(&target).await?);
    }
    scale.stop()?;
    if options.measures(Part::Live) {
        figures.live = Some(
            scale::start_with_live_grants(
                &options.run.program,
                scratch.path(),
                &target,
                counts,
                options.quick,
            )
            .await?,
        );
    }

    let targets = targets(&series, &figures);
    let mut rows: Vec<Map<String, Value>> = series.iter().map(Series::row).collect();
    rows.extend(figures.rows());
    let report = Report::new(machine, rows, &common, targets);
    print_series(&series);
    figures.print();
    report.print_targets();
    println!("\nOpenBao's dev mode keeps its storage in memory: it waits for no disk of its own.");
    report.write(&options.run.out)?;
    println!("wrote {}", options.run.out.display());
    Ok(())
}

/// What every row says about the run.
async fn common(options: &Options, target: &Target) -> Result<Map<String, Value>> {
    let watcher = target.watcher().await?;
    let mut settings = Map::new();
    for name in ["fsync", "synchronous_commit", "full_page_writes", "max_connections"] {
        let shown: String = watcher
            .query_one("SELECT current_setting($1)", &[&name])
            .await
            .with_context(|| format!("the setting {name}"))?
            .get(0);
        settings.insert(format!("postgresql.{name}"), json!(shown));
    }
    settings.insert("latchkey.database".to_owned(), json!("SQLite, WAL, synchronous=FULL"));
    settings.insert("latchkey.connector".to_owned(), json!("local, journal fsynced"));
    settings.insert("openbao.storage".to_owned(), json!("in memory (dev mode)"));
    settings.insert("quick".to_owned(), json!(options.quick));
    settings.insert("tenth".to_owned(), json!(options.run.tenth));
    let server: String = watcher.query_one("SHOW server_version", &[]).await?.get(0);
    Ok(Map::from_iter([
        ("commit".to_owned(), json!(options.run.commit)),
        (
            "versions".to_owned(),
            json!({ "latchkey": env!("CARGO_PKG_VERSION"), "postgresql": server }),
        ),
        ("settings".to_owned(), Value::Object(settings)),
    ]))
}

/// The targets with the bounds.
fn targets(series: &[Series], figures: &Figures) -> Vec<crate::report::Target> {
    use crate::report::Target as Held;

    let find = |side: &str, clients: usize| {
        series
            .iter()
            .find(|one| one.operation == "issue" && one.side == side && one.clients == clients)
    };
    let rate = |side: &str, clients| find(side, clients).and_then(Series::per_second);
    let share = |clients| {
        let own = rate(latchkey::SIDE, clients)?;
        Some(own / rate(by_hand::SIDE, clients)?)
    };
    // Ahead of both kinds of statements is ahead of the faster.
    let lead = |clients| {
        let own = rate(latchkey::SIDE, clients)?;
        let [one, other] = openbao::Statements::ALL.map(|s| rate(s.side(), clients));
        Some(own / one?.max(other?))
    };
    let over = || {
        let own = find(latchkey::SIDE, 1)?.quantile_ms(50)?;
        Some(own - find(by_hand::SIDE, 1)?.quantile_ms(50)?)
    };
    vec![
        Held::new("issue, 8 clients: share of (a)'s rate", share(8), "x", Bound::AtLeast(0.6)),
        Held::new("issue, 32 clients: share of (a)'s rate", share(32), "x", Bound::AtLeast(0.6)),
        Held::new("issue, 8 clients: rate over (b)'s", lead(8), "x", Bound::MoreThan(1.0)),
        Held::new("issue, 32 clients: rate over (b)'s", lead(32), "x", Bound::MoreThan(1.0)),
        Held::new("issue, 1 client: p50 over (a)'s", over(), "ms", Bound::AtMost(4.0)),
        Held::new(
            "400 expiring together: last gone after due",
            figures.together.as_ref().and_then(scale::Together::last_gone_s),
            "s",
            Bound::AtMost(2.0),
        ),
        Held::new(
            "2,441 outstanding, revoked at once: last receipt",
            figures.outstanding.as_ref().and_then(scale::Outstanding::last_receipt_s),
            "s",
            Bound::AtMost(10.0),
        ),
        Held::new(
            "start with 100,000 live grants",
            figures.live.as_ref().and_then(scale::Live::start_s),
            "s",
            Bound::AtMost(5.0),
        ),
        Held::new(
            "idle server, resident",
            figures.idle_bytes.map(machine::megabytes),
            "MB",
            Bound::AtMost(60.0),
        ),
    ]
}

/// `12.3 MB`.
fn megabytes(bytes: Option<u64>) -> String {
    format!("{} MB", number(bytes.map(machine::megabytes)))
}
