//! Statements with their values, the same text for SQLite and PostgreSQL, and the reading of
//! columns. Values are always bound, never written into the text.

use jiff::Timestamp;
use sea_orm::{QueryResult, TryGetable, Value};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{Result, StoreError},
    page::TextMatch,
    sqlite::SqliteRow,
};

/// How many ids go into one statement.
pub(crate) const CHUNK: usize = 500;

/// A statement being put together: text with `$1`, `$2` … and the values for them.
#[derive(Debug, Clone)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// A statement whose text has its placeholders already.
    pub(crate) fn with(text: &str, values: impl IntoIterator<Item = Value>) -> Self {
        Self { text: text.to_owned(), values: values.into_iter().collect() }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends the next placeholder.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// Appends ` AND column = value` if there is a value.
    pub(crate) fn and_eq(&mut self, column: &str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.push(" AND ").push(column).push(" = ").bind(value);
        }
        self
    }

    /// Appends ` AND column IN (…)` if there are values: an empty list means no filter.
    pub(crate) fn and_in<V: Into<Value>>(
        &mut self,
        column: &str,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            self.push(" AND ").push(column).push(" IN ").list(values);
        }
        self
    }

    /// Appends ` AND …` for a filter on `column`, which holds text in lower case.
    pub(crate) fn and_text(&mut self, column: &str, text: Option<&TextMatch>) -> &mut Self {
        if let Some(text) = text {
            self.push(" AND ");
            text.apply(self, column);
        }
        self
    }

    /// Appends ` AND (… OR …)` if there are filters: an empty list means no filter.
    pub(crate) fn and_any_text(&mut self, column: &str, texts: &[TextMatch]) -> &mut Self {
        for (at, text) in texts.iter().enumerate() {
            self.push(if at == 0 { " AND (" } else { " OR " });
            text.apply(self, column);
        }
        self.push(if texts.is_empty() { "" } else { ")" })
    }

    /// Appends `(…)` with a placeholder for each value.
    pub(crate) fn list<V: Into<Value>>(
        &mut self,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        self.push("(");
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self.push(")")
    }
}

/// A list of values for [`Sql::with`].
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$(sea_orm::Value::from($value)),*] };
}
pub(crate) use values;

/// A time as it is stored.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A time as it is stored, where there may be none.
pub(crate) fn opt_micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(micros)
}

/// A value as JSON text.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Database(error.to_string()))
}

/// A value as JSON text, where there may be none.
pub(crate) fn opt_json<T: Serialize>(value: Option<&T>) -> Result<Option<String>> {
    value.map(json).transpose()
}

/// Reads columns of a row.
pub(crate) enum Row {
    /// Read through a pool.
    Pooled(QueryResult),
    /// Read from SQLite.
    Sqlite(SqliteRow),
}

impl From<QueryResult> for Row {
    fn from(row: QueryResult) -> Self {
        Self::Pooled(row)
    }
}

impl Row {
    pub(crate) fn text(&self, column: &str) -> Result<String> {
        match self {
            Self::Pooled(row) => pooled(row, column),
            Self::Sqlite(row) => some(row.opt_text(column)?, column),
        }
    }

    pub(crate) fn opt_text(&self, column: &str) -> Result<Option<String>> {
        match self {
            Self::Pooled(row) => pooled(row, column),
            Self::Sqlite(row) => row.opt_text(column),
        }
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64> {
        match self {
            Self::Pooled(row) => pooled(row, column),
            Self::Sqlite(row) => some(row.opt_int(column)?, column),
        }
    }

    pub(crate) fn opt_int(&self, column: &str) -> Result<Option<i64>> {
        match self {
            Self::Pooled(row) => pooled(row, column),
            Self::Sqlite(row) => row.opt_int(column),
        }
    }

    pub(crate) fn flag(&self, column: &str) -> Result<bool> {
        match self {
            Self::Pooled(row) => pooled(row, column),
            Self::Sqlite(row) => Ok(some(row.opt_int(column)?, column)? != 0),
        }
    }

    pub(crate) fn time(&self, column: &str) -> Result<Timestamp> {
        timestamp(self.int(column)?, column)
    }

    pub(crate) fn opt_time(&self, column: &str) -> Result<Option<Timestamp>> {
        self.opt_int(column)?.map(|at| timestamp(at, column)).transpose()
    }

    /// A count, which no database gives as negative.
    pub(crate) fn count(&self, column: &str) -> Result<u64> {
        u64::try_from(self.int(column)?).map_err(|_| StoreError::corrupt(column))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        let text = self.text(column)?;
        serde_json::from_str(&text).map_err(|_| StoreError::corrupt(format!("column {column}")))
    }

    pub(crate) fn opt_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        self.opt_text(column)?
            .map(|text| {
                serde_json::from_str(&text)
                    .map_err(|_| StoreError::corrupt(format!("column {column}")))
            })
            .transpose()
    }

    /// A word that `parse` knows.
    pub(crate) fn word<T>(&self, column: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let word = self.text(column)?;
        parse(&word).ok_or_else(|| StoreError::corrupt(format!("column {column} ({word:?})")))
    }
}

fn pooled<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T> {
    Ok(row.try_get("", column)?)
}

fn some<T>(value: Option<T>, column: &str) -> Result<T> {
    value.ok_or_else(|| StoreError::corrupt(format!("column {column}")))
}

fn timestamp(at: i64, column: &str) -> Result<Timestamp> {
    Timestamp::from_microsecond(at)
        .map_err(|_| StoreError::corrupt(format!("the time in column {column}")))
}
