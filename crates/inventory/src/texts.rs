//! Many texts in one piece of memory, sorted, found by their number.
//!
//! Invariant: within each range that is searched, texts are distinct and ascend by their bytes.

use std::ops::Range;

use memchr::memmem::Finder;

use crate::TooLarge;

/// Texts by number.
#[derive(Debug)]
pub(crate) struct Texts {
    text: String,
    /// Where each begins; one more at the end.
    starts: Vec<u32>,
}

impl Texts {
    /// In the order in which they come.
    pub(crate) fn build<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, TooLarge> {
        let mut built = Self { text: String::new(), starts: vec![0] };
        for text in texts {
            built.text.push_str(text);
            built.starts.push(u32::try_from(built.text.len()).map_err(|_| TooLarge)?);
        }
        built.text.shrink_to_fit();
        built.starts.shrink_to_fit();
        Ok(built)
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.starts.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The numbers of all.
    pub(crate) fn all(&self) -> Range<u32> {
        0..self.len()
    }

    fn start(&self, number: u32) -> usize {
        self.starts.get(number as usize).map_or(self.text.len(), |start| *start as usize)
    }

    /// The text with this number; empty where there is none.
    pub(crate) fn get(&self, number: u32) -> &str {
        self.text.get(self.start(number)..self.start(number + 1)).unwrap_or_default()
    }

    /// The same as bytes, which spares a look for whole characters.
    pub(crate) fn bytes_of(&self, number: u32) -> &[u8] {
        self.text.as_bytes().get(self.start(number)..self.start(number + 1)).unwrap_or_default()
    }

    /// The first number in the range whose text fails the test; those that pass come first.
    fn partition(&self, range: Range<u32>, passes: impl Fn(&str) -> bool) -> u32 {
        let Range { mut start, mut end } = range;
        while start < end {
            let middle = start + (end - start) / 2;
            if passes(self.get(middle)) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }

    /// The number of a text.
    pub(crate) fn find(&self, range: Range<u32>, text: &str) -> Option<u32> {
        let end = range.end;
        let at = self.partition(range, |one| one < text);
        (at < end && self.get(at) == text).then_some(at)
    }

    /// The numbers of the texts that start with `prefix`.
    pub(crate) fn starting_with(&self, range: Range<u32>, prefix: &str) -> Range<u32> {
        let end = range.end;
        let first = self.partition(range, |one| one < prefix);
        let past = self.partition(first..end, |one| one.starts_with(prefix));
        first..past
    }

    /// Shows the numbers of the texts that contain `part`, by one search over all of them.
    pub(crate) fn containing(&self, range: Range<u32>, part: &str, mut found: impl FnMut(u32)) {
        if part.is_empty() {
            range.for_each(found);
            return;
        }
        let finder = Finder::new(part);
        let Range { start: mut number, end } = range;
        let stop = self.start(end);
        let mut at = self.start(number);
        while let Some(rest) = self.text.as_bytes().get(at..stop)
            && let Some(ahead) = finder.find(rest)
        {
            let place = at + ahead;
            number = self.owner(number, place);
            if number >= end {
                return;
            }
            let next = self.start(number + 1);
            if place + part.len() <= next {
                found(number);
                number += 1;
                at = next;
            } else {
                // Across the border of two texts; the next place may still be in this one's end
                // or in the next one.
                at = place + 1;
            }
        }
    }

    /// The text that the byte at `place` belongs to, at or after `from`.
    fn owner(&self, from: u32, place: usize) -> u32 {
        // Matches are mostly close together: step out before halving.
        let mut step = 1;
        let mut low = from;
        while self.start(low.saturating_add(step)) <= place && low < self.len() {
            low += step;
            step = step.saturating_mul(2).min(self.len());
        }
        let mut high = low.saturating_add(step).min(self.len());
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.start(middle) <= place {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Bytes of all texts together.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity() + self.starts.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_within_texts_and_not_across_them() {
        let texts = Texts::build(["", "ab", "aba", "ba", "bb", "xaay"]).unwrap();
        let containing = |range, part| {
            let mut numbers = Vec::new();
            texts.containing(range, part, |number| numbers.push(number));
            numbers
        };
        assert_eq!(containing(texts.all(), "ab"), [1, 2]);
        assert_eq!(containing(texts.all(), "b"), [1, 2, 3, 4]);
        assert_eq!(containing(texts.all(), "aa"), [5]);
        assert_eq!(containing(texts.all(), "bb"), [4]);
        assert_eq!(containing(2..4, "b"), [2, 3]);
        assert_eq!(containing(texts.all(), ""), [0, 1, 2, 3, 4, 5]);
        assert_eq!(texts.find(texts.all(), "aba"), Some(2));
        assert_eq!(texts.find(3..5, "aba"), None);
        assert_eq!(texts.starting_with(texts.all(), "ab"), 1..3);
        assert_eq!(texts.starting_with(texts.all(), ""), 0..6);
    }
}
