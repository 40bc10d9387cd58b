//! The texts of resources: names, and what is composed of a leading part and the name.
//!
//! A path mostly ends with the resource's name, and a native id with its path. So a column keeps
//! its leading parts, which many rows share, and refers to the column that follows for the rest.
//! Rows whose text does not end so keep it whole.
//!
//! Invariant: every answer is what comparing each row's text would give.

use crate::{TooLarge, bits::Bits, lexicon::Lexicon, postings::Postings};

/// Answers about the texts of rows.
pub(crate) trait TextColumn {
    /// The text of a row.
    fn text(&self, row: u32) -> String;
    fn equals(&self, text: &str) -> Bits;
    fn starting_with(&self, text: &str) -> Bits;
    /// Of rows that are not in `among` it may say anything.
    fn ending_with(&self, text: &str, among: Option<&Bits>) -> Bits;
    /// Of rows that are not in `among` it may say anything.
    fn containing(&self, text: &str, among: Option<&Bits>) -> Bits;
}

/// A text for each row, each distinct one kept once.
#[derive(Debug)]
pub(crate) struct Names {
    lexicon: Lexicon,
    value_of_row: Vec<u32>,
    rows: RowsOfValues,
}

/// Which rows have a value.
#[derive(Debug)]
enum RowsOfValues {
    /// Each value is one row's alone.
    One(Vec<u32>),
    Many(Postings),
}

impl RowsOfValues {
    fn build(values: u32, value_of_row: &[u32]) -> Result<Self, TooLarge> {
        if values as usize != value_of_row.len() {
            return rows_of_values(values, value_of_row).map(Self::Many);
        }
        let mut rows = vec![0; value_of_row.len()];
        for (row, value) in (0u32..).zip(value_of_row) {
            if let Some(place) = rows.get_mut(*value as usize) {
                *place = row;
            }
        }
        Ok(Self::One(rows))
    }

    fn universe(&self) -> u32 {
        match self {
            Self::One(rows) => u32::try_from(rows.len()).unwrap_or(u32::MAX),
            Self::Many(rows) => rows.universe(),
        }
    }

    fn add_to(&self, value: u32, found: &mut Bits) {
        match self {
            Self::One(rows) => {
                if let Some(row) = rows.get(value as usize) {
                    found.insert(*row);
                }
            }
            Self::Many(rows) => rows.add_to(value, found),
        }
    }

    fn rows_of(&self, values: impl IntoIterator<Item = u32>) -> Bits {
        let mut found = Bits::none(self.universe());
        for value in values {
            self.add_to(value, &mut found);
        }
        found
    }

    fn bytes(&self) -> usize {
        match self {
            Self::One(rows) => rows.capacity() * 4,
            Self::Many(rows) => rows.bytes(),
        }
    }
}

/// Each distinct text once, ascending, and the number of each row's.
pub(crate) fn distinct<'t>(texts: &[&'t str]) -> (Vec<&'t str>, Vec<u32>) {
    let mut order: Vec<u32> = (0u32..).zip(texts).map(|(row, _)| row).collect();
    let text = |row: &u32| texts.get(*row as usize).copied().unwrap_or_default();
    order.sort_unstable_by_key(text);
    let mut values: Vec<&'t str> = Vec::new();
    let mut value_of_row = vec![0; texts.len()];
    for row in &order {
        let own = text(row);
        if values.last() != Some(&own) {
            values.push(own);
        }
        if let Some(value) = value_of_row.get_mut(*row as usize) {
            *value = u32::try_from(values.len() - 1).unwrap_or(u32::MAX);
        }
    }
    (values, value_of_row)
}

/// The rows of each value.
fn rows_of_values(values: u32, value_of_row: &[u32]) -> Result<Postings, TooLarge> {
    let rows = u32::try_from(value_of_row.len()).map_err(|_| TooLarge)?;
    Postings::build(values as usize, rows, || value_of_row.iter().copied().zip(0u32..))
}

impl Names {
    pub(crate) fn build(texts: &[&str]) -> Result<Self, TooLarge> {
        let (values, value_of_row) = distinct(texts);
        let lexicon = Lexicon::build(values)?;
        let rows = RowsOfValues::build(lexicon.len(), &value_of_row)?;
        Ok(Self { lexicon, value_of_row, rows })
    }

