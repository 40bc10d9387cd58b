//! Resource scopes as the first version of the format says them: a list of tags that include and
//! one of tags that exclude, in which the names `__id` and `__name` stand for the resource's id
//! and name.
//!
//! Invariant: tags → scopes → tags changes nothing but the order: tags of one name come together.

use crate::flow::{ResourceScope, ResourceScopeType, ScopeMode};

/// One tag and a value of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceTag {
    /// The tag's key, `__id` or `__name`.
    pub name: String,
    /// The value.
    pub value: String,
}

/// Scopes as tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceTags {
    /// Keep what has any of these; everything if empty.
    pub includes: Vec<ResourceTag>,
    /// Leave out what has any of these.
    pub excludes: Vec<ResourceTag>,
}

const ID: &str = "__id";
const NAME: &str = "__name";

impl ResourceTags {
    /// The tags that scopes come to.
    pub fn of(scopes: Option<&[ResourceScope]>) -> Self {
        let mut tags = Self::default();
        for scope in scopes.unwrap_or_default() {
            let name = match scope.scope_type {
                ResourceScopeType::AponoId => ID,
                ResourceScopeType::Name => NAME,
                ResourceScopeType::Tag => scope.key.as_deref().unwrap_or_default(),
            };
            let values = scope
                .values
                .iter()
                .map(|value| ResourceTag { name: name.to_owned(), value: value.clone() });
            match scope.scope_mode {
                ScopeMode::IncludeResources => tags.includes.extend(values),
                ScopeMode::ExcludeResources => tags.excludes.extend(values),
            }
        }
        tags
    }

    /// The scopes that tags come to: one for each name, in the order in which they first stand.
    /// Without any tag all resources are meant.
    pub fn into_scopes(self) -> Option<Vec<ResourceScope>> {
        let mut scopes: Vec<ResourceScope> = Vec::new();
        let includes = self.includes.into_iter().map(|tag| (ScopeMode::IncludeResources, tag));
        let excludes = self.excludes.into_iter().map(|tag| (ScopeMode::ExcludeResources, tag));
        for (scope_mode, tag) in includes.chain(excludes) {
            let (scope_type, key) = match tag.name.as_str() {
                ID => (ResourceScopeType::AponoId, None),
                NAME => (ResourceScopeType::Name, None),
                _ => (ResourceScopeType::Tag, Some(tag.name)),
            };
            let same = |scope: &&mut ResourceScope| {
                (scope.scope_mode, scope.scope_type, &scope.key) == (scope_mode, scope_type, &key)
            };
            match scopes.iter_mut().find(same) {
                Some(scope) => scope.values.push(tag.value),
                None => scopes.push(ResourceScope {
                    scope_mode,
                    scope_type,
                    key,
                    values: vec![tag.value],
                }),
            }
        }
        (!scopes.is_empty()).then_some(scopes)
    }
}

/// The scopes as they are once the first version of the format has shown them and taken them
/// back.
pub fn as_tags_say(scopes: Option<&[ResourceScope]>) -> Option<Vec<ResourceScope>> {
    ResourceTags::of(scopes).into_scopes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str, value: &str) -> ResourceTag {
        ResourceTag { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn equal_names_become_one_scope_and_reserved_names_their_own_type() {
        let tags = ResourceTags {
            includes: vec![
                tag("env", "prod"),
                tag("__name", "orders"),
                tag("env", "dev"),
                tag("__id", "r1"),
            ],
            excludes: vec![tag("env", "test")],
        };
        let scopes = tags.clone().into_scopes().unwrap();
        let said: Vec<_> = scopes
            .iter()
            .map(|scope| (scope.scope_type, scope.key.as_deref(), scope.values.join(" ")))
            .collect();
        assert_eq!(
            said,
            [
                (ResourceScopeType::Tag, Some("env"), "prod dev".to_owned()),
                (ResourceScopeType::Name, None, "orders".to_owned()),
                (ResourceScopeType::AponoId, None, "r1".to_owned()),
                (ResourceScopeType::Tag, Some("env"), "test".to_owned()),
            ]
        );
        assert_eq!(scopes[3].scope_mode, ScopeMode::ExcludeResources);
        let back = ResourceTags::of(Some(&scopes));
        assert_eq!(back.excludes, tags.excludes);
        let mut sorted = back.includes.clone();
        sorted.sort_by(|a, b| b.value.cmp(&a.value));
        assert_eq!(sorted.len(), tags.includes.len());
        assert_eq!(as_tags_say(Some(&scopes)), Some(scopes));
    }

    #[test]
    fn without_tags_all_resources_are_meant() {
        assert_eq!(ResourceTags::default().into_scopes(), None);
        assert_eq!(ResourceTags::of(None), ResourceTags::default());
        assert_eq!(ResourceTags::of(Some(&[])), ResourceTags::default());
    }
}
