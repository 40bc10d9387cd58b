//! Work on many segments by all processors: nothing that is worked out of one looks at another.

use rayon::prelude::*;

use crate::snapshot::Held;

/// With fewer rows in all, handing work to another thread takes about as long as the work.
const WORTH_A_HAND_OVER: u64 = 50_000;

/// The outcome of each item, in their order; `rows` says how many rows are looked at in all.
pub(crate) fn spread<T: Sync, R: Send>(
    items: &[T],
    rows: u64,
    work: impl Fn(&T) -> R + Sync + Send,
) -> Vec<R> {
    if rows < WORTH_A_HAND_OVER || items.len() < 2 {
        items.iter().map(work).collect()
    } else {
        items.par_iter().map(work).collect()
    }
}

/// How many rows segments have.
pub(crate) fn rows_of<'h>(held: impl IntoIterator<Item = &'h Held>) -> u64 {
    let views = held.into_iter().flat_map(|held| &held.segment.views);
    views.map(|view| u64::from(view.part.rows())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_keep_their_order_whoever_works_them_out() {
        let items: Vec<u64> = (0..1000).collect();
        let doubled: Vec<u64> = (0..1000).map(|number| number * 2).collect();
        for rows in [0, WORTH_A_HAND_OVER] {
            assert_eq!(spread(&items, rows, |number| number * 2), doubled);
        }
    }
}
