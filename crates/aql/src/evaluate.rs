//! Whether a query selects an entitlement: the plain evaluator, which every other evaluator has
//! to agree with.
//!
//! Invariants: a key that is missing satisfies no condition, whichever way the condition is
//! meant, so access never widens by absence unless a `not` says so; a deleted resource is never
//! selected, whatever the query says.

use latchkey_domain::inventory::{Entitlement, ResourceStatus, RiskLevel};

use crate::ast::{Condition, Expr, Field, FieldName, Operator, Query};

/// An entitlement with what a query may look at beside it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The pair.
    pub entitlement: &'a Entitlement,
    /// The name of its integration now.
    pub integration_name: &'a str,
}

impl Query {
    /// Whether the query selects the entitlement.
    pub fn selects(&self, subject: &Subject<'_>) -> bool {
        subject.entitlement.resource.status != ResourceStatus::Deleted && holds(&self.expr, subject)
    }
}

fn holds(expr: &Expr, subject: &Subject<'_>) -> bool {
    match expr {
        Expr::Or(parts) => parts.iter().any(|part| holds(part, subject)),
        Expr::And(parts) => parts.iter().all(|part| holds(part, subject)),
        Expr::Not(inner) => !holds(inner, subject),
        Expr::Condition(condition) => is_met(condition, subject),
    }
}

fn is_met(condition: &Condition, subject: &Subject<'_>) -> bool {
    let held = Held::of(&condition.field, subject);
    if matches!(held, Held::Nothing) {
        return false;
    }
    let values = || condition.values.iter();
    match condition.operator {
        Operator::Equals | Operator::In => values().any(|value| held.is(value)),
        Operator::NotEquals | Operator::NotIn => !values().any(|value| held.is(value)),
        Operator::Contains => values().any(|value| held.text().contains(value.as_str())),
        Operator::NotContains => !values().any(|value| held.text().contains(value.as_str())),
        Operator::StartsWith => values().any(|value| held.text().starts_with(value.as_str())),
        Operator::EndsWith => values().any(|value| held.text().ends_with(value.as_str())),
    }
}

/// What an entitlement holds in a field.
enum Held<'a> {
    /// The key is missing, or nobody rated the risk.
    Nothing,
    Text(&'a str),
    Status(ResourceStatus),
    Risk(RiskLevel),
    /// An integration: its id and its name.
    Either(&'a str, &'a str),
}

impl<'a> Held<'a> {
    fn of(field: &Field, subject: &Subject<'a>) -> Self {
        let Entitlement { resource, permission } = subject.entitlement;
        let key = field.key.as_deref().unwrap_or_default();
        let risk = |risk: Option<RiskLevel>| risk.map_or(Self::Nothing, Self::Risk);
        match field.name {
            FieldName::Resource => Self::Text(resource.id.as_str()),
            FieldName::ResourceType => Self::Text(&resource.resource_type),
            FieldName::ResourceName => Self::Text(&resource.name),
            FieldName::ResourcePath => Self::Text(&resource.path),
            FieldName::ResourceSourceId => Self::Text(&resource.source_id),
            FieldName::ResourceStatus => Self::Status(resource.status),
            FieldName::ResourceRiskLevel => risk(resource.risk),
            FieldName::Permission => Self::Text(permission.id.as_str()),
            FieldName::PermissionName => Self::Text(&permission.name),
            FieldName::PermissionRiskLevel => risk(permission.risk),
            FieldName::Integration => {
                Self::Either(resource.integration_id.as_str(), subject.integration_name)
            }
            FieldName::IntegrationName => Self::Text(subject.integration_name),
            FieldName::ResourceTag => resource.tag(key).map_or(Self::Nothing, Self::Text),
            FieldName::ResourceContext => {
                resource.context.get(key).map_or(Self::Nothing, |text| Self::Text(text))
            }
            // Discovery finds neither tags nor facts of permissions.
            FieldName::PermissionTag | FieldName::PermissionContext => Self::Nothing,
        }
    }

    fn is(&self, value: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Text(text) => *text == value,
            Self::Status(status) => status_word(*status).eq_ignore_ascii_case(value),
            Self::Risk(risk) => parse_risk(value) == Some(*risk),
            Self::Either(id, name) => *id == value || *name == value,
        }
    }

    /// For the operators on texts, which the parser lets only texts meet.
    fn text(&self) -> &'a str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }
}

pub(crate) const STATUSES: [ResourceStatus; 3] =
    [ResourceStatus::Active, ResourceStatus::Error, ResourceStatus::Deleted];

/// A status as queries spell it.
pub fn status_word(status: ResourceStatus) -> &'static str {
    match status {
        ResourceStatus::Active => "Active",
        ResourceStatus::Error => "Error",
        ResourceStatus::Deleted => "Deleted",
    }
}

pub(crate) const RISK_WORDS: [&str; 4] = ["low", "medium", "high", "critical"];

/// A level by its word, or by its digit: `1` is the worst.
pub fn parse_risk(value: &str) -> Option<RiskLevel> {
    match value {
        "low" | "4" => Some(RiskLevel::Low),
        "medium" | "3" => Some(RiskLevel::Medium),
        "high" | "2" => Some(RiskLevel::High),
        "critical" | "1" => Some(RiskLevel::Critical),
        _ => None,
    }
}
