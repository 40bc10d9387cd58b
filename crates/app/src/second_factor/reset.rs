//! Taking the second factor from somebody who has lost it.

use latchkey_domain::people::User;
use latchkey_store::Tx;
use serde_json::json;

use crate::{
    Actor, App, Operation,
    error::{AppError, codes},
    notifications,
    trail::record,
    users::find_by_reference,
};

/// Takes second factor and recovery codes from a user, ends the user's browser sessions, and tells
/// the user by mail. They enrol anew at the next sign-in.
///
/// # Errors
/// 403 for one's own: whoever could do that would need no second factor at all.
pub async fn reset_second_factor(
    app: &App,
    actor: &Actor,
    reference: &str,
) -> Result<User, AppError> {
    actor.require(Operation::ResetSecondFactor)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<User, AppError> {
            let user = find_by_reference(tx, reference).await?.ok_or_else(AppError::not_found)?;
            if user.id == actor.user.id {
                return Err(AppError::forbidden(
                    codes::FORBIDDEN,
                    "nobody resets their own second factor; ask another Admin",
                ));
            }
            let sessions = tx.delete_web_sessions_of(&user.id, None).await?;
            let had = tx.delete_factors_of(&user.id).await?;
            let detail = json!({ "had_one": had, "sessions_ended": sessions });
            let (action, id) = ("second_factor.reset", user.id.as_str());
            record(tx, &actor.audit(), action, "user", id, detail).await?;
            let news = notifications::FactorNews::Reset;
            notifications::queue_factor_news(tx, &user.id, news).await?;
            Ok(user)
        })
        .await
}
