//! Queries, targets and conditions on people, said in SQL over the product's own tables.
//!
//! `r` is a resource, `i` its integration, `p` a permission of its type, `u` a person.

use latchkey_aql::{Condition, Expr, FieldName, Operator, Query};
use latchkey_domain::{
    bundle::BundleTarget,
    flow::{
        self, AccessFlow, ConditionSet, FlowTarget, FlowTrigger, IntegrationTarget,
        LogicalOperator, MatchOperator, ResourceScope, ResourceScopeType, ScopeMode,
    },
    ids::AccessScopeId,
};
use latchkey_inventory::Rules;

const PAIRS: &str = "resources r JOIN integrations i ON i.id = r.integration_id \
     JOIN permissions p ON p.integration_id = r.integration_id \
     AND p.resource_type = r.resource_type";

/// How a database spells what they do not spell alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// Where `part` is in `text`; 0 if nowhere.
    fn place(self, text: &str, part: &str) -> String {
        match self {
            Self::Sqlite => format!("instr({text}, {part})"),
            Self::Postgres => format!("strpos({text}, {part})"),
        }
    }

    /// A member of an object that is stored as text; null without one.
    fn member(self, column: &str, key: &str) -> String {
        match self {
            Self::Sqlite => {
                format!("(SELECT m.value FROM json_each({column}) m WHERE m.key = {key})")
            }
            Self::Postgres => format!("({column}::json ->> {key})"),
        }
    }

    /// The (resource, permission) pairs that a query selects.
    pub fn selected(self, query: &Query) -> String {
        format!("SELECT r.id, p.id FROM {PAIRS} WHERE {}", self.query(query))
    }

    /// The pairs that any of a bundle's targets covers.
    pub fn covered(self, targets: &[BundleTarget], rules: &Rules) -> String {
        format!("SELECT r.id, p.id FROM {PAIRS} WHERE {}", self.bundle(targets, rules))
    }

    /// Everybody with the pairs that they may ask for, for themselves.
    pub fn available(self, rules: &Rules) -> String {
        let flows = rules.flows.iter().map(|flow| self.flow(flow, rules));
        format!("SELECT u.id, r.id, p.id FROM users u CROSS JOIN {PAIRS} WHERE {}", any(flows))
    }

    fn query(self, query: &Query) -> String {
        format!("(r.status <> 'deleted' AND {})", self.expr(&query.expr))
    }

    fn expr(self, expr: &Expr) -> String {
        match expr {
            Expr::And(parts) => all(parts.iter().map(|part| self.expr(part))),
            Expr::Or(parts) => any(parts.iter().map(|part| self.expr(part))),
            Expr::Not(inner) => format!("(NOT {})", self.expr(inner)),
            // What is not there meets no condition.
            Expr::Condition(condition) => format!("coalesce({}, FALSE)", self.condition(condition)),
        }
    }

    fn condition(self, condition: &Condition) -> String {
        let values = &condition.values;
        let key = literal(condition.field.key.as_deref().unwrap_or_default());
        let (values, column) = match condition.field.name {
            FieldName::Integration => {
                let either = any(["i.id", "i.name"].iter().map(|column| is_in(column, values)));
                return negated(condition.operator, &either);
            }
            FieldName::ResourceStatus => {
                let lower = values.iter().map(|value| value.to_ascii_lowercase());
                (lower.collect(), "r.status".to_owned())
            }
            FieldName::ResourceRiskLevel => (risks(values), "r.risk".to_owned()),
            FieldName::PermissionRiskLevel => (risks(values), "p.risk".to_owned()),
            other => (values.clone(), self.column(other, &key)),
        };
        let part = |value: &String| self.compared(condition.operator, &column, value);
        match condition.operator {
            Operator::Equals | Operator::In | Operator::NotEquals | Operator::NotIn => {
                // Against nothing, whatever is there is different.
                let there = format!("({column} IS NOT NULL)");
                let found = format!("({there} AND {})", is_in(&column, &values));
                let found = negated(condition.operator, &found);
                format!("({there} AND {found})")
            }
            _ => negated(condition.operator, &any(values.iter().map(part))),
        }
    }

    fn column(self, name: FieldName, key: &str) -> String {
        let known = match name {
            FieldName::Resource => "r.id",
            FieldName::ResourceType => "r.resource_type",
            FieldName::ResourceName => "r.name",
            FieldName::ResourcePath => "r.path",
            FieldName::ResourceSourceId => "r.source_id",
            FieldName::Permission => "p.id",
            FieldName::PermissionName => "p.name",
            FieldName::IntegrationName => "i.name",
            FieldName::ResourceTag => return self.tag(key),
            FieldName::ResourceContext => return self.member("r.context", key),
            FieldName::PermissionTag | FieldName::PermissionContext => "CAST(NULL AS TEXT)",
            FieldName::Integration
            | FieldName::ResourceStatus
            | FieldName::ResourceRiskLevel
            | FieldName::PermissionRiskLevel => unreachable!("{name:?} is no text"),
        };
        known.to_owned()
    }

    /// The tag in force.
    fn tag(self, key: &str) -> String {
        let own = ["r.user_tags", "r.tags"].map(|column| self.member(column, key));
        format!("coalesce({}, {})", own[0], own[1])
    }

    fn compared(self, operator: Operator, column: &str, value: &str) -> String {
        let value = literal(value);
        match operator {
            Operator::Contains | Operator::NotContains => {
                format!("({} > 0)", self.place(column, &value))
            }
            Operator::StartsWith => {
                format!("(substr({column}, 1, length({value})) = {value})")
            }
            Operator::EndsWith => format!(
                "(length({column}) >= length({value}) AND \
                 substr({column}, length({column}) - length({value}) + 1) = {value})"
            ),
            Operator::Equals | Operator::In | Operator::NotEquals | Operator::NotIn => {
                format!("({column} = {value})")
            }
        }
    }

    fn bundle(self, targets: &[BundleTarget], rules: &Rules) -> String {
        any(targets.iter().map(|target| match target {
            BundleTarget::Integration(target) => self.target(target),
            BundleTarget::AccessScope(id) => self.access_scope(id, rules),
        }))
    }

    fn access_scope(self, id: &AccessScopeId, rules: &Rules) -> String {
        match rules.access_scopes.iter().find(|(known, _)| known == id) {
            Some((_, query)) => format!("(r.status = 'active' AND {})", self.query(query)),
            None => "FALSE".to_owned(),
        }
    }

    fn target(self, target: &IntegrationTarget) -> String {
        let scopes = target.resources_scopes.as_deref().unwrap_or_default();
        let of_mode = |mode| {
            let own = scopes.iter().filter(move |scope| scope.scope_mode == mode);
            own.map(|scope| self.resource_scope(scope)).collect::<Vec<_>>()
        };
        let mut parts = vec![
            "(r.status = 'active')".to_owned(),
            format!("(i.id = {})", literal(target.integration_id.as_str())),
            format!("(r.resource_type = {})", literal(&target.resource_type)),
            is_in("p.name", &target.permissions),
            format!("(NOT {})", any(of_mode(ScopeMode::ExcludeResources))),
        ];
        let included = of_mode(ScopeMode::IncludeResources);
        if !included.is_empty() {
            parts.push(any(included));
        }
        all(parts)
    }

    fn resource_scope(self, scope: &ResourceScope) -> String {
        let column = match (scope.scope_type, scope.key.as_deref()) {
            (ResourceScopeType::AponoId, _) => "r.id".to_owned(),
            (ResourceScopeType::Name, _) => "r.name".to_owned(),
            (ResourceScopeType::Tag, Some(key)) => self.tag(&literal(key)),
            (ResourceScopeType::Tag, None) => return "FALSE".to_owned(),
        };
        format!("coalesce({}, FALSE)", is_in(&column, &scope.values))
    }

    fn flow(self, flow: &AccessFlow, rules: &Rules) -> String {
        if !flow.active || flow.policy.trigger != FlowTrigger::SelfServe {
            return "FALSE".to_owned();
        }
        let targets = flow.policy.access_targets.iter().map(|target| match target {
            FlowTarget::Integration(target) => self.target(target),
            FlowTarget::AccessScope(id) => self.access_scope(id, rules),
            FlowTarget::Bundle(id) => {
                let bundle = rules.bundles.iter().find(|bundle| bundle.id == *id);
                self.bundle(bundle.map_or(&[], |bundle| &bundle.targets), rules)
            }
        });
        let requestors = requestors(&flow.policy.requestors);
        let asks_nobody = flow.policy.approver_policy.is_none();
        let floors = rules.floors.each().filter(|(rule, _)| asks_nobody && rule.approval);
        // One that cannot be read is about everything.
        let barred =
            floors.map(|(_, query)| query.map_or("TRUE".to_owned(), |query| self.query(query)));
        let (given, barred) = (any(targets), any(barred));
        format!("(u.status = 'active' AND {requestors} AND {given} AND NOT {barred})")
    }
}

