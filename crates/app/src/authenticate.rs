//! From a bearer token to an actor.
//!
//! Invariants: token, user and roles are rows read for this call; an unknown, mistyped, expired
//! or revoked token and a disabled user get one and the same answer after the same work, so
//! neither the text nor the time tells them apart.

use latchkey_domain::ids::UserId;
use latchkey_identity::{TokenKey, parse_connector_token, parse_token, verify};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    App,
    actor::{Actor, ConnectorActor},
    error::AppError,
};

/// The person behind an API token.
pub async fn authenticate(app: &App, bearer: &SecretString) -> Result<Actor, AppError> {
    let presented = parse_token(bearer.expose_secret()).ok_or_else(AppError::unauthorized)?;
    let key = token_key(app);
    let now = app.clock().now();
    let (token, user) = app
        .store()
        .read(async |tx| {
            let token = tx.find_token(&presented.id).await?;
            // A query for the user follows in any case, so that a token that does not exist
            // takes as long as one that does.
            let nobody = UserId::new("nobody");
            let user_id = token.as_ref().map_or(&nobody, |token| &token.user_id);
            let user = tx.find_user(user_id).await?;
            Ok::<_, AppError>((token, user))
        })
        .await?;
    let genuine = verify(&key, &presented, token.as_ref().map(|token| token.secret_hash.as_str()));
    match (token, user) {
        (Some(token), Some(user))
            if genuine
                && token.revoked_at.is_none()
                && token.expires_at.is_none_or(|end| now < end)
                && user.is_active() =>
        {
            Ok(Actor::new(user, token.scopes, Some(token.id)))
        }
        _ => Err(AppError::unauthorized()),
    }
}

/// The connector behind a connector token.
pub async fn authenticate_connector(
    app: &App,
    bearer: &SecretString,
) -> Result<ConnectorActor, AppError> {
    let presented =
        parse_connector_token(bearer.expose_secret()).ok_or_else(AppError::unauthorized)?;
    let connector = app
        .store()
        .read(async |tx| Ok::<_, AppError>(tx.find_connector(&presented.id).await?))
        .await?;
    let stored = connector.as_ref().and_then(|connector| connector.token_hash.as_deref());
    if verify(&token_key(app), &presented, stored) {
        return Ok(ConnectorActor { connector_id: presented.id });
    }
    Err(AppError::unauthorized())
}

/// The key under which token secrets are hashed.
pub(crate) fn token_key(app: &App) -> TokenKey {
    TokenKey::new(*app.store().keys().token_key())
}
