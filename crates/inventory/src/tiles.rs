//! Which rows of a part each reach covers, and which reaches cover each row.
//!
//! What is given alike is a tile: the rows of one reach and one type. Tiles are kept both ways, as
//! lists of rows and as lists of tiles: to work out what a person may have, the rows of their
//! tiles are united, however many tiles a row is in; to decide about one row, its own tiles are
//! looked at.
//!
//! Invariant: either way, a row in a tile takes a few bytes at most, and where a tile has one row
//! in sixteen, a bit a row: what flows reach is bounded by what they name, whether their targets
//! share anything or name resources at random.
//!
//! Only rows that access can be given on are in a tile. Which rows a later part hides is not
//! looked at here: who counts takes them out.

use std::{cmp::Reverse, sync::Arc};

use latchkey_domain::inventory::Permission;

use crate::{
    bits::Bits,
    part::Part,
    postings::Postings,
    query::evaluate,
    reach::{Reach, Reaches, rows_in_scopes},
    segment::{Segment, View},
    selected::of_target,
    selection::{Rows, Selection},
};

/// No tile.
pub(crate) const NO: u32 = u32::MAX;

/// With so many layers, all are made anew as one.
const MANY_LAYERS: usize = 4;
/// So many rows in tiles make a layer: more than can be counted never come together.
const FULL_LAYER: u64 = 1 << 28;

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

/// The tiles of a part. A change of flows lays what is new over what there was.
#[derive(Debug, Clone)]
pub(crate) struct Tiles {
    generation: u64,
    /// Reaches from this number on are not looked at yet.
    next_reach: u32,
    all: Vec<Tile>,
    /// Numbers of tiles by type, those with most rows first.
    by_size: Vec<u32>,
    layers: Vec<Arc<Layer>>,
    /// How many rows of each type access can be given on.
    rows_of_type: Vec<u64>,
}

/// Some tiles that follow each other by number.
#[derive(Debug)]
struct Layer {
    first: u32,
    rows_of_tile: Postings,
    tiles_of_row: Postings,
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

/// Takes tiles with their rows, and lays them down.
struct Layers<'t> {
    tiles: &'t mut Tiles,
    rows: u32,
    waiting: Vec<Bits>,
    size: u64,
}

impl Layers<'_> {
    fn add(&mut self, tile: Tile, rows: Bits) {
        let count = rows.count();
        if count == 0 {
            return;
        }
        self.tiles.all.push(tile);
        self.waiting.push(rows);
        self.size += count;
        if self.size >= FULL_LAYER {
            self.lay();
        }
    }

    fn lay(&mut self) {
        let rows_of_tiles = std::mem::take(&mut self.waiting);
        self.size = 0;
        if rows_of_tiles.is_empty() {
            return;
        }
        let first = self.tiles.all.len() - rows_of_tiles.len();
        let pairs = || {
            (0u32..)
                .zip(&rows_of_tiles)
                .flat_map(|(tile, rows)| rows.iter().map(move |row| (tile, row)))
        };
        let tiles = u32::try_from(rows_of_tiles.len()).unwrap_or(u32::MAX);
        let by_tile = Postings::build(rows_of_tiles.len(), self.rows, pairs);
        let by_row =
            Postings::build(self.rows as usize, tiles, || pairs().map(|(tile, row)| (row, tile)));
        // A layer is never too large: it is closed before.
        if let (Ok(rows_of_tile), Ok(tiles_of_row)) = (by_tile, by_row) {
            let first = u32::try_from(first).unwrap_or(u32::MAX);
            self.tiles.layers.push(Arc::new(Layer { first, rows_of_tile, tiles_of_row }));
        }
    }
}

impl Tiles {
    /// Whether every reach of the table is looked at.
    pub(crate) fn knows(&self, reaches: &Reaches) -> bool {
        self.generation == reaches.generation && self.next_reach == reaches.len()
    }

