//! How access begins and ends.
//!
//! Every function here works inside the caller's transaction and leaves the database in a state
//! from which the work goes on by itself: the change of state, its audit record, the task for
//! the connector and the timers are one commit. Nothing is done because of memory.
//!
//! Locks are taken in one order everywhere, so that transactions wait for each other instead of
//! deadlocking: the (grantee, integration) rows by integration id, then the request, then its
//! sessions, then tasks and jobs.

mod claims;
mod ending;
mod extending;
mod granting;
mod settling;
mod transition;

pub(crate) use claims::{
    apply_task, desired_changed, lock_claims, lock_claims_of, lock_with_claims,
};
pub(crate) use ending::{UNFINISHED, begin_ending, cancel, end_or_cancel, plan_end};
pub(crate) use extending::{begin_extending, extend_unit, settle_extension};
pub(crate) use granting::{begin_granting, give_up_granting};
pub(crate) use settling::settle;
pub(crate) use transition::enter;

pub use ending::{
    Because, cancel_open_requests_of_flow, end_everything_of_flow, end_everything_of_user,
};
