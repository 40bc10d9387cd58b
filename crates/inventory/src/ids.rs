//! Which row has which resource id.
//!
//! Resource ids are mostly 64 hexadecimal digits, a digest: those are kept as 32 bytes, and found
//! by their first eight. Any other text is kept as it is.

use latchkey_domain::ids::ResourceId;

use crate::{TooLarge, texts::Texts};

/// A place of the table that no row has.
const FREE: u32 = u32::MAX;

/// The ids of rows, with a table to find them by.
#[derive(Debug)]
pub(crate) struct Ids {
    kept: Kept,
    /// Rows by hash, in the next free place after it; a third of the places are free.
    table: Vec<u32>,
}

#[derive(Debug)]
enum Kept {
    Digests(Vec<[u8; 32]>),
    Texts(Texts),
}

/// The bytes that the text stands for, if it is written as ours are.
fn digest(text: &str) -> Option<[u8; 32]> {
    let is_ours = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; 32];
    (is_ours && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

fn hash_digest(bytes: &[u8; 32]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// FNV-1a: such ids are few and ours, so nobody chooses them to collide.
fn hash_text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Ids {
    /// Of distinct ids, in the order of rows.
    pub(crate) fn build(ids: &[&str]) -> Result<Self, TooLarge> {
        let digests: Option<Vec<[u8; 32]>> = ids.iter().map(|id| digest(id)).collect();
        let kept = match digests {
            Some(digests) => Kept::Digests(digests),
            None => Kept::Texts(Texts::build(ids.iter().copied())?),
        };
        let mut built = Self { kept, table: vec![FREE; ids.len() * 3 / 2 + 1] };
        for row in 0..u32::try_from(ids.len()).map_err(|_| TooLarge)? {
            let hash = match &built.kept {
                Kept::Digests(digests) => digests.get(row as usize).map_or(0, hash_digest),
                Kept::Texts(texts) => hash_text(texts.get(row)),
            };
            let mut place = built.place(hash);
            while built.table.get(place).is_some_and(|taken| *taken != FREE) {
                place = built.after(place);
            }
            if let Some(free) = built.table.get_mut(place) {
                *free = row;
            }
        }
        Ok(built)
    }

    fn place(&self, hash: u64) -> usize {
        let places = self.table.len() as u128;
        usize::try_from((u128::from(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * places) >> 64)
            .unwrap_or_default()
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 < self.table.len() { place + 1 } else { 0 }
    }

    /// The row of an id.
    pub(crate) fn find(&self, id: &str) -> Option<u32> {
        match &self.kept {
            Kept::Digests(digests) => {
                let wanted = digest(id)?;
                self.probe(hash_digest(&wanted), |row| digests.get(row as usize) == Some(&wanted))
            }
            Kept::Texts(texts) => self.probe(hash_text(id), |row| texts.get(row) == id),
        }
    }

    fn probe(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut place = self.place(hash);
        loop {
            match self.table.get(place).copied() {
                None | Some(FREE) => return None,
                Some(row) if is_it(row) => return Some(row),
                Some(_) => place = self.after(place),
            }
        }
    }

    /// The id of a row; empty where there is none.
    pub(crate) fn get(&self, row: u32) -> ResourceId {
        ResourceId::new(match &self.kept {
            Kept::Digests(digests) => {
                digests.get(row as usize).map(hex::encode).unwrap_or_default()
            }
            Kept::Texts(texts) => texts.get(row).to_owned(),
        })
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.table.capacity() * 4
            + match &self.kept {
                Kept::Digests(digests) => digests.capacity() * 32,
                Kept::Texts(texts) => texts.bytes(),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_other_texts_are_found_and_given_back() {
        let digests: Vec<String> = (0..500u32).map(|n| format!("{:064x}", n * 7919)).collect();
        let others: Vec<String> = (0..500u32).map(|n| format!("r{n}")).collect();
        for texts in [digests, others] {
            let ids = Ids::build(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            for (row, text) in (0u32..).zip(&texts) {
                assert_eq!(ids.find(text), Some(row));
                assert_eq!(ids.get(row).as_str(), text);
            }
            assert_eq!(ids.find("nothing"), None);
            assert_eq!(ids.find(&"A".repeat(64)), None);
        }
        assert_eq!(Ids::build(&[]).unwrap().find(""), None);
    }
}
