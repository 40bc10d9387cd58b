//! What surfaces say about integration types and kinds of resources, without knowing the
//! catalogue.

use latchkey_catalog::{IntegrationType, SecretStoreKind, find_type};

use crate::{actor::Actor, authorization::Operation, error::AppError};

/// A kind of resource in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindOfResource {
    /// The integration type that has it, such as `postgresql`.
    pub integration_type: &'static str,
    /// The integration type for people: `PostgreSQL`.
    pub integration_label: &'static str,
    /// The kind for people: `Table`.
    pub label: &'static str,
}

/// The kind with this key, such as `postgresql-table`; `None` if this server does not know it.
pub fn kind_of_resource(key: &str) -> Option<KindOfResource> {
    latchkey_catalog::TYPES.iter().find_map(|integration| {
        integration.resource_type(key).map(|kind| KindOfResource {
            integration_type: integration.name,
            integration_label: integration.label,
            label: kind.label,
        })
    })
}

/// A type of integration that can be made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindOfIntegration {
    /// Its name on the wire, such as `postgresql`.
    pub name: &'static str,
    /// The product's name, for people.
    pub label: &'static str,
    /// What it connects to and how access is given, in one sentence.
    pub about: &'static str,
    /// What its configuration takes.
    pub params: Vec<KindParam>,
    /// Whether it needs a secret.
    pub requires_secret: bool,
    /// Whether the server can keep that secret.
    pub server_keeps_secret: bool,
}

/// One key of an integration's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindParam {
    /// The key.
    pub key: &'static str,
    /// Label of the form field.
    pub label: &'static str,
    /// The allowed values; empty means free text.
    pub values: &'static [&'static str],
    /// Used where the key is left out.
    pub default: Option<&'static str>,
    /// Whether it may be left out.
    pub optional: bool,
}

/// Names a secret on the connector's machine, for types whose secret may be kept there.
const SECRET_REF: KindParam = KindParam {
    key: "secret_ref",
    label: "Secret on the connector's machine: file:NAME or env:NAME",
    values: &[],
    default: None,
    optional: true,
};

impl From<&IntegrationType> for KindOfIntegration {
    fn from(kind: &IntegrationType) -> Self {
        let on_machine = [SecretStoreKind::File, SecretStoreKind::Env];
        let on_machine = on_machine.iter().any(|store| kind.secret_stores.contains(store));
        let params = kind.params.iter().map(|param| KindParam {
            key: param.key,
            label: param.label,
            values: param.values(),
            default: param.default,
            optional: param.optional || param.default.is_some(),
        });
        Self {
            name: kind.name,
            label: kind.label,
            about: kind.about,
            params: params.chain(on_machine.then_some(SECRET_REF)).collect(),
            requires_secret: kind.requires_secret(),
            server_keeps_secret: kind.secret_stores.contains(&SecretStoreKind::Platform),
        }
    }
}

/// The types of integrations that can be made here.
pub fn list_kinds_of_integration(actor: &Actor) -> Result<Vec<KindOfIntegration>, AppError> {
    actor.require(Operation::ReadIntegrations)?;
    Ok(latchkey_catalog::TYPES.iter().map(Into::into).collect())
}

/// The type of integration with this name.
pub fn get_kind_of_integration(actor: &Actor, name: &str) -> Result<KindOfIntegration, AppError> {
    actor.require(Operation::ReadIntegrations)?;
    find_type(name).map(Into::into).ok_or_else(AppError::not_found)
}
