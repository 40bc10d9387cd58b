//! Links that sign somebody in: the first way in, and the way back for whoever forgot a password.
//! Looking at one changes nothing; using one sets a password.

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    audit::AuditActor,
    ids::UserId,
    people::User,
    sign_in::{ADDRESS_TRIES, SIGN_IN_LINK_SEC, SignInLink},
};
use latchkey_identity::{Purpose, generate_opaque, is_opaque, opaque_hash};
use latchkey_store::Tx;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    hashing::hashed,
    session::{SignedIn, begin},
    tried,
};
use crate::{
    App, actor::Actor, authenticate::token_key, authorization::Operation, error::AppError,
    trail::record, users::find_by_reference,
};

/// A link that was just made. The only place where its secret appears.
#[derive(Debug)]
pub struct NewLink {
    /// Whose it is.
    pub user_id: UserId,
    /// What the address of the page ends in.
    pub token: SecretString,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// What came of using a link.
#[derive(Debug)]
pub enum LinkUsed {
    /// The password is set; come in.
    In(Box<SignedIn>),
    /// There is no such link, or no more.
    Gone,
    /// Nobody looked: there were too many tries from this address.
    TooManyTries,
}

/// Makes a link for a user, in place of any before. It works once, for a quarter of an hour.
pub async fn create_sign_in_link(
    app: &App,
    actor: &Actor,
    reference: &str,
) -> Result<NewLink, AppError> {
    actor.require(Operation::CreateSignInLink)?;
    let token = generate_opaque(app.rng());
    app.store()
        .write(async |tx: &mut Tx| -> Result<NewLink, AppError> {
            let user = find_by_reference(tx, reference).await?.ok_or_else(AppError::not_found)?;
            if !user.is_active() {
                return Err(AppError::conflict("this user is disabled; nobody signs in as them"));
            }
            let now = tx.now();
            let length = SignedDuration::from_secs(SIGN_IN_LINK_SEC);
            let expires_at = now.saturating_add(length).map_err(AppError::internal)?;
            let link = SignInLink { user_id: user.id.clone(), created_at: now, expires_at };
            tx.put_sign_in_link(&link, &link_hash(app, &token)).await?;
            let (id, detail) = (user.id.as_str(), json!({ "expires_at": expires_at }));
            record(tx, &actor.audit(), "sign_in_link.created", "user", id, detail).await?;
            Ok(NewLink { user_id: user.id, token: token.clone(), expires_at })
        })
        .await
}

/// Whose link it is, if it works now. Nothing is changed by looking.
pub async fn open_sign_in_link(app: &App, token: &SecretString) -> Result<Option<User>, AppError> {
    app.store().read(async |tx: &mut Tx| live(tx, app, token).await).await
}

async fn live(tx: &mut Tx, app: &App, token: &SecretString) -> Result<Option<User>, AppError> {
    if !is_opaque(token.expose_secret()) {
        return Ok(None);
    }
    let found = tx.find_sign_in_link(&link_hash(app, token)).await?;
    let works = found.filter(|(link, user)| tx.now() < link.expires_at && user.is_active());
    Ok(works.map(|(_, user)| user))
}

/// Uses a link up: sets its person's password, ends the person's other browser sessions, and signs
/// the person in. `from` is the network address of the call.
///
/// # Errors
/// 400 for a password that is too short or too long; the link is not used up then.
pub async fn use_sign_in_link(
    app: &App,
    token: &SecretString,
    password: &SecretString,
    from: &str,
) -> Result<LinkUsed, AppError> {
    let address = tried(app, ADDRESS_TRIES.kind, from);
    let found = app
        .store()
        .write(async |tx: &mut Tx| -> Result<_, AppError> {
            let may = tx.take_try(ADDRESS_TRIES, &address).await?;
            Ok((may, live(tx, app, token).await?.is_some()))
        })
        .await?;
    match found {
        (false, _) => return Ok(LinkUsed::TooManyTries),
        (true, false) => return Ok(LinkUsed::Gone),
        (true, true) => {}
    }
    let hash = hashed(app, password).await?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<LinkUsed, AppError> {
            let Some(user) = live(tx, app, token).await? else { return Ok(LinkUsed::Gone) };
            if !tx.use_sign_in_link(&link_hash(app, token)).await? {
                return Ok(LinkUsed::Gone);
            }
            tx.put_password(&user.id, &hash).await?;
            tx.give_try_back(ADDRESS_TRIES, &address).await?;
            let ended = tx.delete_web_sessions_of(&user.id, None).await?;
            let signed_in = begin(tx, app, user, "link").await?;
            let by = AuditActor::User { user_id: signed_in.user.id.clone(), token_id: None };
            let detail = json!({ "sessions_ended": ended });
            let id = signed_in.user.id.as_str();
            record(tx, &by, "password.set", "user", id, detail).await?;
            Ok(LinkUsed::In(Box::new(signed_in)))
        })
        .await
}

fn link_hash(app: &App, token: &SecretString) -> String {
    opaque_hash(&token_key(app), Purpose::SignInLink, "", token)
}
