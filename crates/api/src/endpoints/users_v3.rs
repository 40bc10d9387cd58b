//! `/api/admin/v3/users`: people, read only.

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    App,
    users::{UserView, UsersQuery, get_user, list_users},
    wildcard::text_match,
};
use latchkey_domain::{ids::IntegrationId, people::Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiState,
    body::Reply,
    caller::{May, ReadUsers},
    documentation::described,
    error::ApiError,
    paging::{Listing, PageOf},
    query::Id,
};

const TAG: &str = "Users";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/admin/v3/users",
            get_with(list, |op| {
                described(op, TAG, "listUsersV3", "Page through users, oldest first.")
            }),
        )
        .api_route(
            "/api/admin/v3/users/{id}",
            get_with(read, |op| {
                described(op, TAG, "getUserV3", "Read one user, by id or e-mail address.")
            }),
        )
}

/// User, v3 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UserV3")]
pub struct User {
    /// User id.
    pub id: String,
    /// Main address.
    pub email: String,
    /// Other addresses of the same person.
    pub email_aliases: Vec<String>,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Whether the account is on.
    pub active: bool,
    /// `Admin`, `Power User`, `Deployment`, `Viewer`; empty for people who use the portal only.
    pub roles: Vec<String>,
    /// Id of the identity source; null for users made here.
    pub source_integration_id: Option<String>,
    /// Name of the identity source.
    pub source_integration_name: Option<String>,
    /// Attributes by type: what was set here, and what identity sources say. Null without any.
    pub attributes: Option<std::collections::BTreeMap<String, String>>,
}

impl From<UserView> for User {
    fn from(view: UserView) -> Self {
        let user = view.user;
        Self {
            active: user.is_active(),
            id: user.id.into(),
            email: user.email,
            email_aliases: user.email_aliases,
            first_name: user.first_name,
            last_name: user.last_name,
            roles: user.roles.iter().map(ToString::to_string).collect(),
            source_integration_id: user.source_integration_id.map(Into::into),
            source_integration_name: view.source_integration_name,
            attributes: Some(view.attributes).filter(|attributes| !attributes.is_empty()),
        }
    }
}

/// What to keep of a list of users. In names, an asterisk at the end means prefix, at the start
/// suffix, at both ends substring; none means the whole text. Case is ignored.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// Given name; asterisks at the ends match anything.
    first_name: Option<String>,
    /// Family name; asterisks at the ends match anything.
    last_name: Option<String>,
    /// Has one of these roles.
    #[serde(default)]
    role: Vec<String>,
    /// Comes from the identity source with this id.
    source_integration_id: Option<String>,
    /// Comes from an identity source with this name; asterisks at the ends match anything.
    source_integration_name: Option<String>,
}

impl Filters {
    fn query(&self) -> Result<UsersQuery, ApiError> {
        let roles = self.role.iter().map(|word| word.parse::<Role>());
        Ok(UsersQuery {
            first_name: self.first_name.as_deref().map(text_match),
            last_name: self.last_name.as_deref().map(text_match),
            roles: roles
                .collect::<Result<_, _>>()
                .map_err(|unknown| ApiError::field("role", unknown.to_string()))?,
            source_integration_id: self.source_integration_id.clone().map(IntegrationId::new),
            source_integration_name: self.source_integration_name.as_deref().map(text_match),
        })
    }
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadUsers>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<User>>, ApiError> {
    let query = listing.filters.query()?;
    let page = list_users(&app, &actor, query, &listing.page).await?;
    Ok(listing.reply(page, User::from))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadUsers>,
    Id(id): Id,
) -> Result<Reply<User>, ApiError> {
    Ok(Reply(get_user(&app, &actor, &id).await?.into()))
}
