//! From a bearer token to an actor.
//!
//! Invariants: token, user and roles are rows read for this call; an unknown, mistyped, expired
//! or revoked token and a disabled user get one and the same answer after the same work, so
//! neither the text nor the time tells them apart.

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
    // One statement, whether or not there is such a token, so that both take as long.
    let found = app.store().find_caller(&presented.id).await?;
    let genuine =
        verify(&key, &presented, found.as_ref().map(|(token, _)| token.secret_hash.as_str()));
    match found {
        Some((token, user))
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
