//! Tags and facts of rows: what each row has, and which rows have a tag.
//!
//! Discovered tags, tags that people set and discovered facts share one list of (key, value)
//! pairs. The lists of rows of tags are over the tag in force: one that people set hides a
//! discovered one of the same key.

use std::{collections::BTreeMap, ops::Range};

use hashbrown::HashMap;
use latchkey_domain::inventory::Resource;

use crate::{TooLarge, bits::Bits, postings::Postings, texts::Texts};

/// What a pair is to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Tag = 0,
    UserTag = 1,
    Fact = 2,
}

/// Which of a row's keyed texts are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// Its tags, as they are in force.
    Tags,
    /// What discovery found about it.
    Context,
}

/// The tags and facts of all rows.
#[derive(Debug)]
pub(crate) struct Facts {
    keys: Texts,
    /// Where each key's values begin; one more at the end.
    first_value: Vec<u32>,
    /// Ascending within each key.
    values: Texts,
    /// Each row's pairs: the number of the value, shifted by two, and the role.
    pairs: Vec<u32>,
    /// Where each row's pairs begin; one more at the end.
    starts: Vec<u32>,
    tags: Rows,
    context: Rows,
}

/// Rows by pair and by key.
#[derive(Debug)]
struct Rows {
    of_value: Postings,
    of_key: Postings,
}

impl Rows {
    fn build(
        values: u32,
        keys: u32,
        rows: u32,
        key_of: impl Fn(u32) -> u32,
        pairs: &[(u32, u32)],
    ) -> Result<Self, TooLarge> {
        Ok(Self {
            of_value: Postings::build(values as usize, rows, || pairs.iter().copied())?,
            of_key: Postings::build(keys as usize, rows, || {
                pairs.iter().map(|(value, row)| (key_of(*value), *row))
            })?,
        })
    }
}

/// Collects pairs row by row; numbers are given as they come, and put in order at the end.
#[derive(Debug, Default)]
pub(crate) struct FactsBuilder {
    keys: HashMap<String, HashMap<Box<str>, u32>>,
    count: u32,
    pairs: Vec<u32>,
    starts: Vec<u32>,
}

impl FactsBuilder {
    /// Takes what the next row has.
    pub(crate) fn push(&mut self, resource: &Resource) -> Result<(), TooLarge> {
        self.starts.push(u32::try_from(self.pairs.len()).map_err(|_| TooLarge)?);
        self.take(&resource.tags, Role::Tag)?;
        self.take(&resource.user_tags, Role::UserTag)?;
        self.take(&resource.context, Role::Fact)
    }

    fn take(&mut self, pairs: &BTreeMap<String, String>, role: Role) -> Result<(), TooLarge> {
        for (key, value) in pairs {
            let values = self.keys.entry_ref(key.as_str()).or_default();
            let number = if let Some(number) = values.get(value.as_str()) {
                *number
            } else {
                let number = self.count;
                values.insert(value.as_str().into(), number);
                self.count = number + 1;
                number
            };
            if number > u32::MAX >> 2 {
                return Err(TooLarge);
            }
            self.pairs.push(number << 2 | role as u32);
        }
        Ok(())
    }

    /// The facts, with the rows in another order: `order` gives for each row the place in which
    /// it was pushed.
    pub(crate) fn build(mut self, order: &[u32]) -> Result<Facts, TooLarge> {
        self.starts.push(u32::try_from(self.pairs.len()).map_err(|_| TooLarge)?);
        let mut keys: Vec<(&str, Vec<(&str, u32)>)> = self
            .keys
            .iter()
            .map(|(key, values)| {
                let mut values: Vec<(&str, u32)> =
                    values.iter().map(|(value, number)| (&**value, *number)).collect();
                values.sort_unstable();
                (key.as_str(), values)
            })
            .collect();
        keys.sort_unstable_by_key(|(key, _)| *key);
        let mut place = vec![0u32; self.count as usize];
        let mut first_value = Vec::with_capacity(keys.len() + 1);
        let mut key_of = Vec::with_capacity(self.count as usize);
        let mut next = 0;
        for (key, (_, values)) in (0u32..).zip(&keys) {
            first_value.push(next);
            for (_, number) in values {
                if let Some(place) = place.get_mut(*number as usize) {
                    *place = next;
                }
                key_of.push(key);
                next += 1;
            }
        }
        first_value.push(next);
        let key_of = |value: u32| key_of.get(value as usize).copied().unwrap_or_default();

        let mut pairs = Vec::with_capacity(self.pairs.len());
        let mut starts = Vec::with_capacity(order.len() + 1);
        let (mut tagged, mut known) = (Vec::new(), Vec::new());
        for (row, pushed) in (0u32..).zip(order) {
            starts.push(u32::try_from(pairs.len()).map_err(|_| TooLarge)?);
            let start = self.starts.get(*pushed as usize).copied().unwrap_or_default() as usize;
            let end = self.starts.get(*pushed as usize + 1).copied().unwrap_or_default() as usize;
            let own = self.pairs.get(start..end).unwrap_or_default();
            let own = || {
                own.iter().map(|pair| {
                    (place.get((pair >> 2) as usize).copied().unwrap_or_default(), pair & 3)
                })
            };
            let has_user_tags = own().any(|(_, role)| role == Role::UserTag as u32);
            let is_hidden = |value: u32| {
                has_user_tags
                    && own().any(|(other, role)| {
                        role == Role::UserTag as u32 && key_of(other) == key_of(value)
                    })
            };
            for (value, role) in own() {
                pairs.push(value << 2 | role);
                if role == Role::Fact as u32 {
                    known.push((value, row));
                } else if role == Role::UserTag as u32 || !is_hidden(value) {
                    tagged.push((value, row));
                }
            }
        }
        starts.push(u32::try_from(pairs.len()).map_err(|_| TooLarge)?);
        let rows = u32::try_from(order.len()).map_err(|_| TooLarge)?;
        let key_count = u32::try_from(keys.len()).map_err(|_| TooLarge)?;
        let all_values = keys.iter().flat_map(|(_, values)| values.iter().map(|(value, _)| *value));
        pairs.shrink_to_fit();
        Ok(Facts {
            keys: Texts::build(keys.iter().map(|(key, _)| *key))?,
            first_value,
            values: Texts::build(all_values)?,
            pairs,
            starts,
            tags: Rows::build(next, key_count, rows, key_of, &tagged)?,
            context: Rows::build(next, key_count, rows, key_of, &known)?,
        })
    }
}

