//! One table for people and one JSON file for programs, of the same form for every benchmark:
//! `{"machine":…,"rows":[…],"targets":[{"name","value","unit","bound","holds"}]}`.
//!
//! A target that could not be measured does not hold: nothing passes by not having run.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::samples::Series;

/// What a figure is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    MoreThan(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::MoreThan(bound) => value > bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {bound}"),
            Self::MoreThan(bound) => format!("> {bound}"),
            Self::AtMost(bound) => format!("<= {bound}"),
        }
    }
}

/// A promise about a figure.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    name: &'static str,
    value: Option<f64>,
    unit: &'static str,
    bound: String,
    holds: bool,
}

impl Target {
    /// Holds `value` to `bound`; without a value it does not hold.
    pub(crate) fn new(
        name: &'static str,
        value: Option<f64>,
        unit: &'static str,
        bound: Bound,
    ) -> Self {
        let holds = value.is_some_and(|value| bound.holds(value));
        Self { name, value, unit, bound: bound.words(), holds }
    }
}

/// The file's content.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Value,
    rows: Vec<Value>,
    targets: Vec<Target>,
}

impl Report {
    /// A report without rows. Every row will carry `common`: commit, versions, settings.
    pub(crate) fn new(
        machine: Value,
        rows: Vec<Map<String, Value>>,
        common: &Map<String, Value>,
        targets: Vec<Target>,
    ) -> Self {
        let rows = rows
            .into_iter()
            .map(|mut row| {
                row.extend(common.clone());
                Value::Object(row)
            })
            .collect();
        Self { machine, rows, targets }
    }

    /// Writes the file.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let place = || format!("cannot write {}", file.display());
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(place)?;
        }
        fs::write(file, serde_json::to_string(self)?).with_context(place)
    }

    /// Prints the targets.
    pub(crate) fn print_targets(&self) {
        println!("\n{:<58} {:>10}  {:<8} {:<8} holds", "target", "value", "unit", "bound");
        for target in &self.targets {
            println!(
                "{:<58} {:>10}  {:<8} {:<8} {}",
                target.name,
                number(target.value),
                target.unit,
                target.bound,
                if target.holds { "yes" } else { "NO" }
            );
        }
    }
}

/// Prints series side by side, each with its parts.
pub(crate) fn print_series(series: &[Series]) {
    println!(
        "\n{:<8} {:<26} {:>7} {:>6} {:>9} {:>9} {:>9}  p50 of its parts, ms",
        "", "side", "clients", "n", "per s", "p50 ms", "p99 ms"
    );
    for one in series {
        let parts: Vec<String> = one
            .parts
            .iter()
            .enumerate()
            .map(|(index, part)| format!("{part} {}", number(one.part_quantile_ms(index, 50))))
            .collect();
        println!(
            "{:<8} {:<26} {:>7} {:>6} {:>9} {:>9} {:>9}  {}",
            one.operation,
            one.side,
            one.clients,
            one.samples.len(),
            number(one.per_second()),
            number(one.quantile_ms(50)),
            number(one.quantile_ms(99)),
            parts.join(", ")
        );
    }
}

/// A figure for people; a dash where there is none.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_does_not_hold() {
        assert!(!Target::new("t", None, "s", Bound::AtMost(2.0)).holds);
        assert!(Target::new("t", Some(2.0), "s", Bound::AtMost(2.0)).holds);
        assert!(!Target::new("t", Some(1.0), "x", Bound::MoreThan(1.0)).holds);
        assert!(Target::new("t", Some(0.6), "x", Bound::AtLeast(0.6)).holds);
    }

    #[test]
    fn the_file_has_the_form_that_every_benchmark_keeps() {
        let common = Map::from_iter([("commit".to_owned(), Value::from("c"))]);
        let row = Map::from_iter([("name".to_owned(), Value::from("issue"))]);
        let targets = vec![Target::new("t", Some(1.0), "s", Bound::AtMost(2.0))];
        let report = Report::new(Value::Null, vec![row], &common, targets);
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            "{\"machine\":null,\"rows\":[{\"name\":\"issue\",\"commit\":\"c\"}],\
             \"targets\":[{\"name\":\"t\",\"value\":1.0,\"unit\":\"s\",\"bound\":\"<= 2\",\
             \"holds\":true}]}"
        );
    }
}
