//! Settings that somebody changed; everything else has its default.

use std::collections::BTreeMap;

use latchkey_domain::settings::SettingSpec;
use serde_json::Value;

use crate::{
    error::Result,
    sql::{Sql, json, micros, values},
    tx::Tx,
};

impl Tx {
    /// The value that was set, if any.
    pub async fn find_setting(&mut self, key: &str) -> Result<Option<Value>> {
        unimplemented!()
    }
    /// The value in force: what was set, or the default.
    pub async fn setting(&mut self, spec: &SettingSpec) -> Result<Value> {
        unimplemented!()
    }
    /// Sets a value. Checking it is the caller's business.
    pub async fn put_setting(&mut self, key: &str, value: &Value) -> Result<()> {
        unimplemented!()
    }
    /// Every value that was set.
    pub async fn list_settings(&mut self) -> Result<BTreeMap<String, Value>> {
        unimplemented!()
    }
}
