//! How long something took, again and again, to the nanosecond: a decision takes less than a
//! microsecond of the report's other benchmarks' milliseconds.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// Repetitions of one thing under one load.
#[derive(Debug, Clone)]
pub(crate) struct Timings {
    pub(crate) what: String,
    pub(crate) side: &'static str,
    pub(crate) resources: u64,
    pub(crate) flows: u64,
    /// Of a hundred flows, about how many concern a person.
    pub(crate) share: u64,
    /// Microseconds, ascending once [`Self::done`].
    micros: Vec<f64>,
}

/// One figure that is no duration of many.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) side: &'static str,
    pub(crate) resources: u64,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Timings {
    pub(crate) fn new(
        what: impl Into<String>,
        side: &'static str,
        resources: u64,
        flows: u64,
        share: u64,
    ) -> Self {
        Self { what: what.into(), side, resources, flows, share, micros: Vec::new() }
    }

    /// Takes in how long one repetition took.
    pub(crate) fn add(&mut self, took: Duration) {
        self.micros.push(took.as_secs_f64() * 1e6);
    }

    /// Sorts what was taken in.
    pub(crate) fn done(mut self) -> Self {
        self.micros.sort_unstable_by(f64::total_cmp);
        self
    }

    pub(crate) fn count(&self) -> usize {
        self.micros.len()
    }

    /// The smallest that `percent` of all do not exceed, in microseconds; 0 of nothing.
    pub(crate) fn quantile_us(&self, percent: usize) -> f64 {
        let rank = (self.micros.len() * percent).div_ceil(100).max(1);
        self.micros.get(rank - 1).copied().unwrap_or_default()
    }

    /// The row of the report, raw samples included.
    pub(crate) fn row(&self) -> Map<String, Value> {
        let rounded = |micros: &f64| (micros * 1e3).round() / 1e3;
        let samples: Vec<f64> = self.micros.iter().map(rounded).collect();
        Map::from_iter([
            ("name".to_owned(), json!(self.what)),
            ("side".to_owned(), json!(self.side)),
            ("resources".to_owned(), json!(self.resources)),
            ("flows".to_owned(), json!(self.flows)),
            ("share_of_flows_percent".to_owned(), json!(self.share)),
            ("p50_us".to_owned(), json!(self.quantile_us(50))),
            ("p99_us".to_owned(), json!(self.quantile_us(99))),
            ("repetitions".to_owned(), json!(self.micros.len())),
            ("samples_us".to_owned(), json!(samples)),
        ])
    }
}

impl Figure {
    /// The row of the report.
    pub(crate) fn row(&self) -> Map<String, Value> {
        Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("side".to_owned(), json!(self.side)),
            ("resources".to_owned(), json!(self.resources)),
            ("value".to_owned(), json!(self.value)),
            ("unit".to_owned(), json!(self.unit)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut timings = Timings::new("t", "s", 1, 1, 1);
        (1..=200).rev().for_each(|n| timings.add(Duration::from_micros(n)));
        let timings = timings.done();
        assert!((timings.quantile_us(50) - 100.0).abs() < 1e-6);
        assert!((timings.quantile_us(99) - 198.0).abs() < 1e-6);
        assert!(Timings::new("t", "s", 1, 1, 1).done().quantile_us(50).abs() < 1e-6);
    }
}
