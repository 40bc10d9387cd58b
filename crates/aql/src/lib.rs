//! AQL: a query selects entitlements, pairs of a resource and a permission on it. `docs/aql.md`
//! is the language's manual.
//!
//! Invariants: [`parse`] takes any text, never panics, and takes time linear in its length; what
//! it refuses is refused with a place inside the text; [`Query::selects`] is a pure function of
//! one entitlement, and every other evaluator has to agree with it.

mod ast;
mod bounds;
mod completion;
mod diagnostic;
mod draw;
mod evaluate;
mod lexer;
mod parser;
mod place;
mod print;
mod suggest;

pub use ast::{Condition, Expr, Field, FieldName, Kind, Operator, Query};
pub use bounds::Bounds;
pub use completion::{
    Completion, CompletionKind, Completions, Known, KnownKey, KnownValue, MAX_KNOWN, Sought,
    complete, sought,
};
pub use diagnostic::{Diagnostic, Span};
pub use draw::{Severity, columns, is_command, shown};
pub use evaluate::{Subject, parse_risk, status_word};

/// The longest query, in bytes.
pub const MAX_BYTES: usize = 8 * 1024;
/// How deep parentheses and `not` may nest.
pub const MAX_DEPTH: usize = 64;
/// How many diagnostics one text gets at most: who mends these sees the next.
pub const MAX_DIAGNOSTICS: usize = 20;

/// A query that was read, with what its reader should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The query.
    pub query: Query,
    /// What is allowed and probably not meant: values that nothing can ever have.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a query; otherwise says everything that is wrong with it, in order of place.
pub fn parse(text: &str) -> Result<Query, Vec<Diagnostic>> {
    parse_with_warnings(text).map(|parsed| parsed.query)
}

/// Reads a query, with warnings.
pub fn parse_with_warnings(text: &str) -> Result<Parsed, Vec<Diagnostic>> {
    parser::parse(text)
}
