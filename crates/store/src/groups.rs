//! Groups of people, and who is in them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use latchkey_domain::{
    ids::{GroupId, UserId},
    people::{Group, User},
};

use crate::{
    error::Result,
    page::{PageQuery, TextMatch},
    tx::Tx,
};

/// Which groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Name.
    pub name: Option<TextMatch>,
}

impl Tx {
    /// Adds a group without members.
    pub async fn insert_group(&mut self, group: &Group) -> Result<()> {
        unimplemented!()
    }
    /// The group with this id.
    pub async fn find_group(&mut self, id: &GroupId) -> Result<Option<Group>> {
        unimplemented!()
    }
    /// The group of this name without letter case: a managed one first, then the oldest.
    pub async fn find_group_by_name(&mut self, name: &str) -> Result<Option<Group>> {
        unimplemented!()
    }
    /// Groups by filter, in the order of lists.
    pub async fn list_groups(
        &mut self,
        filter: &GroupFilter,
        page: &PageQuery,
    ) -> Result<Vec<Group>> {
        unimplemented!()
    }
    /// Changes the name; false without such a group.
    pub async fn rename_group(&mut self, id: &GroupId, name: &str) -> Result<bool> {
        unimplemented!()
    }
    /// Deletes the group and its memberships; false without such a group.
    pub async fn delete_group(&mut self, id: &GroupId) -> Result<bool> {
        unimplemented!()
    }
    /// Members in the order of lists of users.
    pub async fn list_group_members(
        &mut self,
        id: &GroupId,
        page: &PageQuery,
    ) -> Result<Vec<User>> {
        unimplemented!()
    }
    /// Adds a member; false if it was one.
    pub async fn add_group_member(&mut self, group: &GroupId, user: &UserId) -> Result<bool> {
        unimplemented!()
    }
    /// Removes a member; false if it was none.
    pub async fn remove_group_member(&mut self, group: &GroupId, user: &UserId) -> Result<bool> {
        unimplemented!()
    }
    /// Makes these the members.
    pub async fn replace_group_members(&mut self, group: &GroupId, users: &[UserId]) -> Result<()> {
        unimplemented!()
    }
    /// The groups a person is in.
    pub async fn groups_of_user(&mut self, user: &UserId) -> Result<Vec<Group>> {
        unimplemented!()
    }
    /// The ids of the members.
    pub async fn group_member_ids(&mut self, group: &GroupId) -> Result<Vec<UserId>> {
        unimplemented!()
    }
}
