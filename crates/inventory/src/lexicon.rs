//! Distinct texts, each once, with fast answers to what they start with, end with and contain.
//!
//! Invariant: every answer is exact; the index of grams only proposes.

use memchr::memchr;

use crate::{
    TooLarge,
    bits::Bits,
    grams::{Grams, Place},
    texts::Texts,
};

/// With fewer bytes of text, one search over all of it is as fast as an index.
const WORTH_AN_INDEX: usize = 32 * 1024;

/// Distinct texts, ascending.
#[derive(Debug)]
pub(crate) struct Lexicon {
    texts: Texts,
    grams: Option<Grams>,
    /// How many bytes each text shares with the one before it, 255 at most; with [`Self::grams`].
    shared: Vec<u8>,
    /// Whether any text has an ASCII letter in upper case: then candidates have to be looked at.
    has_capitals: bool,
    /// The texts that are not ASCII: lower case is not a matter of single bytes there.
    foreign: Vec<u32>,
}

/// Where a text has a part. Texts are short and there are many: what prepares a search for a long
/// one takes longer here than the search.
fn place_of(part: &[u8], text: &[u8]) -> Option<usize> {
    let Some(first) = part.first() else { return Some(0) };
    let mut from = 0;
    loop {
        let at = from + memchr(*first, text.get(from..)?)?;
        if text.get(at..at + part.len())? == part {
            return Some(at);
        }
        from = at + 1;
    }
}

/// How many bytes each text shares with the one before it, 255 at most.
fn shared_with_before(texts: &Texts) -> Vec<u8> {
    let mut before: &[u8] = &[];
    let shared = texts.all().map(|number| {
        let text = texts.bytes_of(number);
        let same = text.iter().zip(before).take_while(|(one, other)| one == other).count();
        before = text;
        u8::try_from(same).unwrap_or(u8::MAX)
    });
    shared.collect()
}

/// A way to compare without letter case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loose {
    Exact,
    Prefix,
    Suffix,
    Contains,
}

impl Lexicon {
    /// Of texts that ascend and are distinct.
    pub(crate) fn build<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, TooLarge> {
        let texts = Texts::build(texts)?;
        let grams =
            if texts.text_bytes() < WORTH_AN_INDEX { None } else { Some(Grams::build(&texts)?) };
        let shared = if grams.is_some() { shared_with_before(&texts) } else { Vec::new() };
        let all = || texts.all();
        let has_capitals = all().any(|one| texts.get(one).bytes().any(|b| b.is_ascii_uppercase()));
        let foreign = all().filter(|one| !texts.get(*one).is_ascii()).collect();
        Ok(Self { texts, grams, shared, has_capitals, foreign })
    }

    pub(crate) fn len(&self) -> u32 {
        self.texts.len()
    }

