//! What surfaces say about kinds of resources, without knowing the catalogue.

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