    /// The tiles of a part by these reaches; goes on from `before` where that is of the same part
    /// and the same permissions and names.
    pub(crate) fn build(
        segment: &Segment,
        view: &View,
        reaches: &Reaches,
        before: Option<&Self>,
    ) -> Self {
        let is_good = |before: &&Self| {
            before.generation == reaches.generation && before.layers.len() < MANY_LAYERS
        };
        let mut tiles = before.filter(is_good).cloned().unwrap_or(Self {
            generation: reaches.generation,
            next_reach: 0,
            all: Vec::new(),
            by_size: Vec::new(),
            layers: Vec::new(),
            rows_of_type: sizes_of_types(&view.part),
        });
        let part = &*view.part;
        let first = std::mem::replace(&mut tiles.next_reach, reaches.len());
        let mut layers =
            Layers { tiles: &mut tiles, rows: part.rows(), waiting: Vec::new(), size: 0 };
        let mut of_type = (NO, Bits::none(0));
        for number in reaches.in_integration(segment.integration_id(), first) {
            match reaches.get(number) {
                Some(Reach::Query(query)) => {
                    let selected = evaluate(&query.expr, segment, view);
                    add_query(&mut layers, number, &selected, view);
                }
                Some(Reach::Left(target, barred)) => {
                    let barred = evaluate(&barred.expr, segment, view);
                    let left = of_target(target, segment, view).and(&barred.not());
                    add_query(&mut layers, number, &left, view);
                }
                Some(Reach::Part { resource_type, scopes, .. }) => {
                    let Some(kind) = part.find_type(resource_type) else { continue };
                    if of_type.0 != kind {
                        let mut rows = part.rows_of_type.rows(kind);
                        rows.intersect(&part.active);
                        of_type = (kind, rows);
                    }
                    let rows = rows_in_scopes(part, &of_type.1, scopes);
                    layers.add(Tile { reach: number, kind, slots: None }, rows);
                }
                None => {}
            }
        }
        layers.lay();
        tiles.all.shrink_to_fit();
        tiles.sort();
        tiles
    }

    fn sort(&mut self) {
        let mut by_size: Vec<u32> = (0u32..).zip(&self.all).map(|(number, _)| number).collect();
        by_size.sort_by_cached_key(|tile| (self.kind_of(*tile), Reverse(self.count(*tile))));
        self.by_size = by_size;
    }

    pub(crate) fn all(&self) -> &[Tile] {
        &self.all
    }

    fn layer_of(&self, tile: u32) -> Option<&Layer> {
        let past = self.layers.partition_point(|layer| layer.first <= tile);
        self.layers.get(past.checked_sub(1)?).map(|layer| &**layer)
    }

    /// Adds the rows of a tile.
    pub(crate) fn add_rows(&self, tile: u32, rows: &mut Bits) {
        if let Some(layer) = self.layer_of(tile) {
            layer.rows_of_tile.add_to(tile - layer.first, rows);
        }
    }

    /// How many rows a tile has.
    pub(crate) fn count(&self, tile: u32) -> u64 {
        let layer = self.layer_of(tile);
        layer.map_or(0, |layer| layer.rows_of_tile.count(tile - layer.first))
    }

    /// The number of a tile's type.
    pub(crate) fn kind_of(&self, tile: u32) -> u32 {
        self.all.get(tile as usize).map_or(NO, |tile| tile.kind)
    }

    /// The tiles of each type, those with most rows first.
    pub(crate) fn by_kind(&self) -> impl Iterator<Item = (u32, &[u32])> {
        let alike = |one: &u32, other: &u32| self.kind_of(*one) == self.kind_of(*other);
        let kinds = self.by_size.chunk_by(alike);
        kinds.filter_map(|tiles| Some((self.kind_of(*tiles.first()?), tiles)))
    }

    /// How many rows of a type access can be given on.
    pub(crate) fn rows_of_kind(&self, kind: u32) -> u64 {
        self.rows_of_type.get(kind as usize).copied().unwrap_or_default()
    }

    /// The tiles that a row is in.
    pub(crate) fn of_row(&self, row: u32) -> impl Iterator<Item = u32> + '_ {
        self.layers.iter().flat_map(move |layer| {
            layer.tiles_of_row.list_of(row).into_iter().map(|tile| tile + layer.first)
        })
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let layers = self.layers.iter();
        layers.map(|own| own.rows_of_tile.bytes() + own.tiles_of_row.bytes()).sum::<usize>()
            + self.all.capacity() * size_of::<Tile>()
            + self.by_size.capacity() * 4
    }
}

fn sizes_of_types(part: &Part) -> Vec<u64> {
    let size = |kind| part.rows_of_type.rows(kind).count_common(&part.active);
    part.types.all().map(size).collect()
}

/// The rows of each type on which a query selects the same permissions are a tile; a row may be
/// in several.
fn add_query(layers: &mut Layers<'_>, number: u32, selected: &Selection, view: &View) {
    let part = &*view.part;
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
    let active = Arc::new(part.active.clone());
    for (rows, slots) in groups {
        let selected = rows.within(&active);
        for (kind, permissions) in part.types.all().zip(&view.permissions) {
            let mut rows = part.rows_of_type.rows(kind);
            rows.intersect(&selected);
            let own = slots_where(permissions, |slot, _| slots.contains(&slot));
            if own.iter().all(|word| *word == 0) {
                continue;
            }
            layers.add(Tile { reach: number, kind, slots: Some(own) }, rows);
        }
    }
}
