//! Lists with cursors: the parameters they take and the envelope they answer with.
//!
//! `limit` is 100 unless said, at most 1000 (more is cut), at least 1. With `page_token` the
//! filters are those of the first call; filters sent along must equal them, a new `limit` counts.

use aide::{
    OperationInput,
    generate::GenContext,
    openapi::{Operation, Response as ResponseDoc, StatusCode as Code},
    operation::ParamLocation,
};
use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use latchkey_app::paging::{DEFAULT_LIMIT, MAX_LIMIT, Page, PageRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    body::Reply,
    cursor::{Cursor, CursorKey},
    error::{ApiError, documented},
    query::{Parameters, document},
};

/// A call of a list, with filters of the type `F`.
#[derive(Debug)]
pub struct Listing<F> {
    /// The filters: those sent, or those the cursor carries.
    pub filters: F,
    /// Which page is wanted.
    pub page: PageRequest,
    stored: Map<String, Value>,
    path: String,
    key: CursorKey,
}

/// Page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct PageOf<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page is.
    pub pagination: PageCursor,
}

/// Cursor block of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PageCursor {
    /// Opaque cursor of the page that follows; null on the last page.
    pub next_page_token: Option<String>,
}

/// A list without filters.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct NoFilters {}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "documents the parameters; they are read one by one")]
struct PageParameters {
    /// Largest number of rows to return: 100 unless said, 1000 at most.
    #[schemars(extend("default" = 100, "minimum" = 1))]
    limit: Option<i32>,
    /// Cursor from the previous page. It carries the filters and the page size of that call.
    page_token: Option<String>,
}

impl<F> Listing<F> {
    /// The answer: every row as `view` shows it, and the cursor of the page that follows.
    pub(crate) fn reply<T, W>(&self, page: Page<T>, view: impl FnMut(T) -> W) -> Reply<PageOf<W>> {
        let next_page_token = page.next.and_then(|last| {
            let cursor = Cursor {
                filters: self.stored.clone(),
                limit: self.page.limit,
                created_at: last.created_at,
                id: last.id,
            };
            self.key.seal(&self.path, &cursor)
        });
        let items = page.items.into_iter().map(view).collect();
        Reply(PageOf { items, pagination: PageCursor { next_page_token } })
    }
}

impl<F, S> FromRequestParts<S> for Listing<F>
where
    F: DeserializeOwned + Serialize,
    S: Send + Sync,
    CursorKey: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let key = CursorKey::from_ref(state);
        Self::read(parts.uri.path(), parts.uri.query().unwrap_or_default(), key)
    }
}

impl<F: DeserializeOwned + Serialize> Listing<F> {
    fn read(path: &str, query: &str, key: CursorKey) -> Result<Self, ApiError> {
        let mut parameters = Parameters::parse(query)?;
        let limit = parameters.take_one("limit")?.map(|text| read_limit(&text)).transpose()?;
        let token = parameters.take_one("page_token")?.filter(|token| !token.is_empty());
        let sent: F = parameters.read()?;
        let path = path.to_owned();
        let Some(token) = token else {
            let page = PageRequest { after: None, limit: limit.unwrap_or(DEFAULT_LIMIT) };
            let stored = canonical(&sent);
            return Ok(Self { filters: sent, page, stored, path, key });
        };
        let cursor = key.open(&path, &token).ok_or_else(damaged)?;
        let filters = serde_json::from_value(Value::Object(cursor.filters.clone()));
        let filters = filters.map_err(|_| damaged())?;
        demand_same_filters(&canonical(&sent), &cursor.filters)?;
        let after = Some(cursor.position());
        let page = PageRequest { after, limit: limit.unwrap_or(cursor.limit) };
        Ok(Self { filters, page, stored: cursor.filters, path, key })
    }
}

fn damaged() -> ApiError {
    ApiError::field("page_token", "is damaged or belongs to another list; start again without it")
}

fn demand_same_filters(
    sent: &Map<String, Value>,
    stored: &Map<String, Value>,
) -> Result<(), ApiError> {
    match sent.iter().find(|(name, value)| stored.get(*name) != Some(*value)) {
        None => Ok(()),
        Some((name, _)) => Err(ApiError::field(
            name,
            "differs from the filter that page_token was made with; leave it out, or start again \
             without page_token",
        )),
    }
}

