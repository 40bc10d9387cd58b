//! Named steps with their times, so that a slow one shows.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Measures wall time; a build step's time is not the product's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "times steps of a build, not the product")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Runs steps in order and remembers how long each took.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Runs one step; its error names it.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        println!("\n━━ {name}");
        let watch = Stopwatch::start();
        let result = step();
        let took = watch.elapsed();
        self.done.push((name, took));
        println!(
            "━━ {name}: {} in {:.1} s",
            if result.is_ok() { "ok" } else { "FAILED" },
            took.as_secs_f64()
        );
        result.with_context(|| name.to_owned())
    }

    /// Prints all times.
    pub(crate) fn print_times(&self) {
        println!("\nstep                          seconds");
        for (name, took) in &self.done {
            println!("{name:<28} {:>8.1}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        println!("{:<28} {:>8.1}", "all", total.as_secs_f64());
    }
}
