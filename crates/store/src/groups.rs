//! Groups of people, and who is in them.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    ids::{GroupId, IntegrationId, UserId},
    people::Group,
};

use crate::{
    error::Result,
    page::{PageQuery, TextMatch},
    sql::{CHUNK, Row, Sql, micros, values},
    tx::Tx,
};

/// Which groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Name.
    pub name: Option<TextMatch>,
}

pub(crate) const COLUMNS: &str = "g.id, g.name, g.source_integration_id, g.source_id, g.created_at";

pub(crate) fn read_group(row: &Row) -> Result<Group> {
    Ok(Group {
        id: GroupId::new(row.text("id")?),
        name: row.text("name")?,
        source_integration_id: row.opt_text("source_integration_id")?.map(IntegrationId::new),
        source_id: row.opt_text("source_id")?,
        created_at: row.time("created_at")?,
    })
}

impl Tx {
    /// Adds a group without members. A managed group's name must be free among managed ones.
    pub async fn insert_group(&mut self, group: &Group) -> Result<()> {
        let sql = Sql::with(
            "INSERT INTO user_groups (id, name, name_lower, source_integration_id, source_id, \
             created_at) VALUES ($1, $2, $3, $4, $5, $6)",
            values![
                group.id.as_str(),
                group.name.as_str(),
                group.name.to_lowercase(),
                group.source_integration_id.as_ref().map(IntegrationId::as_str),
                group.source_id.as_deref(),
                micros(group.created_at),
            ],
        );
        self.exec(sql).await?;
        Ok(())
    }

    /// The group with this id.
    pub async fn find_group(&mut self, id: &GroupId) -> Result<Option<Group>> {
        let sql = format!("SELECT {COLUMNS} FROM user_groups g WHERE g.id = $1");
        self.row(Sql::with(&sql, values![id.as_str()])).await?.as_ref().map(read_group).transpose()
    }

    /// The group of this name without letter case: a managed one first, then the oldest.
    pub async fn find_group_by_name(&mut self, name: &str) -> Result<Option<Group>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM user_groups g WHERE g.name_lower = $1 \
             ORDER BY CASE WHEN g.source_integration_id IS NULL THEN 0 ELSE 1 END, \
             g.created_at, g.id LIMIT 1"
        );
        let sql = Sql::with(&sql, values![name.to_lowercase()]);
        self.row(sql).await?.as_ref().map(read_group).transpose()
    }

    /// Groups by filter, in the order of lists.
    pub async fn list_groups(
        &mut self,
        filter: &GroupFilter,
        page: &PageQuery,
    ) -> Result<Vec<Group>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM user_groups g WHERE TRUE"));
        sql.and_text("g.name_lower", filter.name.as_ref());
        page.apply(&mut sql, "g.created_at", "g.id");
        self.rows(sql, read_group).await
    }

    /// Changes the name; false without such a group.
    pub async fn rename_group(&mut self, id: &GroupId, name: &str) -> Result<bool> {
        let sql = Sql::with(
            "UPDATE user_groups SET name = $2, name_lower = $3 WHERE id = $1",
            values![id.as_str(), name, name.to_lowercase()],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// Deletes the group and its memberships; false without such a group.
    pub async fn delete_group(&mut self, id: &GroupId) -> Result<bool> {
        let sql = Sql::with("DELETE FROM user_groups WHERE id = $1", values![id.as_str()]);
        Ok(self.exec(sql).await? > 0)
    }

    /// Adds a member; false if it was one.
    pub async fn add_group_member(&mut self, group: &GroupId, user: &UserId) -> Result<bool> {
        let sql = Sql::with(
            "INSERT INTO group_members (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            values![group.as_str(), user.as_str()],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// Removes a member; false if it was none.
    pub async fn remove_group_member(&mut self, group: &GroupId, user: &UserId) -> Result<bool> {
        let sql = Sql::with(
            "DELETE FROM group_members WHERE group_id = $1 AND user_id = $2",
            values![group.as_str(), user.as_str()],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// Makes these the members.
    pub async fn replace_group_members(&mut self, group: &GroupId, users: &[UserId]) -> Result<()> {
        // Two replacements at once would otherwise leave the union of both.
        let lock = format!("SELECT id FROM user_groups WHERE id = $1{}", self.for_update());
        self.row(Sql::with(&lock, values![group.as_str()])).await?;
        let sql = "DELETE FROM group_members WHERE group_id = $1";
        self.exec(Sql::with(sql, values![group.as_str()])).await?;
        let users: BTreeSet<&UserId> = users.iter().collect();
        let users: Vec<&UserId> = users.into_iter().collect();
        for users in users.chunks(CHUNK) {
            let mut sql = Sql::new("INSERT INTO group_members (group_id, user_id) VALUES ");
            for (at, user) in users.iter().enumerate() {
                sql.push(if at > 0 { ", " } else { "" });
                sql.list([group.as_str(), user.as_str()]);
            }
            self.exec(sql).await?;
        }
        Ok(())
    }

    /// The groups these people are in, and the groups that those are within, oldest first; people
    /// without any are left out.
    pub async fn groups_of_users(
        &mut self,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, Vec<Group>>> {
        let mut found: BTreeMap<UserId, Vec<Group>> = BTreeMap::new();
        for users in users.chunks(CHUNK) {
            let mut sql = Sql::new(
                "WITH RECURSIVE own (user_id, group_id) AS (\
                 SELECT m.user_id, m.group_id FROM group_members m WHERE m.user_id IN ",
            );
            sql.list(users.iter().map(UserId::as_str)).push(
                " UNION SELECT o.user_id, n.group_id FROM own o \
                 JOIN group_nesting n ON n.child_id = o.group_id) ",
            );
            sql.push(&format!(
                "SELECT o.user_id, {COLUMNS} FROM own o JOIN user_groups g ON g.id = o.group_id \
                 ORDER BY g.created_at, g.id"
            ));
            let read = |row: &Row| Ok((UserId::new(row.text("user_id")?), read_group(row)?));
            for (user, group) in self.rows(sql, read).await? {
                found.entry(user).or_default().push(group);
            }
        }
        Ok(found)
    }

    /// The ids of those who are right in the group, sorted.
    pub async fn group_member_ids(&mut self, group: &GroupId) -> Result<Vec<UserId>> {
        let sql = "SELECT user_id FROM group_members WHERE group_id = $1 ORDER BY user_id";
        let sql = Sql::with(sql, values![group.as_str()]);
        self.rows(sql, |row| Ok(UserId::new(row.text("user_id")?))).await
    }
}
