//! Values of identity attributes, and who has them; and all identities as one list.
//!
//! Invariant: a value's id is derived from what makes it the same value (its type with its text,
//! or with its source's id for it) and its row is never deleted, so that a condition pinned to it
//! means the same value for ever.

use std::collections::BTreeMap;

use latchkey_domain::{
    ids::{AttributeValueId, IntegrationId, UserId, same_text},
    people::{AttributeValue, Identity, IdentityKind, PersonAttribute, User},
};

use crate::{
    error::Result,
    page::{PageQuery, TextMatch},
    sql::{CHUNK, Row, Sql, micros, values},
    tx::Tx,
};

/// Which identities. Every part that is there must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityFilter {
    /// Of this type: `user`, `group`, or an attribute's.
    pub attribute_type: Option<String>,
    /// The address, the name, the text.
    pub value: Option<TextMatch>,
    /// From this source.
    pub source_integration_id: Option<IntegrationId>,
}

const COLUMNS: &str = "v.id, v.attribute_type, v.value, v.source_integration_id, v.source_id, \
     v.created_at";

const USER: &str = "user";
const GROUP: &str = "group";

fn read_value(row: &Row) -> Result<AttributeValue> {
    Ok(AttributeValue {
        id: AttributeValueId::new(row.text("id")?),
        attribute_type: row.text("attribute_type")?,
        value: row.text("value")?,
        source_integration_id: row.opt_text("source_integration_id")?.map(IntegrationId::new),
        source_id: row.opt_text("source_id")?,
        created_at: row.time("created_at")?,
    })
}

fn read_identity(row: &Row) -> Result<Identity> {
    let attribute_type = row.text("attribute_type")?;
    let kind = match row.text("kind")?.as_str() {
        USER => IdentityKind::User,
        GROUP => IdentityKind::Group,
        _ => IdentityKind::Attribute(attribute_type),
    };
    Ok(Identity {
        kind,
        id: row.text("id")?,
        value: row.text("value")?,
        source_integration_id: row.opt_text("source_integration_id")?.map(IntegrationId::new),
        source_id: row.opt_text("source_id")?,
        created_at: row.time("created_at")?,
    })
}

impl Tx {
    /// Adds a value of an attribute, or changes the text of one that is known; false if it was
    /// known. Only a source changes the text of its own values.
    pub async fn put_attribute_value(&mut self, value: &AttributeValue) -> Result<bool> {
        let sql = Sql::with(
            "INSERT INTO attribute_values (id, attribute_type, value, value_lower, \
             source_integration_id, source_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (id) DO NOTHING",
            values![
                value.id.as_str(),
                value.attribute_type.as_str(),
                value.value.as_str(),
                same_text(&value.value),
                value.source_integration_id.as_ref().map(IntegrationId::as_str),
                value.source_id.as_deref(),
                micros(value.created_at),
            ],
        );
        if self.exec(sql).await? > 0 {
            return Ok(true);
        }
        let sql = Sql::with(
            "UPDATE attribute_values SET value = $2, value_lower = $3 WHERE id = $1 \
             AND value <> $2 AND source_integration_id IS NOT NULL",
            values![value.id.as_str(), value.value.as_str(), same_text(&value.value)],
        );
        self.exec(sql).await?;
        Ok(false)
    }

    /// The values of a type that `text` may name: by id, by their source's id, or by their text
    /// without letter case. Oldest first.
    pub async fn find_attribute_values(
        &mut self,
        attribute_type: &str,
        text: &str,
    ) -> Result<Vec<AttributeValue>> {
        let sql = Sql::with(
            &format!(
                "SELECT {COLUMNS} FROM attribute_values v WHERE v.attribute_type = $1 \
                 AND (v.id = $2 OR v.source_id = $2 OR v.value_lower = $3) \
                 ORDER BY v.created_at, v.id"
            ),
            values![attribute_type, text.trim(), same_text(text)],
        );
        self.rows(sql, read_value).await
    }

