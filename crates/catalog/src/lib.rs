//! Integration types as data: what configuration one takes, where its secret may be kept, what
//! resources it has and which permissions apply to them. Forms, validation, the wire catalogue
//! and the connector all read the same tables, so a type is described in exactly one place.
//!
//! Invariant: only types that are built and verified are listed; any other name is unknown.

pub mod postgresql;
pub mod validation;

pub use validation::{FieldError, MASK, config_text, validate_config, validate_secret_keys};

/// One integration type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegrationType {
    /// The name on the wire, such as `postgresql`.
    pub name: &'static str,
    /// The product's name, for people.
    pub label: &'static str,
    /// One sentence: what it connects to and how access is given.
    pub about: &'static str,
    /// `RESOURCES` or `USER-INFORMATION`.
    pub category: &'static str,
    /// Configuration.
    pub params: &'static [Param],
    /// Values of the admin secret; empty if the type needs none.
    pub secret_keys: &'static [SecretKey],
    /// Where the secret may be kept.
    pub secret_stores: &'static [SecretStoreKind],
    /// What discovery finds.
    pub resource_types: &'static [ResourceType],
    /// Whether the credentials of a session can be made anew.
    pub resets_credentials: bool,
    /// Whether the target ends access by itself.
    pub native_expiry: NativeExpiry,
}

impl IntegrationType {
    /// The description of `resource_type`, if the type has it.
    pub fn resource_type(&self, resource_type: &str) -> Option<&'static ResourceType> {
        self.resource_types.iter().find(|known| known.name == resource_type)
    }

    /// The parameter with this key.
    pub fn param(&self, key: &str) -> Option<&'static Param> {
        self.params.iter().find(|param| param.key == key)
    }

    /// Whether a secret has to be configured.
    pub fn requires_secret(&self) -> bool {
        !self.secret_keys.is_empty()
    }
}

/// One configuration parameter. Its value travels as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Key in `integration_config`.
    pub key: &'static str,
    /// Label of the form field.
    pub label: &'static str,
    /// What it is for, in one sentence.
    pub about: &'static str,
    /// Whether it may be left out although it has no default.
    pub optional: bool,
    /// Used where the key is absent or empty.
    pub default: Option<&'static str>,
    /// What values it takes.
    pub kind: ParamKind,
    /// Whether it decides where the secret goes or how it travels: a change of it demands the
    /// secret again.
    pub guards_secret: bool,
}

impl Param {
    /// The allowed values; empty means free text.
    pub fn values(&self) -> &'static [&'static str] {
        match self.kind {
            ParamKind::Choice(values) => values,
            ParamKind::Flag => &["true", "false"],
            _ => &[],
        }
    }
}

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// Any text without control characters.
    Text,
    /// Any text, line breaks included, such as a certificate.
    LongText,
    /// A host name or an IP address; no port, no scheme, no socket path.
    Host,
    /// A TCP port, 1 to 65535.
    Port,
    /// One of these.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// `host` or `host:port`, separated by commas.
    HostList,
    /// Names, separated by commas.
    NameList,
    /// A JSON object: path pattern to an object of tags.
    TagRules,
}

/// One value of an admin secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretKey {
    /// Its key.
    pub key: &'static str,
    /// Label of the form field.
    pub label: &'static str,
    /// Whether it may be left out.
    pub optional: bool,
}

/// Where an admin secret may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretStoreKind {
    /// By the server, sealed (`apono` on the wire).
    Platform,
    /// In a file on the connector's machine: `secret_ref = "file:NAME"`.
    File,
    /// In a variable of the connector's process: `secret_ref = "env:NAME"`.
    Env,
}

impl SecretStoreKind {
    /// The word of the wire format, or the prefix of `secret_ref`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "apono",
            Self::File => "file",
            Self::Env => "env",
        }
    }
}

/// One type of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceType {
    /// Its name on the wire, such as `postgresql-table`.
    pub name: &'static str,
    /// For people, in the singular.
    pub label: &'static str,
    /// The permissions that can be given on it, weakest first.
    pub permissions: &'static [PermissionSpec],
}

impl ResourceType {
    /// The permission with this name.
    pub fn permission(&self, name: &str) -> Option<&'static PermissionSpec> {
        self.permissions.iter().find(|permission| permission.name == name)
    }
}

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionSpec {
    /// Its name on the wire, such as `READ_ONLY`.
    pub name: &'static str,
    /// What its holder can do, in one sentence.
    pub about: &'static str,
}

/// Whether a target ends access by itself, without connector and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NativeExpiry {
    /// No: the journal of the connector ends access.
    None,
    /// New logins are refused after the latest end; open connections live on until the
    /// connector ends them.
    LoginsOnly,
    /// Access ends, open connections included.
    Full,
}

/// Every integration type that is built and verified.
pub const TYPES: &[IntegrationType] = &[postgresql::POSTGRESQL];

/// The integration type with this name.
pub fn find_type(name: &str) -> Option<&'static IntegrationType> {
    TYPES.iter().find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_is_not_found() {
        assert_eq!(find_type("postgres"), None);
        assert!(find_type("postgresql").is_some());
    }

    #[test]
    fn every_default_passes_its_own_validation() {
        for kind in TYPES {
            for param in kind.params {
                if let Some(default) = param.default {
                    assert_eq!(validation::check_value(param, default), None, "{}", param.key);
                }
            }
        }
    }

    #[test]
    fn names_are_unique_within_a_type() {
        for kind in TYPES {
            let mut keys: Vec<_> = kind.params.iter().map(|param| param.key).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), kind.params.len());
        }
    }
}
