//! `/api/v2/users`: people in the older shape, the whole list at once.

use aide::axum::{ApiRouter, routing::get_with};
use axum::extract::State;
use latchkey_app::{
    App,
    users::{UsersQuery, get_user, list_accounts},
};
use latchkey_domain::people;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    ApiState,
    body::Reply,
    caller::{May, ReadUsers},
    documentation::described,
    error::ApiError,
    query::Id,
    streaming::{WholeList, pages},
};

const TAG: &str = "Users";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/v2/users",
            get_with(list, |op| {
                described(op, TAG, "listUsersV2", "List every user, oldest first.")
            }),
        )
        .api_route(
            "/api/v2/users/{id}",
            get_with(read, |op| {
                described(op, TAG, "getUserV2", "Read one user, by id or e-mail address.")
            }),
        )
}

/// User, v2 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UserV2")]
pub struct User {
    /// User id.
    pub id: String,
    /// Main address.
    pub email: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Whether the account is on.
    pub active: bool,
}

impl From<people::User> for User {
    fn from(user: people::User) -> Self {
        Self {
            active: user.is_active(),
            id: user.id.into(),
            email: user.email,
            first_name: user.first_name,
            last_name: user.last_name,
        }
    }
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadUsers>,
) -> Result<WholeList<User>, ApiError> {
    WholeList::of(pages((app, actor), |held, page| async move {
        let (app, actor) = &*held;
        Ok(list_accounts(app, actor, UsersQuery::default(), &page).await?.map(User::from))
    }))
    .await
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadUsers>,
    Id(id): Id,
) -> Result<Reply<User>, ApiError> {
    Ok(Reply(get_user(&app, &actor, &id).await?.user.into()))
}
