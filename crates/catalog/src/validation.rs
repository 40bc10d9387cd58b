//! Checks what an Admin sent for an integration against the type's description, before anything
//! is stored or connected to. Unknown keys are kept and ignored: clients expect the echo.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{IntegrationType, Param, ParamKind};

/// What answers show in place of a stored secret value. Sent back, it keeps the stored value.
pub const MASK: &str = "********";

/// Something wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where, such as `integration_config.port`.
    pub field: String,
    /// What is wrong and what to send instead.
    pub message: String,
}

impl FieldError {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Everything wrong with the configuration of an integration of this type.
///
/// `config` is `integration_config` as sent; `connected_resource_types` is `None` for all.
pub fn validate_config(
    kind: &IntegrationType,
    config: &Map<String, Value>,
    connected_resource_types: Option<&[String]>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let values = config_text(config);
    for param in kind.params {
        let field = format!("integration_config.{}", param.key);
        if let Some(form) = config.get(param.key).and_then(|sent| wanted_form(param.kind, sent)) {
            errors.push(FieldError::new(field, format!("{} must be {form}", param.key)));
            continue;
        }
        match values.get(param.key).map(String::as_str).filter(|value| !value.is_empty()) {
            None if param.optional || param.default.is_some() => {}
            None => errors.push(FieldError::new(
                field,
                format!("{} is required: {}", param.key, param.about),
            )),
            Some(value) => {
                if let Some(message) = check_value(param, value) {
                    errors.push(FieldError::new(field, message));
                }
            }
        }
    }
    for (index, name) in connected_resource_types.unwrap_or_default().iter().enumerate() {
        if kind.resource_type(name).is_none() {
            let known: Vec<_> = kind.resource_types.iter().map(|known| known.name).collect();
            errors.push(FieldError::new(
                format!("connected_resource_types[{index}]"),
                format!("{name} is no resource type of {}: use {}", kind.name, known.join(", ")),
            ));
        }
    }
    errors
}

/// What is wrong with the parameters of a secret kept by the server.
///
/// `sent` are the values as sent, `stored` the keys that the server holds already: [`MASK`] is
/// a value only for those.
pub fn validate_secret_keys(
    kind: &IntegrationType,
    sent: &BTreeMap<String, String>,
    stored: &[String],
) -> Vec<FieldError> {
    let field = |key: &str| format!("secret_store_config.apono.parameters.{key}");
    let mut errors = Vec::new();
    for wanted in kind.secret_keys {
        match sent.get(wanted.key).map(String::as_str) {
            None | Some("") if wanted.optional => {}
            None | Some("") => errors
                .push(FieldError::new(field(wanted.key), format!("{} is required", wanted.key))),
            Some(MASK) if !stored.iter().any(|key| key == wanted.key) => {
                errors.push(FieldError::new(
                    field(wanted.key),
                    format!("{} is not stored yet: send its value, not the mask", wanted.key),
                ));
            }
            Some(value) if value.contains('\0') => errors.push(FieldError::new(
                field(wanted.key),
                format!("{} contains a NUL character", wanted.key),
            )),
            Some(_) => {}
        }
    }
    for key in sent.keys() {
        if !kind.secret_keys.iter().any(|wanted| wanted.key == key) {
            let known: Vec<_> = kind.secret_keys.iter().map(|wanted| wanted.key).collect();
            errors.push(FieldError::new(
                field(key),
                format!("{key} is no secret of {}: send {}", kind.name, known.join(", ")),
            ));
        }
    }
    errors
}

/// In which form a value has to be sent, if `sent` is not in one that the parameter takes. Text
/// always is: what follows it is what else reads the same.
fn wanted_form(kind: ParamKind, sent: &Value) -> Option<&'static str> {
    let is_taken = match sent {
        Value::Null | Value::String(_) => true,
        Value::Number(_) => matches!(kind, ParamKind::Port),
        Value::Bool(_) => matches!(kind, ParamKind::Flag),
        Value::Object(_) => matches!(kind, ParamKind::TagRules),
        Value::Array(_) => false,
    };
    let form = match kind {
        ParamKind::Port => "text or a number",
        ParamKind::Flag => "text, true or false",
        ParamKind::TagRules => "text or an object",
        _ => "text",
    };
    (!is_taken).then_some(form)
}

