//! Time, and what samples of it say.

use std::time::{Duration, Instant, SystemTime};

/// A running stopwatch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a measurement takes real time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "a measurement takes real time")]
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn milliseconds(self) -> f64 {
        self.elapsed().as_secs_f64() * 1000.0
    }

    pub(crate) fn seconds(self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

/// Seconds since 1970, for comparison with the ends that the server fixed.
#[expect(clippy::disallowed_methods, reason = "a measurement takes real time")]
pub(crate) fn wall_clock() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Samples in milliseconds, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }

    pub(crate) fn sorted(&self) -> &[f64] {
        &self.0
    }

    pub(crate) fn count(&self) -> f64 {
        u32::try_from(self.0.len()).map_or(f64::MAX, f64::from)
    }

    /// The smallest sample that `percent` of all do not exceed (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let samples = Samples::of((1..=200).rev().map(f64::from).collect());
        assert_eq!(samples.percentile(50), Some(100.0));
        assert_eq!(samples.percentile(99), Some(198.0));
        assert_eq!(Samples::default().percentile(50), None);
        assert_eq!(Samples::of(vec![7.0]).percentile(99), Some(7.0));
    }
}
