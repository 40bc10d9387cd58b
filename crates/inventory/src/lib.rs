//! The in-memory index over what discovery found. It answers queries, targets, bundles and access
//! scopes, what a person may ask for, and who may ask for something, without the database.
//! `docs/inventory.md` says how it works and where its limits are.
//!
//! Invariants: a snapshot never changes, and readers never wait; every answer is what the plain
//! evaluators of `aql` and `domain` give; the index proposes, and the transaction that creates,
//! approves or grants asks these evaluators again.

mod available;
mod bits;
mod columns;
mod comparison;
mod decision;
mod explain;
mod facts;
mod fingerprint;
mod floors;
mod giving;
mod grams;
mod ids;
mod index;
mod lexicon;
mod part;
mod policy;
mod postings;
mod query;
mod reach;
mod requestors;
mod segment;
mod selected;
mod selection;
mod snapshot;
mod spread;
mod texts;
mod tiles;
mod walk;

pub use available::{Available, Facet, Filter, TextFilter};
pub use comparison::{Comparison, Difference};
pub use decision::{Directory, EntitlementRef};
pub use explain::{
    WhyCondition, WhyExpr, WhyFlow, WhyScope, WhySet, WhyTarget, WhyTargetKind, WhyValue,
};
pub use floors::Floors;
pub use index::Index;
pub use part::MOST_RESOURCES;
pub use policy::{PersonFlows, Policy, Rules};
pub use segment::{Segment, SegmentBuilder};
pub use selected::Selected;
pub use snapshot::Snapshot;
pub use walk::Position;

/// An integration has more resources, or longer texts, than a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the integration is too large for the index: {MOST_RESOURCES} resources are the most")]
pub struct TooLarge;