/// Configuration as text: strings as they are, `null` left out, everything else as JSON.
pub fn config_text(config: &Map<String, Value>) -> BTreeMap<String, String> {
    config
        .iter()
        .filter_map(|(key, value)| match value {
            Value::Null => None,
            Value::String(text) => Some((key.clone(), text.clone())),
            other => Some((key.clone(), other.to_string())),
        })
        .collect()
}

/// What is wrong with one value; `None` if nothing.
pub(crate) fn check_value(param: &Param, value: &str) -> Option<String> {
    let key = param.key;
    if value.contains('\0') {
        return Some(format!("{key} contains a NUL character"));
    }
    if value.chars().any(char::is_control)
        && !matches!(param.kind, ParamKind::LongText | ParamKind::TagRules)
    {
        return Some(format!("{key} contains a line break or another control character"));
    }
    match param.kind {
        ParamKind::Text | ParamKind::LongText => None,
        ParamKind::NameList => value
            .split(',')
            .all(|name| name.trim().is_empty())
            .then(|| format!("{key} names nothing: leave it out, or list names with commas")),
        ParamKind::Host => (!is_host(value)).then(|| {
            format!("{key} must be a host name or an IP address, without port, scheme or path")
        }),
        ParamKind::Port => {
            (!is_port(value)).then(|| format!("{key} must be a number from 1 to 65535"))
        }
        ParamKind::Choice(values) => (!values.contains(&value))
            .then(|| format!("{key} must be one of {}", values.join(", "))),
        ParamKind::Flag => (!matches!(value, "true" | "false"))
            .then(|| format!("{key} must be \"true\" or \"false\"")),
        ParamKind::HostList => value
            .split(',')
            .map(str::trim)
            .find(|entry| !is_host_and_port(entry))
            .map(|entry| format!("{key}: \"{entry}\" is not host or host:port")),
        ParamKind::TagRules => check_tag_rules(key, value),
    }
}

fn is_port(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit())
        && value.parse::<u16>().is_ok_and(|port| port != 0)
}

