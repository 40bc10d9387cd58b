//! Randomness that repeats: the same seed gives the same run.

use std::sync::{Mutex, PoisonError};

use latchkey_domain::Rng;
use rand::{RngCore, SeedableRng, rngs::StdRng};

/// Random bytes from a seed. Share it as `Arc<SeededRng>`. Never fit for real keys.
#[derive(Debug)]
pub struct SeededRng(Mutex<StdRng>);

impl SeededRng {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Default for SeededRng {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Rng for SeededRng {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(buffer);
    }
}

/// Randomness that does not repeat, for names that must not clash between test processes.
#[expect(clippy::disallowed_methods, reason = "names must differ between test processes")]
pub(crate) fn machine_random() -> SeededRng {
    SeededRng(Mutex::new(StdRng::from_os_rng()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let read = |seed| {
            let mut bytes = [0; 16];
            SeededRng::new(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(read(7), read(7));
        assert_ne!(read(7), read(8));
    }
}