    pub(crate) fn get(&self, number: u32) -> &str {
        self.texts.get(number)
    }

    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.texts.find(self.texts.all(), text)
    }

    pub(crate) fn starting_with(&self, prefix: &str) -> std::ops::Range<u32> {
        self.texts.starting_with(self.texts.all(), prefix)
    }

    /// Keeps those that are asked for and pass the test.
    fn keep(
        &self,
        candidates: &Bits,
        is_asked_for: impl Fn(u32) -> bool,
        mut passes: impl FnMut(&[u8]) -> bool,
    ) -> Bits {
        let mut kept = Bits::none(self.len());
        for number in candidates.iter() {
            if is_asked_for(number) && passes(self.texts.bytes_of(number)) {
                kept.insert(number);
            }
        }
        kept
    }

    /// Whether candidates for `part` are answers without a look.
    fn is_exact(&self, part: &str, place: Place) -> bool {
        !self.has_capitals
            && Grams::is_exact(part, place)
            && !part.bytes().any(|byte| byte.is_ascii_uppercase())
    }

    /// Which texts contain `part`; of those that are not asked for it may say anything.
    pub(crate) fn containing(&self, part: &str, is_asked_for: impl Fn(u32) -> bool) -> Bits {
        let Some(grams) = &self.grams else {
            let mut found = Bits::none(self.len());
            self.texts.containing(self.texts.all(), part, |number| found.insert(number));
            return found;
        };
        let candidates = grams.candidates(part, Place::Anywhere);
        if self.is_exact(part, Place::Anywhere) {
            return candidates;
        }
        let part = part.as_bytes();
        let mut kept = Bits::none(self.len());
        // The last text that has the part, and where the part ends in it: the next text that
        // begins with the same bytes has it as well, and is not looked at.
        let mut last = (u32::MAX, usize::MAX);
        for number in candidates.iter().filter(|number| is_asked_for(*number)) {
            let shared = self.shared.get(number as usize).copied().unwrap_or_default();
            if last.0.wrapping_add(1) == number && usize::from(shared) >= last.1 {
                last.0 = number;
                kept.insert(number);
            } else if let Some(at) = place_of(part, self.texts.bytes_of(number)) {
                last = (number, at + part.len());
                kept.insert(number);
            }
        }
        kept
    }

    /// Which texts end with `suffix`; of those that are not asked for it may say anything.
    pub(crate) fn ending_with(&self, suffix: &str, is_asked_for: impl Fn(u32) -> bool) -> Bits {
        match &self.grams {
            Some(grams) => {
                let candidates = grams.candidates(suffix, Place::End);
                if self.is_exact(suffix, Place::End) {
                    return candidates;
                }
                self.keep(&candidates, is_asked_for, |text| text.ends_with(suffix.as_bytes()))
            }
            None => self.keep(&Bits::all(self.len()), is_asked_for, |text| {
                text.ends_with(suffix.as_bytes())
            }),
        }
    }

    /// Compares without letter case, as text in lower case compares: `wanted` is lowered here.
    pub(crate) fn loosely(&self, loose: Loose, wanted: &str) -> Bits {
        let wanted = wanted.to_lowercase();
        let passes = |text: &str| match loose {
            Loose::Exact => text == wanted,
            Loose::Prefix => text.starts_with(&wanted),
            Loose::Suffix => text.ends_with(&wanted),
            Loose::Contains => text.contains(&wanted),
        };
        let mut found = if let (Some(grams), true) = (&self.grams, wanted.is_ascii()) {
            let place = match loose {
                Loose::Exact | Loose::Suffix => Place::End,
                Loose::Prefix | Loose::Contains => Place::Anywhere,
            };
            let candidates = grams.candidates(&wanted, place);
            if loose == Loose::Contains && Grams::is_exact(&wanted, place) {
                candidates
            } else {
                self.keep_folded(&candidates, loose, &wanted)
            }
        } else if self.grams.is_some() {
            // No text of ASCII alone has it.
            Bits::none(self.len())
        } else {
            let mut found = Bits::none(self.len());
            for number in self.texts.all() {
                found.set(number, passes(&self.get(number).to_lowercase()));
            }
            return found;
        };
        for number in &self.foreign {
            found.set(*number, passes(&self.get(*number).to_lowercase()));
        }
        found
    }

    /// Keeps the candidates that have `wanted`, by their ASCII letters.
    fn keep_folded(&self, candidates: &Bits, loose: Loose, wanted: &str) -> Bits {
        let wanted = wanted.as_bytes();
        let length = wanted.len();
        let mut guess = 0;
        self.keep(
            candidates,
            |_| true,
            |text| {
                let is_at = |at: usize| {
                    text.get(at..at + length).is_some_and(|part| part.eq_ignore_ascii_case(wanted))
                };
                match loose {
                    Loose::Exact => text.eq_ignore_ascii_case(wanted),
                    Loose::Prefix => is_at(0),
                    Loose::Suffix => text.len().checked_sub(length).is_some_and(is_at),
                    Loose::Contains if is_at(guess) => true,
                    Loose::Contains => {
                        let found = (0..=text.len().saturating_sub(length)).find(|at| is_at(*at));
                        guess = found.unwrap_or(guess);
                        found.is_some()
                    }
                }
            },
        )
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.bytes()
            + self.grams.as_ref().map_or(0, Grams::bytes)
            + self.shared.capacity()
            + self.foreign.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough texts for an index, some of them odd.
    fn many() -> Vec<String> {
        let mut texts: Vec<String> = (0..6000u32)
            .map(|number| match number % 5 {
                0 => format!("orders_{number}"),
                1 => format!("Orders-{number}-EU"),
                2 => format!("größe {number}"),
                3 => format!("{number}ΟΔΟΣ"),
                _ => format!("{}x", number % 100),
            })
            .collect();
        texts.extend(["", "a", "ab", "\u{130}"].map(str::to_owned));
        texts.sort();
        texts.dedup();
        texts
    }

    fn numbers(texts: &[String], test: impl Fn(&str) -> bool) -> Vec<u32> {
        (0..).zip(texts).filter(|(_, text)| test(text)).map(|(number, _)| number).collect()
    }

    #[test]
    fn what_the_index_finds_is_what_a_look_at_every_text_finds() {
        let texts = many();
        let lexicon = Lexicon::build(texts.iter().map(String::as_str)).unwrap();
        assert!(lexicon.grams.is_some());
        let parts = [
            "",
            "o",
            "or",
            "ord",
            "Ord",
            "orders_1",
            "EU",
            "ße",
            "99",
            "x",
            "ΟΣ",
            "ος",
            "οσ",
            "\u{130}",
            "i\u{307}",
            "i",
            "1234567",
            "größe 7",
            "ab",
        ];
        for part in parts {
            let listed = |found: Bits| found.iter().collect::<Vec<_>>();
            let low = part.to_lowercase();
            assert_eq!(
                listed(lexicon.containing(part, |_| true)),
                numbers(&texts, |t| t.contains(part)),
                "{part}"
            );
            assert_eq!(
                listed(lexicon.ending_with(part, |_| true)),
                numbers(&texts, |t| t.ends_with(part)),
                "{part}"
            );
            let loose = |loose, test: &dyn Fn(&str) -> bool| {
                let expected = numbers(&texts, |text| test(&text.to_lowercase()));
                assert_eq!(listed(lexicon.loosely(loose, part)), expected, "{part} {loose:?}");
            };
            loose(Loose::Exact, &|text| text == low);
            loose(Loose::Prefix, &|text| text.starts_with(&low));
            loose(Loose::Suffix, &|text| text.ends_with(&low));
            loose(Loose::Contains, &|text| text.contains(&low));
        }
    }
}