impl Facts {
    fn rows_of(&self, keyed: Keyed) -> &Rows {
        match keyed {
            Keyed::Tags => &self.tags,
            Keyed::Context => &self.context,
        }
    }

    /// The number of a key.
    pub(crate) fn key(&self, key: &str) -> Option<u32> {
        self.keys.find(self.keys.all(), key)
    }

    fn values_of(&self, key: u32) -> Range<u32> {
        let at = |key: u32| self.first_value.get(key as usize).copied().unwrap_or_default();
        at(key)..at(key + 1)
    }

    /// The rows that have the key at all.
    pub(crate) fn having(&self, keyed: Keyed, key: u32) -> Bits {
        self.rows_of(keyed).of_key.rows(key)
    }

    /// Adds the rows whose value of the key is this one.
    pub(crate) fn equals(&self, keyed: Keyed, key: u32, value: &str, rows: &mut Bits) {
        if let Some(value) = self.values.find(self.values_of(key), value) {
            self.rows_of(keyed).of_value.add_to(value, rows);
        }
    }

    /// Adds the rows whose value of the key starts with `prefix`.
    pub(crate) fn starting_with(&self, keyed: Keyed, key: u32, prefix: &str, rows: &mut Bits) {
        for value in self.values.starting_with(self.values_of(key), prefix) {
            self.rows_of(keyed).of_value.add_to(value, rows);
        }
    }

    /// Adds the rows whose value of the key ends with `suffix`.
    pub(crate) fn ending_with(&self, keyed: Keyed, key: u32, suffix: &str, rows: &mut Bits) {
        for value in self.values_of(key) {
            if self.values.get(value).ends_with(suffix) {
                self.rows_of(keyed).of_value.add_to(value, rows);
            }
        }
    }

    /// Adds the rows whose value of the key contains `part`.
    pub(crate) fn containing(&self, keyed: Keyed, key: u32, part: &str, rows: &mut Bits) {
        let of_value = &self.rows_of(keyed).of_value;
        self.values.containing(self.values_of(key), part, |value| of_value.add_to(value, rows));
    }

    /// Gives a resource its tags and facts back.
    pub(crate) fn restore(&self, row: u32, resource: &mut Resource) {
        let at = |row: usize| self.starts.get(row).copied().unwrap_or_default() as usize;
        let own = self.pairs.get(at(row as usize)..at(row as usize + 1)).unwrap_or_default();
        for pair in own {
            let value = pair >> 2;
            let key = self.first_value.partition_point(|first| *first <= value).saturating_sub(1);
            let key = self.keys.get(u32::try_from(key).unwrap_or_default()).to_owned();
            let value = self.values.get(value).to_owned();
            let map = match pair & 3 {
                0 => &mut resource.tags,
                1 => &mut resource.user_tags,
                _ => &mut resource.context,
            };
            map.insert(key, value);
        }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let rows = |rows: &Rows| rows.of_value.bytes() + rows.of_key.bytes();
        self.keys.bytes()
            + self.values.bytes()
            + (self.first_value.capacity() + self.pairs.capacity() + self.starts.capacity()) * 4
            + rows(&self.tags)
            + rows(&self.context)
    }
}
