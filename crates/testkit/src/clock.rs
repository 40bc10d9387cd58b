//! A clock that stands still until the test moves it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::Clock;

/// A settable clock. Share it as `Arc<TestClock>`.
#[derive(Debug)]
pub struct TestClock(Mutex<Reading>);

#[derive(Debug)]
struct Reading {
    wall: Timestamp,
    monotonic: Duration,
}

impl TestClock {
    /// A clock that shows `wall`.
    pub fn at(wall: Timestamp) -> Self {
        Self(Mutex::new(Reading { wall, monotonic: Duration::from_secs(1) }))
    }

    /// A clock that shows the machine's time at this moment, and then stands still. For tests
    /// in which a real target, with a clock of its own, takes part.
    #[expect(clippy::disallowed_methods, reason = "the one place where tests read the time")]
    pub fn at_machine_time() -> Self {
        Self::at(Timestamp::now())
    }

    /// Time passes: both readings move on.
    pub fn advance(&self, by: Duration) {
        let mut reading = self.reading();
        let step = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        reading.wall = reading.wall.saturating_add(step).unwrap_or(Timestamp::MAX);
        reading.monotonic = reading.monotonic.saturating_add(by);
    }

    /// Somebody sets the wall clock, forward or back; the monotonic reading stays.
    pub fn set(&self, wall: Timestamp) {
        self.reading().wall = wall;
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestClock {
    /// A clock at noon of a day in the middle of the week, far from any change to or from
    /// daylight saving time.
    fn default() -> Self {
        Self::at(Timestamp::from_second(1_768_392_000).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.reading().wall
    }

    fn monotonic(&self) -> Duration {
        self.reading().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_wall_clock_back_leaves_the_monotonic_reading() {
        let clock = TestClock::default();
        let before = (clock.now(), clock.monotonic());
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.monotonic(), before.1 + Duration::from_secs(5));
        clock.set(before.0);
        assert_eq!(clock.now(), before.0);
        assert_eq!(clock.monotonic(), before.1 + Duration::from_secs(5));
    }
}
