//! A wall clock that a test sets while the processes that go by it run.

use std::path::PathBuf;

use crate::installation::Installation;

/// A file that says how far a process's clock is off.
#[derive(Debug)]
pub struct ShiftedClock(PathBuf);

impl ShiftedClock {
    /// A clock of this installation, off by so many milliseconds.
    pub fn new(installation: &Installation, name: &str, off_ms: i64) -> Self {
        let clock = Self(installation.folder.path().join(name));
        clock.set(off_ms);
        clock
    }

    /// Sets how far it is off from now on.
    pub fn set(&self, off_ms: i64) {
        // Whole at once: the process reads it at any moment.
        let next = self.0.with_extension("next");
        std::fs::write(&next, off_ms.to_string()).unwrap();
        std::fs::rename(&next, &self.0).unwrap();
    }

    /// The value of `LATCHKEY_FAULT_CLOCK`.
    pub fn path(&self) -> String {
        self.0.display().to_string()
    }
}
