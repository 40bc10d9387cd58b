//! The API as its clients meet it: the router over an app on a real database.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at what is not as it says"
)]

mod access_flows_v1;
mod access_requests_v3;
mod access_scopes;
mod activity;
mod attributes;
mod automatic;
mod bundles;
mod connectors_and_integrations;
mod coverage;
mod delegated;
mod document;
mod envelope;
mod error_codes;
mod explain;
mod flows_and_groups;
mod ground;
mod integrations_older;
mod office;
mod others;
mod prefer;
mod reports;
mod requests;
mod second_factor;
mod selectable;
mod what_if;
mod whole_lists;
