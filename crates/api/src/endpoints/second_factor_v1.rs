//! The second factor of people, as far as programs have a part in it: whether one has one, whether
//! it was given, and taking it from somebody who has lost it. It is given in a browser alone.

use aide::axum::{
    ApiRouter,
    routing::{get_with, post_with},
};
use axum::extract::State;
use latchkey_app::{
    App,
    second_factor::{has_second_factor, pass_by_token, reset_second_factor},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    ApiState,
    body::{Message, Reply},
    caller::{May, PassSecondFactor, ReadOwnSecondFactor, ResetSecondFactor},
    documentation::described,
    error::ApiError,
    query::Id,
};

/// The routes of this group.
pub(crate) fn routes() -> ApiRouter<ApiState> {
    ApiRouter::new()
        .api_route(
            "/api/client/v1/session/is-mfa-enrolled",
            get_with(is_enrolled, |op| {
                let summary = "Say whether the caller has an authenticator.";
                described(op, "User Session", "isMfaEnrolled", summary)
            }),
        )
        .api_route(
            "/api/client/v1/access-requests/pass-mfa",
            post_with(pass, |op| {
                let summary = "Say which requests of the caller's went on by a second factor of \
                               late; no body. A token gives none and lets nothing go on: 403 \
                               `SecondFactorRequired` as long as any request waits for one.";
                described(op, "Access Requests", "passAccessRequestMfa", summary)
            }),
        )
        .api_route(
            "/api/admin/v1/users/{id}/reset-second-factor",
            post_with(reset, |op| {
                let summary = "Take second factor and recovery codes from a user who has lost \
                               them, by id or e-mail address; ends the user's browser sessions. \
                               Never one's own.";
                described(op, "Latchkey", "resetSecondFactor", summary)
            }),
        )
}

/// Second-factor state of the caller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MfaEnrolment {
    /// An authenticator is registered.
    pub is_mfa_enrolled: bool,
}

/// Outcome of a second-factor check.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PassMfaResult {
    /// Text for people.
    pub message: String,
    /// What went on by it.
    pub affected_requests: MfaAffected,
}

/// Requests that a second-factor check let go on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MfaAffected {
    /// How many.
    pub total: i32,
    /// Their ids, newest first.
    pub access_requests_ids: Vec<String>,
}

async fn is_enrolled(
    State(app): State<App>,
    May(actor, ..): May<ReadOwnSecondFactor>,
) -> Result<Reply<MfaEnrolment>, ApiError> {
    Ok(Reply(MfaEnrolment { is_mfa_enrolled: has_second_factor(&app, &actor).await? }))
}

async fn pass(
    State(app): State<App>,
    May(actor, ..): May<PassSecondFactor>,
) -> Result<Reply<PassMfaResult>, ApiError> {
    let released = pass_by_token(&app, &actor).await?.released;
    let affected_requests = MfaAffected {
        total: i32::try_from(released.len()).unwrap_or(i32::MAX),
        access_requests_ids: released.into_iter().map(Into::into).collect(),
    };
    let message = "None of your requests waits for a second factor.".to_owned();
    Ok(Reply(PassMfaResult { message, affected_requests }))
}

async fn reset(
    State(app): State<App>,
    May(actor, ..): May<ResetSecondFactor>,
    Id(id): Id,
) -> Result<Reply<Message>, ApiError> {
    reset_second_factor(&app, &actor, &id).await?;
    Ok(Message::reply("The second factor is reset; the user sets up a new one after signing in."))
}
