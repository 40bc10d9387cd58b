//! Roles in the admin area.
//!
//! Invariant: there is always an active Admin once there has been one, also when two Admins take
//! the role from each other at the same moment.

use std::time::Duration;

use latchkey_domain::{
    ids::UserId,
    people::{Role, User},
};
use latchkey_store::Tx;
use serde_json::json;

use crate::{
    App, actor::Actor, authorization::Operation, error::AppError, trail, users::find_by_reference,
};

/// What those who change who is an Admin queue for.
pub(crate) const LOCK: &str = "admin_roles";

/// Gives a user a role. Repeating it changes nothing.
pub async fn grant_role(
    app: &App,
    actor: &Actor,
    reference: &str,
    role: Role,
) -> Result<User, AppError> {
    actor.require(Operation::ManageRoles)?;
    app.store()
        .write(async |tx| {
            let mut user =
                find_by_reference(tx, reference).await?.ok_or_else(AppError::not_found)?;
            if tx.grant_role(&user.id, role).await? {
                user.roles.insert(role);
                let detail = json!({ "role": role.as_str(), "email": user.email });
                let id = user.id.as_str();
                trail::record(tx, &actor.audit(), "role.granted", "user", id, detail).await?;
            }
            Ok(user)
        })
        .await
}

/// Takes a role from a user. Repeating it changes nothing. 409 for the last active Admin.
pub async fn revoke_role(
    app: &App,
    actor: &Actor,
    reference: &str,
    role: Role,
) -> Result<User, AppError> {
    actor.require(Operation::ManageRoles)?;
    app.store()
        .write(async |tx| {
            let mut user =
                find_by_reference(tx, reference).await?.ok_or_else(AppError::not_found)?;
            if role == Role::Admin && user.roles.contains(&role) && user.is_active() {
                keep_one_admin(tx, &user.id).await?;
            }
            if tx.revoke_role(&user.id, role).await? {
                user.roles.remove(&role);
                let detail = json!({ "role": role.as_str(), "email": user.email });
                let id = user.id.as_str();
                trail::record(tx, &actor.audit(), "role.revoked", "user", id, detail).await?;
            }
            Ok(user)
        })
        .await
}

/// Refuses if nobody but `leaving` is an active Admin. Others who ask at the same moment wait
/// here until this transaction has ended.
pub(crate) async fn keep_one_admin(tx: &mut Tx, leaving: &UserId) -> Result<(), AppError> {
    // A lease with one owner for all is never refused; its row is what they queue for.
    tx.acquire_lease(LOCK, LOCK, Duration::from_secs(1)).await?;
    if tx.count_users_with_role(Role::Admin).await? > 1 {
        return Ok(());
    }
    tracing::debug!(user.id = %leaving, "The last Admin was kept.");
    Err(AppError::conflict("this is the last active Admin; make somebody else an Admin first"))
}
