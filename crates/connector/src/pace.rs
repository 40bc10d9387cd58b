//! Waiting. Two rules: what is promised by the clock (leases, ends of access) is measured on the
//! injected [`Clock`], and looked at no later than every [`GLANCE`] of real time, so that a clock
//! that was moved is noticed; what is only politeness (pauses between tries) passes by real time
//! as well, so that a clock that stands still stops nothing.

use std::time::Duration;

use latchkey_domain::clock::{Clock, Rng};
use latchkey_integrations::LeaseEnd;

/// How long the agent looks away from a clock at most.
pub(crate) const GLANCE: Duration = Duration::from_millis(200);

/// The shortest sleep, so that a deadline a hair away does not spin.
const SHORTEST: Duration = Duration::from_millis(1);

/// Counts a pause by real time and by the clock; whichever is further counts.
#[derive(Debug)]
pub(crate) struct Pause<'a> {
    clock: &'a dyn Clock,
    began: Duration,
    slept: Duration,
}

impl<'a> Pause<'a> {
    /// A pause that begins now.
    pub(crate) fn begin(clock: &'a dyn Clock) -> Self {
        Self { clock, began: clock.monotonic(), slept: Duration::ZERO }
    }

    /// How long it has lasted.
    pub(crate) fn lasted(&self) -> Duration {
        self.slept.max(self.clock.monotonic().saturating_sub(self.began))
    }

    /// Sleeps on for `span`, but no longer than a glance.
    pub(crate) async fn sleep(&mut self, span: Duration) {
        let slice = span.clamp(SHORTEST, GLANCE);
        tokio::time::sleep(slice).await;
        self.slept += slice;
    }
}

/// Waits until `span` has passed, by real time or by the clock.
pub(crate) async fn pause(clock: &dyn Clock, span: Duration) {
    let mut pause = Pause::begin(clock);
    while let Some(left) = span.checked_sub(pause.lasted()).filter(|left| !left.is_zero()) {
        pause.sleep(left).await;
    }
}

/// Waits until a lease is over, by the clock alone.
pub(crate) async fn until_over(clock: &dyn Clock, lease: &LeaseEnd) {
    while let Some(left) = lease.get().checked_sub(clock.monotonic()).filter(|left| !left.is_zero())
    {
        tokio::time::sleep(left.clamp(SHORTEST, GLANCE)).await;
    }
}

/// A span between half of `longest` and `longest`, so that many processes do not call at once.
pub(crate) fn jittered(rng: &dyn Rng, longest: Duration) -> Duration {
    let [byte] = rng.bytes();
    longest / 2 + longest.mul_f64(f64::from(byte) / 512.0)
}
