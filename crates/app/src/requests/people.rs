//! People as policy sees them, read in the deciding transaction.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    ids::UserId,
    people::{Group, PersonAttribute, User, UserStatus},
    policy::matching::PersonFacts,
};
use latchkey_store::{PageKey, PageQuery, Tx, UserFilter};

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

/// How many people are read at a time.
const PEOPLE: u32 = 1000;

/// Reads every active person, and shows each to `see`.
pub(crate) async fn walk_active(tx: &mut Tx, mut see: impl FnMut(Person)) -> Result<(), AppError> {
    let mut page = PageQuery::first(PEOPLE);
    let filter = UserFilter { status: Some(UserStatus::Active), ..UserFilter::default() };
    loop {
        let users = tx.list_users(&filter, &page).await?;
        let is_last = users.len() < PEOPLE as usize;
        page.after = users.last().map(|last| PageKey::new(last.created_at, last.id.as_str()));
        for person in Person::of_all(tx, users).await? {
            see(person);
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Several people at once: a page of requests is about the same few of them again and again.
#[derive(Debug, Clone, Default)]
pub(crate) struct People(BTreeMap<UserId, Person>);

impl People {
    /// Reads these people and their groups, each once; who is unknown is left out.
    pub(crate) async fn read<'a>(
        tx: &mut Tx,
        ids: impl IntoIterator<Item = &'a UserId>,
    ) -> Result<Self, AppError> {
        let mut people = Self::default();
        people.add(tx, ids).await?;
        Ok(people)
    }

    /// Reads those of these people who are not here yet.
    pub(crate) async fn add<'a>(
        &mut self,
        tx: &mut Tx,
        ids: impl IntoIterator<Item = &'a UserId>,
    ) -> Result<(), AppError> {
        let missing: BTreeSet<&UserId> =
            ids.into_iter().filter(|id| !self.0.contains_key(*id)).collect();
        let missing: Vec<UserId> = missing.into_iter().cloned().collect();
        let users = tx.find_users(&missing).await?;
        for person in Person::of_all(tx, users).await? {
            self.0.insert(person.user.id.clone(), person);
        }
        Ok(())
    }

    /// What conditions look at, of all of them.
    pub(crate) fn facts(&self) -> Vec<PersonFacts<'_>> {
        self.0.values().map(Person::facts).collect()
    }

    /// The person, if read and known.
    pub(crate) fn find(&self, id: &UserId) -> Option<&Person> {
        self.0.get(id)
    }

    /// The person, who was read and is referred to by a row.
    pub(crate) fn get(&self, id: &UserId) -> Result<&Person, AppError> {
        self.find(id).ok_or_else(|| AppError::internal(format!("user {id} is missing")))
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
