//! What a process stands on: clock, randomness, and (in the test binary only) places to crash at.

use std::sync::Arc;

use latchkey_domain::{
    Clock, Rng,
    faults::{CrashPoints, NoCrashPoints},
};

use crate::system::{OsRng, SystemClock};

/// What every command is handed.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Where a test may end the process; nowhere in the product.
    pub crash_points: Arc<dyn CrashPoints>,
}

impl Surroundings {
    /// The machine's clock and randomness.
    pub fn of_the_machine() -> Self {
        Self {
            clock: Arc::new(SystemClock::start()),
            rng: Arc::new(OsRng),
            crash_points: Arc::new(NoCrashPoints),
        }
    }
}
