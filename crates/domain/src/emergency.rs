//! Uses of flows for emergencies, and what is found when somebody looks at each afterwards.

use jiff::Timestamp;

use crate::{
    ids::{RequestId, UserId},
    people::UnknownWord,
};

/// A use of a flow for emergencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    /// The request that named it.
    pub request_id: RequestId,
    /// When access began to be given.
    pub began_at: Timestamp,
    /// What was found afterwards; `None` as long as nobody has looked.
    pub review: Option<Review>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Whether it was one.
    pub finding: Finding,
    /// What happened, and what follows from it.
    pub note: String,
    /// Who looked.
    pub reviewer_id: UserId,
    /// When.
    pub at: Timestamp,
}

/// Whether it was an emergency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It was one, and the access was used for it.
    Justified,
    /// It was none, or the access was used for something else.
    NotJustified,
}

impl Finding {
    /// Either.
    pub const ALL: [Self; 2] = [Self::Justified, Self::NotJustified];

    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Justified => "justified",
            Self::NotJustified => "not_justified",
        }
    }

    /// The finding with this word.
    pub fn parse(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|finding| finding.as_str() == word)
            .ok_or_else(|| UnknownWord::new("finding", word, Self::ALL.map(Self::as_str)))
    }
}
