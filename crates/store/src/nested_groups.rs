//! Groups within groups.
//!
//! Whoever reads memberships walks up or down with `UNION`, which takes every group once: even
//! rows that go round in a circle come to an end.

use latchkey_domain::{
    ids::{GroupId, UserId},
    people::Group,
};

use crate::{
    error::Result,
    groups::{COLUMNS, read_group},
    page::PageQuery,
    sql::{Sql, values},
    tx::Tx,
};

/// A group and every group within it, however deep, as `within`.
const WITHIN: &str = "WITH RECURSIVE within (group_id) AS (\
     SELECT CAST($1 AS TEXT) UNION \
     SELECT n.child_id FROM within w JOIN group_nesting n ON n.group_id = w.group_id) ";

impl Tx {
    /// Keeps others from nesting groups until this transaction ends.
    pub async fn lock_group_nesting(&mut self) -> Result<()> {
        let sql = "UPDATE counters SET value = value + 1 WHERE name = 'group_nesting'";
        self.exec(Sql::new(sql)).await?;
        Ok(())
    }

    /// Puts a group into another; false if it was there.
    pub async fn insert_child_group(&mut self, group: &GroupId, child: &GroupId) -> Result<bool> {
        let sql = "INSERT INTO group_nesting (group_id, child_id) VALUES ($1, $2) \
                   ON CONFLICT DO NOTHING";
        Ok(self.exec(Sql::with(sql, values![group.as_str(), child.as_str()])).await? > 0)
    }

    /// Takes a group out of another; false if it was not there.
    pub async fn delete_child_group(&mut self, group: &GroupId, child: &GroupId) -> Result<bool> {
        let sql = "DELETE FROM group_nesting WHERE group_id = $1 AND child_id = $2";
        Ok(self.exec(Sql::with(sql, values![group.as_str(), child.as_str()])).await? > 0)
    }

    /// The groups right inside a group, in order of creation.
    pub async fn list_child_groups(
        &mut self,
        group: &GroupId,
        page: &PageQuery,
    ) -> Result<Vec<Group>> {
        let mut sql = Sql::with(
            &format!(
                "SELECT {COLUMNS} FROM group_nesting n JOIN user_groups g ON g.id = n.child_id \
                 WHERE n.group_id = $1"
            ),
            values![group.as_str()],
        );
        page.apply(&mut sql, "g.created_at", "g.id");
        self.rows(sql, read_group).await
    }

    /// Whether a group is another, or is within it, however deep.
    pub async fn is_within_group(&mut self, inner: &GroupId, outer: &GroupId) -> Result<bool> {
        let sql = format!("{WITHIN} SELECT 1 AS found FROM within WHERE group_id = $2");
        let sql = Sql::with(&sql, values![outer.as_str(), inner.as_str()]);
        Ok(self.row(sql).await?.is_some())
    }

    /// The ids of everybody in a group or in any group within it, sorted, each once.
    pub async fn ids_of_all_in_group(&mut self, group: &GroupId) -> Result<Vec<UserId>> {
        let sql = format!(
            "{WITHIN} SELECT DISTINCT m.user_id FROM within w \
             JOIN group_members m ON m.group_id = w.group_id ORDER BY m.user_id"
        );
        let sql = Sql::with(&sql, values![group.as_str()]);
        self.rows(sql, |row| Ok(UserId::new(row.text("user_id")?))).await
    }
}
