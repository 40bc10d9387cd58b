//! The points between two effects of the server, where the crash sweep may end the process.
//!
//! Each lies right before or right after a commit. A sweep runs the main job once for every
//! point (and again for every further time the point is passed) and expects no access without a
//! record and no record without an end.

/// A request is stored, its caller not yet answered.
pub const REQUEST_FILED: &str = "app.request_filed";
/// A decision is stored, its caller not yet answered.
pub const REQUEST_DECIDED: &str = "app.request_decided";
/// The end of a request is asked for, its caller not yet answered.
pub const REVOKE_ASKED: &str = "app.revoke_asked";
/// A later end is asked for, its caller not yet answered.
pub const EXTENSION_ASKED: &str = "app.extension_asked";
/// Tasks are leased, the connector does not have them yet.
pub const TASKS_LEASED: &str = "app.tasks_leased";
/// A result has arrived and is not stored yet.
pub const RESULT_RECEIVED: &str = "app.result_received";
/// A result is stored, the connector not yet answered.
pub const RESULT_STORED: &str = "app.result_stored";
/// Jobs are claimed and not done yet.
pub const JOBS_CLAIMED: &str = "app.jobs_claimed";
/// A job is done and committed.
pub const JOB_DONE: &str = "app.job_done";
/// Credentials are marked as shown, the grantee does not have them yet.
pub const CREDENTIALS_MARKED: &str = "app.credentials_marked";
/// New credentials are asked for, the caller not yet answered.
pub const RESET_ASKED: &str = "app.reset_asked";

/// Every point, for the sweep.
pub const CRASH_POINTS: &[&str] = &[
    REQUEST_FILED,
    REQUEST_DECIDED,
    REVOKE_ASKED,
    EXTENSION_ASKED,
    TASKS_LEASED,
    RESULT_RECEIVED,
    RESULT_STORED,
    JOBS_CLAIMED,
    JOB_DONE,
    CREDENTIALS_MARKED,
    RESET_ASKED,
];
