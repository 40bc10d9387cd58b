//! Who owns an integration's resources, as it is written down. Only Admins write it, because
//! owners approve.

use latchkey_domain::integration::{OwnerRule, OwnersMapping};
use latchkey_store::Tx;

use super::{IntegrationCommand, identity_source};
use crate::error::{AppError, FieldError};

/// The owner and the mapping with their references resolved.
pub(super) async fn resolve(
    tx: &mut Tx,
    command: &IntegrationCommand,
) -> Result<(Option<OwnerRule>, Option<OwnersMapping>), AppError> {
    check(command)?;
    let owner = match &command.owner {
        None => None,
        Some(owner) => Some(OwnerRule {
            attribute_type: owner.attribute_type.clone(),
            attribute_value: owner.attribute_value.clone(),
            source_integration_id: identity_source(
                tx,
                "owner.source_integration_reference",
                owner.source_integration_reference.as_deref(),
            )
            .await?,
        }),
    };
    let mapping = match &command.owners_mapping {
        None => None,
        Some(mapping) => Some(OwnersMapping {
            key_name: mapping.key_name.clone(),
            attribute_type: mapping.attribute_type.clone(),
            source_integration_id: identity_source(
                tx,
                "owners_mapping.source_integration_reference",
                mapping.source_integration_reference.as_deref(),
            )
            .await?,
        }),
    };
    Ok((owner, mapping))
}

fn check(command: &IntegrationCommand) -> Result<(), AppError> {
    let mut errors = Vec::new();
    let mut needed = |field: &str, text: &str| {
        if text.trim().is_empty() {
            errors.push(FieldError::new(field, "must not be empty"));
        }
    };
    if let Some(owner) = &command.owner {
        needed("owner.attribute_type", &owner.attribute_type);
        needed("owner.attribute_value", &owner.attribute_value.join(""));
    }
    if let Some(mapping) = &command.owners_mapping {
        needed("owners_mapping.key_name", &mapping.key_name);
        needed("owners_mapping.attribute_type", &mapping.attribute_type);
        if command.owner.is_none() {
            errors.push(FieldError::new(
                "owners_mapping",
                "needs `owner` too, for resources that lack the tag",
            ));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(AppError::invalid_fields(errors)) }
}
