//! Sessions of browsers.

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    ids::WebSessionId, people::User, settings::SettingSpec, sign_in::WebSession,
};
use latchkey_identity::{Purpose, generate_opaque, is_opaque, opaque_hash};
use latchkey_store::Tx;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::{Actor, App, authenticate::token_key, error::AppError, trail::record};

/// How old the note of a session's last use may be, in seconds: most calls write nothing.
const TOUCH_SEC: i64 = 60;

/// Somebody who has just signed in. The only place where the secret of the session appears.
#[derive(Debug)]
pub struct SignedIn {
    /// What the browser is to show from now on.
    pub cookie: SecretString,
    /// Who signed in.
    pub user: User,
    /// When the session ends, however much it is used.
    pub expires_at: Timestamp,
}

/// Whoever shows this cookie, as the rows are now; `None` if it does not count, or no more.
pub async fn web_session(app: &App, cookie: &SecretString) -> Result<Option<Actor>, AppError> {
    if !is_opaque(cookie.expose_secret()) {
        return Ok(None);
    }
    let hash = session_hash(app, cookie);
    let Some((mut session, user)) = app.store().find_web_caller(&hash).await? else {
        return Ok(None);
    };
    let idle = app.store().read(async |tx: &mut Tx| seconds(tx, "web_session_idle_sec").await);
    let now = app.clock().now();
    if !user.is_active() || !session.is_live(idle.await?, now) {
        return Ok(None);
    }
    if now.duration_since(session.last_seen_at) > SignedDuration::from_secs(TOUCH_SEC) {
        app.store()
            .write(async |tx: &mut Tx| {
                Ok::<_, AppError>(tx.touch_web_session(&session.id, now).await?)
            })
            .await?;
        session.last_seen_at = now;
    }
    Ok(Some(Actor::in_browser(user, session)))
}

/// Ends the caller's browser session at once.
pub async fn sign_out(app: &App, actor: &Actor) -> Result<(), AppError> {
    let Some(session) = &actor.web_session else { return Ok(()) };
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            if tx.delete_web_session(&session.id).await? {
                let detail = json!({ "web_session_id": session.id });
                let (action, id) = ("session.signed_out", actor.user.id.as_str());
                record(tx, &actor.audit(), action, "user", id, detail).await?;
            }
            Ok(())
        })
        .await
}

/// Makes a new session for a person whose identity is proved, and clears away what is over.
pub(super) async fn begin(
    tx: &mut Tx,
    app: &App,
    user: User,
    by: &'static str,
) -> Result<SignedIn, AppError> {
    let now = tx.now();
    let length = SignedDuration::from_secs(seconds(tx, "web_session_sec").await?);
    let expires_at = now.saturating_add(length).map_err(AppError::internal)?;
    let cookie = generate_opaque(app.rng());
    let session = WebSession {
        id: WebSessionId::generate(now, app.rng()),
        user_id: user.id.clone(),
        created_at: now,
        last_seen_at: now,
        expires_at,
        second_factor_at: None,
    };
    tx.insert_web_session(&session, &session_hash(app, &cookie)).await?;
    let actor = Actor::in_browser(user, session);
    let detail = json!({
        "web_session_id": actor.web_session.as_ref().map(|session| &session.id),
        "by": by,
        "expires_at": expires_at,
    });
    let (action, id) = ("session.signed_in", actor.user.id.as_str());
    record(tx, &actor.audit(), action, "user", id, detail).await?;
    tx.sweep_web_sessions(now).await?;
    tx.sweep_sign_in_links(now).await?;
    Ok(SignedIn { cookie, user: actor.user, expires_at })
}

fn session_hash(app: &App, cookie: &SecretString) -> String {
    opaque_hash(&token_key(app), Purpose::WebSession, "", cookie)
}

async fn seconds(tx: &mut Tx, key: &str) -> Result<i64, AppError> {
    let spec = SettingSpec::get(key).map_err(AppError::internal)?;
    let value = tx.setting(spec).await?;
    value.as_i64().ok_or_else(|| AppError::internal(format!("setting {key} is not a number")))
}
