//! Distinct texts, each once, with fast answers to what they start with, end with and contain.
//!
//! Invariant: every answer is exact; the index of grams only proposes.

use memchr::memmem::Finder;

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
    /// Whether any text has an ASCII letter in upper case: then candidates have to be looked at.
    has_capitals: bool,
    /// The texts that are not ASCII: lower case is not a matter of single bytes there.
    foreign: Vec<u32>,
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
    pub(crate) fn build<'t>(sorted: impl IntoIterator<Item = &'t str>) -> Result<Self, TooLarge> {
        let texts = Texts::build(sorted)?;
        let grams =
            if texts.text_bytes() < WORTH_AN_INDEX { None } else { Some(Grams::build(&texts)?) };
        let all = || texts.all();
        let has_capitals = all().any(|one| texts.get(one).bytes().any(|b| b.is_ascii_uppercase()));
        let foreign = all().filter(|one| !texts.get(*one).is_ascii()).collect();
        Ok(Self { texts, grams, has_capitals, foreign })
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

    /// Keeps those that pass the test.
    fn keep(&self, candidates: &Bits, mut passes: impl FnMut(&str) -> bool) -> Bits {
        let mut kept = Bits::none(self.len());
        for number in candidates.iter() {
            if passes(self.get(number)) {
                kept.insert(number);
            }
        }
        kept
    }

    /// Whether candidates for `part` are answers without a look.
    fn is_exact(&self, part: &str) -> bool {
        !self.has_capitals
            && Grams::is_exact(part)
            && !part.bytes().any(|byte| byte.is_ascii_uppercase())
    }

    pub(crate) fn containing(&self, part: &str) -> Bits {
        let Some(grams) = &self.grams else {
            let mut found = Bits::none(self.len());
            self.texts.containing(self.texts.all(), part, |number| found.insert(number));
            return found;
        };
        let candidates = grams.candidates(part, Place::Anywhere);
        if self.is_exact(part) {
            return candidates;
        }
        let finder = Finder::new(part);
        // Neighbours in the order of the alphabet mostly have the part at the same place.
        let mut guess = 0;
        self.keep(&candidates, |text| {
            let text = text.as_bytes();
            if text.get(guess..guess + part.len()) == Some(part.as_bytes()) {
                return true;
            }
            let found = finder.find(text);
            guess = found.unwrap_or(guess);
            found.is_some()
        })
    }

    pub(crate) fn ending_with(&self, suffix: &str) -> Bits {
        match &self.grams {
            Some(grams) => {
                let candidates = grams.candidates(suffix, Place::End);
                self.keep(&candidates, |text| text.ends_with(suffix))
            }
            None => self.keep(&Bits::all(self.len()), |text| text.ends_with(suffix)),
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
            if loose == Loose::Contains && Grams::is_exact(&wanted) {
                candidates
            } else {
                self.keep_folded(&candidates, loose, &wanted)
            }
        } else if self.grams.is_some() {
            // No text of ASCII alone has it.
            Bits::none(self.len())
        } else {
            return self.keep(&Bits::all(self.len()), |text| passes(&text.to_lowercase()));
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
        self.keep(candidates, |text| {
            let text = text.as_bytes();
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
        })
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.bytes()
            + self.grams.as_ref().map_or(0, Grams::bytes)
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
                listed(lexicon.containing(part)),
                numbers(&texts, |t| t.contains(part)),
                "{part}"
            );
            assert_eq!(
                listed(lexicon.ending_with(part)),
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
