//! Which texts contain which three bytes, so that a search for a part of a text looks only at
//! texts that can contain it.
//!
//! Bytes are taken with ASCII letters in lower case, so that one index serves searches with and
//! without letter case. Each text ends with two bytes 0xFF, which no UTF-8 has: every byte of a
//! text begins a gram, and the last ones say where it ends.

use std::ops::Range;

use hashbrown::HashMap;

use crate::{TooLarge, bits::Bits, postings::Postings, texts::Texts};

/// The byte after the end of a text.
const END: u8 = 0xff;

/// The most lists that one search intersects: after these, looking at what is left is cheaper.
const MOST_LISTS: usize = 8;
/// A list that takes away less than this share says that the next ones are not worth it either.
const WORTH_MORE: u64 = 8;
/// So few texts are looked at one by one at once.
const FEW: u64 = 256;

/// The index.
#[derive(Debug)]
pub(crate) struct Grams {
    /// Three bytes each, big-endian, ascending.
    grams: Vec<u32>,
    texts: Postings,
}

/// What a search looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Anywhere in the text.
    Anywhere,
    /// At its end.
    End,
}

fn fold(byte: u8) -> u8 {
    byte.to_ascii_lowercase()
}

/// The grams of a text: as many as it has bytes.
fn grams_of(text: &str) -> impl Iterator<Item = u32> + '_ {
    let mut gram = 0u32;
    let bytes = text.bytes().map(fold).chain([END, END]);
    bytes.enumerate().filter_map(move |(at, byte)| {
        gram = (gram << 8 | u32::from(byte)) & 0x00ff_ffff;
        (at >= 2).then_some(gram)
    })
}

impl Grams {
    pub(crate) fn build(texts: &Texts) -> Result<Self, TooLarge> {
        // Numbers are given as grams come, and put in order at the end.
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        let mut found: Vec<u32> = Vec::with_capacity(texts.text_bytes());
        for number in texts.all() {
            for gram in grams_of(texts.get(number)) {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                found.push(*numbers.entry(gram).or_insert(next));
            }
        }
        let mut ordered: Vec<(u32, u32)> = numbers.into_iter().collect();
        ordered.sort_unstable();
        let mut place = vec![0u32; ordered.len()];
        for (at, (_, number)) in (0u32..).zip(&ordered) {
            if let Some(place) = place.get_mut(*number as usize) {
                *place = at;
            }
        }
        let grams: Vec<u32> = ordered.into_iter().map(|(gram, _)| gram).collect();
        // Each byte of a text begins a gram.
        let pairs = || {
            let owners =
                texts.all().flat_map(|number| texts.get(number).bytes().map(move |_| number));
            found.iter().zip(owners).map(|(number, owner)| {
                (place.get(*number as usize).copied().unwrap_or_default(), owner)
            })
        };
        let texts = Postings::build(grams.len(), texts.len(), pairs)?;
        Ok(Self { grams, texts })
    }

    /// The numbers of the lists of grams in a range.
    fn lists(&self, range: Range<u32>) -> Range<u32> {
        let at = |gram: u32| {
            u32::try_from(self.grams.partition_point(|one| *one < gram)).unwrap_or(u32::MAX)
        };
        at(range.start)..at(range.end)
    }

    /// The texts that can have `part` at the place: a superset, letter case left aside.
    pub(crate) fn candidates(&self, part: &str, place: Place) -> Bits {
        let bytes: Vec<u8> = part.bytes().map(fold).collect();
        let open = match (bytes.as_slice(), place) {
            ([], _) => return Bits::all(self.texts.universe()),
            ([one], Place::Anywhere) => {
                let low = u32::from(*one) << 16;
                Some(low..low + 0x1_0000)
            }
            ([one, two], Place::Anywhere) => {
                let low = u32::from(*one) << 16 | u32::from(*two) << 8;
                Some(low..low + 0x100)
            }
            _ => None,
        };
        if let Some(range) = open {
            return self.texts.rows_of(self.lists(range));
        }
        let mut wanted: Vec<u32> = grams_of(part).collect();
        if place == Place::Anywhere {
            // What follows the part is not known.
            wanted.truncate(bytes.len() - 2);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let mut lists: Vec<(u64, u32)> = Vec::with_capacity(wanted.len());
        for gram in wanted {
            let Ok(at) = self.grams.binary_search(&gram) else {
                return Bits::none(self.texts.universe());
            };
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            lists.push((self.texts.count(number), number));
        }
        lists.sort_unstable();
        let mut lists = lists.into_iter().map(|(_, number)| number).take(MOST_LISTS);
        let Some(first) = lists.next() else { return Bits::all(self.texts.universe()) };
        let mut left = self.texts.rows(first);
        let mut count = left.count();
        for number in lists {
            if count < FEW {
                break;
            }
            left.intersect(&self.texts.rows(number));
            let before = std::mem::replace(&mut count, left.count());
            if count + before / WORTH_MORE > before {
                break;
            }
        }
        left
    }

    /// Whether a part of so many bytes is at the place in every candidate, letter case left aside.
    pub(crate) fn is_exact(part: &str, place: Place) -> bool {
        match place {
            Place::Anywhere => part.len() <= 3,
            // With the end, one gram.
            Place::End => part.len() <= 2,
        }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.grams.capacity() * 4 + self.texts.bytes()
    }
}
