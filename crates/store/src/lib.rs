//! The database: the only crate that knows SQL.
//!
//! [`Store::read`] and [`Store::write`] run one transaction each; a [`Tx`] has the statements,
//! one file an aggregate, and speaks in domain types. One code path serves SQLite and
//! PostgreSQL. Invariants kept here: whatever belongs together is in one transaction; times are
//! whole microseconds of UTC; secrets are sealed before they reach a statement; the audit trail
//! only grows; a lease is held by one owner at a time.

mod access_scopes;
mod activity;
mod attempts;
mod attributes;
mod audit;
mod audit_chain;
mod audit_verify;
mod bundles;
mod connectors;
mod credentials;
mod emergencies;
mod error;
mod flows;
mod groups;
mod holds;
mod integrations;
mod inventory;
mod jobs;
mod keys;
mod leases;
mod listed_requests;
mod listen;
mod migrate;
mod mutex;
mod nested_groups;
mod open;
mod outbox;
mod pace;
mod page;
mod programs;
mod reports;
mod request_lines;
mod requests;
mod schema;
mod seal;
mod second_factors;
mod sessions;
mod settings;
mod sign_in;
mod sql;
mod sqlite;
mod tasks;
mod tokens;
mod tx;
mod units;
mod users;
mod vocabulary;
mod wake;
mod web_sessions;

pub use access_scopes::AccessScopeFilter;
pub use activity::{ActivityQuery, ActivityRequest, ActivityUnit, ActivityUnitQuery};
pub use attributes::IdentityFilter;
pub use audit::{AuditFilter, AuditRecord};
pub use audit_chain::{AUDIT_CHAINER_LEASE, AuditHead};
pub use audit_verify::{AuditProblem, AuditReport, RecordName, VerifyOptions};
pub use bundles::BundleFilter;
pub use connectors::{CONNECTOR_SESSION_LIVE, ConnectorFilter, HeartbeatRow};
pub use credentials::StoredCredentials;
pub use error::{Result, StoreError};
pub use flows::PolicyMark;
pub use groups::GroupFilter;
pub use integrations::{IntegrationFilter, SecretValues};
pub use inventory::{InventoryVersion, ResourceFilter, SyncRun, SyncRunId, SyncSummary};
pub use jobs::{Job, NewJob};
pub use keys::{KeyError, KeyRing};
pub use listed_requests::{ListedRequest, RequestPart};
pub use open::{DatabaseUrl, DatabaseUrlError, StoreOptions};
pub use outbox::{DeadLetter, OutboxMessage, OutboxStanding};
pub use page::{PageKey, PageQuery, TextMatch};
pub use request_lines::{LineEntitlement, RequestLine};
pub use requests::RequestFilter;
pub use sessions::{ReceiptRecord, SessionFilter};
pub use tasks::{LeasedTask, NewTask, OpenTask, TaskKind};
pub use tx::{Store, Tx};
pub use units::UnitFilter;
pub use users::UserFilter;
pub use vocabulary::{Facts, Name, Named};
pub use wake::{RequestWaiter, Waiter, Wake, WakeUps};
