//! `/api/user/v1/access-sessions`: what the caller connects with.
//!
//! Answers that may hold a credential are marked `no-store`; the password is in the first read
//! after it was made and never again.

use std::collections::BTreeMap;

use aide::axum::{
    ApiRouter,
    routing::{get_with, post_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    sessions::{
        self, AccessDetailsView, SessionQuery, SessionView, access_details, get_session,
        list_sessions,
    },
};
use latchkey_domain::ids::{IntegrationId, RequestId, SessionId};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::references::IntegrationRef;
use crate::{
    ApiState,
    body::{Message, Reply, Unstored},
    caller::{May, ReadAccessDetails, ReadSessions, ResetCredentials},
    documentation::{conflicts, described},
    error::ApiError,
    paging::{Listing, PageOf},
    query::Id,
    words::CredentialsStatus,
};

const TAG: &str = "Access Sessions";
/// Where instructions name the password.
pub(super) const PASSWORD_PLACE: &str = "{{password}}";
/// What stands there once it was shown.
pub(super) const PASSWORD_SHOWN: &str =
    "(shown once already; reset the credentials to get a new one)";

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    let path = |rest: &str| format!("/api/user/v1/access-sessions{rest}");
    ApiRouter::new()
        .api_route(
            &path(""),
            get_with(list, |op| {
                described(
                    op,
                    TAG,
                    "listAccessSessionsV1",
                    "Page through the caller's live sessions.",
                )
            }),
        )
        .api_route(
            &path("/{id}"),
            get_with(read, |op| {
                described(op, TAG, "getAccessSessionV1", "Read one session of the caller.")
            }),
        )
        .api_route(
            &path("/{id}/access-details"),
            get_with(details, |op| {
                let summary =
                    "Read how to connect; the first read shows the password and marks it.";
                described(op, TAG, "getAccessSessionDetailsV1", summary)
            }),
        )
        .api_route(
            &path("/{id}/reset-credentials"),
            post_with(reset, |op| {
                let summary = "Ask for new credentials; the old ones and open connections end.";
                let op = described(op, TAG, "resetAccessSessionCredentialsV1", summary);
                conflicts(op, "The session is ending, or has no credentials that can be made anew.")
            }),
        )
}

/// Usable access of the caller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccessSession {
    /// Session id.
    pub id: String,
    /// Session name: the account's name in the target.
    pub name: String,
    /// Requests that have a claim in it.
    pub request_ids: Vec<String>,
    /// Where it is.
    pub integration: IntegrationRef,
    /// Whether credentials can be shown.
    pub credentials_status: CredentialsStatus,
    /// Whether new credentials can be asked for.
    pub can_reset_credentials: bool,
}

impl From<SessionView> for AccessSession {
    fn from(view: SessionView) -> Self {
        let session = view.session;
        Self {
            id: session.id.into(),
            name: session.principal,
            request_ids: view.request_ids.into_iter().map(Into::into).collect(),
            integration: IntegrationRef {
                id: session.integration_id.into(),
                name: view.integration_name,
            },
            credentials_status: session.credentials_status.into(),
            can_reset_credentials: session.can_reset_credentials,
        }
    }
}

/// Connection data of a session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AccessDetails {
    /// How to connect, for people.
    pub instructions: String,
    /// Note from the admin.
    pub custom_admin_message: Option<String>,
    /// Connection values: host, port, user name, and, in the first read, the password.
    pub parameters: Option<BTreeMap<String, String>>,
    /// One shell command.
    pub cli: Option<String>,
    /// Link to a console or app.
    pub link: Option<Link>,
}

/// Link to a console or app.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Link {
    /// Address.
    pub url: String,
    /// Text to show.
    pub title: Option<String>,
}

impl From<AccessDetailsView> for AccessDetails {
    fn from(view: AccessDetailsView) -> Self {
        let password = view.password.as_ref().map(ExposeSecret::expose_secret);
        let mut parameters = view.parameters;
        if let Some(password) = password {
            parameters.insert("password".to_owned(), password.to_owned());
        }
        let shown = password.unwrap_or(PASSWORD_SHOWN);
        Self {
            instructions: view.instructions.replace(PASSWORD_PLACE, shown),
            custom_admin_message: view.custom_admin_message,
            parameters: (!parameters.is_empty()).then_some(parameters),
            cli: view.cli,
            link: None,
        }
    }
}

/// What to keep of a list of sessions.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filters {
    /// In one of these integrations.
    #[serde(default)]
    integration_id: Vec<String>,
    /// With a claim of one of these requests.
    #[serde(default)]
    request_ids: Vec<String>,
}

async fn list(
    State(app): State<App>,
    May(actor, ..): May<ReadSessions>,
    listing: Listing<Filters>,
) -> Result<Reply<PageOf<AccessSession>>, ApiError> {
    let filters = &listing.filters;
    let query = SessionQuery {
        integration_ids: filters.integration_id.iter().map(IntegrationId::new).collect(),
        request_ids: filters.request_ids.iter().map(RequestId::new).collect(),
    };
    let page = list_sessions(&app, &actor, &query, &listing.page).await?;
    Ok(listing.reply(page, AccessSession::from))
}

async fn read(
    State(app): State<App>,
    May(actor, ..): May<ReadSessions>,
    Id(id): Id,
) -> Result<Reply<AccessSession>, ApiError> {
    Ok(Reply(get_session(&app, &actor, &SessionId::new(id)).await?.into()))
}

async fn details(
    State(app): State<App>,
    May(actor, ..): May<ReadAccessDetails>,
    Id(id): Id,
) -> Result<Unstored<AccessDetails>, ApiError> {
    Ok(Unstored(access_details(&app, &actor, &SessionId::new(id)).await?.into()))
}

async fn reset(
    State(app): State<App>,
    May(actor, ..): May<ResetCredentials>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    sessions::reset_credentials(&app, &actor, &SessionId::new(id)).await?;
    Ok(Message::reply("New credentials are being made; read the session until they are AVAILABLE."))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn view(password: Option<&str>) -> AccessDetailsView {
        AccessDetailsView {
            instructions: "Log in with {{password}}.".to_owned(),
            custom_admin_message: None,
            parameters: BTreeMap::from([("host".to_owned(), "db".to_owned())]),
            password: password.map(SecretString::from),
            cli: None,
        }
    }

    #[test]
    fn the_first_read_shows_the_password_and_later_ones_do_not() {
        let first = serde_json::to_value(AccessDetails::from(view(Some("s3cret")))).unwrap();
        assert_eq!(first["parameters"]["password"], "s3cret");
        assert_eq!(first["instructions"], "Log in with s3cret.");
        let second = serde_json::to_string(&AccessDetails::from(view(None))).unwrap();
        assert!(!second.contains("s3cret") && !second.contains("{{"), "{second}");
        assert!(second.contains("reset the credentials"), "{second}");
    }
}
