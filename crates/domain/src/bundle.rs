//! Bundles: named sets of targets that are asked for together.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    flow::IntegrationTarget,
    ids::{AccessScopeId, BundleId},
};

/// A stored bundle. Flows that target it follow its changes; requests that were filed do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Never reused.
    pub id: BundleId,
    /// Unique without letter case.
    pub name: String,
    /// What it holds, in the order in which it was sent.
    pub targets: Vec<BundleTarget>,
    /// Grows with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed; when it was made, if never.
    pub updated_at: Timestamp,
}

/// Something that a bundle holds. A bundle holds no bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleTarget {
    /// Resources of one type of one integration.
    Integration(IntegrationTarget),
    /// What an access scope's query selects.
    AccessScope(AccessScopeId),
}
