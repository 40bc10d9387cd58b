//! Settings: what people may change while servers run. Their list is in the domain.

use latchkey_domain::{
    policy::floors::parse_floors,
    settings::{SETTINGS, SettingKind, SettingSpec},
};
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
    if spec.kind == SettingKind::Floors {
        check_queries(&value)?;
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

/// Refuses floors whose queries cannot be read, with the place in the query.
fn check_queries(floors: &Value) -> Result<(), AppError> {
    let rules = parse_floors(floors).map_err(|problem| AppError::invalid("value", problem))?;
    for rule in &rules {
        if let Err(diagnostics) = latchkey_aql::parse(&rule.query) {
            let problems = diagnostics.iter().map(|one| {
                let hint = one.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("line {}, column {}: {}{hint}", one.line, one.column, one.message)
            });
            let problems: Vec<String> = problems.collect();
            let text = format!("floor {:?}: {}", rule.name, problems.join("; "));
            return Err(AppError::invalid("value", text));
        }
    }
    Ok(())
}
