//! Rows in order, and sums over the first of them or over the last; it never subtracts.
//!
//! A sum of the first rows is what adding them one by one gives, and a sum of the last what adding them from the last
//! backwards gives: which slots are merged with which is a function of the rows alone.

use smallvec::SmallVec;

use super::{Merges, Spot};
use crate::aggregate::Slot;
use crate::state::table::Table;

/// Rows between two sums that are kept, near the last; further back they stand further apart.
const APART: usize = 16;

/// Sums that are kept before those that are not needed are given back.
const SUMS: usize = 48;

/// Rows in order.
#[derive(Default)]
pub(super) struct Run {
    rows: SmallVec<[Spot; 2]>,
    /// Ascending by how many rows they are of. A row that comes in between spoils those behind it; the next sum is then
    /// made of the last one that is left. There are few, the more the nearer to the last row.
    sums: SmallVec<[Sum; 2]>,
}

/// The first rows, two at least, in one.
#[derive(Clone, Copy)]
struct Sum {
    rows: u32,
    slot: Slot,
}

impl Run {
    /// The rows.
    pub(super) fn rows(&self) -> &[Spot] {
        &self.rows
    }

    /// Puts a row before that at `place`.
    pub(super) fn insert(&mut self, place: usize, spot: Spot, retired: &mut Vec<Slot>) {
        self.rows.insert(place, spot);
        let kept = self.sums.partition_point(|sum| sum.rows as usize <= place);
        retired.extend(self.sums.drain(kept..).map(|sum| sum.slot));
    }

    /// All rows in one.
    pub(super) fn whole(&mut self, table: &mut Table, merges: &mut Merges) -> Option<Slot> {
        self.first(self.rows.len(), table, merges)
    }

    /// The first `rows` rows in one.
    pub(super) fn first(&mut self, rows: usize, table: &mut Table, merges: &mut Merges) -> Option<Slot> {
        if rows < 2 {
            return self.rows.first().filter(|_| rows == 1).map(|spot| spot.slot);
        }
        let mut at = self.sums.partition_point(|sum| sum.rows as usize <= rows);
        loop {
            let known = at.checked_sub(1).map(|known| self.sums[known]);
            let done = known.map_or(0, |known| known.rows as usize);
            if let Some(known) = known.filter(|_| done == rows) {
                self.give_back(&mut merges.retired);
                return Some(known.slot);
            }
            // On a long way some sums are left behind, so that a row that comes late does not make it long again.
            let left = rows - done;
            let next = if left > 2 * APART { (done + left / 2).max(2) } else { rows };
            let slot = match known {
                Some(known) if at == self.sums.len() && done - self.rows_before(at - 1) < APART => {
                    self.sums.pop();
                    at -= 1;
                    known.slot
                }
                known => {
                    let slot = table.scratch();
                    merges.add(slot, known.map(|known| known.slot));
                    slot
                }
            };
            self.rows[done..next].iter().for_each(|spot| merges.add(slot, Some(spot.slot)));
            self.sums.insert(at, Sum { rows: next as u32, slot });
            at += 1;
        }
    }

    /// Of how many rows the sum before sum `at` is.
    fn rows_before(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.sums[before].rows as usize)
    }

    /// Gives back sums that are closer to others than they are to the last, if there are many.
    fn give_back(&mut self, retired: &mut Vec<Slot>) {
        if self.sums.len() <= SUMS {
            return;
        }
        let mut kept = SmallVec::<[Sum; 2]>::new();
        let Some(mut later) = self.sums.last().copied() else { return };
        let last = later.rows;
        for at in (0..self.sums.len() - 1).rev() {
            let sum = self.sums[at];
            let room = (last - later.rows).max(APART as u32);
            if later.rows - self.rows_before(at) as u32 <= room {
                retired.push(sum.slot);
                continue;
            }
            kept.push(later);
            later = sum;
        }
        kept.push(later);
        kept.reverse();
        self.sums = kept;
    }

    /// Gives back all sums but that of all rows: few rows are still to come.
    pub(super) fn settle(&mut self, retired: &mut Vec<Slot>) {
        if self.sums.len() > 1 {
            let whole = self.sums.last().copied().filter(|sum| sum.rows as usize == self.rows.len());
            let others = self.sums.len() - usize::from(whole.is_some());
            retired.extend(self.sums.drain(..others).map(|sum| sum.slot));
        }
    }

    /// Gives back all sums.
    pub(super) fn forget(&mut self, retired: &mut Vec<Slot>) {
        retired.extend(self.sums.drain(..).map(|sum| sum.slot));
    }
}

/// For the rows from `base` on but for the last, each with all that follow it.
pub(super) struct Suffixes {
    base: usize,
    slots: Vec<Slot>,
}

impl Suffixes {
    /// Sums from `base` on; it must not be behind the last row.
    pub(super) fn new(rows: &[Spot], base: usize, table: &mut Table, merges: &mut Merges) -> Suffixes {
        let (last, others) = rows[base..].split_last().expect("there is a row to begin with");
        let mut slots = vec![0; others.len()];
        let mut next = last.slot;
        for (slot, spot) in slots.iter_mut().zip(others).rev() {
            *slot = merges.joined(spot.slot, next, table);
            next = *slot;
        }
        Suffixes { base, slots }
    }

    /// From which row on there are sums.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// Something of them, to have it read.
    pub(super) fn any(&self) -> Slot {
        self.slots.last().copied().unwrap_or(0)
    }

    /// The rows from `place` on in one, which must not be the last.
    pub(super) fn from(&self, place: usize) -> Option<Slot> {
        self.slots.get(place.checked_sub(self.base)?).copied()
    }

    /// Gives the sums back.
    pub(super) fn forget(self, retired: &mut Vec<Slot>) {
        retired.extend(self.slots);
    }
}