fn requestors(set: &ConditionSet) -> String {
    let conditions = set.conditions.iter().map(of_person);
    match set.logical_operator {
        LogicalOperator::And if set.conditions.is_empty() => "FALSE".to_owned(),
        LogicalOperator::And => all(conditions),
        LogicalOperator::Or => any(conditions),
    }
}

fn of_person(condition: &flow::Condition) -> String {
    let pins: Vec<String> = condition.pinned_ids.iter().flatten().cloned().collect();
    let found = match condition.attribute_type.as_str() {
        "user" => is_in("u.id", &pins),
        "group" => format!(
            "EXISTS (SELECT 1 FROM group_members m WHERE m.user_id = u.id AND {})",
            is_in("m.group_id", &pins)
        ),
        other => unreachable!("no condition here looks at {other}"),
    };
    if condition.operator() == MatchOperator::IsNot { format!("(NOT {found})") } else { found }
}

/// A level is a word or a digit, from the worst on; what is neither is no level.
fn risks(values: &[String]) -> Vec<String> {
    let words = ["critical", "high", "medium", "low"];
    let word = |value: &String| match value.as_str() {
        "1" => Some(words[0]),
        "2" => Some(words[1]),
        "3" => Some(words[2]),
        "4" => Some(words[3]),
        other => words.into_iter().find(|word| *word == other),
    };
    values.iter().filter_map(word).map(str::to_owned).collect()
}

fn negated(operator: Operator, found: &str) -> String {
    match operator {
        Operator::NotEquals | Operator::NotIn | Operator::NotContains => format!("(NOT {found})"),
        _ => found.to_owned(),
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn is_in(column: &str, values: &[String]) -> String {
    if values.is_empty() {
        return "FALSE".to_owned();
    }
    let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
    format!("({column} IN ({}))", values.join(", "))
}

fn joined(parts: impl IntoIterator<Item = String>, word: &str, none: &str) -> String {
    let parts: Vec<String> = parts.into_iter().collect();
    if parts.is_empty() { none.to_owned() } else { format!("({})", parts.join(word)) }
}

fn any(parts: impl IntoIterator<Item = String>) -> String {
    joined(parts, " OR ", "FALSE")
}

fn all(parts: impl IntoIterator<Item = String>) -> String {
    joined(parts, " AND ", "TRUE")
}
