//! Access requests: filing, deciding, reading and ending them.

mod approvers;
mod at_rest;
mod automatic;
mod deciding;
mod dry_run;
mod ending;
mod escalating;
mod explaining;
mod extending;
mod filing;
mod form;
mod fresh;
mod office;
mod overview;
mod owners;
pub(crate) mod people;
mod programs;
mod reading;
mod releasing;
mod seen_again;
mod view;
mod waiting;

pub(crate) use approvers::{approvers_of, newly_asked, people_who_own};
pub(crate) use at_rest::Waits;
pub(crate) use automatic::follow_for_person;
pub use deciding::{approve_request, force_approve_request, reject_request};
pub(crate) use escalating::escalate;
pub(crate) use filing::names_emergency;
pub(crate) use programs::{ProgramSays, take_program_answer};
pub(crate) use reading::{find_by_reference, number_of};
pub(crate) use releasing::{Released, release};
pub(crate) use seen_again::SeenAgain;
pub(crate) use view::{by_request, view as read_view, views as read_views};

pub use at_rest::{LONGEST_WAIT, at_rest, get_my_request_at_rest};
pub use dry_run::{DryRun, DryRunPart, LaterTier, OpenWindow, dry_run_request};
pub use ending::revoke_request;
pub use explaining::{
    EntitlementExplained, FlowNow, RequestExplained, WaitingFor, explain_own_request,
    explain_request,
};
pub use extending::extend_request;
pub use filing::{RequestAccess, request_access, request_again};
pub use office::{
    OfficeQuery, ReceiptView, RequestForUser, RequestSummary, get_request, list_receipts,
    list_requests, request_access_for, revoke_requests,
};
pub use overview::{ListedRequest, RequestOverview, RequestPart};
pub use programs::{AskedProgram, ProgramSaid};
pub use reading::{
    EntitlementQuery, MyRequestsQuery, RequestListScope, get_client_request, get_delegated_request,
    list_client_requests, list_decided_requests, list_delegated_requests, list_my_requests,
    list_request_entitlements,
};
pub use view::{RequestView, UnitView};
pub use waiting::list_my_tasks;
