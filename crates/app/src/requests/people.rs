//! People as policy sees them, read in the deciding transaction.

use std::collections::BTreeSet;

use latchkey_domain::{
    ids::UserId,
    people::{Group, PersonAttribute, User},
    policy::matching::PersonFacts,
};
use latchkey_store::Tx;

use super::reading::address;
use crate::error::AppError;

/// A person with all that conditions look at.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The person.
    pub(crate) user: User,
    /// Every group the person is in.
    pub(crate) groups: Vec<Group>,
    /// The person's manager.
    pub(crate) manager: Option<User>,
    /// The person's values of attributes.
    pub(crate) attributes: Vec<PersonAttribute>,
}

impl Person {
    /// Reads what conditions look at about `user`.
    pub(crate) async fn of(tx: &mut Tx, user: User) -> Result<Self, AppError> {
        let missing = AppError::internal(format!("user {} is missing", user.id));
        Self::of_all(tx, vec![user]).await?.pop().ok_or(missing)
    }

    /// Reads the same about many, in their order.
    pub(crate) async fn of_all(tx: &mut Tx, users: Vec<User>) -> Result<Vec<Self>, AppError> {
        let ids: Vec<UserId> = users.iter().map(|user| user.id.clone()).collect();
        let managers: BTreeSet<UserId> =
            users.iter().filter_map(|user| user.manager_id.clone()).collect();
        let managers: Vec<UserId> = managers.into_iter().collect();
        let mut groups = tx.groups_of_users(&ids).await?;
        let mut attributes = tx.attributes_of_users(&ids).await?;
        let managers = tx.find_users(&managers).await?;
        let read = users.into_iter().map(|user| Self {
            groups: groups.remove(&user.id).unwrap_or_default(),
            attributes: attributes.remove(&user.id).unwrap_or_default(),
            manager: managers
                .iter()
                .find(|manager| Some(&manager.id) == user.manager_id.as_ref())
                .cloned(),
            user,
        });
        Ok(read.collect())
    }

    /// What conditions look at.
    pub(crate) fn facts(&self) -> PersonFacts<'_> {
        PersonFacts {
            user: &self.user,
            groups: &self.groups,
            manager: self.manager.as_ref(),
            attributes: &self.attributes,
        }
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
