//! Passwords, and links that sign somebody in: only hashes of both.

use jiff::Timestamp;
use latchkey_domain::{ids::UserId, people::User, sign_in::SignInLink};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    error::Result,
    sql::{Row, Sql, micros, values},
    tx::Tx,
};

const LINK: &str = "user_id, created_at, expires_at";

fn read_link(row: &Row) -> Result<SignInLink> {
    Ok(SignInLink {
        user_id: UserId::new(row.text("user_id")?),
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}

impl Tx {
    /// Keeps the hash of a person's password, in place of any before.
    pub async fn put_password(&mut self, user: &UserId, hash: &SecretString) -> Result<()> {
        let sql = Sql::with(
            "INSERT INTO passwords (user_id, password_hash, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash, \
             updated_at = excluded.updated_at",
            values![user.as_str(), hash.expose_secret(), micros(self.now())],
        );
        self.exec(sql).await?;
        Ok(())
    }

    /// The hash of a person's password; `None` without one.
    pub async fn find_password(&mut self, user: &UserId) -> Result<Option<SecretString>> {
        let sql = "SELECT password_hash FROM passwords WHERE user_id = $1";
        let row = self.row(Sql::with(sql, values![user.as_str()])).await?;
        row.map(|row| Ok(row.text("password_hash")?.into())).transpose()
    }

    /// Keeps a link, in place of those that the person had before.
    pub async fn put_sign_in_link(&mut self, link: &SignInLink, hash: &str) -> Result<()> {
        self.delete_sign_in_links_of(&link.user_id).await?;
        let mut sql = Sql::new(&format!("INSERT INTO sign_in_links (token_hash, {LINK}) VALUES "));
        sql.list(values![
            hash,
            link.user_id.as_str(),
            micros(link.created_at),
            micros(link.expires_at),
        ]);
        self.exec(sql).await?;
        Ok(())
    }

    /// The link whose secret has this hash, and its person, whether or not both still count.
    pub async fn find_sign_in_link(&mut self, hash: &str) -> Result<Option<(SignInLink, User)>> {
        let sql = format!("SELECT {LINK} FROM sign_in_links WHERE token_hash = $1");
        let row = self.row(Sql::with(&sql, values![hash])).await?;
        let Some(link) = row.as_ref().map(read_link).transpose()? else { return Ok(None) };
        let user = self.find_user(&link.user_id).await?;
        Ok(user.map(|user| (link, user)))
    }

    /// Uses a link up; false if somebody did so before.
    pub async fn use_sign_in_link(&mut self, hash: &str) -> Result<bool> {
        let sql = "DELETE FROM sign_in_links WHERE token_hash = $1";
        Ok(self.exec(Sql::with(sql, values![hash])).await? > 0)
    }

    /// Forgets every link of a person.
    pub async fn delete_sign_in_links_of(&mut self, user: &UserId) -> Result<u64> {
        let sql = "DELETE FROM sign_in_links WHERE user_id = $1";
        self.exec(Sql::with(sql, values![user.as_str()])).await
    }

    /// Forgets some of the links that ended before `before`.
    pub async fn sweep_sign_in_links(&mut self, before: Timestamp) -> Result<()> {
        let sql = format!(
            "DELETE FROM sign_in_links WHERE token_hash IN (SELECT l.token_hash \
             FROM sign_in_links l WHERE l.expires_at < $1 LIMIT 100{})",
            self.skip_locked()
        );
        self.exec(Sql::with(&sql, values![micros(before)])).await?;
        Ok(())
    }
}
