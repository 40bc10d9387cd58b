//! Which rows have a value: a list of rows for each of many values, in one piece of memory.
//!
//! A list begins with its length and its form. Where more than one row in sixteen is in it, it is
//! kept as a bit for each row, which is united with a set at the speed of memory; otherwise as
//! the distances between rows, mostly a byte each.

use crate::{TooLarge, bits::Bits};

/// Lists of rows below `universe`, by number of value.
#[derive(Debug)]
pub(crate) struct Postings {
    bytes: Vec<u8>,
    /// Where each value's list begins; one more at the end.
    starts: Vec<u32>,
    universe: u32,
}

/// One row in so many makes a list dense.
const DENSE: u32 = 16;

impl Postings {
    /// The lists of `values` values over `universe` rows. `pairs` gives every (value, row), by
    /// ascending row, and gives the same again when asked a second time; repetitions count once.
    pub(crate) fn build<I: Iterator<Item = (u32, u32)>>(
        values: usize,
        universe: u32,
        pairs: impl Fn() -> I,
    ) -> Result<Self, TooLarge> {
        let mut ends = vec![0u32; values];
        for (value, _) in pairs() {
            if let Some(end) = ends.get_mut(value as usize) {
                *end = end.checked_add(1).ok_or(TooLarge)?;
            }
        }
        let mut total = 0u32;
        for end in &mut ends {
            let own = *end;
            *end = total;
            total = total.checked_add(own).ok_or(TooLarge)?;
        }
        let mut rows = vec![0u32; total as usize];
        for (value, row) in pairs() {
            if let Some(end) = ends.get_mut(value as usize)
                && let Some(place) = rows.get_mut(*end as usize)
            {
                *place = row;
                *end += 1;
            }
        }
        let mut built =
            Self { bytes: Vec::new(), starts: Vec::with_capacity(values + 1), universe };
        let mut start = 0;
        for end in ends {
            built.open()?;
            built.write(rows.get(start..end as usize).unwrap_or_default());
            start = end as usize;
        }
        built.open()?;
        built.bytes.shrink_to_fit();
        Ok(built)
    }

    /// Marks where the next list begins.
    fn open(&mut self) -> Result<(), TooLarge> {
        self.starts.push(u32::try_from(self.bytes.len()).map_err(|_| TooLarge)?);
        Ok(())
    }

    fn write(&mut self, rows: &[u32]) {
        let mut count = 0u32;
        let mut last = None;
        for row in rows {
            count += u32::from(last != Some(*row));
            last = Some(*row);
        }
        let is_dense = count > self.universe / DENSE && self.universe >= 512;
        self.write_number(count << 1 | u32::from(is_dense));
        if is_dense {
            let mut set = vec![0u8; (self.universe as usize).div_ceil(64) * 8];
            for row in rows {
                if let Some(byte) = set.get_mut((row / 8) as usize) {
                    *byte |= 1 << (row % 8);
                }
            }
            self.bytes.extend_from_slice(&set);
        } else {
            let mut next = 0;
            for row in rows {
                if let Some(distance) = row.checked_sub(next) {
                    self.write_number(distance);
                    next = row + 1;
                }
            }
        }
    }

    /// Seven bits a byte, the least first; the high bit says that more follow.
    fn write_number(&mut self, mut number: u32) {
        while number >= 0x80 {
            self.bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push((number & 0x7f) as u8);
    }

    /// How many rows there are, with a value or not.
    pub(crate) fn universe(&self) -> u32 {
        self.universe
    }

    /// How many values there are.
    pub(crate) fn values(&self) -> u32 {
        u32::try_from(self.starts.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn list(&self, value: u32) -> (u32, bool, &[u8]) {
        let start = self.starts.get(value as usize).copied().unwrap_or_default() as usize;
        let end = self.starts.get(value as usize + 1).map_or(start, |end| *end as usize);
        let mut list = self.bytes.get(start..end).unwrap_or_default();
        let head = read_number(&mut list).unwrap_or_default();
        (head >> 1, head & 1 == 1, list)
    }

    /// How many rows have the value.
    pub(crate) fn count(&self, value: u32) -> u64 {
        u64::from(self.list(value).0)
    }

    /// Adds the rows that have the value.
    pub(crate) fn add_to(&self, value: u32, rows: &mut Bits) {
        let (_, is_dense, mut list) = self.list(value);
        if is_dense {
            rows.insert_words(list);
            return;
        }
        let mut next = 0u32;
        while let Some(distance) = read_number(&mut list) {
            let row = next.wrapping_add(distance);
            rows.insert(row);
            next = row + 1;
        }
    }

    /// The rows that have the value, ascending, where they are few.
    pub(crate) fn list_of(&self, value: u32) -> Vec<u32> {
        let (count, is_dense, mut list) = self.list(value);
        if is_dense {
            return self.rows(value).iter().collect();
        }
        let mut rows = Vec::with_capacity(count as usize);
        let mut next = 0u32;
        while let Some(distance) = read_number(&mut list) {
            let row = next.wrapping_add(distance);
            rows.push(row);
            next = row + 1;
        }
        rows
    }

    /// The rows that have the value.
    pub(crate) fn rows(&self, value: u32) -> Bits {
        let mut rows = Bits::none(self.universe);
        self.add_to(value, &mut rows);
        rows
    }

    /// The rows that have any of the values.
    pub(crate) fn rows_of(&self, values: impl IntoIterator<Item = u32>) -> Bits {
        let mut rows = Bits::none(self.universe);
        for value in values {
            self.add_to(value, &mut rows);
        }
        rows
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.capacity() + self.starts.capacity() * 4
    }
}

/// Takes a number off the front.
fn read_number(list: &mut &[u8]) -> Option<u32> {
    let (first, rest) = list.split_first()?;
    *list = rest;
    if *first < 0x80 {
        return Some(u32::from(*first));
    }
    let mut number = u32::from(*first & 0x7f);
    let mut shift = 7;
    while let Some((byte, rest)) = list.split_first() {
        *list = rest;
        number |= u32::from(*byte & 0x7f).unbounded_shl(shift);
        if *byte < 0x80 {
            break;
        }
        shift += 7;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_either_form_give_back_their_rows() {
        let pairs: Vec<(u32, u32)> = (0..5000)
            .flat_map(|row| {
                let mut of = vec![(0, row)];
                of.extend((row % 7 == 0).then_some((1, row)));
                of.extend((row % 1000 == 999).then_some((2, row)));
                of.extend((row % 1000 == 999).then_some((2, row)));
                of
            })
            .collect();
        let built = Postings::build(4, 5000, || pairs.iter().copied()).unwrap();
        let rows = |value| built.rows(value).iter().collect::<Vec<_>>();
        assert_eq!(rows(0), (0..5000).collect::<Vec<_>>());
        assert_eq!(rows(1), (0..5000).step_by(7).collect::<Vec<_>>());
        assert_eq!(rows(2), [999, 1999, 2999, 3999, 4999]);
        assert!(rows(3).is_empty());
        assert_eq!((0..4).map(|value| built.count(value)).collect::<Vec<_>>(), [5000, 715, 5, 0]);
        assert_eq!(built.values(), 4);
    }
}
