//! Where a test may stop the product: points between two effects.

/// Told of every point between two effects that a process passes. In the product nothing
/// listens; a test may end the process there.
pub trait CrashPoints: Send + Sync + std::fmt::Debug {
    /// The process has come to the point `name`.
    fn reached(&self, name: &'static str);
}

/// Nothing listens: what the product uses.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCrashPoints;

impl CrashPoints for NoCrashPoints {
    fn reached(&self, _name: &'static str) {}
}
