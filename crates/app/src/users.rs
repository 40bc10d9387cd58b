//! People: creating them, switching them off, and looking them up.
//!
//! Invariant: switching a person off ends all that hangs on the person (tokens, browser sessions,
//! pending requests, live access) in the same transaction; nothing waits for a sweep.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    ids::{IntegrationId, UserId},
    people::{Role, User, UserStatus, normalize_email},
};
use latchkey_store::{PageKey, StoreError, TextMatch, Tx, UserFilter};
use serde_json::json;

use crate::{
    App,
    actor::Actor,
    attributes,
    authorization::Operation,
    error::{AppError, FieldError},
    flows::pins::{self, NewIdentity},
    lifecycle::{Because, end_everything_of_user},
    paging::{Page, PageRequest},
    roles, texts, trail,
};

/// A user with what is known about the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// The user.
    pub user: User,
    /// The identity source's name now; `None` for users made here.
    pub source_integration_name: Option<String>,
    /// Attributes by type: what was set here, and what sources say.
    pub attributes: BTreeMap<String, String>,
}

/// A new user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateUser {
    /// Primary address.
    pub email: String,
    /// Further addresses of the same person.
    pub email_aliases: Vec<String>,
    /// Given name; may be empty.
    pub first_name: String,
    /// Family name; may be empty.
    pub last_name: String,
}

/// Which users to list. Members that are there must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsersQuery {
    /// Given name.
    pub first_name: Option<TextMatch>,
    /// Family name.
    pub last_name: Option<TextMatch>,
    /// Has one of these roles; empty for all users.
    pub roles: Vec<Role>,
    /// Comes from the identity source with this id.
    pub source_integration_id: Option<IntegrationId>,
    /// Comes from an identity source with such a name.
    pub source_integration_name: Option<TextMatch>,
}

/// Creates a user without roles. 409 if one of the addresses is somebody's already.
pub async fn create_user(app: &App, actor: &Actor, command: CreateUser) -> Result<User, AppError> {
    actor.require(Operation::CreateUser)?;
    let now = app.clock().now();
    let user = new_user(UserId::generate(now, app.rng()), now, command)?;
    app.store()
        .write(async |tx| {
            insert_user(tx, actor, &user).await?;
            Ok::<_, AppError>(())
        })
        .await?;
    Ok(user)
}

/// Switches a user off: tokens and browser sessions stop working, pending requests are cancelled, live access is
/// revoked. Repeating it changes nothing. 409 for the last active Admin.
pub async fn disable_user(app: &App, actor: &Actor, reference: &str) -> Result<User, AppError> {
    actor.require(Operation::DisableUser)?;
    app.store()
        .write(async |tx| {
            let mut user =
                find_by_reference(tx, reference).await?.ok_or_else(AppError::not_found)?;
            if !user.is_active() {
                return Ok(user);
            }
            if user.roles.contains(&Role::Admin) {
                roles::keep_one_admin(tx, &user.id).await?;
            }
            user.status = UserStatus::Disabled;
            tx.update_user(&user).await?;
            let now = tx.now();
            tx.revoke_tokens_of_user(&user.id, now).await?;
            tx.delete_web_sessions_of(&user.id, None).await?;
            tx.delete_sign_in_links_of(&user.id).await?;
            let detail = json!({ "email": user.email });
            trail::record(tx, &actor.audit(), "user.disabled", "user", user.id.as_str(), detail)
                .await?;
            let because = Because::PersonDisabled;
            end_everything_of_user(tx, &actor.audit(), &user.id, &because).await?;
            Ok(user)
        })
        .await
}

/// Lists users in order of creation, with what is known about them.
pub async fn list_users(
    app: &App,
    actor: &Actor,
    query: UsersQuery,
    page: &PageRequest,
) -> Result<Page<UserView>, AppError> {
    actor.require(Operation::ReadUsers)?;
    app.store()
        .read(async |tx| {
            let page = page_of_users(tx, query, page).await?;
            Ok(Page { items: views(tx, page.items).await?, next: page.next })
        })
        .await
}

/// Lists the accounts of users in order of creation, without what is known about the people.
pub async fn list_accounts(
    app: &App,
    actor: &Actor,
    query: UsersQuery,
    page: &PageRequest,
) -> Result<Page<User>, AppError> {
    actor.require(Operation::ReadUsers)?;
    app.store().read(async |tx| Ok(page_of_users(tx, query, page).await?)).await
}

