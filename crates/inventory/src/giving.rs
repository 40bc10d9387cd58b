//! What a policy gives on the tiles of a part: which of its grants, and on which permissions.

use crate::{
    policy::Policy,
    segment::View,
    tiles::{NO, Slots, Tiles, slots_where},
};

/// One grant on one tile, for one word of its permissions' places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    pub(crate) tile: u32,
    pub(crate) grant: u32,
    /// Which word.
    pub(crate) word: u32,
    /// The places in it.
    pub(crate) slots: u64,
}

/// Everything given on a part's tiles, by tile.
#[derive(Debug)]
pub(crate) struct Giving {
    given: Vec<Given>,
    /// Where each tile's begin; one more at the end.
    starts: Vec<u32>,
}

impl Giving {
    pub(crate) fn build(policy: &Policy, view: &View, tiles: &Tiles) -> Self {
        let mut built = Self { given: Vec::new(), starts: vec![0] };
        for (number, tile) in (0u32..).zip(tiles.all()) {
            let permissions = view.permissions.get(tile.kind as usize).map_or(&[][..], |own| own);
            for grant in policy.grants_of_reach(tile.reach) {
                let named =
                    policy.grants.get(*grant as usize).and_then(|one| one.permissions.as_ref());
                let slots: Slots = match (&tile.slots, named) {
                    (Some(slots), _) => slots.clone(),
                    (None, Some(own)) => {
                        slots_where(permissions, |_, permission| own.contains(&permission.name))
                    }
                    (None, None) => continue,
                };
                for (word, slots) in (0u32..).zip(slots.iter().copied()) {
                    if slots != 0 {
                        built.given.push(Given { tile: number, grant: *grant, word, slots });
                    }
                }
            }
            built.starts.push(u32::try_from(built.given.len()).unwrap_or(NO));
        }
        built.given.shrink_to_fit();
        built
    }

    /// Everything.
    pub(crate) fn all(&self) -> &[Given] {
        &self.given
    }

    /// What is given on one tile.
    pub(crate) fn on(&self, tile: u32) -> &[Given] {
        let at = |tile: usize| self.starts.get(tile).copied().unwrap_or_default() as usize;
        self.given.get(at(tile as usize)..at(tile as usize + 1)).unwrap_or_default()
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.given.capacity() * size_of::<Given>() + self.starts.capacity() * 4
    }
}
