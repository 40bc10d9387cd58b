//! Which reaches each row of a part is in, told once for all rows that are in the same ones.
//!
//! Rows that no reach tells apart share a class. Classes form a tree: each is its parent's rows
//! that are also in one more reach, so what holds for a class follows from its parent and one
//! reach. To work out what a person may have, one pass over the classes does it, however many
//! rows they have; to decide about one row, a walk to the root does.
//!
//! Only rows that access can be given on are in a class. Which rows a later part hides is not
//! looked at here: who counts takes them out.

use hashbrown::HashMap;
use latchkey_domain::inventory::Permission;

use crate::{
    bits::Bits,
    query::evaluate,
    reach::{Reach, Reaches, estimate, rows_in_scopes},
    segment::{Segment, View},
    selection::{Rows, Selection},
};

/// No class, no tile.
pub(crate) const NO: u32 = u32::MAX;

/// Permissions by their place in the list of their type: 64 a word.
pub(crate) type Slots = Box<[u64]>;

/// What is given alike: rows of one reach and one type, and, where the reach is a query, the
/// permissions that it selects on them.
#[derive(Debug, Clone)]
pub(crate) struct Tile {
    pub(crate) reach: u32,
    /// The number of the type in the part.
    pub(crate) kind: u32,
    /// The permissions that a query selects; `None` where the target names permissions.
    pub(crate) slots: Option<Slots>,
}

/// The classes of a part's rows.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    generation: u64,
    /// Reaches from this number on are not looked at yet.
    next_reach: u32,
    class_of_row: Vec<u32>,
    /// Each class's parent, which comes before it; [`NO`] at a root.
    parents: Vec<u32>,
    /// What sets it apart from its parent; [`NO`] at a root.
    tile_of_class: Vec<u32>,
    /// How many rows are in it and in no child.
    sizes: Vec<u32>,
    tiles: Vec<Tile>,
}

/// Slots by a test.
pub(crate) fn slots_where(
    permissions: &[Permission],
    is_in: impl Fn(usize, &Permission) -> bool,
) -> Slots {
    let mut slots: Vec<u64> = vec![0; permissions.len().div_ceil(64)];
    for (slot, permission) in permissions.iter().enumerate() {
        if is_in(slot, permission)
            && let Some(word) = slots.get_mut(slot / 64)
        {
            *word |= 1 << (slot % 64);
        }
    }
    slots.into_boxed_slice()
}

impl Classes {
    /// Classes without any reach: one a type.
    fn bare(view: &View, generation: u64) -> Self {
        let part = &view.part;
        let types = part.types.len();
        let mut sizes = vec![0u32; types as usize];
        let class_of_row = (0..part.rows())
            .map(|row| {
                if !part.active.contains(row) {
                    return NO;
                }
                let kind = part.type_of(row);
                if let Some(size) = sizes.get_mut(kind as usize) {
                    *size += 1;
                }
                kind
            })
            .collect();
        Self {
            generation,
            next_reach: 0,
            class_of_row,
            parents: vec![NO; types as usize],
            tile_of_class: vec![NO; types as usize],
            sizes,
            tiles: Vec::new(),
        }
    }

    /// Whether every reach of the table is looked at.
    pub(crate) fn knows(&self, reaches: &Reaches) -> bool {
        self.generation == reaches.generation && self.next_reach == reaches.len()
    }

    /// The classes of a part's rows by these reaches; goes on from `before` where that is of the
    /// same part and the same permissions and names.
    pub(crate) fn build(
        segment: &Segment,
        view: &View,
        reaches: &Reaches,
        before: Option<&Self>,
    ) -> Self {
        let mut classes = match before {
            Some(before) if before.generation == reaches.generation => before.clone(),
            _ => Self::bare(view, reaches.generation),
        };
        let part = &*view.part;
        let mut parts: Vec<(u32, u64, u32)> = Vec::new();
        let mut queries: Vec<u32> = Vec::new();
        for number in reaches.in_integration(segment.integration_id(), classes.next_reach) {
            match reaches.get(number) {
                Some(Reach::Query(_)) => queries.push(number),
                Some(Reach::Part { resource_type, scopes, .. }) => {
                    if let Some(kind) = part.find_type(resource_type) {
                        parts.push((kind, estimate(part, scopes), number));
                    }
                }
                None => {}
            }
        }
        let mut split = Split::default();
        for number in queries {
            if let Some(Reach::Query(query)) = reaches.get(number) {
                let selected = evaluate(&query.expr, segment, view);
                classes.split_by_query(&mut split, number, &selected, view);
            }
        }
        // Large reaches first: what many rows share is told once.
        parts.sort_by_key(|(kind, size, number)| (*kind, std::cmp::Reverse(*size), *number));
        let mut type_rows = (NO, Bits::none(0));
        for (kind, size, number) in parts {
            if size == 0 {
                continue;
            }
            if type_rows.0 != kind {
                type_rows = (kind, part.rows_of_type.rows(kind));
            }
            if let Some(Reach::Part { scopes, .. }) = reaches.get(number) {
                let rows = rows_in_scopes(part, &type_rows.1, scopes);
                classes.split_by(&mut split, &rows, |_| Tile { reach: number, kind, slots: None });
            }
        }
        classes.next_reach = reaches.len();
        classes.parents.shrink_to_fit();
        classes.tile_of_class.shrink_to_fit();
        classes.sizes.shrink_to_fit();
        classes
    }

