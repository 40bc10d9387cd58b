//! People.
//!
//! An address belongs to one person only, whether as primary address or alias, without letter
//! case; rows are never deleted, so an id is never given to anybody else.

use std::{collections::BTreeSet, str::FromStr};

use latchkey_domain::{
    ids::{GroupId, IntegrationId, UserId},
    people::{Role, User, UserStatus, normalize_email},
};
use sea_orm::Value;

use crate::{
    error::{Result, StoreError},
    page::{PageQuery, TextMatch},
    sql::{CHUNK, Row, Sql, json, micros, values},
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

pub(crate) const COLUMNS: &str = "u.id, u.email, u.email_aliases, u.first_name, u.last_name, u.status, \
     u.source_integration_id, u.source_id, u.manager_id, u.created_at, \
     (SELECT string_agg(r.role, ',') FROM user_roles r WHERE r.user_id = u.id) AS roles";

/// A person from a row with [`COLUMNS`].
pub(crate) fn read_user(row: &Row) -> Result<User> {
    Ok(User {
        id: UserId::new(row.text("id")?),
        email: row.text("email")?,
        email_aliases: row.json("email_aliases")?,
        first_name: row.text("first_name")?,
        last_name: row.text("last_name")?,
        status: row.word("status", parse_status)?,
        roles: read_roles(row.opt_text("roles")?.as_deref().unwrap_or_default())?,
        source_integration_id: row.opt_text("source_integration_id")?.map(IntegrationId::new),
        source_id: row.opt_text("source_id")?,
        manager_id: row.opt_text("manager_id")?.map(UserId::new),
        created_at: row.time("created_at")?,
    })
}

/// Roles from a list of words with commas between them.
fn read_roles(words: &str) -> Result<BTreeSet<Role>> {
    words
        .split(',')
        .filter(|word| !word.is_empty())
        .map(|word| Role::from_str(word).map_err(StoreError::corrupt))
        .collect()
}

fn status_word(status: UserStatus) -> &'static str {
    match status {
        UserStatus::Active => "active",
        UserStatus::Disabled => "disabled",
    }
}

fn parse_status(word: &str) -> Option<UserStatus> {
    [UserStatus::Active, UserStatus::Disabled].into_iter().find(|s| status_word(*s) == word)
}

impl Tx {
    /// Adds a person with addresses and roles. A taken address is [`Duplicate`](crate::StoreError::Duplicate).
    pub async fn insert_user(&mut self, user: &User) -> Result<()> {
        let mut sql = Sql::new(
            "INSERT INTO users (id, created_at, email, email_lower, email_aliases, first_name, \
             first_name_lower, last_name, last_name_lower, status, source_integration_id, \
             source_id, manager_id) VALUES ",
        );
        let mut values = values![user.id.as_str(), micros(user.created_at)].to_vec();
        values.extend(profile(user)?);
        sql.list(values);
        self.exec(sql).await?;
        self.write_emails(user).await?;
        for role in &user.roles {
            self.grant_role(&user.id, *role).await?;
        }
        Ok(())
    }

    /// Writes everything but the roles, which change by [`Tx::grant_role`] and
    /// [`Tx::revoke_role`]. Does nothing without such a person.
    pub async fn update_user(&mut self, user: &User) -> Result<()> {
        let mut values = values![user.id.as_str()].to_vec();
        values.extend(profile(user)?);
        let sql = Sql::with(
            "UPDATE users SET email = $2, email_lower = $3, email_aliases = $4, first_name = $5, \
             first_name_lower = $6, last_name = $7, last_name_lower = $8, status = $9, \
             source_integration_id = $10, source_id = $11, manager_id = $12 WHERE id = $1",
            values,
        );
        if self.exec(sql).await? == 0 {
            return Ok(());
        }
        let sql = "DELETE FROM user_emails WHERE user_id = $1";
        self.exec(Sql::with(sql, values![user.id.as_str()])).await?;
        self.write_emails(user).await
    }

    async fn write_emails(&mut self, user: &User) -> Result<()> {
        let addresses: BTreeSet<String> = std::iter::once(&user.email)
            .chain(&user.email_aliases)
            .map(|email| normalize_email(email))
            .collect();
        for address in addresses {
            let sql = "INSERT INTO user_emails (email, user_id) VALUES ($1, $2)";
            self.exec(Sql::with(sql, values![address, user.id.as_str()])).await?;
        }
        Ok(())
    }

    /// The person with this id.
    pub async fn find_user(&mut self, id: &UserId) -> Result<Option<User>> {
        Ok(self.find_users(std::slice::from_ref(id)).await?.pop())
    }

