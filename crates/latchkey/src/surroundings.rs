//! What a process stands on: clock, randomness, and (in the test binary only) places to crash at.

use std::sync::Arc;

use latchkey_domain::{
    Clock, Rng,
    faults::{CrashPoints, NoCrashPoints},
};

use crate::{
    shared_clock::SharedClock,
    system::{OsRng, SystemClock},
};

/// What every command is handed.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The clock: the machine's, or the database's once one is open that has a clock.
    pub clock: Arc<dyn Clock>,
    /// The same clock, for whoever opens a database.
    pub(crate) shared_clock: Arc<SharedClock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// Where a test may end the process; nowhere in the product.
    pub crash_points: Arc<dyn CrashPoints>,
}

impl Surroundings {
    /// The machine's clock and randomness.
    pub fn of_the_machine() -> Self {
        let clock = Arc::new(SystemClock::start());
        Self::new(clock, Arc::new(OsRng), Arc::new(NoCrashPoints))
    }

    /// Surroundings over a machine's clock.
    pub(crate) fn new(
        machine: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        crash_points: Arc<dyn CrashPoints>,
    ) -> Self {
        let clock = Arc::new(SharedClock::new(machine));
        Self { clock: clock.clone(), shared_clock: clock, rng, crash_points }
    }
}
