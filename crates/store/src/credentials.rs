//! What a session connects with: generated credentials, sealed, and connection details without
//! secrets.

use std::collections::BTreeMap;

use latchkey_domain::{ids::SessionId, provisioning::AccessDetails};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{
    error::{Result, StoreError},
    seal::{self, Place, seal},
    sql::{Sql, json, micros, values},
    tx::Tx,
};

/// A login name and its password.
#[derive(Debug, Clone)]
pub struct StoredCredentials {
    /// The login name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

fn place(id: &SessionId) -> Place<'_> {
    Place { table: "session_credentials", row: id.as_str(), column: "sealed" }
}

impl Tx {
    /// Seals and keeps credentials, in place of any before.
    pub async fn put_credentials(
        &mut self,
        id: &SessionId,
        username: &str,
        password: &SecretString,
    ) -> Result<()> {
        let plain =
            BTreeMap::from([("username", username), ("password", password.expose_secret())]);
        let plain = Zeroizing::new(json(&plain)?);
        let sealed = seal(self.keys(), self.rng(), place(id), plain.as_bytes())?;
        let sql = Sql::with(
            "INSERT INTO session_credentials (session_id, sealed, updated_at) \
             VALUES ($1, $2, $3) ON CONFLICT (session_id) DO UPDATE SET \
             sealed = excluded.sealed, updated_at = excluded.updated_at",
            values![id.as_str(), sealed, micros(self.now())],
        );
        self.exec(sql).await?;
        Ok(())
    }

    /// Opens credentials.
    pub async fn find_credentials(&mut self, id: &SessionId) -> Result<Option<StoredCredentials>> {
        let sql = "SELECT sealed FROM session_credentials WHERE session_id = $1";
        let Some(row) = self.row(Sql::with(sql, values![id.as_str()])).await? else {
            return Ok(None);
        };
        let plain = seal::open(self.keys(), place(id), &row.text("sealed")?)?;
        let damaged = || StoreError::corrupt(format!("the credentials of session {id}"));
        let mut values: BTreeMap<String, String> =
            serde_json::from_slice(&plain).map_err(|_| damaged())?;
        let username = values.remove("username").ok_or_else(damaged)?;
        let password = values.remove("password").ok_or_else(damaged)?;
        Ok(Some(StoredCredentials { username, password: password.into() }))
    }

    /// Whether credentials are kept.
    pub async fn has_credentials(&mut self, id: &SessionId) -> Result<bool> {
        let sql = "SELECT session_id FROM session_credentials WHERE session_id = $1";
        Ok(self.row(Sql::with(sql, values![id.as_str()])).await?.is_some())
    }

    /// Forgets credentials; false if there were none.
    pub async fn delete_credentials(&mut self, id: &SessionId) -> Result<bool> {
        let sql = "DELETE FROM session_credentials WHERE session_id = $1";
        Ok(self.exec(Sql::with(sql, values![id.as_str()])).await? > 0)
    }

    /// Keeps how to connect, without secrets.
    pub async fn put_access_details(
        &mut self,
        id: &SessionId,
        details: &AccessDetails,
    ) -> Result<()> {
        let sql = Sql::with(
            "INSERT INTO session_details (session_id, details) VALUES ($1, $2) \
             ON CONFLICT (session_id) DO UPDATE SET details = excluded.details",
            values![id.as_str(), json(details)?],
        );
        self.exec(sql).await?;
        Ok(())
    }

    /// How to connect.
    pub async fn find_access_details(&mut self, id: &SessionId) -> Result<Option<AccessDetails>> {
        let sql = "SELECT details FROM session_details WHERE session_id = $1";
        let row = self.row(Sql::with(sql, values![id.as_str()])).await?;
        row.map(|row| row.json("details")).transpose()
    }
}
