//! Durable jobs: timers and periodic work of the server.
//!
//! A job is a row. A server claims it for ten seconds, does the work and finishes the row in
//! the same transaction, so a job that ran is a job that is gone, and one that was cut short
//! runs again. Every handler looks at the state it finds, so running twice changes nothing.

mod handlers;
mod runner;

use jiff::Timestamp;
use latchkey_domain::ids::{ReportId, RequestId};

pub use runner::{run_due_jobs, run_jobs_until};

/// The end of a request has come.
pub const EXPIRE_REQUEST: &str = "expire_request";
/// Nobody decided about a request in time.
pub const EXPIRE_APPROVAL: &str = "expire_approval";
/// Approvers have not decided in time: the next tier is told.
pub const ESCALATE: &str = "escalate";
/// Granting has been tried for long enough.
pub const GIVE_UP_GRANTING: &str = "give_up_granting";
/// An integration is due for discovery.
pub const SYNC_INTEGRATION: &str = "sync_integration";
/// An integration is due for a search for access that nothing explains.
pub const RECONCILE_INTEGRATION: &str = "reconcile_integration";
/// A report is due to go out.
pub const SEND_REPORT: &str = "send_report";
/// Access is about to end.
pub const REMIND_OF_END: &str = "remind_of_end";

/// The dedupe key of the timer that ends `request`.
pub fn expiry_key(request: &RequestId) -> String {
    format!("{EXPIRE_REQUEST}:{request}")
}

/// The dedupe key of the timer that cancels `request` when nobody decides.
pub fn approval_expiry_key(request: &RequestId) -> String {
    format!("{EXPIRE_APPROVAL}:{request}")
}

/// The dedupe key of the timer that tells the next tier about `request`.
pub fn escalation_key(request: &RequestId) -> String {
    format!("{ESCALATE}:{request}")
}

/// The dedupe key of the timer after which granting `request` is given up.
pub fn grant_deadline_key(request: &RequestId) -> String {
    format!("{GIVE_UP_GRANTING}:{request}")
}

/// The dedupe key of one occurrence of `report`.
pub fn report_key(report: &ReportId, occurrence: Timestamp) -> String {
    format!("{SEND_REPORT}:{report}:{}", occurrence.as_second())
}

/// The dedupe key of the timer that tells the people of `request` about its end.
pub fn reminder_key(request: &RequestId) -> String {
    format!("{REMIND_OF_END}:{request}")
}
