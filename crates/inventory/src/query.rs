//! Queries over one part, all rows at once.
//!
//! Invariant: a row and a permission are in the answer exactly if
//! [`latchkey_aql::Query::selects`] says so of the pair, deleted resources left aside: those are
//! taken out by [`View::slots`].

use latchkey_aql::{Condition, Expr, FieldName, Operator, parse_risk, status_word};
use latchkey_domain::inventory::{Permission, RiskLevel};

use crate::{
    bits::Bits,
    columns::TextColumn,
    facts::Keyed,
    part::{Part, RISKS, STATUSES, with_sources},
    segment::{Segment, View},
    selection::{Rows, Selection},
};

/// So few rows are looked at one by one rather than by the index.
const FEW_ROWS: u64 = 128;

/// What the expression selects.
pub(crate) fn evaluate(expr: &Expr, segment: &Segment, view: &View) -> Selection {
    evaluate_among(expr, segment, view, &Rows::All)
}

/// What the expression selects of the rows in `among`; of others it may say anything. What is
/// settled by cheap conditions is not looked at again by those that search texts.
fn evaluate_among(expr: &Expr, segment: &Segment, view: &View, among: &Rows) -> Selection {
    match expr {
        Expr::Condition(condition) => evaluate_condition(condition, segment, view, among),
        Expr::Not(inner) => evaluate_among(inner, segment, view, among).not(),
        Expr::And(parts) => {
            let mut all = Selection::Even(Rows::All);
            for part in cheapest_first(parts) {
                let left = if searches_text(part) { among.and(&all.in_any()) } else { Rows::All };
                all = all.and(&evaluate_among(part, segment, view, &left));
                if all.is_none() {
                    return Selection::NONE;
                }
            }
            all
        }
        Expr::Or(parts) => {
            let mut any = Selection::NONE;
            for part in cheapest_first(parts) {
                let left =
                    if searches_text(part) { among.and(&any.in_every().not()) } else { Rows::All };
                if !left.is_none() {
                    any = any.or(&evaluate_among(part, segment, view, &left));
                }
                if matches!(any, Selection::Even(Rows::All)) {
                    break;
                }
            }
            any
        }
    }
}

/// Parts in the order of what they cost, so that what settles the answer is found early.
fn cheapest_first(parts: &[Expr]) -> Vec<&Expr> {
    let mut parts: Vec<&Expr> = parts.iter().collect();
    parts.sort_by_key(|part| cost(part));
    parts
}

fn searches_text(expr: &Expr) -> bool {
    cost(expr) >= SEARCH
}

/// What the cheapest condition costs that may look at texts one by one.
const SEARCH: u32 = 3;

fn cost(expr: &Expr) -> u32 {
    match expr {
        Expr::Not(inner) => cost(inner),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().map(cost).max().unwrap_or_default(),
        Expr::Condition(condition) => match condition.field.name {
            FieldName::Integration | FieldName::IntegrationName => 0,
            FieldName::ResourceName | FieldName::ResourcePath | FieldName::ResourceSourceId => {
                let is_long = condition.field.name != FieldName::ResourceName;
                match condition.operator {
                    Operator::Contains | Operator::NotContains | Operator::EndsWith => {
                        SEARCH + u32::from(is_long)
                    }
                    _ => 2,
                }
            }
            _ if condition.operator.needs_text() => 2,
            _ => 1,
        },
    }
}

/// Whether the operator is met by not having the value.
fn is_negative(operator: Operator) -> bool {
    matches!(operator, Operator::NotEquals | Operator::NotIn | Operator::NotContains)
}

/// Whether one text that is there meets the condition.
fn text_meets(condition: &Condition, text: &str) -> bool {
    let found = condition.values.iter().any(|value| match condition.operator {
        Operator::Equals | Operator::NotEquals | Operator::In | Operator::NotIn => text == value,
        Operator::Contains | Operator::NotContains => text.contains(value.as_str()),
        Operator::StartsWith => text.starts_with(value.as_str()),
        Operator::EndsWith => text.ends_with(value.as_str()),
    });
    found != is_negative(condition.operator)
}

/// Whether one word of a closed set that is there meets the condition: the text operators find
/// no text in it.
fn word_meets(condition: &Condition, is: impl Fn(&str) -> bool) -> bool {
    if condition.operator.needs_text() {
        return text_meets(condition, "");
    }
    condition.values.iter().any(|value| is(value)) != is_negative(condition.operator)
}

