//! The people of the admin area, and short words for what many tests do.

use std::collections::BTreeSet;

use latchkey_app::{
    Actor, AppError, ErrorKind,
    authenticate::authenticate,
    bootstrap::bootstrap,
    tokens::{CreateToken, CreatedToken, create_token},
    users::{CreateUser, create_user},
};
use latchkey_domain::people::{Role, User};

use crate::ground::Ground;

/// A new user's data.
pub fn person(name: &str) -> CreateUser {
    CreateUser {
        email: format!("{name}@example.com"),
        first_name: name.to_owned(),
        ..CreateUser::default()
    }
}

/// Makes the first Admin, who acts with the token that this printed.
pub async fn first_admin(ground: &Ground) -> Actor {
    let made = bootstrap(&ground.app, person("ada")).await.unwrap();
    acting_with(ground, &made).await
}

/// Whoever shows this token.
pub async fn acting_with(ground: &Ground, token: &CreatedToken) -> Actor {
    authenticate(&ground.app, &token.token).await.unwrap()
}

/// A new user with this role, acting with a token of the usual scopes.
pub async fn somebody_with(ground: &Ground, name: &str, role: Option<Role>) -> Actor {
    let shell = Actor::command_line();
    let user = create_user(&ground.app, &shell, person(name)).await.unwrap();
    if let Some(role) = role {
        latchkey_app::roles::grant_role(&ground.app, &shell, user.id.as_str(), role).await.unwrap();
    }
    let token = token_for(ground, &user).await;
    acting_with(ground, &token).await
}

/// A token of the usual scopes.
pub async fn token_for(ground: &Ground, user: &User) -> CreatedToken {
    let command = CreateToken { user: Some(user.email.clone()), ..CreateToken::default() };
    create_token(&ground.app, &Actor::command_line(), command).await.unwrap()
}

/// The kind of a refusal.
pub fn kind_of<T: std::fmt::Debug>(outcome: Result<T, AppError>) -> ErrorKind {
    outcome.unwrap_err().kind
}

/// The members that a refusal names.
pub fn fields_of<T: std::fmt::Debug>(outcome: Result<T, AppError>) -> BTreeSet<String> {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    error.errors.into_iter().map(|error| error.field).collect()
}

/// How many audit records of this action there are.
pub async fn records_of(ground: &Ground, action: &str) -> usize {
    let filter = latchkey_store::AuditFilter {
        actions: vec![latchkey_store::TextMatch::Exact(action.to_owned())],
        ..latchkey_store::AuditFilter::default()
    };
    let page = latchkey_store::PageQuery::all();
    ground.write(async |tx| tx.list_audit(&filter, &page).await.unwrap().len()).await
}
