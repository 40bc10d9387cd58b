//! What a measurement says: rows with raw samples, and targets with their bounds.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::statistics::Samples;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Value,
    rows: Vec<Row>,
    targets: Vec<Target>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) clients: usize,
    pub(crate) per_second: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// Every single measurement, in milliseconds unless the row says otherwise.
    pub(crate) samples: Vec<f64>,
    /// Versions, settings, parts: what it takes to repeat and to read the row.
    pub(crate) notes: Map<String, Value>,
}

/// A bound and whether it holds.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    name: String,
    value: Option<f64>,
    unit: &'static str,
    bound: String,
    holds: bool,
}

/// Which side of the bound is good.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Report {
    pub(crate) fn new(commit: &str) -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let cpu = read("/proc/cpuinfo").lines().find_map(|line| {
            line.strip_prefix("model name")
                .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
        });
        let memory = read("/proc/meminfo").lines().next().map(str::to_owned);
        let load = read("/proc/loadavg");
        let machine = json!({
            "cpu": cpu,
            "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            "memory": memory,
            "kernel": read("/proc/sys/kernel/osrelease").trim(),
            "load_at_start": load.trim(),
            "commit": commit,
        });
        Self { machine, rows: Vec::new(), targets: Vec::new() }
    }

    pub(crate) fn row(&mut self, row: Row) {
        row.print();
        self.rows.push(row);
    }

    /// A target; without a value it does not hold.
    pub(crate) fn target(
        &mut self,
        name: &str,
        value: Option<f64>,
        unit: &'static str,
        bound: Bound,
    ) {
        let (words, holds) = match bound {
            Bound::AtLeast(least) => {
                (format!(">= {least:.3}"), value.is_some_and(|value| value >= least))
            }
            Bound::AtMost(most) => {
                (format!("<= {most:.3}"), value.is_some_and(|value| value <= most))
            }
        };
        self.targets.push(Target { name: name.to_owned(), value, unit, bound: words, holds });
    }

    pub(crate) fn print(&self) {
        println!(
            "\n{:<48} {:>7} {:>9} {:>10} {:>10}",
            "what", "clients", "per s", "p50 ms", "p99 ms"
        );
        for row in &self.rows {
            row.print();
        }
        println!("\n{:<60} {:>12} {:<10} {:<14} holds", "target", "value", "unit", "bound");
        for target in &self.targets {
            let value = target.value.map_or("not run".to_owned(), |value| format!("{value:.2}"));
            println!(
                "{:<60} {value:>12} {:<10} {:<14} {}",
                target.name,
                target.unit,
                target.bound,
                if target.holds { "yes" } else { "NO" }
            );
        }
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, serde_json::to_string_pretty(self)?)?;
        println!("\nwrote {}", file.display());
        Ok(())
    }
}

impl Row {
    /// A row over samples taken by `clients` at once in `seconds` of wall time.
    pub(crate) fn of(
        what: &str,
        clients: usize,
        samples: &Samples,
        seconds: f64,
        notes: &Value,
    ) -> Self {
        let per_second = (seconds > 0.0).then(|| samples.count() / seconds);
        Self {
            what: what.to_owned(),
            clients,
            per_second,
            p50_ms: samples.percentile(50),
            p99_ms: samples.percentile(99),
            samples: samples.sorted().to_vec(),
            notes: notes.as_object().cloned().unwrap_or_default(),
        }
    }

    fn print(&self) {
        let number =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
        println!(
            "{:<48} {:>7} {:>9} {:>10} {:>10}",
            self.what,
            self.clients,
            number(self.per_second),
            number(self.p50_ms),
            number(self.p99_ms)
        );
    }
}