    /// The person with this address or alias, without letter case and outer spaces.
    pub async fn find_user_by_email(&mut self, email: &str) -> Result<Option<User>> {
        let sql = Sql::with(
            &format!(
                "SELECT {COLUMNS} FROM user_emails e JOIN users u ON u.id = e.user_id \
                 WHERE e.email = $1"
            ),
            values![normalize_email(email)],
        );
        Ok(self.read_users(sql).await?.pop())
    }

    /// The people with these ids, in no order; unknown ids are left out.
    pub async fn find_users(&mut self, ids: &[UserId]) -> Result<Vec<User>> {
        let mut users = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM users u WHERE u.id IN "));
            sql.list(ids.iter().map(UserId::as_str));
            users.extend(self.read_users(sql).await?);
        }
        Ok(users)
    }

    /// People by filter, in the order of lists.
    pub async fn list_users(&mut self, filter: &UserFilter, page: &PageQuery) -> Result<Vec<User>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM users u WHERE TRUE"));
        sql.and_eq("u.status", filter.status.map(status_word));
        let source = filter.source_integration_id.as_ref();
        sql.and_eq("u.source_integration_id", source.map(IntegrationId::as_str));
        for (column, text) in [
            ("u.first_name_lower", &filter.first_name),
            ("u.last_name_lower", &filter.last_name),
            ("u.email_lower", &filter.email),
        ] {
            sql.and_text(column, text.as_ref());
        }
        if let Some(name) = &filter.source_integration_name {
            sql.push(" AND u.source_integration_id IN (SELECT i.id FROM integrations i WHERE TRUE");
            sql.and_text("i.name_lower", Some(name)).push(")");
        }
        if !filter.roles.is_empty() {
            sql.push(" AND u.id IN (SELECT r.user_id FROM user_roles r WHERE TRUE");
            sql.and_in("r.role", filter.roles.iter().map(|role| role.as_str())).push(")");
        }
        page.apply(&mut sql, "u.created_at", "u.id");
        self.read_users(sql).await
    }

    /// How many active people have the role.
    pub async fn count_users_with_role(&mut self, role: Role) -> Result<u64> {
        let sql = Sql::with(
            "SELECT COUNT(*) AS n FROM user_roles r JOIN users u ON u.id = r.user_id \
             WHERE r.role = $1 AND u.status = 'active'",
            values![role.as_str()],
        );
        self.count(sql).await
    }

    /// Gives a role; false if the person had it.
    pub async fn grant_role(&mut self, id: &UserId, role: Role) -> Result<bool> {
        let sql = "INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        Ok(self.exec(Sql::with(sql, values![id.as_str(), role.as_str()])).await? > 0)
    }

    /// Takes a role; false if the person had it not.
    pub async fn revoke_role(&mut self, id: &UserId, role: Role) -> Result<bool> {
        let sql = "DELETE FROM user_roles WHERE user_id = $1 AND role = $2";
        Ok(self.exec(Sql::with(sql, values![id.as_str(), role.as_str()])).await? > 0)
    }

    /// Says who the person's manager is, if anybody.
    pub async fn set_manager(&mut self, id: &UserId, manager: Option<&UserId>) -> Result<()> {
        let sql = "UPDATE users SET manager_id = $2 WHERE id = $1";
        let manager = manager.map(UserId::as_str);
        self.exec(Sql::with(sql, values![id.as_str(), manager])).await?;
        Ok(())
    }

    /// Members of a group, in the order of lists of users.
    pub async fn list_group_members(
        &mut self,
        id: &GroupId,
        page: &PageQuery,
    ) -> Result<Vec<User>> {
        let mut sql = Sql::new(&format!(
            "SELECT {COLUMNS} FROM group_members m JOIN users u ON u.id = m.user_id WHERE TRUE"
        ));
        sql.and_eq("m.group_id", Some(id.as_str()));
        page.apply(&mut sql, "u.created_at", "u.id");
        self.read_users(sql).await
    }

    /// Runs a query for people and adds their roles.
    async fn read_users(&mut self, sql: Sql) -> Result<Vec<User>> {
        self.rows(sql, read_user).await
    }
}

/// The columns after id and creation time, in the order of the statements above.
fn profile(user: &User) -> Result<[Value; 11]> {
    Ok(values![
        user.email.as_str(),
        normalize_email(&user.email),
        json(&user.email_aliases)?,
        user.first_name.as_str(),
        user.first_name.to_lowercase(),
        user.last_name.as_str(),
        user.last_name.to_lowercase(),
        status_word(user.status),
        user.source_integration_id.as_ref().map(IntegrationId::as_str),
        user.source_id.as_deref(),
        user.manager_id.as_ref().map(UserId::as_str),
    ])
}
