//! Rows that count only in ranges that end at or behind some time of their own: those of one key in one part of time.

use super::run::{Run, Suffixes};
use super::{Merges, Spot};
use crate::aggregate::Slot;
use crate::state::table::Table;

/// A row that counts only in ranges that end at or behind `from`, which is later than its event time.
#[derive(Debug, Clone, Copy)]
pub(in crate::windows) struct Straggler {
    pub(in crate::windows) spot: Spot,
    pub(in crate::windows) from: i64,
}

/// The stragglers of one part of time.
#[derive(Default)]
pub(super) struct Stragglers {
    by_time: Vec<Spot>,
    /// From when on each of `by_time` counts.
    from_by_time: Vec<i64>,
    /// By (from, event time, origin, offset): those that count in a range that holds the whole part are the first.
    by_from: Run,
    /// From when on each of `by_from` counts.
    froms: Vec<i64>,
    /// For each of `by_from` the greatest event time of it and those before it.
    latest: Vec<i64>,
    suffixes: Option<Suffixes>,
}

impl Stragglers {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Puts one in its place.
    pub(super) fn insert(&mut self, Straggler { spot, from }: Straggler, retired: &mut Vec<Slot>) {
        if let Some(suffixes) = self.suffixes.take() {
            suffixes.forget(retired);
        }
        let place = self.by_time.partition_point(|other| other.order() <= spot.order());
        self.by_time.insert(place, spot);
        self.from_by_time.insert(place, from);

        let first = self.froms.partition_point(|&other| other < from);
        let same = self.froms[first..].partition_point(|&other| other == from);
        let of_same = &self.by_from.rows()[first..first + same];
        let place = first + of_same.partition_point(|other| other.order() <= spot.order());
        self.by_from.insert(place, spot, retired);
        self.froms.insert(place, from);
        let before = place.checked_sub(1).map_or(i64::MIN, |before| self.latest[before]);
        self.latest.insert(place, before.max(spot.time));
        self.latest[place + 1..].iter_mut().take_while(|time| **time < spot.time).for_each(|time| *time = spot.time);
    }

    /// Merges those that count in ranges that end at `to` into `into`, of which only those from `cut` on lie in the range
    /// if it begins within the part. Returns the greatest event time of them.
    pub(super) fn sum(
        &mut self,
        cut: Option<i64>,
        to: i64,
        into: Slot,
        table: &mut Table,
        merges: &mut Merges,
    ) -> Option<i64> {
        let counting = self.froms.partition_point(|&from| from <= to);
        let last = counting.checked_sub(1)?;
        let Some(cut) = cut else {
            let slot = self.by_from.first(counting, table, merges);
            merges.add(into, slot);
            return Some(self.latest[last]);
        };
        let place = self.by_time.partition_point(|spot| spot.time < cut);
        if counting < self.by_time.len() {
            return self.sum_counting(place, to, into, table, merges);
        }
        let last = self.by_time.len().checked_sub(1).filter(|&last| place <= last)?;
        let slot = if place == last { Some(self.by_time[last].slot) } else { self.suffix(place, table, merges) };
        merges.add(into, slot);
        Some(self.by_time[last].time)
    }

    fn suffix(&mut self, place: usize, table: &mut Table, merges: &mut Merges) -> Option<Slot> {
        if let Some(outgrown) = self.suffixes.take_if(|suffixes| suffixes.base() > place) {
            outgrown.forget(&mut merges.retired);
        }
        let rows = &self.by_time;
        self.suffixes.get_or_insert_with(|| Suffixes::new(rows, place, table, merges)).from(place)
    }

    /// As if those that do not count were not there, so the result is the same, to the bit, before they are and after.
    fn sum_counting(&self, place: usize, to: i64, into: Slot, table: &mut Table, merges: &mut Merges) -> Option<i64> {
        let rows = self.by_time[place..].iter().zip(&self.from_by_time[place..]);
        let mut counting = rows.rev().filter(|&(_, &from)| from <= to).map(|(spot, _)| spot);
        let last = counting.next()?;
        let mut sum = last.slot;
        for spot in counting {
            sum = merges.joined(spot.slot, sum, table);
            merges.retired.push(sum);
        }
        merges.add(into, Some(sum));
        Some(last.time)
    }

    /// Those of `[from, to]` by time, each with the end from which on it counts.
    pub(super) fn rows(&self, from: i64, to: i64) -> impl Iterator<Item = (Spot, i64)> + '_ {
        let first = self.by_time.partition_point(|spot| spot.time < from);
        let rows = self.by_time[first..].iter().zip(&self.from_by_time[first..]);
        rows.take_while(move |(spot, _)| spot.time <= to).map(|(&spot, &from)| (spot, from))
    }

    /// Gives all sums back.
    pub(super) fn forget(mut self, retired: &mut Vec<Slot>) {
        self.by_from.forget(retired);
        if let Some(suffixes) = self.suffixes {
            suffixes.forget(retired);
        }
    }
}
