//! HTTP: every endpoint, its wire types and its documentation.
//!
//! A handler extracts, calls one use case of the app and projects what comes back; policy,
//! authorization, clock and database are on the other side of that call. The wire format is that
//! of `openapi/contract`; `openapi/api.json` is generated from this code and compared with it.
//!
//! Invariants: only `Authorization: Bearer` signs in, never a cookie; every failure has one
//! shape; an answer that may hold a credential is never stored by a cache.

mod body;
mod caller;
mod calls;
mod cursor;
mod docs_page;
mod documentation;
mod endpoints;
mod error;
mod file;
mod paging;
pub mod policy_document;
mod prefer;
mod query;
mod router;
mod streaming;
mod time;
mod words;

pub use body::LIMIT as BODY_LIMIT;
pub use calls::REQUEST_ID;
pub use documentation::{openapi_document, openapi_text};
pub use router::{ApiState, router};