/// Reads a `limit`: a 32-bit number, at least 1, and cut at 1000.
pub(crate) fn read_limit(text: &str) -> Result<u32, ApiError> {
    let number: i32 = text.parse().map_err(|_| {
        ApiError::field("limit", format!("{text:?} is no whole number up to {}", i32::MAX))
    })?;
    match u32::try_from(number) {
        Ok(number) if number > 0 => Ok(number.min(MAX_LIMIT)),
        _ => Err(ApiError::field("limit", "must be 1 or more")),
    }
}

/// The filters that were really given, lists in one order, so that equal filters look equal.
fn canonical<F: Serialize>(filters: &F) -> Map<String, Value> {
    let Ok(Value::Object(members)) = serde_json::to_value(filters) else { return Map::new() };
    let mut given = Map::new();
    for (name, mut value) in members {
        if let Value::Array(list) = &mut value {
            list.sort_by_key(Value::to_string);
        }
        let absent = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !absent {
            given.insert(name, value);
        }
    }
    given
}

impl<F: JsonSchema> OperationInput for Listing<F> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        document::<F>(ctx, operation, ParamLocation::Query);
        document::<PageParameters>(ctx, operation, ParamLocation::Query);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<Code>, ResponseDoc)> {
        vec![documented(ctx, 400, "A parameter is malformed, or the cursor is damaged.")]
    }
}

#[cfg(test)]
mod tests {
    use latchkey_app::paging::PageKey;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Filters {
        #[serde(default)]
        status: Vec<String>,
        name: Option<String>,
    }

    fn listing(query: &str) -> Result<Listing<Filters>, ApiError> {
        Listing::read("/list", query, CursorKey::new([1; 32]))
    }

    fn next_token(query: &str) -> String {
        let next = Some(PageKey::new(jiff::Timestamp::UNIX_EPOCH, "x"));
        let page = Page { items: vec![1, 2], next };
        let Reply(answer) = listing(query).unwrap().reply(page, |row| row);
        answer.pagination.next_page_token.unwrap()
    }

    #[test]
    fn a_cursor_alone_carries_filters_limit_and_position() {
        let token = next_token("status=B&status=A&name=x*&limit=7");
        let second = listing(&format!("page_token={token}")).unwrap();
        assert_eq!(second.page.limit, 7);
        assert_eq!(second.page.after.unwrap().id, "x");
        assert_eq!(
            second.filters,
            Filters { status: vec!["A".into(), "B".into()], name: Some("x*".into()) }
        );
    }

    #[test]
    fn filters_sent_along_with_a_cursor_must_be_those_of_the_first_call() {
        let token = next_token("status=B&status=A");
        assert!(listing(&format!("page_token={token}&status=A&status=B")).is_ok());
        for other in ["status=A", "name=x"] {
            let error = listing(&format!("page_token={token}&{other}")).unwrap_err();
            assert_eq!(error.status(), 400, "{other}");
        }
    }

    #[test]
    fn a_new_limit_counts_and_is_carried_on() {
        let token = next_token("limit=7");
        let second = listing(&format!("page_token={token}&limit=3")).unwrap();
        assert_eq!(second.page.limit, 3);
    }

    #[test]
    fn a_damaged_cursor_is_refused() {
        let token = next_token("limit=7");
        for damaged in ["x", "!!", &token[..token.len() - 2], &format!("A{token}")] {
            let error = listing(&format!("page_token={damaged}")).unwrap_err();
            assert_eq!(error.status(), 400, "{damaged}");
        }
    }

    #[test]
    fn limits_are_at_least_one_and_cut_at_a_thousand() {
        assert_eq!(listing("").unwrap().page.limit, 100);
        assert_eq!(listing("limit=1000").unwrap().page.limit, 1000);
        assert_eq!(listing("limit=2147483647").unwrap().page.limit, 1000);
        for bad in ["0", "-1", "x", "1.5", "", "1e3", "2147483648"] {
            let error = listing(&format!("limit={bad}")).unwrap_err();
            assert_eq!(error.status(), 400, "{bad}");
        }
    }

    #[test]
    fn the_last_page_has_a_null_cursor() {
        let page = Page { items: vec![1], next: None };
        let Reply(answer) = listing("").unwrap().reply(page, |row| row);
        assert_eq!(
            serde_json::to_value(answer).unwrap(),
            serde_json::json!({"items": [1], "pagination": {"next_page_token": null}})
        );
    }
}
