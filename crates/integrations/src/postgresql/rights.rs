//! The table of rights: what each permission means as privileges. `docs/integrations/postgresql`
//! shows the same table to people.

use latchkey_catalog::postgresql::{ADMIN, READ_ONLY, READ_WRITE};

/// A permission on a database, schema or table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Right {
    /// To connect to a database, or to use a schema's names: what every other right carries.
    Enter,
    /// To read.
    ReadOnly,
    /// To read and to change rows.
    ReadWrite,
    /// Everything short of ownership.
    Admin,
}

impl Right {
    /// The permission with this name.
    pub(super) fn of_permission(name: &str) -> Option<Self> {
        match name {
            READ_ONLY => Some(Self::ReadOnly),
            READ_WRITE => Some(Self::ReadWrite),
            ADMIN => Some(Self::Admin),
            _ => None,
        }
    }

    /// The word in markers and group names.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Enter => "ENTER",
            Self::ReadOnly => READ_ONLY,
            Self::ReadWrite => READ_WRITE,
            Self::Admin => ADMIN,
        }
    }

    /// The right with this word.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        if word == "ENTER" { Some(Self::Enter) } else { Self::of_permission(word) }
    }

    /// Privileges on a table or view. Never `TRIGGER`, `REFERENCES` or a grant option.
    pub(super) fn on_table(self) -> &'static [&'static str] {
        match self {
            Self::Enter => &[],
            Self::ReadOnly => &["SELECT"],
            Self::ReadWrite => &["SELECT", "INSERT", "UPDATE", "DELETE"],
            Self::Admin => &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"],
        }
    }

    /// Privileges on the sequences that feed a table's columns.
    pub(super) fn on_fed_sequence(self) -> &'static [&'static str] {
        match self {
            Self::Enter | Self::ReadOnly => &[],
            Self::ReadWrite | Self::Admin => &["USAGE"],
        }
    }

    /// Privileges on every sequence of a schema.
    pub(super) fn on_sequence(self) -> &'static [&'static str] {
        match self {
            Self::Enter => &[],
            Self::ReadOnly => &["SELECT"],
            Self::ReadWrite | Self::Admin => &["SELECT", "USAGE"],
        }
    }

    /// Privileges on a schema itself, for a right on the whole schema.
    pub(super) fn on_schema(self) -> &'static [&'static str] {
        match self {
            Self::Enter => &["USAGE"],
            Self::ReadOnly | Self::ReadWrite => &[],
            Self::Admin => &["CREATE"],
        }
    }
}
