//! Tags of resources: those that the Admin lays over paths in the configuration, and those that
//! comments in the target claim.
//!
//! Invariant: what somebody in the target can write ends up only under `comment/KEY`, so that no
//! policy takes it for the Admin's word.

use std::collections::BTreeMap;

use latchkey_domain::provisioning::{FaultClass, TargetFault};
use percent_encoding::percent_decode_str;

use super::source::Source;

/// The parameter `tags`: path patterns and their tags.
#[derive(Debug, Clone, Default)]
pub(super) struct TagRules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    role: bool,
    /// One entry a path part; each is the literal pieces between its stars.
    parts: Vec<Vec<String>>,
    tags: BTreeMap<String, String>,
}

impl TagRules {
    /// Reads `{"shop/*/orders": {"env": "prod"}}`.
    ///
    /// A pattern names a resource and everything below it; `*` stands for any characters within
    /// one part, `%2A` for a star itself. `role:NAME` matches roles. Rules with more parts, then
    /// with fewer stars, win over others.
    pub(super) fn read(text: Option<&str>) -> Result<Self, TargetFault> {
        let Some(text) = text else { return Ok(Self::default()) };
        let rules: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(text)
            .map_err(|error| {
                TargetFault::new(
                    FaultClass::Refused,
                    format!("tags is not what it should be: {error}"),
                )
            })?;
        let mut rules: Vec<Rule> = rules
            .into_iter()
            .map(|(pattern, tags)| {
                let (role, path) = match pattern.strip_prefix("role:") {
                    Some(name) => (true, name),
                    None => (false, pattern.as_str()),
                };
                let piece = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
                let parts =
                    path.split('/').map(|part| part.split('*').map(piece).collect()).collect();
                Rule { role, parts, tags }
            })
            .collect();
        rules.sort_by_key(|rule| {
            let stars: usize = rule.parts.iter().map(|pieces| pieces.len() - 1).sum();
            (rule.parts.len(), usize::MAX - stars)
        });
        Ok(Self(rules))
    }

    /// The tags of one resource.
    pub(super) fn of(&self, source: &Source) -> BTreeMap<String, String> {
        let names = source.parts();
        let is_role = matches!(source, Source::Role(_));
        let mut tags = BTreeMap::new();
        for rule in &self.0 {
            let fits = rule.role == is_role
                && rule.parts.len() <= names.len()
                && rule.parts.iter().zip(&names).all(|(pieces, name)| fits(pieces, name));
            if fits {
                tags.extend(rule.tags.clone());
            }
        }
        tags
    }
}

/// Whether `name` is the pieces with any characters between them.
fn fits(pieces: &[String], name: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return name.is_empty() };
    let Some(mut left) = name.strip_prefix(first.as_str()) else { return false };
    let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
    for piece in middle {
        match left.find(piece.as_str()) {
            Some(at) => left = left.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    left.ends_with(last.as_str())
}

/// Tags that a comment such as `env=prod; owner=team` claims, as `comment/KEY`.
pub(super) fn of_comment(comment: &str) -> BTreeMap<String, String> {
    comment
        .split([';', '\n'])
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, value)| {
            !key.is_empty()
                && key.len() <= 64
                && value.len() <= 256
                && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        })
        .map(|(key, value)| (format!("comment/{key}"), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(a: &str, b: &str, c: &str) -> Source {
        Source::Table(a.into(), b.into(), c.into())
    }

    #[test]
    fn a_longer_pattern_wins_and_a_star_stays_within_its_part() {
        let rules = TagRules::read(Some(
            r#"{"shop": {"env": "prod", "team": "a"}, "shop/*/o*s": {"team": "b"}, "role:ro*": {"x": "y"}}"#,
        ))
        .unwrap();
        assert_eq!(rules.of(&table("shop", "public", "orders"))["team"], "b");
        assert_eq!(rules.of(&table("shop", "public", "order"))["team"], "a");
        assert!(rules.of(&table("shopping", "public", "orders")).is_empty());
        assert_eq!(rules.of(&Source::Role("root".into()))["x"], "y");
        assert!(rules.of(&Source::Role("shop".into())).is_empty());
    }

    #[test]
    fn a_star_in_a_name_is_matched_by_its_code_only() {
        let rules = TagRules::read(Some(r#"{"a%2Ab": {"x": "1"}}"#)).unwrap();
        assert!(!rules.of(&Source::Database("a*b".into())).is_empty());
        assert!(rules.of(&Source::Database("a-b".into())).is_empty());
    }

    #[test]
    fn comments_cannot_set_tags_of_the_admin() {
        let tags = of_comment("env=prod; owner = team a ;nonsense; =x; we ird=y");
        assert_eq!(tags.len(), 2);
        assert_eq!(tags["comment/env"], "prod");
        assert_eq!(tags["comment/owner"], "team a");
    }
}
