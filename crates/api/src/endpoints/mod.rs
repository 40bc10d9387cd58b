//! The endpoints, one file (or folder) a group: its routes and their documentation, its wire
//! types, its handlers. A handler is: extract → use case → projection. How to add one:
//! `docs/adding-an-endpoint.md`.

use aide::axum::ApiRouter;

use crate::ApiState;

mod access_bundles_v1;
mod access_flows_v1;
pub(crate) mod access_flows_v2;
mod access_requests_admin_v1;
mod access_requests_v3;
mod access_requests_v4;
pub(crate) mod access_scopes_v1;
mod access_sessions_v1;
mod activity_reports_v1;
mod activity_v3;
mod attributes_v1;
mod automatic_flows_v1;
mod available_access_v1;
pub(crate) mod bundles_v2;
mod client_access_requests;
mod connector_protocol;
mod connectors_v2;
mod connectors_v3;
mod delegated_access_requests_v1;
mod emergencies_v1;
mod explain_v1;
pub(crate) mod groups_v1;
mod identities_v2;
mod identity_attributes_v2;
mod integration_target_v1;
mod integrations_catalog_v2;
mod integrations_v2;
mod integrations_v3;
pub(crate) mod integrations_v4;
mod references;
mod second_factor_v1;
mod selectable_v3;
mod users_v2;
mod users_v3;
pub(crate) mod what_if_v1;

/// Every group.
pub(crate) fn all() -> Vec<ApiRouter<ApiState>> {
    vec![
        access_requests_v4::routes(),
        access_requests_v3::routes(),
        access_requests_admin_v1::routes(),
        delegated_access_requests_v1::routes(),
        emergencies_v1::routes(),
        explain_v1::routes(),
        what_if_v1::routes(),
        automatic_flows_v1::routes(),
        selectable_v3::routes(),
        access_sessions_v1::routes(),
        available_access_v1::routes(),
        client_access_requests::routes(),
        second_factor_v1::routes(),
        access_flows_v2::routes(),
        access_scopes_v1::routes(),
        bundles_v2::routes(),
        access_bundles_v1::routes(),
        access_flows_v1::routes(),
        activity_v3::routes(),
        integrations_v4::routes(),
        integrations_v3::routes(),
        integrations_v2::routes(),
        integrations_catalog_v2::routes(),
        connectors_v3::routes(),
        connectors_v2::routes(),
        activity_reports_v1::routes(),
        groups_v1::routes(),
        users_v3::routes(),
        attributes_v1::routes(),
        identities_v2::routes(),
        identity_attributes_v2::routes(),
        users_v2::routes(),
        connector_protocol::routes(),
    ]
}
