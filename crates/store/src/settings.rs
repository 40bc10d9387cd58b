//! Settings that somebody changed; everything else has its default.

use std::collections::BTreeMap;

use latchkey_domain::settings::{FLOORS, SettingSpec};
use serde_json::Value;

use crate::{
    error::{Result, StoreError},
    sql::{Sql, json, micros, values},
    tx::Tx,
    wake::Wake,
};

impl Tx {
    /// The value that was set, if any.
    pub async fn find_setting(&mut self, key: &str) -> Result<Option<Value>> {
        let sql = Sql::with("SELECT value FROM settings WHERE key = $1", values![key]);
        self.row(sql).await?.map(|row| row.json("value")).transpose()
    }

    /// The value in force: what was set, or the default.
    pub async fn setting(&mut self, spec: &SettingSpec) -> Result<Value> {
        match self.find_setting(spec.key).await? {
            Some(value) => Ok(value),
            None => serde_json::from_str(spec.default)
                .map_err(|_| StoreError::corrupt(format!("the default of {}", spec.key))),
        }
    }

    /// Sets a value. Checking it is the caller's business.
    pub async fn put_setting(&mut self, key: &str, value: &Value) -> Result<()> {
        if key == FLOORS {
            self.wake_after(Wake::Inventory);
        }
        let sql = Sql::with(
            "INSERT INTO settings (key, value, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, \
             updated_at = excluded.updated_at",
            values![key, json(value)?, micros(self.now())],
        );
        self.exec(sql).await?;
        Ok(())
    }

    /// Every value that was set.
    pub async fn list_settings(&mut self) -> Result<BTreeMap<String, Value>> {
        let sql = Sql::new("SELECT key, value FROM settings");
        let pairs = self.rows(sql, |row| Ok((row.text("key")?, row.json("value")?))).await?;
        Ok(pairs.into_iter().collect())
    }
}
