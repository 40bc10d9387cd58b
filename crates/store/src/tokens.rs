//! API tokens: only keyed hashes of their secrets.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{TokenId, UserId},
    people::{ApiToken, User},
};

use crate::{
    error::Result,
    sql::{Row, Sql, json, micros, opt_micros, values},
    tx::{Store, Tx},
    users,
};

const COLUMNS: &str = "id, user_id, name, secret_hash, scopes, created_at, expires_at, revoked_at";

fn read_token(row: &Row) -> Result<ApiToken> {
    Ok(ApiToken {
        id: TokenId::new(row.text("id")?),
        user_id: UserId::new(row.text("user_id")?),
        name: row.text("name")?,
        secret_hash: row.text("secret_hash")?,
        scopes: row.json("scopes")?,
        created_at: row.time("created_at")?,
        expires_at: row.opt_time("expires_at")?,
        revoked_at: row.opt_time("revoked_at")?,
    })
}

impl Store {
    /// The token with this id, whether or not it still works, and the person whose it is: one
    /// statement, because every call of the API begins with it.
    pub async fn find_caller(&self, id: &TokenId) -> Result<Option<(ApiToken, User)>> {
        let sql = format!(
            "SELECT t.id AS token_id, t.user_id, t.name, t.secret_hash, t.scopes, \
             t.created_at AS token_created_at, t.expires_at, t.revoked_at, {} \
             FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE t.id = $1",
            users::COLUMNS
        );
        let Some(row) = self.row(Sql::with(&sql, values![id.as_str()])).await? else {
            return Ok(None);
        };
        let token = ApiToken {
            id: TokenId::new(row.text("token_id")?),
            user_id: UserId::new(row.text("user_id")?),
            name: row.text("name")?,
            secret_hash: row.text("secret_hash")?,
            scopes: row.json("scopes")?,
            created_at: row.time("token_created_at")?,
            expires_at: row.opt_time("expires_at")?,
            revoked_at: row.opt_time("revoked_at")?,
        };
        Ok(Some((token, users::read_user(&row)?)))
    }
}

impl Tx {
    /// Adds a token.
    pub async fn insert_token(&mut self, token: &ApiToken) -> Result<()> {
        let mut sql = Sql::new(&format!("INSERT INTO api_tokens ({COLUMNS}) VALUES "));
        sql.list(values![
            token.id.as_str(),
            token.user_id.as_str(),
            token.name.as_str(),
            token.secret_hash.as_str(),
            json(&token.scopes)?,
            micros(token.created_at),
            opt_micros(token.expires_at),
            opt_micros(token.revoked_at),
        ]);
        self.exec(sql).await?;
        Ok(())
    }

    /// The token with this id, whether or not it still works.
    pub async fn find_token(&mut self, id: &TokenId) -> Result<Option<ApiToken>> {
        let sql = format!("SELECT {COLUMNS} FROM api_tokens WHERE id = $1");
        self.row(Sql::with(&sql, values![id.as_str()])).await?.as_ref().map(read_token).transpose()
    }

    /// Ends a token; false if there is none, or it had ended.
    pub async fn revoke_token(&mut self, id: &TokenId, at: Timestamp) -> Result<bool> {
        let sql = Sql::with(
            "UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
            values![id.as_str(), micros(at)],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// Ends every token of a person; returns how many.
    pub async fn revoke_tokens_of_user(&mut self, user: &UserId, at: Timestamp) -> Result<u64> {
        let sql = Sql::with(
            "UPDATE api_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL",
            values![user.as_str(), micros(at)],
        );
        self.exec(sql).await
    }

    /// A person's tokens, newest first, ended ones too.
    pub async fn list_tokens_of_user(&mut self, user: &UserId) -> Result<Vec<ApiToken>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM api_tokens WHERE user_id = $1 ORDER BY created_at DESC, id DESC"
        );
        self.rows(Sql::with(&sql, values![user.as_str()]), read_token).await
    }
}
