//! Floors, with their queries: what they ask for an entitlement, and what they keep flows from
//! giving.
//!
//! Invariant: it fails closed. A floor whose query cannot be read is about everything.

use std::borrow::Cow;

use latchkey_aql::{Expr, Query, Subject};
use latchkey_domain::{
    flow::FlowPolicy,
    policy::{
        automatic::is_automatic,
        floors::{Floor, FloorRule},
    },
};

/// Every floor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floors {
    rules: Vec<(FloorRule, Option<Query>)>,
}

/// Which floors keep a flow from giving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bar {
    /// None: it has approvers.
    Nothing,
    /// Those that want an approval.
    Approval,
    /// Every one: it is automatic.
    Anything,
}

/// What floors keep a flow from giving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Barred {
    Nothing,
    Selected(Query),
    Everything,
}

impl Floors {
    /// Reads the queries of floors.
    pub fn new(rules: Vec<FloorRule>) -> Self {
        let with_query = rules.into_iter().map(|rule| {
            let query = latchkey_aql::parse(&rule.query).ok();
            (rule, query)
        });
        Self { rules: with_query.collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Each, with its query if that can be read.
    pub fn each(&self) -> impl Iterator<Item = (&FloorRule, Option<&Query>)> {
        self.rules.iter().map(|(rule, query)| (rule, query.as_ref()))
    }

    /// The names of those whose query cannot be read.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        let unreadable = self.rules.iter().filter(|(_, query)| query.is_none());
        unreadable.map(|(rule, _)| rule.name.as_str())
    }

    /// What they ask for an entitlement, by the plain evaluator.
    pub fn on(&self, subject: &Subject<'_>) -> Floor {
        let binds = |query: &Option<Query>| query.as_ref().is_none_or(|one| one.selects(subject));
        let binding = self.rules.iter().filter(|(_, query)| binds(query));
        binding.fold(Floor::default(), |floor, (rule, _)| floor.and(rule.into()))
    }

    /// All that these floors ask for anything at all.
    pub fn all(&self) -> Floor {
        self.rules.iter().fold(Floor::default(), |floor, (rule, _)| floor.and(rule.into()))
    }

    /// What they keep flows of this kind from giving.
    pub(crate) fn barred(&self, bar: Bar) -> Barred {
        let is_meant = |rule: &FloorRule| match bar {
            Bar::Nothing => false,
            Bar::Approval => rule.approval,
            Bar::Anything => true,
        };
        let mut parts = Vec::new();
        for (_, query) in self.rules.iter().filter(|(rule, _)| is_meant(rule)) {
            match query {
                Some(query) => parts.push(query.expr.clone()),
                None => return Barred::Everything,
            }
        }
        match parts.len() {
            0 => Barred::Nothing,
            1 => parts.pop().map_or(Barred::Nothing, |expr| Barred::Selected(Query { expr })),
            _ => Barred::Selected(Query { expr: Expr::Or(parts) }),
        }
    }
}

impl Bar {
    pub(crate) const ALL: [Self; 3] = [Self::Nothing, Self::Approval, Self::Anything];

    pub(crate) fn of(policy: &FlowPolicy) -> Self {
        if is_automatic(policy) {
            Self::Anything
        } else if policy.approver_policy.is_none() {
            Self::Approval
        } else {
            Self::Nothing
        }
    }
}

impl Barred {
    /// What is left of what a query selects; nothing where everything is barred.
    pub(crate) fn left_of<'q>(&self, query: &'q Query) -> Option<Cow<'q, Query>> {
        match self {
            Self::Nothing => Some(Cow::Borrowed(query)),
            Self::Selected(barred) => Some(Cow::Owned(query.without(barred))),
            Self::Everything => None,
        }
    }
}