fn evaluate_condition(
    condition: &Condition,
    segment: &Segment,
    view: &View,
    among: &Rows,
) -> Selection {
    let part = &*view.part;
    let rows: Rows = match condition.field.name {
        FieldName::Resource => ids_that_meet(condition, part).into(),
        FieldName::ResourceType => {
            let types = part.types.all();
            let types = types.filter(|kind| text_meets(condition, part.types.get(*kind)));
            part.rows_of_type.rows_of(types).into()
        }
        FieldName::ResourceName => text_rows(condition, &part.names, part, among).into(),
        FieldName::ResourcePath => text_rows(condition, &part.paths(), part, among).into(),
        FieldName::ResourceSourceId => {
            with_sources(part, |sources| text_rows(condition, &sources, part, among)).into()
        }
        FieldName::ResourceStatus => {
            let met = (0..).zip(STATUSES).filter(|(_, status)| {
                word_meets(condition, |value| status_word(*status).eq_ignore_ascii_case(value))
            });
            part.rows_of_status.rows_of(met.map(|(number, _)| number)).into()
        }
        FieldName::ResourceRiskLevel => {
            let met = (0..).zip(RISKS).filter(|(_, risk)| risk_meets(condition, Some(*risk)));
            part.rows_of_risk.rows_of(met.map(|(number, _)| number)).into()
        }
        FieldName::ResourceTag => keyed_rows(condition, Keyed::Tags, part),
        FieldName::ResourceContext => keyed_rows(condition, Keyed::Context, part),
        FieldName::Permission => {
            return by_permission(view, |one| text_meets(condition, one.id.as_str()));
        }
        FieldName::PermissionName => {
            return by_permission(view, |one| text_meets(condition, &one.name));
        }
        FieldName::PermissionRiskLevel => {
            return by_permission(view, |one| risk_meets(condition, one.risk));
        }
        FieldName::Integration => word_meets(condition, |value| {
            segment.integration_id().as_str() == value || segment.integration_name() == value
        })
        .into(),
        FieldName::IntegrationName => text_meets(condition, segment.integration_name()).into(),
        // Discovery finds neither tags nor facts of permissions.
        FieldName::PermissionTag | FieldName::PermissionContext => Rows::None,
    };
    Selection::Even(rows)
}

fn ids_that_meet(condition: &Condition, part: &Part) -> Bits {
    let mut rows = Bits::none(part.rows());
    if condition.operator.needs_text() {
        // The parser lets no query ask so.
        for row in 0..part.rows() {
            rows.set(row, text_meets(condition, part.ids.get(row).as_str()));
        }
        return rows;
    }
    condition.values.iter().filter_map(|id| part.ids.find(id)).for_each(|row| rows.insert(row));
    if is_negative(condition.operator) { rows.complement() } else { rows }
}

fn text_rows(condition: &Condition, column: &impl TextColumn, part: &Part, among: &Rows) -> Bits {
    let mut rows = Bits::none(part.rows());
    let among = match among {
        Rows::None => return rows,
        Rows::All => None,
        Rows::Some(among) => Some(&**among),
    };
    if let Some(few) = among.filter(|among| among.count() < FEW_ROWS) {
        for row in few.iter() {
            rows.set(row, text_meets(condition, &column.text(row)));
        }
        return rows;
    }
    for value in &condition.values {
        rows.unite(&match condition.operator {
            Operator::Equals | Operator::NotEquals | Operator::In | Operator::NotIn => {
                column.equals(value)
            }
            Operator::Contains | Operator::NotContains => column.containing(value, among),
            Operator::StartsWith => column.starting_with(value),
            Operator::EndsWith => column.ending_with(value, among),
        });
    }
    if is_negative(condition.operator) { rows.complement() } else { rows }
}

fn keyed_rows(condition: &Condition, keyed: Keyed, part: &Part) -> Rows {
    let facts = &part.facts;
    let key = condition.field.key.as_deref().unwrap_or_default();
    let Some(key) = facts.key(key) else { return Rows::None };
    let mut rows = Bits::none(part.rows());
    for value in &condition.values {
        match condition.operator {
            Operator::Equals | Operator::NotEquals | Operator::In | Operator::NotIn => {
                facts.equals(keyed, key, value, &mut rows);
            }
            Operator::Contains | Operator::NotContains => {
                facts.containing(keyed, key, value, &mut rows);
            }
            Operator::StartsWith => facts.starting_with(keyed, key, value, &mut rows),
            Operator::EndsWith => facts.ending_with(keyed, key, value, &mut rows),
        }
    }
    if is_negative(condition.operator) {
        let mut having = facts.having(keyed, key);
        having.subtract(&rows);
        return having.into();
    }
    rows.into()
}

fn by_permission(view: &View, meets: impl Fn(&Permission) -> bool) -> Selection {
    let types: Vec<Vec<bool>> =
        view.permissions.iter().map(|own| own.iter().map(&meets).collect()).collect();
    let at = |slot: usize| {
        let met = || {
            (0u32..)
                .zip(&types)
                .filter_map(move |(kind, own)| own.get(slot).map(|is_met| (kind, *is_met)))
        };
        if met().all(|(_, is_met)| is_met) {
            Rows::All
        } else if met().any(|(_, is_met)| is_met) {
            let kinds = met().filter(|(_, is_met)| *is_met).map(|(kind, _)| kind);
            view.part.rows_of_type.rows_of(kinds).into()
        } else {
            Rows::None
        }
    };
    Selection::Split((0..view.slots.len()).map(at).collect())
}

fn risk_meets(condition: &Condition, risk: Option<RiskLevel>) -> bool {
    risk.is_some_and(|risk| word_meets(condition, |value| parse_risk(value) == Some(risk)))
}
