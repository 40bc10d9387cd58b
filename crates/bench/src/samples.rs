//! What was measured, sample by sample. Summaries are made from the samples and never stored in
//! their place.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// How long one repetition took, part by part, in the order of the series' parts.
#[derive(Debug, Clone)]
pub(crate) struct Sample(pub(crate) Vec<Duration>);

impl Sample {
    fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}

/// Repetitions of one operation by one side under one load.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// What was done: `issue` or `revoke`.
    pub(crate) operation: &'static str,
    /// Who did it.
    pub(crate) side: &'static str,
    /// How many clients worked at once.
    pub(crate) clients: usize,
    /// What the parts of a sample are.
    pub(crate) parts: &'static [&'static str],
    /// Every repetition.
    pub(crate) samples: Vec<Sample>,
    /// How long the clients were at it together, all rounds.
    pub(crate) busy: Duration,
}

impl Series {
    /// Nothing measured yet.
    pub(crate) fn new(
        operation: &'static str,
        side: &'static str,
        clients: usize,
        parts: &'static [&'static str],
    ) -> Self {
        Self { operation, side, clients, parts, samples: Vec::new(), busy: Duration::ZERO }
    }

    /// Takes in what one round measured.
    pub(crate) fn add(&mut self, samples: Vec<Sample>, busy: Duration) {
        self.samples.extend(samples);
        self.busy += busy;
    }

    /// Repetitions per second of all clients together; `None` before the first.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let done = f64::from(u32::try_from(self.samples.len()).ok()?);
        let busy = self.busy.as_secs_f64();
        (busy > 0.0).then_some(done / busy)
    }

    /// The duration that `percent` of the repetitions did not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, percent: usize) -> Option<f64> {
        quantile(self.samples.iter().map(Sample::total).collect(), percent)
    }

    /// The same for one part.
    pub(crate) fn part_quantile_ms(&self, part: usize, percent: usize) -> Option<f64> {
        let durations = self.samples.iter().filter_map(|sample| sample.0.get(part).copied());
        quantile(durations.collect(), percent)
    }

    /// The row of the report, raw samples included.
    pub(crate) fn row(&self) -> Map<String, Value> {
        let mut parts = Map::new();
        for (index, part) in self.parts.iter().enumerate() {
            let raw: Vec<f64> = self
                .samples
                .iter()
                .filter_map(|sample| sample.0.get(index).map(|part| millis(*part)))
                .collect();
            parts.insert(
                (*part).to_owned(),
                json!({
                    "p50_ms": self.part_quantile_ms(index, 50),
                    "p99_ms": self.part_quantile_ms(index, 99),
                    "samples_ms": raw,
                }),
            );
        }
        let mut row = Map::new();
        row.insert("name".to_owned(), json!(self.operation));
        row.insert("side".to_owned(), json!(self.side));
        row.insert("clients".to_owned(), json!(self.clients));
        row.insert("requests_per_second".to_owned(), json!(self.per_second()));
        row.insert("p50_ms".to_owned(), json!(self.quantile_ms(50)));
        row.insert("p99_ms".to_owned(), json!(self.quantile_ms(99)));
        row.insert("repetitions".to_owned(), json!(self.samples.len()));
        row.insert("busy_s".to_owned(), json!(self.busy.as_secs_f64()));
        row.insert("parts".to_owned(), Value::Object(parts));
        let totals: Vec<f64> = self.samples.iter().map(|sample| millis(sample.total())).collect();
        row.insert("samples_ms".to_owned(), json!(totals));
        row
    }
}

/// Milliseconds, to the microsecond.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The nearest rank: the smallest sample that `percent` of all do not exceed.
fn quantile(mut durations: Vec<Duration>, percent: usize) -> Option<f64> {
    durations.sort_unstable();
    let rank = (durations.len() * percent).div_ceil(100).max(1);
    durations.get(rank - 1).map(|duration| millis(*duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let all: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile(all.clone(), 50), Some(100.0));
        assert_eq!(quantile(all.clone(), 99), Some(198.0));
        assert_eq!(quantile(vec![Duration::from_millis(7)], 99), Some(7.0));
        assert_eq!(quantile(Vec::new(), 50), None);
    }

    #[test]
    fn a_rate_counts_repetitions_over_the_time_of_all_rounds() {
        let mut series = Series::new("issue", "here", 2, &["all"]);
        let sample = || Sample(vec![Duration::from_millis(5)]);
        series.add(vec![sample(), sample()], Duration::from_millis(500));
        series.add(vec![sample(), sample()], Duration::from_millis(500));
        assert_eq!(series.per_second(), Some(4.0));
    }
}
