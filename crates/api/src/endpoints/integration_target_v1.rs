//! A part of an integration as the first version of the format says it: with tags in place of
//! resource scopes, and the integration by id only.

use latchkey_domain::{
    flow,
    ids::IntegrationId,
    resource_tags::{ResourceTag, ResourceTags},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{body::refused, error::FieldError};

/// Part of an integration, v1.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "IntegrationTargetV1")]
pub struct IntegrationTarget {
    /// Integration id.
    pub integration_id: String,
    /// Resource type.
    pub resource_type: String,
    /// Keep resources that have any of these; all of the type if empty.
    pub resource_tag_includes: Vec<Tag>,
    /// Leave out resources that have any of these.
    pub resource_tag_excludes: Vec<Tag>,
    /// Permission names.
    pub permissions: Vec<String>,
}

/// Tag and a value of it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TagV1")]
pub struct Tag {
    /// Tag key; `__id` and `__name` stand for the resource's id and name.
    pub name: String,
    /// Tag value.
    pub value: String,
}

impl From<&flow::IntegrationTarget> for IntegrationTarget {
    fn from(target: &flow::IntegrationTarget) -> Self {
        let ResourceTags { includes, excludes } =
            ResourceTags::of(target.resources_scopes.as_deref());
        let shown = |tags: Vec<ResourceTag>| {
            tags.into_iter().map(|tag| Tag { name: tag.name, value: tag.value }).collect()
        };
        Self {
            integration_id: target.integration_id.to_string(),
            resource_type: target.resource_type.clone(),
            resource_tag_includes: shown(includes),
            resource_tag_excludes: shown(excludes),
            permissions: target.permissions.clone(),
        }
    }
}

/// The targets that were sent in `field`; what is wrong with them is added to `errors`.
pub(crate) fn targets(
    field: &str,
    sent: Vec<IntegrationTarget>,
    errors: &mut Vec<FieldError>,
) -> Vec<flow::IntegrationTarget> {
    let mut targets = Vec::with_capacity(sent.len());
    for (at, target) in sent.into_iter().enumerate() {
        let field = format!("{field}[{at}]");
        let tags = ResourceTags {
            includes: tags(
                &format!("{field}.resource_tag_includes"),
                target.resource_tag_includes,
                errors,
            ),
            excludes: tags(
                &format!("{field}.resource_tag_excludes"),
                target.resource_tag_excludes,
                errors,
            ),
        };
        targets.push(flow::IntegrationTarget {
            integration_id: IntegrationId::new(target.integration_id),
            resource_type: target.resource_type,
            permissions: target.permissions,
            resources_scopes: tags.into_scopes(),
        });
    }
    targets
}

fn tags(field: &str, sent: Vec<Tag>, errors: &mut Vec<FieldError>) -> Vec<ResourceTag> {
    let blank = sent.iter().enumerate().filter(|(_, tag)| tag.name.trim().is_empty());
    errors.extend(blank.map(|(at, _)| refused(&format!("{field}[{at}].name"), "names no tag")));
    sent.into_iter().map(|tag| ResourceTag { name: tag.name, value: tag.value }).collect()
}
