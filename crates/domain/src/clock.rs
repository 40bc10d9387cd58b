//! Where time and randomness come from.
//!
//! Every crate takes these two traits instead of asking the operating system, so that a test
//! can hold the clock still, move it across an expiry, and repeat a run byte for byte.

use std::time::Duration;

use jiff::Timestamp;

/// A source of the present time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall-clock time now, in UTC.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary fixed point that never goes backwards, whatever happens to the
    /// wall clock. Leases are measured with it.
    fn monotonic(&self) -> Duration;
}

/// A source of random bytes fit for keys, tokens and passwords.
pub trait Rng: Send + Sync + std::fmt::Debug {
    /// Fills `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

impl dyn Rng + '_ {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut buffer = [0; N];
        self.fill(&mut buffer);
        buffer
    }
}