fn is_host(value: &str) -> bool {
    value.parse::<std::net::IpAddr>().is_ok()
        || (value.len() <= 253
            && value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
            && !value.starts_with(['.', '-'])
            && !value.contains(".."))
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn is_host_and_port(entry: &str) -> bool {
    if let Some(rest) = entry.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else { return false };
        return host.parse::<std::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match entry.split_once(':') {
        None => !entry.is_empty() && is_host(entry),
        Some((host, port)) => !host.is_empty() && is_host(host) && is_port(port),
    }
}

fn check_tag_rules(key: &str, value: &str) -> Option<String> {
    let shape = "must be a JSON object of path patterns, each with an object of tags, such as \
                 {\"shop/*/orders\": {\"env\": \"prod\"}}";
    let Ok(Value::Object(rules)) = serde_json::from_str(value) else {
        return Some(format!("{key} {shape}"));
    };
    for (pattern, tags) in &rules {
        let Value::Object(tags) = tags else {
            return Some(format!("{key}: the pattern \"{pattern}\" has no object of tags"));
        };
        if let Some((tag, _)) = tags.iter().find(|(_, value)| !value.is_string()) {
            return Some(format!("{key}: the tag \"{tag}\" of \"{pattern}\" must be text"));
        }
        if let Some(tag) = tags.keys().find(|tag| tag.starts_with("comment/")) {
            return Some(format!(
                "{key}: \"{tag}\" of \"{pattern}\" is reserved for what comments in the target say"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::postgresql::POSTGRESQL;

    fn fields(config: &Value, types: Option<&[String]>) -> Vec<String> {
        validate_config(&POSTGRESQL, config.as_object().unwrap(), types)
            .into_iter()
            .map(|error| error.field)
            .collect()
    }

    #[test]
    fn a_hostname_is_enough() {
        assert!(fields(&json!({"hostname": "db.example.com"}), None).is_empty());
        assert_eq!(fields(&json!({}), None), ["integration_config.hostname"]);
        assert_eq!(fields(&json!({"hostname": ""}), None), ["integration_config.hostname"]);
    }

    #[test]
    fn a_host_carries_no_port_scheme_or_path() {
        for host in ["/var/run", "postgres://x", "x:5432", "a b", "x,y", "a..b", "-x", "x\n"] {
            assert_eq!(
                fields(&json!({"hostname": host}), None),
                ["integration_config.hostname"],
                "{host}"
            );
        }
        for host in ["::1", "10.0.0.1", "db-1.internal", "my_host"] {
            assert!(fields(&json!({"hostname": host}), None).is_empty(), "{host}");
        }
    }

    #[test]
    fn a_value_of_another_form_than_its_parameter_takes_is_refused() {
        for (key, sent) in [
            ("hostname", json!(false)),
            ("hostname", json!(7)),
            ("dbname", json!(["a"])),
            ("port", json!(true)),
            ("databases", json!({})),
        ] {
            let mut config = json!({"hostname": "h"});
            config[key] = sent.clone();
            let found = fields(&config, None);
            assert_eq!(found, [format!("integration_config.{key}")], "{sent}");
        }
    }

    #[test]
    fn numbers_are_taken_as_text() {
        assert!(fields(&json!({"hostname": "h", "port": 5433}), None).is_empty());
        for port in ["0", "65536", "+1", "x", "1 "] {
            assert_eq!(
                fields(&json!({"hostname": "h", "port": port}), None),
                ["integration_config.port"]
            );
        }
    }

    #[test]
    fn unknown_keys_are_kept_and_unknown_resource_types_refused() {
        assert!(fields(&json!({"hostname": "h", "colour": "red"}), None).is_empty());
        let types = ["postgresql-table".to_owned(), "mysql-table".to_owned()];
        assert_eq!(
            fields(&json!({"hostname": "h"}), Some(&types)),
            ["connected_resource_types[1]"]
        );
    }

    #[test]
    fn replicas_and_tags_are_checked() {
        let good = json!({
            "hostname": "h",
            "replicas": "r1:5432, r2,[::1]:6432",
            "tags": {"shop/*": {"env": "prod"}},
        });
        assert!(fields(&good, None).is_empty());
        let bad =
            json!({"hostname": "h", "replicas": "r1:x", "tags": "{\"a\": {\"comment/x\": \"y\"}}"});
        assert_eq!(fields(&bad, None), ["integration_config.replicas", "integration_config.tags"]);
    }

    #[test]
    fn the_mask_keeps_only_what_is_stored() {
        let sent = BTreeMap::from([
            ("username".to_owned(), "admin".to_owned()),
            ("password".to_owned(), MASK.to_owned()),
        ]);
        assert_eq!(validate_secret_keys(&POSTGRESQL, &sent, &[]).len(), 1);
        assert!(validate_secret_keys(&POSTGRESQL, &sent, &["password".to_owned()]).is_empty());
    }

    #[test]
    fn secret_keys_are_closed() {
        let sent = BTreeMap::from([
            ("username".to_owned(), "admin".to_owned()),
            ("password".to_owned(), "x".to_owned()),
            ("token".to_owned(), "x".to_owned()),
        ]);
        let errors = validate_secret_keys(&POSTGRESQL, &sent, &[]);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].field, "secret_store_config.apono.parameters.token");
    }
}
