//! People.
//!
//! An address belongs to one person only, whether as primary address or alias, without letter
//! case; rows are never deleted, so an id is never given to anybody else.

use std::collections::BTreeSet;

use latchkey_domain::{
    ids::{IntegrationId, UserId},
    people::{Role, User, UserStatus},
};

use crate::{
    error::Result,
    page::{PageQuery, TextMatch},
    tx::Tx,
};

/// Which users. Every part that is there must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Given name.
    pub first_name: Option<TextMatch>,
    /// Family name.
    pub last_name: Option<TextMatch>,
    /// Primary address.
    pub email: Option<TextMatch>,
    /// Has any of these roles; empty for everybody.
    pub roles: Vec<Role>,
    /// Active or disabled.
    pub status: Option<UserStatus>,
    /// Synced from this source.
    pub source_integration_id: Option<IntegrationId>,
    /// Synced from any of the sources with such a name.
    pub source_integration_name: Option<TextMatch>,
}

impl Tx {
    /// Adds a person with addresses and roles. A taken address is [`StoreError::Duplicate`].
    pub async fn insert_user(&mut self, user: &User) -> Result<()> {
        unimplemented!()
    }
    /// Writes everything but the roles, which change by grant_role and revoke_role.
    pub async fn update_user(&mut self, user: &User) -> Result<()> {
        unimplemented!()
    }
    /// The person with this id.
    pub async fn find_user(&mut self, id: &UserId) -> Result<Option<User>> {
        unimplemented!()
    }
    /// The person with this address or alias, without letter case and outer spaces.
    pub async fn find_user_by_email(&mut self, email: &str) -> Result<Option<User>> {
        unimplemented!()
    }
    /// The people with these ids, in no order; unknown ids are left out.
    pub async fn find_users(&mut self, ids: &[UserId]) -> Result<Vec<User>> {
        unimplemented!()
    }
    /// People by filter, in the order of lists.
    pub async fn list_users(&mut self, filter: &UserFilter, page: &PageQuery) -> Result<Vec<User>> {
        unimplemented!()
    }
    /// How many active people have the role.
    pub async fn count_users_with_role(&mut self, role: Role) -> Result<u64> {
        unimplemented!()
    }
    /// Gives a role; false if the person had it.
    pub async fn grant_role(&mut self, id: &UserId, role: Role) -> Result<bool> {
        unimplemented!()
    }
    /// Takes a role; false if the person had it not.
    pub async fn revoke_role(&mut self, id: &UserId, role: Role) -> Result<bool> {
        unimplemented!()
    }
    /// The people whose manager this is.
    pub async fn users_managed_by(&mut self, manager: &UserId) -> Result<Vec<User>> {
        unimplemented!()
    }
}