async fn page_of_users(
    tx: &mut Tx,
    query: UsersQuery,
    page: &PageRequest,
) -> Result<Page<User>, StoreError> {
    let filter = UserFilter {
        first_name: query.first_name,
        last_name: query.last_name,
        roles: query.roles,
        source_integration_id: query.source_integration_id,
        source_integration_name: query.source_integration_name,
        ..UserFilter::default()
    };
    let rows = tx.list_users(&filter, &page.query()).await?;
    Ok(page.page(rows, |user| PageKey::new(user.created_at, user.id.as_str())))
}

/// Reads one user by id or address.
pub async fn get_user(app: &App, actor: &Actor, reference: &str) -> Result<UserView, AppError> {
    actor.require(Operation::ReadUsers)?;
    app.store()
        .read(async |tx| {
            let user = find_by_reference(tx, reference).await?.ok_or_else(AppError::not_found)?;
            views(tx, vec![user]).await?.pop().ok_or_else(AppError::not_found)
        })
        .await
}

/// The user with this id, or else with this address.
pub(crate) async fn find_by_reference(
    tx: &mut Tx,
    reference: &str,
) -> Result<Option<User>, StoreError> {
    if let Some(user) = tx.find_user(&UserId::new(reference)).await? {
        return Ok(Some(user));
    }
    tx.find_user_by_email(&normalize_email(reference)).await
}

/// Checks a new user.
pub(crate) fn new_user(
    id: UserId,
    now: jiff::Timestamp,
    command: CreateUser,
) -> Result<User, AppError> {
    let CreateUser { email, email_aliases, first_name, last_name } = command;
    let mut errors: Vec<FieldError> = Vec::new();
    let email = email.trim().to_owned();
    errors.extend(texts::check_email("email", &email).err());
    let mut aliases: Vec<String> = Vec::new();
    for (at, alias) in email_aliases.iter().enumerate() {
        let alias = alias.trim();
        errors.extend(texts::check_email(&format!("email_aliases[{at}]"), alias).err());
        let known = |other: &String| normalize_email(other) == normalize_email(alias);
        if !known(&email) && !aliases.iter().any(known) {
            aliases.push(alias.to_owned());
        }
    }
    errors.extend(texts::check_line("first_name", &first_name).err());
    errors.extend(texts::check_line("last_name", &last_name).err());
    if !errors.is_empty() {
        return Err(AppError::invalid_fields(errors));
    }
    Ok(User {
        id,
        email,
        email_aliases: aliases,
        first_name: first_name.trim().to_owned(),
        last_name: last_name.trim().to_owned(),
        status: UserStatus::Active,
        roles: BTreeSet::new(),
        source_integration_id: None,
        source_id: None,
        manager_id: None,
        created_at: now,
    })
}

/// Writes a new user, and pins the conditions of flows that waited for somebody of that address.
pub(crate) async fn insert_user(tx: &mut Tx, actor: &Actor, user: &User) -> Result<(), AppError> {
    for email in std::iter::once(&user.email).chain(&user.email_aliases) {
        if tx.find_user_by_email(&normalize_email(email)).await?.is_some() {
            return Err(AppError::conflict(format!(
                "the address {email} belongs to somebody already; one person has one account"
            )));
        }
    }
    tx.insert_user(user).await?;
    let detail = json!({ "email": user.email });
    trail::record(tx, &actor.audit(), "user.created", "user", user.id.as_str(), detail).await?;
    pins::pin_waiting_conditions(tx, &actor.audit(), &[NewIdentity::User(user)]).await
}

/// The views of users, in their order.
async fn views(tx: &mut Tx, users: Vec<User>) -> Result<Vec<UserView>, StoreError> {
    let ids: Vec<UserId> = users.iter().map(|user| user.id.clone()).collect();
    let managers: BTreeSet<UserId> =
        users.iter().filter_map(|user| user.manager_id.clone()).collect();
    let managers = tx.find_users(&managers.into_iter().collect::<Vec<_>>()).await?;
    let managers: BTreeMap<&UserId, &User> =
        managers.iter().map(|manager| (&manager.id, manager)).collect();
    let sources = users.iter().filter_map(|user| user.source_integration_id.clone());
    let names = attributes::source_names(tx, sources).await?;
    let mut known = tx.attributes_of_users(&ids).await?;
    let views = users.into_iter().map(|user| {
        let manager = user.manager_id.as_ref().and_then(|id| managers.get(id).copied());
        let of_user = known.remove(&user.id).unwrap_or_default();
        let source = user.source_integration_id.as_ref();
        UserView {
            attributes: attributes::shown(of_user, manager),
            source_integration_name: source.and_then(|id| names.get(id).cloned()),
            user,
        }
    });
    Ok(views.collect())
}
