//! How a command ends badly: one sentence that says what to do, and an exit code. 2 is wrong
//! usage and comes from the argument parser; everything else is 1.

use std::fmt;

/// Why a command ended badly.
#[derive(Debug)]
pub struct Fault(String);

impl Fault {
    /// A fault in these words. They never hold a secret.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}