    fn value(&self, row: u32) -> &str {
        self.value_of_row.get(row as usize).map_or("", |value| self.lexicon.get(*value))
    }

    /// The rows that have any of these distinct texts.
    pub(crate) fn rows_with(&self, values: &Bits) -> Bits {
        let rows = self.rows.universe();
        if matches!(self.rows, RowsOfValues::One(_)) || values.count() * 4 < u64::from(rows) {
            return self.rows.rows_of(values.iter());
        }
        let mut found = Bits::none(rows);
        for (row, value) in (0u32..).zip(&self.value_of_row) {
            if values.contains(*value) {
                found.insert(row);
            }
        }
        found
    }

    /// Which distinct texts a search has to look at, to tell about the rows in `among`.
    fn asked_for(&self, among: Option<&Bits>) -> impl Fn(u32) -> bool {
        // Where many rows have a text, it is worth looking up the texts of few rows alone.
        let is_worth = |rows: &Bits| rows.count() * 16 < u64::from(rows.len());
        let few = match &self.rows {
            RowsOfValues::One(_) => None,
            RowsOfValues::Many(_) => among.filter(|rows| is_worth(rows)),
        };
        let values = few.map(|rows| {
            let mut values = Bits::none(self.lexicon.len());
            for row in rows.iter() {
                if let Some(value) = self.value_of_row.get(row as usize) {
                    values.insert(*value);
                }
            }
            values
        });
        move |value| match (&self.rows, among) {
            (RowsOfValues::One(rows), Some(among)) => {
                rows.get(value as usize).is_some_and(|row| among.contains(*row))
            }
            _ => values.as_ref().is_none_or(|values| values.contains(value)),
        }
    }

    /// Adds the rows whose text is this one.
    pub(crate) fn add_equal(&self, text: &str, rows: &mut Bits) {
        if let Some(value) = self.lexicon.find(text) {
            self.rows.add_to(value, rows);
        }
    }

    /// For comparing without letter case.
    pub(crate) fn lexicon(&self) -> &Lexicon {
        &self.lexicon
    }

    pub(crate) fn bytes(&self) -> usize {
        self.lexicon.bytes() + self.value_of_row.capacity() * 4 + self.rows.bytes()
    }
}

impl TextColumn for Names {
    fn text(&self, row: u32) -> String {
        self.value(row).to_owned()
    }

    fn equals(&self, text: &str) -> Bits {
        self.rows.rows_of(self.lexicon.find(text))
    }

    fn starting_with(&self, text: &str) -> Bits {
        self.rows.rows_of(self.lexicon.starting_with(text))
    }

    fn ending_with(&self, text: &str, among: Option<&Bits>) -> Bits {
        self.rows_with(&self.lexicon.ending_with(text, self.asked_for(among)))
    }

    fn containing(&self, text: &str, among: Option<&Bits>) -> Bits {
        self.rows_with(&self.lexicon.containing(text, self.asked_for(among)))
    }
}

/// Texts that mostly end with another column's text of the same row.
#[derive(Debug)]
pub(crate) struct Leading {
    /// The parts before the other column's text.
    heads: Lexicon,
    /// Texts that do not end so.
    wholes: Lexicon,
    /// Numbers of heads, and after them of wholes.
    value_of_row: Vec<u32>,
    rows: Postings,
}

/// Such texts together with the column that they end with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Composed<'c, Tail> {
    pub(crate) leading: &'c Leading,
    pub(crate) tail: &'c Tail,
}

