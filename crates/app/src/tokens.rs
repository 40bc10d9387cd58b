//! API tokens: making and ending them.
//!
//! Invariants: a token's text is shown once and never stored; a token never makes one that may
//! do more or lives longer than itself; what a token may do is its scopes cut by the roles its
//! user has at the moment of use.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    ids::{TokenId, UserId},
    people::{ApiToken, TokenScope, User},
    settings::SettingSpec,
};
use latchkey_identity::generate_token;
use latchkey_store::Tx;
use secrecy::SecretString;
use serde_json::json;

use crate::{
    App,
    actor::Actor,
    authenticate::token_key,
    authorization::Operation,
    error::{AppError, codes},
    texts, trail,
    users::find_by_reference,
};

/// Longest life of a token that has an end: ten years.
const MAX_LIFE_SEC: i64 = 10 * 366 * 86_400;

/// A token to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateToken {
    /// Whose, by id or address; `None` for the caller's own.
    pub user: Option<String>,
    /// A label; may be empty.
    pub name: String,
    /// What it may be used for; empty for what the user usually needs.
    pub scopes: BTreeSet<TokenScope>,
    /// Seconds until it stops working; `None` for never.
    pub expires_in_sec: Option<i64>,
}

/// A token that was just made. The only place where its text appears.
#[derive(Debug)]
pub struct CreatedToken {
    /// Names the token.
    pub id: TokenId,
    /// Whose it is.
    pub user_id: UserId,
    /// The token, to be shown once.
    pub token: SecretString,
    /// What it may be used for.
    pub scopes: BTreeSet<TokenScope>,
    /// When it stops working; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// Makes a token. 403 if it would be worth more than the caller's own, or if people without a
/// role may not make tokens.
pub async fn create_token(
    app: &App,
    actor: &Actor,
    command: CreateToken,
) -> Result<CreatedToken, AppError> {
    let own = match &command.user {
        None => true,
        Some(reference) => *reference == actor.user.id.as_str(),
    };
    actor.require(if own { Operation::CreateOwnToken } else { Operation::CreateTokenForOther })?;
    texts::check_line("name", &command.name)?;
    if let Some(seconds) = command.expires_in_sec
        && !(1..=MAX_LIFE_SEC).contains(&seconds)
    {
        return Err(AppError::invalid(
            "expires_in",
            "must be from one second to ten years; leave it out for a token without an end",
        ));
    }
    app.store()
        .write(async |tx| {
            let user = match &command.user {
                Some(reference) if !own => {
                    find_by_reference(tx, reference).await?.ok_or_else(AppError::not_found)?
                }
                _ => actor.user.clone(),
            };
            if own && user.roles.is_empty() && !end_users_may(tx).await? {
                return Err(AppError::forbidden(
                    codes::FORBIDDEN,
                    "people without a role may not make tokens here; ask an Admin for one, or to \
                     turn on the setting end_user_tokens",
                ));
            }
            let token = make_token(app, tx, actor, &user, &command).await?;
            Ok(token)
        })
        .await
}

/// Ends a token at once. Repeating it changes nothing.
pub async fn revoke_token(app: &App, actor: &Actor, id: &TokenId) -> Result<(), AppError> {
    actor
        .require(Operation::RevokeOwnToken)
        .or_else(|refused| actor.require(Operation::RevokeTokenOfOther).map_err(|_| refused))?;
    app.store()
        .write(async |tx| {
            let token = tx.find_token(id).await?.ok_or_else(AppError::not_found)?;
            if token.user_id != actor.user.id && !actor.may(Operation::RevokeTokenOfOther) {
                return Err(AppError::not_found());
            }
            if token.revoked_at.is_none() {
                let now = tx.now();
                tx.revoke_token(id, now).await?;
                let detail = json!({ "user_id": token.user_id });
                trail::record(tx, &actor.audit(), "token.revoked", "token", id.as_str(), detail)
                    .await?;
            }
            Ok(())
        })
        .await
}

/// The caller's own tokens, without their text.
pub async fn list_own_tokens(app: &App, actor: &Actor) -> Result<Vec<ApiToken>, AppError> {
    actor.require(Operation::CreateOwnToken)?;
    app.store().read(async |tx| Ok(tx.list_tokens_of_user(&actor.user.id).await?)).await
}

/// Writes a token for `user`, worth no more than the caller's.
pub(crate) async fn make_token(
    app: &App,
    tx: &mut Tx,
    actor: &Actor,
    user: &User,
    command: &CreateToken,
) -> Result<CreatedToken, AppError> {
    if !user.is_active() {
        return Err(AppError::conflict("this user is disabled; tokens are for active users"));
    }
    let now = tx.now();
    let scopes = scopes_for(actor, user, &command.scopes)?;
    let asked_end = match command.expires_in_sec {
        None => None,
        Some(seconds) => Some(
            now.checked_add(SignedDuration::from_secs(seconds))
                .map_err(|_| AppError::invalid("expires_in", "is too far in the future"))?,
        ),
    };
    let expires_at = within_own_life(tx, actor, asked_end).await?;
    let id = TokenId::generate(now, app.rng());
    let made = generate_token(app.rng(), &token_key(app), &id).map_err(AppError::internal)?;
    tx.insert_token(&ApiToken {
        id: id.clone(),
        user_id: user.id.clone(),
        name: command.name.clone(),
        secret_hash: made.hash,
        scopes: scopes.clone(),
        created_at: now,
        expires_at,
        revoked_at: None,
    })
    .await?;
    let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let detail = json!({ "user_id": user.id, "scopes": words, "expires_at": expires_at });
    trail::record(tx, &actor.audit(), "token.created", "token", id.as_str(), detail).await?;
    Ok(CreatedToken { id, user_id: user.id.clone(), token: made.token, scopes, expires_at })
}

fn scopes_for(
    actor: &Actor,
    user: &User,
    asked: &BTreeSet<TokenScope>,
) -> Result<BTreeSet<TokenScope>, AppError> {
    if asked.is_empty() {
        let mut usual = BTreeSet::from([TokenScope::Read, TokenScope::Request, TokenScope::Decide]);
        if !user.roles.is_empty() {
            usual.insert(TokenScope::Admin);
        }
        return Ok(usual.intersection(&actor.scopes).copied().collect());
    }
    let alone = [TokenScope::Scim, TokenScope::Connector];
    if asked.len() > 1 && alone.iter().any(|scope| asked.contains(scope)) {
        return Err(AppError::invalid("scopes", "`scim` and `connector` go with no other scope"));
    }
    if let Some(scope) = asked.iter().find(|scope| !actor.scopes.contains(scope)) {
        return Err(AppError::forbidden(
            codes::FORBIDDEN,
            format!("this token lacks the scope `{scope}`, so it cannot give it to another"),
        ));
    }
    Ok(asked.clone())
}

/// The end of a new token: as asked, and not after that of the token that makes it.
async fn within_own_life(
    tx: &mut Tx,
    actor: &Actor,
    asked: Option<Timestamp>,
) -> Result<Option<Timestamp>, AppError> {
    let Some(id) = &actor.token_id else { return Ok(asked) };
    let own = tx.find_token(id).await?.and_then(|token| token.expires_at);
    match (own, asked) {
        (Some(own), None) => Ok(Some(own)),
        (Some(own), Some(asked)) if asked > own => Err(AppError::forbidden(
            codes::FORBIDDEN,
            "a token cannot make one that lives longer than itself; ask for a shorter life",
        )),
        (_, asked) => Ok(asked),
    }
}

async fn end_users_may(tx: &mut Tx) -> Result<bool, AppError> {
    let spec = SettingSpec::get("end_user_tokens").map_err(AppError::internal)?;
    Ok(tx.setting(spec).await?.as_bool().unwrap_or(false))
}
