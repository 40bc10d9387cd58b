//! Dense sets of row numbers: what queries work with. A million rows are 125 kB, which stay in the
//! processor's cache, so that a connective takes microseconds whatever was selected.
//!
//! Invariant: no bit at or past `len` is ever set, so counts need no care at the end.

/// A set of numbers below a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: u32,
}

impl Bits {
    /// Nothing of `len` rows.
    pub(crate) fn none(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)], len }
    }

    /// All of `len` rows.
    pub(crate) fn all(len: u32) -> Self {
        let mut all = Self { words: vec![u64::MAX; (len as usize).div_ceil(64)], len };
        all.trim();
        all
    }

    /// How many rows there are, in the set or not.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Clears what is past the end.
    fn trim(&mut self) {
        let over = self.len % 64;
        if over > 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << over) - 1;
        }
    }

    /// Puts a row in; one past the end is left out.
    pub(crate) fn insert(&mut self, row: u32) {
        if row < self.len
            && let Some(word) = self.words.get_mut((row / 64) as usize)
        {
            *word |= 1 << (row % 64);
        }
    }

    /// Puts a row in or takes it out.
    pub(crate) fn set(&mut self, row: u32, is_in: bool) {
        if is_in {
            self.insert(row);
        } else if let Some(word) = self.words.get_mut((row / 64) as usize) {
            *word &= !(1 << (row % 64));
        }
    }

    /// Puts in every row of a set in its stored form: eight bytes a word, least row first.
    pub(crate) fn insert_words(&mut self, bytes: &[u8]) {
        let (chunks, _) = bytes.as_chunks::<8>();
        for (word, chunk) in self.words.iter_mut().zip(chunks) {
            *word |= u64::from_le_bytes(*chunk);
        }
        self.trim();
    }

    pub(crate) fn contains(&self, row: u32) -> bool {
        self.words.get((row / 64) as usize).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(crate) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many rows are in both.
    pub(crate) fn count_common(&self, other: &Self) -> u64 {
        let pairs = self.words.iter().zip(&other.words);
        pairs.map(|(one, other)| u64::from((one & other).count_ones())).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Keeps what is in the other as well.
    pub(crate) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Adds what is in the other.
    pub(crate) fn unite(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Takes away what is in the other.
    pub(crate) fn subtract(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// What is not in the set.
    pub(crate) fn complement(&self) -> Self {
        let mut rest = Self { words: self.words.iter().map(|word| !word).collect(), len: self.len };
        rest.trim();
        rest
    }

    /// The first row at or after `from` that is in the set.
    pub(crate) fn next_from(&self, from: u32) -> Option<u32> {
        let at = from / 64;
        let first = self.words.get(at as usize)? & (u64::MAX << (from % 64));
        if first != 0 {
            return Some(at * 64 + first.trailing_zeros());
        }
        let rest = self.words.get(at as usize + 1..)?;
        let ahead = rest.iter().position(|word| *word != 0)?;
        let word = rest.get(ahead)?;
        u32::try_from(ahead).ok().map(|ahead| (at + 1 + ahead) * 64 + word.trailing_zeros())
    }

    /// The rows in the set, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.words).flat_map(|(at, word)| Ones { word: *word, base: at * 64 })
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}

/// The bits of one word.
struct Ones {
    word: u64,
    base: u32,
}

impl Iterator for Ones {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.word == 0 {
            return None;
        }
        let bit = self.word.trailing_zeros();
        self.word &= self.word - 1;
        Some(self.base + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complement_has_nothing_past_the_end() {
        let mut some = Bits::none(70);
        some.insert(3);
        some.insert(69);
        some.insert(70);
        assert_eq!(some.iter().collect::<Vec<_>>(), [3, 69]);
        assert_eq!(some.complement().count(), 68);
        assert_eq!(some.complement().complement(), some);
        assert_eq!(Bits::all(70).count(), 70);
    }

    #[test]
    fn the_next_row_is_found_across_words() {
        let mut some = Bits::none(300);
        some.insert(5);
        some.insert(250);
        assert_eq!(some.next_from(0), Some(5));
        assert_eq!(some.next_from(5), Some(5));
        assert_eq!(some.next_from(6), Some(250));
        assert_eq!(some.next_from(251), None);
        assert_eq!(some.next_from(9999), None);
    }
}