    /// Permissions on which a query selects the same rows are one split.
    fn split_by_query(
        &mut self,
        split: &mut Split,
        number: u32,
        selected: &Selection,
        view: &View,
    ) {
        let all = Bits::all(view.part.rows());
        let mut groups: Vec<(&Rows, Vec<usize>)> = Vec::new();
        for slot in 0..view.slots.len() {
            let rows = selected.at(slot);
            if rows.is_none() {
                continue;
            }
            let same = |known: &Rows| match (known, rows) {
                (Rows::All, Rows::All) => true,
                (Rows::Some(known), Rows::Some(rows)) => known == rows,
                _ => false,
            };
            match groups.iter_mut().find(|(known, _)| same(known)) {
                Some((_, slots)) => slots.push(slot),
                None => groups.push((rows, vec![slot])),
            }
        }
        for (rows, slots) in groups {
            let rows = match rows {
                Rows::None => continue,
                Rows::All => &all,
                Rows::Some(rows) => &**rows,
            };
            self.split_by(split, rows, |row| {
                let kind = view.part.type_of(row);
                let permissions = view.permissions_of(row);
                let own = slots_where(permissions, |slot, _| slots.contains(&slot));
                Tile { reach: number, kind, slots: Some(own) }
            });
        }
    }

    /// Puts the rows of each class that are in `rows` into a class of their own.
    fn split_by(&mut self, split: &mut Split, rows: &Bits, tile: impl Fn(u32) -> Tile) {
        split.begin(self.parents.len());
        let mut tiles: HashMap<u32, u32> = HashMap::new();
        for row in rows.iter() {
            let Some(class) = self.class_of_row.get_mut(row as usize).filter(|one| **one != NO)
            else {
                continue;
            };
            let old = *class;
            let new = if let Some(new) = split.of(old) {
                new
            } else {
                let own = tile(row);
                let number = *tiles.entry(own.kind).or_insert_with(|| {
                    self.tiles.push(own);
                    u32::try_from(self.tiles.len() - 1).unwrap_or(NO)
                });
                let new = u32::try_from(self.parents.len()).unwrap_or(NO);
                self.parents.push(old);
                self.tile_of_class.push(number);
                self.sizes.push(0);
                split.put(old, new);
                new
            };
            *class = new;
            if let Some(size) = self.sizes.get_mut(old as usize) {
                *size -= 1;
            }
            if let Some(size) = self.sizes.get_mut(new as usize) {
                *size += 1;
            }
        }
    }

    pub(crate) fn class_of(&self, row: u32) -> u32 {
        self.class_of_row.get(row as usize).copied().unwrap_or(NO)
    }

    pub(crate) fn len(&self) -> usize {
        self.parents.len()
    }

    pub(crate) fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// The tiles that a class's rows are in, from the last to the first.
    pub(crate) fn tiles_of(&self, class: u32) -> impl Iterator<Item = u32> + '_ {
        let mut class = class;
        std::iter::from_fn(move || {
            let tile =
                self.tile_of_class.get(class as usize).copied().filter(|tile| *tile != NO)?;
            class = self.parents.get(class as usize).copied().unwrap_or(NO);
            Some(tile)
        })
    }

    /// Every class after its parent: its parent, its tile, its size.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        let tiled = self.parents.iter().zip(&self.tile_of_class).zip(&self.sizes);
        tiled.map(|((parent, tile), size)| (*parent, *tile, *size))
    }

    /// The classes of rows, ascending by row.
    pub(crate) fn by_row(&self) -> &[u32] {
        &self.class_of_row
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let numbers = self.class_of_row.capacity()
            + self.parents.capacity()
            + self.tile_of_class.capacity()
            + self.sizes.capacity();
        numbers * 4 + self.tiles.capacity() * size_of::<Tile>()
    }
}

/// Which class the rows of a class go to, for one reach at a time.
#[derive(Debug, Default)]
struct Split {
    round: u32,
    /// The round in which a class was split, and where its rows go.
    to: Vec<(u32, u32)>,
}

impl Split {
    fn begin(&mut self, classes: usize) {
        self.round += 1;
        if self.to.len() < classes {
            self.to.resize(classes, (0, NO));
        }
    }

    fn of(&self, class: u32) -> Option<u32> {
        let (round, new) = self.to.get(class as usize)?;
        (*round == self.round).then_some(*new)
    }

    fn put(&mut self, class: u32, new: u32) {
        if let Some(place) = self.to.get_mut(class as usize) {
            *place = (self.round, new);
        }
    }
}
