//! `/api/admin/v1/access-scopes`: queries with a name. The text of a query comes back byte for
//! byte, because clients compare it with what they wrote.

mod complete;
mod preview;

use aide::axum::{
    ApiRouter,
    routing::{ApiMethodRouter, get_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    access_scopes::{self, AccessScopeCommand},
    wildcard::text_match,
};
use latchkey_domain::{access_scope, ids::AccessScopeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    body::{Body, Done, Reply},
    caller::{ManageAccessScopes, May, ReadAccessScopes},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, PageOf},
    query::Id,
    time::Timestamp,
};

const TAG: &str = "Access Scopes";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route("/api/admin/v1/access-scopes", collection())
        .api_route("/api/admin/v1/access-scopes/preview", preview::route())
        .api_route("/api/admin/v1/access-scopes/complete", complete::route())
        .api_route("/api/admin/v1/access-scopes/{id}", one())
}

fn collection() -> ApiMethodRouter<ApiState> {
    let list = get_with(list, |op| {
        described(op, TAG, "listAccessScopesV1", "Page through access scopes, oldest first.")
    });
    list.post_with(create, |op| {
        let summary = "Store a query under a name; docs/aql.md is the manual of queries.";
        conflicts(described(op, TAG, "createAccessScopeV1", summary), "The name is taken.")
    })
}

fn one() -> ApiMethodRouter<ApiState> {
    let read =
        get_with(read, |op| described(op, TAG, "getAccessScopeV1", "Read one access scope."));
    let replace = read.put_with(replace, |op| {
        let summary = "Replace an access scope; what is left out is cleared.";
        conflicts(described(op, TAG, "updateAccessScopeV1", summary), "The name is taken.")
    });
    replace.delete_with(remove, |op| {
        let op = described(op, TAG, "deleteAccessScopeV1", "Delete an access scope.");
        conflicts(op, "A flow or a bundle uses it; the message names them.")
    })
}

/// Saved, self-updating set of resources.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccessScope {
    /// Access scope id.
    pub id: String,
    /// Unique display name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The query, as it was sent.
    pub query: String,
    /// When it was made.
    pub creation_date: Timestamp,
    /// When it was last changed.
    pub update_date: Timestamp,
}

impl From<access_scope::AccessScope> for AccessScope {
    fn from(scope: access_scope::AccessScope) -> Self {
        Self {
            id: scope.id.into(),
            name: scope.name,
            description: scope.description,
            query: scope.query,
            creation_date: scope.created_at.into(),
            update_date: scope.updated_at.into(),
        }
    }
}

/// Full access scope to store.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct AccessScopeInput {
    /// Unique display name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The query; see docs/aql.md.
    pub query: String,
}

impl From<AccessScopeInput> for AccessScopeCommand {
    fn from(input: AccessScopeInput) -> Self {
        Self { name: input.name, description: input.description, query: input.query }
    }
}

/// What to keep of the access scopes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// Access scope name; asterisks at the ends match anything, case is ignored.
    name: Option<String>,
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadAccessScopes>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<AccessScope>>, ApiError> {
    let name = listing.filters.name.as_deref().map(text_match);
    let page = access_scopes::list_access_scopes(&app, &actor, name, &listing.page).await?;
    Ok(listing.reply(page, AccessScope::from))
}

async fn create(
    State(app): State<App>,
    May(actor, ..): May<ManageAccessScopes>,
    Body(input): Body<AccessScopeInput>,
) -> Result<Reply<AccessScope>, ApiError> {
    Ok(Reply(access_scopes::create_access_scope(&app, &actor, input.into()).await?.into()))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadAccessScopes>,
    Id(id): Id,
) -> Result<Reply<AccessScope>, ApiError> {
    let id = AccessScopeId::new(id);
    Ok(Reply(access_scopes::get_access_scope(&app, &actor, &id).await?.into()))
}

async fn replace(
    State(app): State<App>,
    May(actor, ..): May<ManageAccessScopes>,
    Id(id): Id,
    Body(input): Body<AccessScopeInput>,
) -> Result<Reply<AccessScope>, ApiError> {
    let id = AccessScopeId::new(id);
    Ok(Reply(access_scopes::update_access_scope(&app, &actor, &id, input.into()).await?.into()))
}

async fn remove(
    State(app): State<App>,
    May(actor, ..): May<ManageAccessScopes>,
    Id(id): Id,
) -> Result<Done, ApiError> {
    access_scopes::delete_access_scope(&app, &actor, &AccessScopeId::new(id)).await?;
    Ok(Done)
}

/// A count or a place as the wire has it.
fn number<N: TryInto<i64>>(number: N) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
