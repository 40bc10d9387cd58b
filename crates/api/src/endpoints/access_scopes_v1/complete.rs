//! `POST /api/admin/v1/access-scopes/complete`: what may be written next in a query. Ours, beside
//! the common wire format. Nothing is stored, and any text will do.

use aide::axum::routing::{ApiMethodRouter, post_with};
use axum::extract::State;
use latchkey_app::{
    App,
    access_scopes::{CompleteQuery, QueryCompletion, complete_access_scope},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number;
use crate::{
    ApiState,
    body::{Body, Reply},
    caller::{CompleteAccessScope, May},
    documentation::described,
    error::ApiError,
};

pub(super) fn route() -> ApiMethodRouter<ApiState> {
    post_with(complete, |op| {
        let summary = "Say what may be written at a place of a query, with names that exist.";
        described(op, "Latchkey", "completeAccessScope", summary)
    })
}

/// Where somebody is writing.
#[derive(Debug, Deserialize, JsonSchema)]
struct AccessScopeCompletionInput {
    /// The text so far; it need not be a query.
    query: String,
    /// The place, in bytes of UTF-8 from the beginning of the query; its end if left out.
    cursor: Option<i64>,
}

/// What may be written at the place.
#[derive(Debug, Serialize, JsonSchema)]
struct AccessScopeCompletions {
    /// The part of the query that an item takes the place of.
    replace: QueryPart,
    /// The items, the likely ones first.
    items: Vec<QueryCompletionItem>,
}

/// Part of a query.
#[derive(Debug, Serialize, JsonSchema)]
struct QueryPart {
    /// Where it begins, in bytes of UTF-8 from the beginning of the query.
    offset: i64,
    /// How long it is, in bytes; 0 where nothing is begun.
    length: i64,
}

/// Something that may be written.
#[derive(Debug, Serialize, JsonSchema)]
struct QueryCompletionItem {
    /// The text, quoted and escaped where it has to be.
    text: String,
    /// `field`, `key`, `operator`, `value`, `word` (and, or, not) or `sign` (a parenthesis, a
    /// bracket, a comma).
    kind: String,
    /// What it means, or which one it is; null where the text says it all.
    detail: Option<String>,
}

impl From<QueryCompletion> for QueryCompletionItem {
    fn from(item: QueryCompletion) -> Self {
        Self { text: item.text, kind: item.kind.as_str().to_owned(), detail: item.detail }
    }
}

async fn complete(
    State(app): State<App>,
    May(actor, ..): May<CompleteAccessScope>,
    Body(input): Body<AccessScopeCompletionInput>,
) -> Result<Reply<AccessScopeCompletions>, ApiError> {
    let cursor = input.cursor.map(usize::try_from).transpose();
    let cursor = cursor.map_err(|_| ApiError::field("cursor", "must be 0 or more"))?;
    let command = CompleteQuery { query: input.query, cursor };
    let found = complete_access_scope(&app, &actor, &command).await?;
    let (offset, end) = (found.replace.start, found.replace.end);
    Ok(Reply(AccessScopeCompletions {
        replace: QueryPart { offset: number(offset), length: number(end.saturating_sub(offset)) },
        items: found.items.into_iter().map(Into::into).collect(),
    }))
}
