//! People as policy sees them, read in the deciding transaction.

use latchkey_domain::{
    ids::UserId,
    people::{Group, User},
    policy::matching::PersonFacts,
};
use latchkey_store::Tx;

use super::reading::address;
use crate::error::AppError;

/// A person and the groups the person is in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The person.
    pub(crate) user: User,
    /// Every group the person is in.
    pub(crate) groups: Vec<Group>,
}

impl Person {
    /// Reads the groups of `user`.
    pub(crate) async fn of(tx: &mut Tx, user: User) -> Result<Self, AppError> {
        let groups = tx.groups_of_user(&user.id).await?;
        Ok(Self { user, groups })
    }

    /// What conditions look at.
    pub(crate) fn facts(&self) -> PersonFacts<'_> {
        PersonFacts { user: &self.user, groups: &self.groups }
    }
}

/// A person by id or address.
pub(crate) async fn find_person(tx: &mut Tx, text: &str) -> Result<Option<User>, AppError> {
    if let Some(user) = tx.find_user(&UserId::new(text)).await? {
        return Ok(Some(user));
    }
    match address(text) {
        Some(address) => Ok(tx.find_user_by_email(&address).await?),
        None => Ok(None),
    }
}

/// The person that `grantee` names, or the caller when it names nobody.
pub(crate) async fn grantee_of(
    tx: &mut Tx,
    caller: &User,
    grantee: Option<&str>,
) -> Result<Person, AppError> {
    let user = match grantee {
        None => caller.clone(),
        Some(text) => find_person(tx, text).await?.filter(User::is_active).ok_or_else(|| {
            AppError::invalid("grantee", "no active user has this id or e-mail address")
        })?,
    };
    Person::of(tx, user).await
}
