//! The machine's clock and randomness: the only place in the product that asks for them.
//! Everything else is handed [`Clock`] and [`Rng`].

use std::time::{Duration, Instant};

use jiff::Timestamp;
use latchkey_domain::{Clock, Rng};

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// The clock; its monotonic reading counts from here.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRng;

impl Rng for OsRng {
    #[expect(clippy::disallowed_methods, reason = "this is where randomness comes from")]
    fn fill(&self, buffer: &mut [u8]) {
        // Keys made without randomness would be worse than no process at all.
        if getrandom::fill(buffer).is_err() {
            std::process::abort();
        }
    }
}
