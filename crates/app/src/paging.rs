//! Pages of lists: in order of creation, then id, so that a page never shifts under a reader.

pub use latchkey_store::{PageKey, PageQuery};

/// The most rows a page holds; a larger `limit` is cut to it.
pub const MAX_LIMIT: u32 = 1000;

/// The rows a page holds when the caller does not say.
pub const DEFAULT_LIMIT: u32 = 100;

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Where the last page ended; `None` for the first page.
    pub after: Option<PageKey>,
    /// How many rows, from 1 to [`MAX_LIMIT`].
    pub limit: u32,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { after: None, limit: DEFAULT_LIMIT }
    }
}

impl PageRequest {
    /// What to ask the store for: one row more than wanted, to know whether a page follows.
    pub(crate) fn query(&self) -> PageQuery {
        PageQuery {
            after: self.after.clone(),
            limit: self.limit.clamp(1, MAX_LIMIT) + 1,
            newest_first: false,
        }
    }

    /// The same from the newest to the oldest.
    pub(crate) fn newest_first(&self) -> PageQuery {
        PageQuery { newest_first: true, ..self.query() }
    }

    /// Makes the page of the rows that [`Self::query`] brought.
    pub(crate) fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> PageKey) -> Page<T> {
        let limit = self.limit.clamp(1, MAX_LIMIT) as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(key) } else { None };
        Page { items: rows, next }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<PageKey>,
}

impl<T> Page<T> {
    /// The same page of something made from each row.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}
