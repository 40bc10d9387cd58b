//! The first Admin, made on the server's machine.
//!
//! Invariant: once an Admin has ever been made, this is refused; a second run, or two at the
//! same moment, make one Admin.

use std::time::Duration;

use latchkey_domain::{ids::UserId, people::Role};
use serde_json::json;

use crate::{
    App,
    actor::Actor,
    error::AppError,
    roles,
    tokens::{self, CreateToken, CreatedToken},
    trail,
    users::{self, CreateUser},
};

/// Makes the first Admin and a token without an end. 409 once there is an Admin. Somebody of
/// that address who is there already becomes the Admin.
pub async fn bootstrap(app: &App, command: CreateUser) -> Result<CreatedToken, AppError> {
    let actor = Actor::command_line();
    let now = app.clock().now();
    let user = users::new_user(UserId::generate(now, app.rng()), now, command)?;
    app.store()
        .write(async |tx| {
            tx.acquire_lease(roles::LOCK, roles::LOCK, Duration::from_secs(1)).await?;
            if tx.count_users_with_role(Role::Admin).await? > 0 {
                return Err(AppError::conflict(
                    "there is an Admin already; use `latchkey admin user create` and `latchkey \
                     admin role grant` for more",
                ));
            }
            let mut user = match users::find_by_reference(tx, &user.email).await? {
                Some(known) if known.is_active() => known,
                _ => {
                    users::insert_user(tx, &actor, &user).await?;
                    user
                }
            };
            tx.grant_role(&user.id, Role::Admin).await?;
            user.roles.insert(Role::Admin);
            let detail = json!({ "email": user.email });
            let id = user.id.as_str();
            trail::record(tx, &actor.audit(), "installation.bootstrapped", "user", id, detail)
                .await?;
            let command = CreateToken { name: "bootstrap".to_owned(), ..CreateToken::default() };
            tokens::make_token(app, tx, &actor, &user, &command).await
        })
        .await
}
