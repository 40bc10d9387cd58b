//! Settings: what people may change while servers run. Their list is in the domain.

use latchkey_domain::settings::{SETTINGS, SettingKind, SettingSpec};
use serde_json::{Value, json};

use crate::{App, actor::Actor, authorization::Operation, error::AppError, outbound, trail};

/// A setting and its value now.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingView {
    /// What the setting is.
    pub spec: &'static SettingSpec,
    /// Its value, the default where nobody set one.
    pub value: Value,
}

/// Every setting.
pub async fn list_settings(app: &App, actor: &Actor) -> Result<Vec<SettingView>, AppError> {
    actor.require(Operation::ReadSettings)?;
    app.store()
        .read(async |tx| {
            let mut views = Vec::with_capacity(SETTINGS.len());
            for spec in SETTINGS {
                views.push(SettingView { spec, value: tx.setting(spec).await? });
            }
            Ok(views)
        })
        .await
}

/// One setting.
pub async fn get_setting(app: &App, actor: &Actor, key: &str) -> Result<SettingView, AppError> {
    actor.require(Operation::ReadSettings)?;
    let spec =
        SettingSpec::get(key).map_err(|error| AppError::invalid("key", error.to_string()))?;
    app.store().read(async |tx| Ok(SettingView { spec, value: tx.setting(spec).await? })).await
}

/// Changes a setting; the change counts at once on every server.
pub async fn set_setting(
    app: &App,
    actor: &Actor,
    key: &str,
    value: Value,
) -> Result<SettingView, AppError> {
    actor.require(Operation::ChangeSettings)?;
    let spec =
        SettingSpec::get(key).map_err(|error| AppError::invalid("key", error.to_string()))?;
    spec.check(&value).map_err(|error| AppError::invalid("value", error.to_string()))?;
    if let (SettingKind::Url, Some(url)) = (spec.kind, value.as_str()) {
        outbound::check_url(url).map_err(|problem| AppError::invalid("value", problem))?;
    }
    app.store()
        .write(async |tx| {
            let before = tx.setting(spec).await?;
            tx.put_setting(spec.key, &value).await?;
            let detail = json!({ "before": before, "after": value });
            trail::record(tx, &actor.audit(), "setting.changed", "setting", key, detail).await?;
            Ok(SettingView { spec, value })
        })
        .await
}
