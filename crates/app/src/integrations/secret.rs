//! Where a target's admin secret is kept, and when it has to be sent again.
//!
//! Invariant: a stored secret is used only towards the place it was entered for. Sending the
//! mask back keeps it while nothing has changed that decides where it goes or how it travels.

use std::collections::BTreeMap;

use latchkey_catalog::{IntegrationType, MASK, SecretStoreKind, config_text, validate_secret_keys};
use latchkey_domain::integration::{Integration, SecretStore};
use latchkey_store::SecretValues;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::{IntegrationCommand, SecretStoreInput};
use crate::error::{AppError, FieldError, codes};

/// The key of `integration_config` that names a secret on the connector's machine.
pub(super) const SECRET_REF: &str = "secret_ref";
const STORE: &str = "secret_store_config";

/// What a command says about the secret, checked.
#[derive(Debug)]
pub(super) struct Secret {
    /// Where it is kept; `None` for types without one.
    pub(super) store: Option<SecretStore>,
    /// The values to seal, where the server keeps it.
    pub(super) values: Option<SecretValues>,
}

/// Reads the secret of a command. `stored` is what the server keeps for the integration now.
pub(super) fn read(
    kind: &IntegrationType,
    command: &IntegrationCommand,
    stored: &SecretValues,
) -> Result<Secret, AppError> {
    let reference = command.config.get(SECRET_REF).filter(|value| !value.is_null());
    match (&command.secret_stores, reference) {
        (Some(_), Some(_)) => Err(AppError::invalid(
            STORE,
            "and integration_config.secret_ref name two stores; keep one of them",
        )),
        (None, None) if kind.requires_secret() => Err(AppError::invalid(
            STORE,
            format!(
                "is needed: the type {} has a secret; fill exactly one store, or set \
                 integration_config.secret_ref to file:NAME or env:NAME",
                kind.name
            ),
        )),
        (None, None) => Ok(Secret { store: None, values: None }),
        (None, Some(reference)) => {
            Ok(Secret { store: Some(read_reference(kind, reference)?), values: None })
        }
        (Some(filled), None) => read_store(kind, filled, stored),
    }
}

/// Refuses the mask where the stored secret would go somewhere else than it was entered for.
pub(super) fn demand_again(
    kind: &IntegrationType,
    command: &IntegrationCommand,
    before: &Integration,
    connector_moves: bool,
) -> Result<(), AppError> {
    let masked = command.secret_stores.iter().flatten().any(|store| match store {
        SecretStoreInput::Platform { parameters } => {
            parameters.values().any(|value| value.expose_secret() == MASK)
        }
        SecretStoreInput::Other(_) => false,
    });
    if !masked {
        return Ok(());
    }
    let mut changed: Vec<&str> = kind
        .params
        .iter()
        .filter(|param| param.guards_secret)
        .filter(|param| {
            let now = effective(&command.config, param.key, param.default);
            now != effective(&before.config, param.key, param.default)
        })
        .map(|param| param.key)
        .collect();
    if connector_moves {
        changed.push("connector_id");
    }
    if changed.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} changed, which decides where the secret goes; send the secret's values again instead \
         of the mask",
        changed.join(", ")
    );
    Err(AppError::refused(codes::SECRET_REQUIRED, message.clone())
        .with_field(format!("{STORE}.apono.parameters"), message))
}

/// The value in force: as configured, or else the default.
fn effective(config: &Map<String, Value>, key: &str, default: Option<&str>) -> Option<String> {
    config_text(config)
        .remove(key)
        .filter(|value| !value.is_empty())
        .or_else(|| default.map(str::to_owned))
}