impl Leading {
    /// Of each row's text and that of the column it may end with.
    pub(crate) fn build(texts: &[&str], tails: &[&str]) -> Result<Self, TooLarge> {
        let split =
            || texts.iter().zip(tails).map(|(text, tail)| text.strip_suffix(tail).ok_or(*text));
        let heads: Vec<&str> = split().filter_map(Result::ok).collect();
        let wholes: Vec<&str> = split().filter_map(Result::err).collect();
        let (heads, head_of) = distinct(&heads);
        let (wholes, whole_of) = distinct(&wholes);
        let heads = Lexicon::build(heads)?;
        let wholes = Lexicon::build(wholes)?;
        let (mut head_of, mut whole_of) = (head_of.into_iter(), whole_of.into_iter());
        let value_of_row: Vec<u32> = split()
            .filter_map(|part| match part {
                Ok(_) => head_of.next(),
                Err(_) => whole_of.next().map(|whole| whole + heads.len()),
            })
            .collect();
        let rows = rows_of_values(heads.len() + wholes.len(), &value_of_row)?;
        Ok(Self { heads, wholes, value_of_row, rows })
    }

    fn add_wholes(&self, wholes: impl IntoIterator<Item = u32>, rows: &mut Bits) {
        for whole in wholes {
            self.rows.add_to(whole + self.heads.len(), rows);
        }
    }

    /// The rows that end with the other column's text.
    fn composed(&self) -> Bits {
        self.rows.rows_of(self.heads.len()..self.rows.values()).complement()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.heads.bytes()
            + self.wholes.bytes()
            + self.value_of_row.capacity() * 4
            + self.rows.bytes()
    }
}

/// Every place where a text can be cut in two, with what is before and after it.
fn cuts(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    places.map(|at| text.split_at(at))
}

impl<Tail: TextColumn> TextColumn for Composed<'_, Tail> {
    fn text(&self, row: u32) -> String {
        let Leading { heads, wholes, value_of_row, .. } = self.leading;
        let value = value_of_row.get(row as usize).copied().unwrap_or_default();
        match value.checked_sub(heads.len()) {
            Some(whole) => wholes.get(whole).to_owned(),
            None => format!("{}{}", heads.get(value), self.tail.text(row)),
        }
    }

    fn equals(&self, text: &str) -> Bits {
        let Leading { heads, wholes, rows, .. } = self.leading;
        let mut found = Bits::none(rows.universe());
        self.leading.add_wholes(wholes.find(text), &mut found);
        for (before, after) in cuts(text) {
            if let Some(head) = heads.find(before) {
                let mut own = self.tail.equals(after);
                own.intersect(&rows.rows(head));
                found.unite(&own);
            }
        }
        found
    }

    fn starting_with(&self, text: &str) -> Bits {
        let Leading { heads, wholes, rows, .. } = self.leading;
        let mut found = rows.rows_of(heads.starting_with(text));
        self.leading.add_wholes(wholes.starting_with(text), &mut found);
        for (before, after) in cuts(text) {
            if !after.is_empty()
                && let Some(head) = heads.find(before)
            {
                let mut own = self.tail.starting_with(after);
                own.intersect(&rows.rows(head));
                found.unite(&own);
            }
        }
        found
    }

    fn ending_with(&self, text: &str, among: Option<&Bits>) -> Bits {
        let Leading { heads, wholes, rows, .. } = self.leading;
        let mut found = self.tail.ending_with(text, among);
        found.intersect(&self.leading.composed());
        self.leading.add_wholes(wholes.ending_with(text, |_| true).iter(), &mut found);
        for (before, after) in cuts(text) {
            if before.is_empty() {
                continue;
            }
            let mut own = self.tail.equals(after);
            if !own.is_empty() {
                own.intersect(&rows.rows_of(heads.ending_with(before, |_| true).iter()));
                found.unite(&own);
            }
        }
        found
    }

    fn containing(&self, text: &str, among: Option<&Bits>) -> Bits {
        let Leading { heads, wholes, rows, .. } = self.leading;
        let mut found = self.tail.containing(text, among);
        found.intersect(&self.leading.composed());
        found.unite(&rows.rows_of(heads.containing(text, |_| true).iter()));
        self.leading.add_wholes(wholes.containing(text, |_| true).iter(), &mut found);
        for (before, after) in cuts(text) {
            if before.is_empty() || after.is_empty() {
                continue;
            }
            let heads = heads.ending_with(before, |_| true);
            if !heads.is_empty() {
                let mut own = self.tail.starting_with(after);
                own.intersect(&rows.rows_of(heads.iter()));
                found.unite(&own);
            }
        }
        found
    }
}
