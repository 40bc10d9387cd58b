//! Where a query can select anything at all, told from its text alone, so that whoever looks for
//! what it selects need not look everywhere.
//!
//! Invariant: a superset. What lies outside of the bounds is not selected; what lies inside may
//! or may not be.

use std::collections::BTreeSet;

use crate::ast::{Condition, Expr, FieldName, Operator, Query};

/// Where a query can select anything; `None` means anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Only in integrations with one of these ids or names.
    pub integrations: Option<BTreeSet<String>>,
    /// Only resources of one of these types.
    pub resource_types: Option<BTreeSet<String>>,
}

impl Query {
    /// Where it can select anything.
    pub fn bounds(&self) -> Bounds {
        let own = |values: Option<BTreeSet<&str>>| {
            values.map(|values| values.into_iter().map(str::to_owned).collect())
        };
        let integrations = [FieldName::Integration, FieldName::IntegrationName];
        Bounds {
            integrations: own(only(&self.expr, &integrations)),
            resource_types: own(only(&self.expr, &[FieldName::ResourceType])),
        }
    }
}

/// The values outside of which `fields` make the expression false.
fn only<'q>(expr: &'q Expr, fields: &[FieldName]) -> Option<BTreeSet<&'q str>> {
    match expr {
        Expr::Condition(Condition { field, operator: Operator::Equals | Operator::In, values })
            if fields.contains(&field.name) =>
        {
            Some(values.iter().map(String::as_str).collect())
        }
        // Any part's bounds hold for the whole. Their intersection need not: one part may name
        // an integration by its id and another by its name.
        Expr::And(parts) => {
            parts.iter().filter_map(|part| only(part, fields)).min_by_key(BTreeSet::len)
        }
        Expr::Or(parts) => {
            let parts: Option<Vec<_>> = parts.iter().map(|part| only(part, fields)).collect();
            parts.map(|parts| parts.into_iter().flatten().collect())
        }
        Expr::Condition(_) | Expr::Not(_) => None,
    }
}
