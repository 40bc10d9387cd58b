//! Names of the points between two effects of the agent, where a test may stop the process.

/// A task was leased and nothing was done yet.
pub(crate) const LEASED: &str = "connector.leased";
/// The claims of a task and their ends are in the journal; the target was not touched yet.
pub(crate) const JOURNALED: &str = "connector.journaled";
/// The target was changed; nothing else knows.
pub(crate) const APPLIED: &str = "connector.applied";
/// The journal knows what the target holds; the server does not.
pub(crate) const SETTLED: &str = "connector.settled";
/// The server has the result.
pub(crate) const REPORTED: &str = "connector.reported";
/// An end has come; the target was not touched yet.
pub(crate) const EXPIRY_DUE: &str = "connector.expiry_due";
/// The target was changed at an end; nothing else knows.
pub(crate) const EXPIRED: &str = "connector.expired";
/// The journal knows what was ended; the server does not.
pub(crate) const EXPIRY_JOURNALED: &str = "connector.expiry_journaled";
/// A page of a discovery run was taken by the server.
pub(crate) const PAGE_SENT: &str = "connector.page_sent";

/// Every crash point of the agent, for a test that sweeps them.
pub const CRASH_POINTS: &[&str] = &[
    LEASED,
    JOURNALED,
    APPLIED,
    SETTLED,
    REPORTED,
    EXPIRY_DUE,
    EXPIRED,
    EXPIRY_JOURNALED,
    PAGE_SENT,
];
