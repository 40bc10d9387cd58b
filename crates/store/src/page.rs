//! Keyset paging and text filters.
//!
//! A page is named by the key of the last row before it, never by a count of rows, so that rows
//! which appear or go while somebody reads neither repeat nor hide others.

use jiff::Timestamp;

use crate::sql::{Sql, micros};

/// The place of a row in lists: they are sorted by (creation time, id).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageKey {
    /// When the row was made. Compared in whole microseconds.
    pub created_at: Timestamp,
    /// Its id.
    pub id: String,
}

impl PageKey {
    /// The place of the row made then, with this id.
    pub fn new(created_at: Timestamp, id: impl Into<String>) -> Self {
        Self { created_at, id: id.into() }
    }
}

/// Which rows of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// Only rows after this one, in the order of the list.
    pub after: Option<PageKey>,
    /// At most so many rows.
    pub limit: u32,
    /// The order: newest first, or oldest first.
    pub newest_first: bool,
}

impl PageQuery {
    /// The first `limit` rows, oldest first.
    pub fn first(limit: u32) -> Self {
        Self { after: None, limit, newest_first: false }
    }

    /// Every row, oldest first.
    pub fn all() -> Self {
        Self::first(u32::MAX)
    }

    /// Appends the condition on `(created_at, id)`, the order and the limit.
    pub(crate) fn apply(&self, sql: &mut Sql, created_at: &str, id: &str) {
        self.after(sql, created_at, id);
        self.in_order(sql, created_at, id);
    }

    /// The same for rows of which several may be at one place: each place once.
    pub(crate) fn apply_grouped(&self, sql: &mut Sql, created_at: &str, id: &str) {
        self.after(sql, created_at, id);
        sql.push(&format!(" GROUP BY {created_at}, {id}"));
        self.in_order(sql, created_at, id);
    }

    fn after(&self, sql: &mut Sql, created_at: &str, id: &str) {
        let sign = if self.newest_first { "<" } else { ">" };
        if let Some(after) = &self.after {
            sql.push(&format!(" AND ({created_at}, {id}) {sign} ("));
            sql.bind(micros(after.created_at)).push(", ").bind(after.id.as_str()).push(")");
        }
    }

    fn in_order(&self, sql: &mut Sql, created_at: &str, id: &str) {
        let order = if self.newest_first { "DESC" } else { "ASC" };
        sql.push(&format!(" ORDER BY {created_at} {order}, {id} {order} LIMIT "));
        sql.bind(i64::from(self.limit));
    }
}

/// A filter on text, without letter case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextMatch {
    /// The whole text.
    Exact(String),
    /// Its beginning.
    Prefix(String),
    /// Its end.
    Suffix(String),
    /// Any part of it.
    Contains(String),
}

impl TextMatch {
    /// Appends the condition on `column`, which holds text in lower case.
    pub(crate) fn apply(&self, sql: &mut Sql, column: &str) {
        let (before, text, after) = match self {
            Self::Exact(text) => {
                sql.push(column).push(" = ").bind(text.to_lowercase());
                return;
            }
            Self::Prefix(text) => ("", text, "%"),
            Self::Suffix(text) => ("%", text, ""),
            Self::Contains(text) => ("%", text, "%"),
        };
        let pattern = like_pattern(before, &text.to_lowercase(), after);
        sql.push(column).push(" LIKE ").bind(pattern).push(" ESCAPE '\\'");
    }
}

/// A pattern for `LIKE … ESCAPE '\\'` in which `text` means itself.
pub(crate) fn like_pattern(before: &str, text: &str, after: &str) -> String {
    let mut pattern = String::from(before);
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push_str(after);
    pattern
}
