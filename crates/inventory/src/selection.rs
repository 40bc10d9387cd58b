//! What is selected of one part: a set of rows for each permission.
//!
//! Most conditions do not look at permissions, and then one set stands for all of them. Types
//! have few permissions, so the others split it by the permission's place in its type's list.
//!
//! Rows without a permission at a place may be in its set or not: who reads it asks
//! [`View::slots`] as well.

use std::sync::Arc;

use crate::{bits::Bits, segment::View};

/// A set of rows.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    None,
    All,
    Some(Arc<Bits>),
}

/// A set of (row, permission).
#[derive(Debug, Clone)]
pub(crate) enum Selection {
    /// The same rows for every permission.
    Even(Rows),
    /// Rows for each place of a permission.
    Split(Vec<Rows>),
}

impl From<Bits> for Rows {
    fn from(bits: Bits) -> Self {
        Self::Some(Arc::new(bits))
    }
}

impl From<bool> for Rows {
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::None }
    }
}

impl Rows {
    pub(crate) fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, rows) | (rows, Self::All) => rows.clone(),
            (Self::Some(one), Self::Some(other)) => {
                let mut both = Bits::clone(one);
                both.intersect(other);
                both.into()
            }
        }
    }

    fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, rows) | (rows, Self::None) => rows.clone(),
            (Self::Some(one), Self::Some(other)) => {
                let mut both = Bits::clone(one);
                both.unite(other);
                both.into()
            }
        }
    }

    pub(crate) fn not(&self) -> Self {
        match self {
            Self::None => Self::All,
            Self::All => Self::None,
            Self::Some(rows) => rows.complement().into(),
        }
    }

    /// The rows of it that are in `rows` as well.
    pub(crate) fn within(&self, rows: &Arc<Bits>) -> Arc<Bits> {
        match self {
            Self::None => Arc::new(Bits::none(rows.len())),
            Self::All => Arc::clone(rows),
            Self::Some(own) => {
                let mut both = Bits::clone(own);
                both.intersect(rows);
                Arc::new(both)
            }
        }
    }

    fn count_within(&self, rows: &Bits) -> u64 {
        match self {
            Self::None => 0,
            Self::All => rows.count(),
            Self::Some(own) => own.count_common(rows),
        }
    }

    pub(crate) fn contains(&self, row: u32) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(rows) => rows.contains(row),
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        match self {
            Self::None => true,
            Self::All => false,
            Self::Some(rows) => rows.is_empty(),
        }
    }
}

impl Selection {
    pub(crate) const NONE: Self = Self::Even(Rows::None);

    /// The rows at a permission's place.
    pub(crate) fn at(&self, slot: usize) -> &Rows {
        match self {
            Self::Even(rows) => rows,
            Self::Split(rows) => rows.get(slot).unwrap_or(&Rows::None),
        }
    }

    /// The rows that are in it with any permission.
    pub(crate) fn in_any(&self) -> Rows {
        match self {
            Self::Even(rows) => rows.clone(),
            Self::Split(split) => split.iter().fold(Rows::None, |any, rows| any.or(rows)),
        }
    }

    /// The rows that are in it with every permission.
    pub(crate) fn in_every(&self) -> Rows {
        match self {
            Self::Even(rows) => rows.clone(),
            Self::Split(split) => split.iter().fold(Rows::All, |every, rows| every.and(rows)),
        }
    }

    fn combine(&self, other: &Self, combine: impl Fn(&Rows, &Rows) -> Rows) -> Self {
        match (self, other) {
            (Self::Even(one), Self::Even(other)) => Self::Even(combine(one, other)),
            (Self::Split(split), Self::Even(even)) => {
                Self::Split(split.iter().map(|rows| combine(rows, even)).collect())
            }
            (Self::Even(even), Self::Split(split)) => {
                Self::Split(split.iter().map(|rows| combine(even, rows)).collect())
            }
            (Self::Split(one), Self::Split(other)) => {
                Self::Split(one.iter().zip(other).map(|(one, other)| combine(one, other)).collect())
            }
        }
    }

    pub(crate) fn and(&self, other: &Self) -> Self {
        self.combine(other, Rows::and)
    }

    pub(crate) fn or(&self, other: &Self) -> Self {
        self.combine(other, Rows::or)
    }

    pub(crate) fn not(&self) -> Self {
        match self {
            Self::Even(rows) => Self::Even(rows.not()),
            Self::Split(split) => Self::Split(split.iter().map(Rows::not).collect()),
        }
    }

    /// Whether nothing is in it, told without looking at which rows have which permission.
    pub(crate) fn is_none(&self) -> bool {
        match self {
            Self::Even(rows) => rows.is_none(),
            Self::Split(split) => split.iter().all(Rows::is_none),
        }
    }

    /// How many (resource, permission) pairs are in it.
    pub(crate) fn count(&self, view: &View) -> u64 {
        (0..).zip(&view.slots).map(|(slot, rows)| self.at(slot).count_within(rows)).sum()
    }

    /// The rows of which any permission is in it.
    pub(crate) fn rows(&self, view: &View) -> Bits {
        let mut any = Bits::none(view.part.rows());
        let mut seen: Option<(&Rows, &Arc<Bits>)> = None;
        for (slot, own) in (0..).zip(&view.slots) {
            let rows = self.at(slot);
            let is_seen =
                seen.is_some_and(|(last, slot)| std::ptr::eq(last, rows) && Arc::ptr_eq(slot, own));
            if !is_seen {
                any.unite(&rows.within(own));
            }
            seen = Some((rows, own));
        }
        any
    }
}
