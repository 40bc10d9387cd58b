//! `POST /api/admin/v1/access-scopes/preview`: what a query selects now. Ours, beside the common
//! wire format. Nothing is stored, and a query with errors is a finding in a 200.

use aide::axum::routing::{ApiMethodRouter, post_with};
use axum::extract::State;
use latchkey_app::{
    App,
    access_scopes::{Preview as Previewed, PreviewScope, QueryDiagnostic, preview_access_scope},
};
use latchkey_domain::ids::AccessScopeId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number;
use crate::{
    ApiState,
    body::{Body, Reply},
    caller::{May, PreviewAccessScope},
    documentation::described,
    endpoints::available_access_v1::AvailableEntitlement,
    error::ApiError,
    paging::{Listing, NoFilters, PageCursor},
};

pub(super) fn route() -> ApiMethodRouter<ApiState> {
    post_with(preview, |op| {
        let summary = "Say what a query selects now, and how that differs from a stored one.";
        described(op, "Latchkey", "previewAccessScope", summary)
    })
}

/// What to look at. For a further page send the same body again.
#[derive(Debug, Deserialize, JsonSchema)]
struct AccessScopePreviewInput {
    /// The query; see docs/aql.md.
    query: String,
    /// Id of the access scope to compare with.
    access_scope_id: Option<String>,
}

/// What a query selects now.
#[derive(Debug, Serialize, JsonSchema)]
struct AccessScopePreview {
    /// Whether it is a query. If not, it selects nothing, and `diagnostics` says why.
    valid: bool,
    /// What is wrong; for a valid query, what is probably not meant.
    diagnostics: Vec<Diagnostic>,
    /// How many entitlements it selects.
    total: i64,
    /// A page of them.
    items: Vec<AvailableEntitlement>,
    /// How many it selects that the stored query does not; null without one to compare with.
    added: Option<i64>,
    /// How many the stored query selects that it does not; null without one to compare with.
    removed: Option<i64>,
    /// Where the next page of `items` is.
    pagination: PageCursor,
}

/// Finding about a query.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "QueryDiagnostic")]
struct Diagnostic {
    /// Where it begins, in bytes of UTF-8 from the beginning of the query.
    offset: i64,
    /// How long it is, in bytes; 0 where something is missing.
    length: i64,
    /// Its line, from 1.
    line: i64,
    /// Its column in characters, from 1.
    column: i64,
    /// What is wrong.
    message: String,
    /// What would be right; null where there is nothing to suggest.
    hint: Option<String>,
}

impl From<QueryDiagnostic> for Diagnostic {
    fn from(found: QueryDiagnostic) -> Self {
        Self {
            offset: number(found.offset),
            length: number(found.length),
            line: number(found.line),
            column: number(found.column),
            message: found.message,
            hint: found.hint,
        }
    }
}

async fn preview(
    State(app): State<App>,
    May(actor, ..): May<PreviewAccessScope>,
    listing: Listing<NoFilters>,
    Body(input): Body<AccessScopePreviewInput>,
) -> Result<Reply<AccessScopePreview>, ApiError> {
    let access_scope_id = input.access_scope_id.map(AccessScopeId::new);
    let command = PreviewScope { query: input.query, access_scope_id };
    let found = preview_access_scope(&app, &actor, &command, &listing.page).await?;
    let Previewed { is_valid, diagnostics, total, items, added, removed } = found;
    let Reply(page) = listing.reply(items, AvailableEntitlement::from);
    Ok(Reply(AccessScopePreview {
        valid: is_valid,
        diagnostics: diagnostics.into_iter().map(Into::into).collect(),
        total: number(total),
        items: page.items,
        added: added.map(number),
        removed: removed.map(number),
        pagination: page.pagination,
    }))
}
