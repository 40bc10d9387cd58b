//! Access scopes: named queries over the inventory. Reading and evaluating them is the `aql`
//! crate's.

use jiff::Timestamp;

use crate::ids::AccessScopeId;

/// A stored access scope. What it selects follows the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessScope {
    /// Never reused.
    pub id: AccessScopeId,
    /// Unique without letter case.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The query, byte for byte as it was sent: clients compare it with what they wrote.
    pub query: String,
    /// Grows with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed; when it was made, if never.
    pub updated_at: Timestamp,
}
