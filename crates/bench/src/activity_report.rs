//! `bench activity-report`: a CSV report of a million rows over HTTP. What matters is that the
//! server holds a page of rows and never the file, and that the first line comes at once.
//!
//! No rival writes this file, so no target is held to one; the figures stand in the table.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::{
    api::Tenant,
    http::text_of,
    machine::{self, megabytes},
    report::{Report, number},
    run_options::RunOptions,
};

/// Rows of the report.
const ROWS: usize = 1_000_000;
const PEOPLE: usize = 1_000;

/// How `bench activity-report` is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    run: RunOptions,
}

/// What one run of the report took.
struct Run {
    lines: usize,
    bytes: usize,
    first: Duration,
    whole: Duration,
    growth_mb: f64,
}

/// Runs the benchmark, prints its table, writes its file.
pub(crate) async fn run(options: Options) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix("latchkey-bench-").tempdir()?;
    let machine = machine::describe(scratch.path());
    let rows = if options.run.tenth { ROWS / 10 } else { ROWS };
    println!("Storing {rows} requests");
    let folder = scratch.path().join("tenant");
    let mut tenant = Tenant::create(&options.run.program, folder, PEOPLE, 1, rows).await?;
    tenant.start().await?;
    let report = define(&tenant).await?;
    println!("{:>12} {:>10} {:>12} {:>14} {:>12}", "rows", "s", "rows/s", "first line, ms", "MB");
    let mut runs = Vec::new();
    // The first run also warms what is made once, so the second tells what a run takes.
    for _ in 0..2 {
        let one = measure(&tenant, &report).await?;
        if one.lines != rows {
            bail!("the report has {} rows; {rows} requests are stored", one.lines);
        }
        println!(
            "{:>12} {:>10.1} {:>12} {:>14.1} {:>12.1}",
            one.lines,
            one.whole.as_secs_f64(),
            number(Some(one.rows_per_second())),
            one.first.as_secs_f64() * 1000.0,
            one.growth_mb
        );
        runs.push(one.row());
    }
    tenant.stop()?;
    let common = Map::from_iter([
        ("commit".to_owned(), json!(options.run.commit)),
        ("versions".to_owned(), json!({ "latchkey": env!("CARGO_PKG_VERSION") })),
        (
            "settings".to_owned(),
            json!({
                "database": "SQLite, WAL, synchronous=FULL", "people": PEOPLE,
                "tenth": options.run.tenth,
            }),
        ),
    ]);
    Report::new(machine, runs, &common, Vec::new())
        .write(&options.run.out)
        .context("the report")?;
    println!("wrote {}", options.run.out.display());
    Ok(())
}

/// Saves the report; returns its id. It has all columns of the last ten years.
async fn define(tenant: &Tenant) -> Result<String> {
    let body = json!({
        "name": "Everything",
        "fields": null,
        "filters": {},
        "timeframe": { "relative": { "last": 120, "unit": "month" } },
        "schedule": null,
        "format": "csv",
    });
    let path = "/api/admin/v1/activity-reports";
    let made = tenant.server().post(&tenant.writer.token, path, body).await?;
    text_of(&made, "id")
}

async fn measure(tenant: &Tenant, report: &str) -> Result<Run> {
    let clock = tenant.clock();
    let pid = tenant.pid()?;
    let before = machine::resident_bytes(pid)?;
    machine::forget_peak(pid)?;
    let began = clock.monotonic();
    let path = format!("/api/admin/v1/activity-reports/{report}/run?format=csv");
    let timer = Arc::clone(&clock);
    let (mut bytes, mut ends, mut first) = (0, 0, None);
    tenant
        .server()
        .pieces(&tenant.reader.token, &path, |piece| {
            bytes += piece.len();
            // Cells are quoted, and none of these holds a line break.
            ends += piece.split(|byte| *byte == b'\n').count().saturating_sub(1);
            // The head comes in the first piece by itself.
            if ends > 1 && first.is_none() {
                first = Some(timer.monotonic());
            }
        })
        .await?;
    let whole = clock.monotonic().saturating_sub(began);
    let first = first.context("the report has no rows")?.saturating_sub(began);
    let growth = machine::peak_bytes(pid)?.saturating_sub(before);
    Ok(Run { lines: ends.saturating_sub(1), bytes, first, whole, growth_mb: megabytes(growth) })
}

impl Run {
    fn rows_per_second(&self) -> f64 {
        f64::from(u32::try_from(self.lines).unwrap_or(u32::MAX)) / self.whole.as_secs_f64()
    }

    fn row(&self) -> Map<String, Value> {
        Map::from_iter([
            ("name".to_owned(), json!("activity report, CSV")),
            ("rows".to_owned(), json!(self.lines)),
            ("bytes".to_owned(), json!(self.bytes)),
            ("seconds".to_owned(), json!(self.whole.as_secs_f64())),
            ("rows_per_second".to_owned(), json!(self.rows_per_second())),
            ("first_row_ms".to_owned(), json!(self.first.as_secs_f64() * 1000.0)),
            ("memory_growth_mb".to_owned(), json!(self.growth_mb)),
        ])
    }
}