fn read_store(
    kind: &IntegrationType,
    filled: &[SecretStoreInput],
    stored: &SecretValues,
) -> Result<Secret, AppError> {
    let [only] = filled else {
        return Err(AppError::invalid(STORE, "must have exactly one member"));
    };
    let parameters = match only {
        SecretStoreInput::Platform { parameters } => parameters,
        SecretStoreInput::Other(name) => {
            return Err(AppError::invalid(
                format!("{STORE}.{name}"),
                "is not supported yet; use apono, or integration_config.secret_ref",
            ));
        }
    };
    if !kind.secret_stores.contains(&SecretStoreKind::Platform) {
        return Err(AppError::invalid(
            format!("{STORE}.apono"),
            format!("cannot keep the secret of the type {}", kind.name),
        ));
    }
    // What is checked are the names and whether there is a value, so values need not be copied.
    let shapes: BTreeMap<String, String> = parameters
        .iter()
        .map(|(key, value)| (key.clone(), shape(value.expose_secret()).to_owned()))
        .collect();
    let known: Vec<String> = stored.keys().cloned().collect();
    let errors = validate_secret_keys(kind, &shapes, &known);
    if !errors.is_empty() {
        return Err(AppError::invalid_fields(
            errors.into_iter().map(|error| FieldError::new(error.field, error.message)).collect(),
        ));
    }
    let values: SecretValues = parameters
        .iter()
        .filter_map(|(key, value)| {
            let value = match value.expose_secret() {
                "" => return None,
                MASK => stored.get(key)?.clone(),
                text => SecretString::from(text),
            };
            Some((key.clone(), value))
        })
        .collect();
    let keys = values.keys().cloned().collect();
    Ok(Secret { store: Some(SecretStore::Platform { keys }), values: Some(values) })
}

/// A text that validation judges like the value, without being it.
fn shape(value: &str) -> &str {
    match value {
        "" | MASK => value,
        other if other.contains('\0') => "\0",
        _ => "value",
    }
}

/// Takes `file:NAME` or `env:NAME`. What is allowed is decided on the connector's machine; this
/// refuses what can never be.
fn read_reference(kind: &IntegrationType, reference: &Value) -> Result<SecretStore, AppError> {
    let field = "integration_config.secret_ref";
    let wrong = || {
        AppError::invalid(
            field,
            "must be file:NAME (a file below the connector's secret folder) or env:NAME (the \
             variable LATCHKEY_SECRET_NAME of the connector)",
        )
    };
    let text = reference.as_str().ok_or_else(wrong)?;
    let (store, name) = text.split_once(':').ok_or_else(wrong)?;
    let (known, store) = match store {
        "file" if is_file_name(name) => {
            (SecretStoreKind::File, SecretStore::File { name: name.to_owned() })
        }
        "env" if is_variable_name(name) => {
            (SecretStoreKind::Env, SecretStore::Env { name: name.to_owned() })
        }
        _ => return Err(wrong()),
    };
    if !kind.secret_stores.contains(&known) {
        return Err(AppError::invalid(
            field,
            format!("the type {} does not take its secret from there", kind.name),
        ));
    }
    Ok(store)
}

/// A relative path of plain names: no step up, no empty step, no escape.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && name.split('/').all(|step| {
            !step.is_empty()
                && step != "."
                && step != ".."
                && step.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        })
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use latchkey_catalog::find_type;
    use serde_json::json;

    use super::*;

    fn reference(text: &str) -> Result<SecretStore, AppError> {
        read_reference(find_type("postgresql").unwrap(), &json!(text))
    }

    #[test]
    fn a_reference_names_a_file_or_a_variable() {
        assert_eq!(
            reference("file:shop/db.json").unwrap(),
            SecretStore::File { name: "shop/db.json".to_owned() }
        );
        assert_eq!(reference("env:SHOP").unwrap(), SecretStore::Env { name: "SHOP".to_owned() });
    }

    #[test]
    fn a_reference_cannot_leave_its_folder() {
        for text in [
            "file:",
            "file:../x",
            "file:/etc/passwd",
            "file:a//b",
            "file:a/./b",
            "file:a%2fb",
            "file:a\\b",
            "file:a\0b",
            "env:",
            "env:A B",
            "env:A=B",
            "vault:x",
            "x",
        ] {
            assert!(reference(text).is_err(), "{text:?}");
        }
    }
}