    /// Locks these people until the transaction ends, so that two writers of their attributes do
    /// not mix.
    pub async fn lock_users(&mut self, ids: &[UserId]) -> Result<()> {
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new("SELECT u.id FROM users u WHERE u.id IN ");
            sql.list(ids.iter().map(UserId::as_str)).push(" ORDER BY u.id");
            sql.push(self.for_update());
            self.rows(sql, |_| Ok(())).await?;
        }
        Ok(())
    }

    /// Gives a person a value of an attribute, with its text as it was sent.
    pub async fn give_attribute(
        &mut self,
        user: &UserId,
        value: &AttributeValueId,
        text: &str,
    ) -> Result<()> {
        let sql = Sql::with(
            "INSERT INTO user_attributes (user_id, value_id, text) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, value_id) DO UPDATE SET text = excluded.text",
            values![user.as_str(), value.as_str(), text],
        );
        self.exec(sql).await?;
        Ok(())
    }

    /// Takes a value of an attribute from a person; false if the person had it not.
    pub async fn take_attribute(
        &mut self,
        user: &UserId,
        value: &AttributeValueId,
    ) -> Result<bool> {
        let sql = "DELETE FROM user_attributes WHERE user_id = $1 AND value_id = $2";
        Ok(self.exec(Sql::with(sql, values![user.as_str(), value.as_str()])).await? > 0)
    }

    /// The attributes of these people, those set here first, then sorted by type and text.
    /// People without any are left out.
    pub async fn attributes_of_users(
        &mut self,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, Vec<PersonAttribute>>> {
        let mut found: BTreeMap<UserId, Vec<PersonAttribute>> = BTreeMap::new();
        for users in users.chunks(CHUNK) {
            let mut sql = Sql::new(&format!(
                "SELECT a.user_id, a.text, {COLUMNS} FROM user_attributes a \
                 JOIN attribute_values v ON v.id = a.value_id WHERE a.user_id IN "
            ));
            sql.list(users.iter().map(UserId::as_str));
            sql.push(
                " ORDER BY CASE WHEN v.source_integration_id IS NULL THEN 0 ELSE 1 END, \
                 v.attribute_type, v.value_lower, v.id",
            );
            let rows = self
                .rows(sql, |row| {
                    let identity = read_value(row)?;
                    let attribute = PersonAttribute { identity, text: row.text("text")? };
                    Ok((UserId::new(row.text("user_id")?), attribute))
                })
                .await?;
            for (user, attribute) in rows {
                found.entry(user).or_default().push(attribute);
            }
        }
        Ok(found)
    }

    /// The people who have any of these values, sorted.
    pub async fn users_with_attributes(
        &mut self,
        values: &[AttributeValueId],
    ) -> Result<Vec<UserId>> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = Sql::new("SELECT DISTINCT a.user_id FROM user_attributes a WHERE TRUE");
        sql.and_in("a.value_id", values.iter().map(AttributeValueId::as_str));
        sql.push(" ORDER BY a.user_id");
        self.rows(sql, |row| Ok(UserId::new(row.text("user_id")?))).await
    }

    /// At most `limit` people who have any value of this type, sorted.
    pub async fn users_with_attribute_type(
        &mut self,
        attribute_type: &str,
        limit: u32,
    ) -> Result<Vec<UserId>> {
        let sql = Sql::with(
            "SELECT DISTINCT a.user_id FROM attribute_values v \
             JOIN user_attributes a ON a.value_id = v.id WHERE v.attribute_type = $1 \
             ORDER BY a.user_id LIMIT $2",
            values![attribute_type, i64::from(limit)],
        );
        self.rows(sql, |row| Ok(UserId::new(row.text("user_id")?))).await
    }

    /// People with attributes that were set here, in the order of lists; `among` keeps these
    /// people. Also how many there are in all.
    pub async fn list_users_with_own_attributes(
        &mut self,
        among: Option<&[UserId]>,
        skip: u32,
        limit: u32,
    ) -> Result<(Vec<User>, u64)> {
        let mut rest = Sql::new(
            " FROM users u WHERE EXISTS (SELECT 1 FROM user_attributes a \
             JOIN attribute_values v ON v.id = a.value_id \
             WHERE a.user_id = u.id AND v.source_integration_id IS NULL)",
        );
        if let Some(among) = among {
            rest.push(" AND u.id IN ").list(among.iter().map(UserId::as_str));
        }
        let mut count = rest.clone();
        count.text = format!("SELECT COUNT(*) AS n{}", rest.text);
        let total = self.count(count).await?;
        rest.text = format!("SELECT u.id AS id{}", rest.text);
        rest.push(" ORDER BY u.created_at, u.id LIMIT ").bind(i64::from(limit));
        rest.push(" OFFSET ").bind(i64::from(skip));
        let ids = self.rows(rest, |row| Ok(UserId::new(row.text("id")?))).await?;
        let mut users: Vec<User> = self.find_users(&ids).await?;
        users.sort_by(|one, other| {
            (one.created_at, one.id.as_str()).cmp(&(other.created_at, other.id.as_str()))
        });
        Ok((users, total))
    }

    /// Users, groups, and the values of attributes that somebody has, in the order of lists.
    pub async fn list_identities(
        &mut self,
        filter: &IdentityFilter,
        page: &PageQuery,
    ) -> Result<Vec<Identity>> {
        let wanted = filter.attribute_type.as_deref();
        let mut sql = Sql::new("SELECT * FROM (");
        let mut is_first = true;
        let mut begin = |sql: &mut Sql, text: &str| {
            sql.push(if std::mem::take(&mut is_first) { "" } else { " UNION ALL " });
            sql.push("SELECT * FROM (").push(text);
        };
        if wanted.is_none_or(|wanted| wanted == USER) {
            begin(
                &mut sql,
                "SELECT 'user' AS kind, u.id, u.created_at, 'user' AS attribute_type, \
                 u.email AS value, u.source_integration_id, u.source_id FROM users u WHERE TRUE",
            );
            end(&mut sql, filter, page, "u", "u.email_lower");
        }
        if wanted.is_none_or(|wanted| wanted == GROUP) {
            begin(
                &mut sql,
                "SELECT 'group' AS kind, g.id, g.created_at, 'group' AS attribute_type, \
                 g.name AS value, g.source_integration_id, g.source_id FROM user_groups g \
                 WHERE TRUE",
            );
            end(&mut sql, filter, page, "g", "g.name_lower");
        }
        if wanted.is_none_or(|wanted| wanted != USER && wanted != GROUP) {
            begin(
                &mut sql,
                "SELECT 'attribute' AS kind, v.id, v.created_at, v.attribute_type, v.value, \
                 v.source_integration_id, v.source_id FROM attribute_values v WHERE EXISTS \
                 (SELECT 1 FROM user_attributes a WHERE a.value_id = v.id)",
            );
            sql.and_eq("v.attribute_type", wanted);
            end(&mut sql, filter, page, "v", "v.value_lower");
        }
        sql.push(") i WHERE TRUE");
        page.apply(&mut sql, "i.created_at", "i.id");
        self.rows(sql, read_identity).await
    }
}

/// Appends what narrows a part of the list of identities. It is cut to the page, so that no more
/// rows are gathered than can be on it.
fn end(sql: &mut Sql, filter: &IdentityFilter, page: &PageQuery, table: &str, text: &str) {
    let source = filter.source_integration_id.as_ref();
    sql.and_eq(&format!("{table}.source_integration_id"), source.map(IntegrationId::as_str));
    sql.and_text(text, filter.value.as_ref());
    page.apply(sql, &format!("{table}.created_at"), &format!("{table}.id"));
    sql.push(&format!(") {table}"));
}
