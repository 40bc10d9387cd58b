//! Signing in by address and password.

use latchkey_domain::{
    audit::AuditActor,
    ids::UserId,
    people::normalize_email,
    sign_in::{ADDRESS_TRIES, PASSWORD_TRIES},
};
use latchkey_store::Tx;
use secrecy::SecretString;
use serde_json::json;

use super::{
    hashing::is_right,
    session::{SignedIn, begin},
    tried,
};
use crate::{App, error::AppError, trail::record};

/// Stands for whoever has no account.
const NOBODY: &str = "unknown";

/// What came of trying to sign in.
#[derive(Debug)]
pub enum SignIn {
    /// Come in.
    In(Box<SignedIn>),
    /// No; the answer does not say what was wrong.
    Refused,
    /// Nobody looked: there were too many tries, for this account or from this address.
    TooManyTries,
}

/// Signs somebody in. `from` is the network address of the call.
pub async fn sign_in(
    app: &App,
    email: &str,
    password: &SecretString,
    from: &str,
) -> Result<SignIn, AppError> {
    let email = normalize_email(email);
    let address = tried(app, ADDRESS_TRIES.kind, from);
    let (found, account) = app
        .store()
        .write(async |tx: &mut Tx| -> Result<_, AppError> {
            let user = tx.find_user_by_email(&email).await?.map(|user| user.id);
            // By person, so that aliases give no further tries.
            let account = user.as_ref().map_or(email.as_str(), UserId::as_str);
            let account = tried(app, PASSWORD_TRIES.kind, account);
            let may = tx.take_try(PASSWORD_TRIES, &account).await?
                & tx.take_try(ADDRESS_TRIES, &address).await?;
            if !may {
                return Ok((None, account));
            }
            let id = user.unwrap_or_else(|| UserId::new(NOBODY));
            let stored = tx.find_password(&id).await?;
            Ok((Some((id, stored)), account))
        })
        .await?;
    let Some((id, stored)) = found else { return Ok(SignIn::TooManyTries) };
    let is_right = is_right(password, stored).await?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<SignIn, AppError> {
            // Read again: it took a while.
            let now = tx.find_user(&id).await?.filter(|user| is_right && user.is_active());
            let Some(user) = now else {
                let (by, action) = (AuditActor::System, "session.refused");
                let detail = json!({ "from": from });
                record(tx, &by, action, "user", id.as_str(), detail).await?;
                return Ok(SignIn::Refused);
            };
            tx.forget_tries(PASSWORD_TRIES, &account).await?;
            tx.give_try_back(ADDRESS_TRIES, &address).await?;
            tx.sweep_tries(ADDRESS_TRIES.window_sec).await?;
            Ok(SignIn::In(Box::new(begin(tx, app, user, "password").await?)))
        })
        .await
}
