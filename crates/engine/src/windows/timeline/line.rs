//! The rows of one key by parts of time, and what is kept of sums over several parts.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::run::{Run, Suffixes};
use super::stragglers::{Straggler, Stragglers};
use super::{Merges, Spot};
use crate::aggregate::Slot;
use crate::state::table::Table;

/// Parts of which sums over their last rows are kept: where rows are out of order, ranges begin in two by turns.
const HEADS: usize = 2;

/// The rows of one key.
#[derive(Default)]
pub(super) struct Line {
    pub(super) hash: u64,
    pub(super) key: SmallVec<[u8; 16]>,
    /// Ascending by index, none without rows or stragglers.
    pub(super) parts: VecDeque<Part>,
    /// How many stragglers there are in all parts.
    pub(super) stragglers: usize,
    /// By index of the part, sums over its last rows.
    heads: SmallVec<[(i64, Suffixes); HEADS]>,
    suffix: Option<Suffix>,
    prefix: Option<Prefix>,
}

/// The rows of one key in one part of time.
pub(super) struct Part {
    pub(super) index: i64,
    pub(super) run: Run,
    pub(super) stragglers: Option<Box<Stragglers>>,
}

/// For the parts of the block before `anchor`, but for the last of them, each with all that follow it there.
struct Suffix {
    anchor: i64,
    /// Index of the part, and the sum from it on; ascending.
    slots: Vec<(i64, Slot)>,
}

/// The parts `anchor..to`.
struct Prefix {
    anchor: i64,
    to: i64,
    slot: Slot,
}

impl Part {
    /// A part without rows.
    pub(super) fn new(index: i64) -> Part {
        Part { index, run: Run::default(), stragglers: None }
    }

    /// Its rows, without stragglers.
    pub(super) fn rows(&self) -> &[Spot] {
        self.run.rows()
    }

    /// The rows of `[from, to]`, then the stragglers, each with the end from which on it counts.
    pub(super) fn all_between(&self, from: i64, to: i64) -> impl Iterator<Item = (Spot, i64)> + '_ {
        let first = self.rows().partition_point(|spot| spot.time < from);
        let rows = self.rows()[first..].iter().take_while(move |spot| spot.time <= to);
        let stragglers = self.stragglers.iter().flat_map(move |stragglers| stragglers.rows(from, to));
        rows.map(|&spot| (spot, spot.time)).chain(stragglers)
    }
}

impl Line {
    /// Reads what [`insert`](Self::insert) and sums will read.
    pub(super) fn touch(&self) -> i64 {
        let index = |part: Option<&Part>| part.map_or(0, |part| part.index);
        let mut seen =
            index(self.parts.back()) ^ index(self.parts.front()) ^ index(self.parts.get(self.parts.len() / 2));
        if let Some(suffix) = &self.suffix {
            seen ^= suffix.slots.get(suffix.slots.len() / 2).map_or(0, |&(index, _)| index);
        }
        self.heads.iter().fold(seen, |seen, head| seen ^ i64::from(head.1.any()))
    }

    /// Puts a row in its place in part `at`.
    pub(super) fn insert(&mut self, at: usize, spot: Spot, block: i64, retired: &mut Vec<Slot>) {
        let part = &mut self.parts[at];
        let rows = part.run.rows();
        let place = match rows.last() {
            Some(last) if last.order() > spot.order() => rows.partition_point(|other| other.order() <= spot.order()),
            _ => rows.len(),
        };
        part.run.insert(place, spot, retired);
        let index = part.index;
        self.forget_heads(retired, |of_head| of_head == index);
        self.forget_sums_with(index, block, retired);
    }

    /// Puts a straggler in its place in part `at`.
    pub(super) fn insert_straggler(&mut self, at: usize, straggler: Straggler, block: i64, retired: &mut Vec<Slot>) {
        let part = &mut self.parts[at];
        part.stragglers.get_or_insert_default().insert(straggler, retired);
        self.stragglers += 1;
        let index = part.index;
        self.forget_sums_with(index, block, retired);
    }

    /// The rows of part `at` from time `from` on, in one.
    pub(super) fn head(&mut self, at: usize, from: i64, table: &mut Table, merges: &mut Merges) -> Option<Slot> {
        let part = &self.parts[at];
        let rows = part.rows();
        let known = self.heads.iter().position(|head| head.0 == part.index);
        let base = known.map(|known| self.heads[known].1.base()).filter(|&base| rows[base].time < from).unwrap_or(0);
        let place = base + rows[base..].partition_point(|spot| spot.time < from);
        let last = rows.len().checked_sub(1).filter(|&last| place <= last)?;
        if place == last {
            return Some(rows[last].slot);
        }
        if let Some(slot) = known.and_then(|known| self.heads[known].1.from(place)) {
            return Some(slot);
        }
        let sums = Suffixes::new(rows, place, table, merges);
        let slot = sums.from(place);
        let head = (part.index, sums);
        let old = match known.or_else(|| self.oldest_head()) {
            None => {
                self.heads.push(head);
                return slot;
            }
            Some(other) if self.heads[other].0 > head.0 => head,
            Some(other) => std::mem::replace(&mut self.heads[other], head),
        };
        old.1.forget(&mut merges.retired);
        slot
    }

    /// The head that is to make way for another, if there are as many as are kept.
    fn oldest_head(&self) -> Option<usize> {
        let oldest = self.heads.iter().enumerate().min_by_key(|(_, head)| head.0).map(|(at, _)| at);
        oldest.filter(|_| self.heads.len() >= HEADS)
    }

    /// The whole parts `first..split`, which stand before `anchor` and are the last of its block, in one.
    pub(super) fn suffix(
        &mut self,
        first: usize,
        split: usize,
        anchor: i64,
        table: &mut Table,
        merges: &mut Merges,
    ) -> Option<Slot> {
        let last = split.checked_sub(1).filter(|&last| first <= last)?;
        if first == last {
            return self.whole(first, table, merges);
        }
        let index = self.parts[first].index;
        if let Some(known) = self.suffix.as_ref().filter(|known| known.anchor == anchor) {
            let at = known.slots.partition_point(|&(part, _)| part < index);
            if let Some(&(part, slot)) = known.slots.get(at)
                && part == index
            {
                return Some(slot);
            }
        }
        let mut slots = Vec::with_capacity(last - first);
        let mut next = self.whole(last, table, merges);
        for at in (first..last).rev() {
            let slot = table.scratch();
            let part = self.whole(at, table, merges);
            merges.add(slot, part);
            merges.add(slot, next);
            slots.push((self.parts[at].index, slot));
            next = Some(slot);
        }
        slots.reverse();
        let suffix = Suffix { anchor, slots };
        let old = match &self.suffix {
            Some(known) if known.anchor > anchor => Some(suffix),
            _ => self.suffix.replace(suffix),
        };
        merges.retired.extend(old.into_iter().flat_map(|old| old.slots).map(|(_, slot)| slot));
        next
    }

    /// The whole parts `split..behind`, which are all of those from `anchor` to before `to`, in one.
    pub(super) fn prefix(
        &mut self,
        split: usize,
        behind: usize,
        (anchor, to): (i64, i64),
        table: &mut Table,
        merges: &mut Merges,
    ) -> Option<Slot> {
        match behind - split {
            0 => return None,
            1 => return self.whole(split, table, merges),
            _ => {}
        }
        let known = self.prefix.as_ref().filter(|known| known.anchor == anchor && known.to <= to);
        let known = known.map(|known| (known.slot, known.to));
        let (slot, from) = known.unwrap_or_else(|| (table.scratch(), anchor));
        let mut at = behind;
        while at > split && self.parts[at - 1].index >= from {
            at -= 1;
        }
        for at in at..behind {
            let part = self.whole(at, table, merges);
            merges.add(slot, part);
        }
        let prefix = Prefix { anchor, to, slot };
        let old = match &self.prefix {
            Some(known) if (known.anchor, known.to) > (anchor, to) => Some(prefix),
            _ => self.prefix.replace(prefix),
        };
        merges.retired.extend(old.map(|old| old.slot).filter(|&old| known.is_none() || old != slot));
        Some(slot)
    }

    /// All rows of part `at` in one.
    fn whole(&mut self, at: usize, table: &mut Table, merges: &mut Merges) -> Option<Slot> {
        let is_past = at + 2 < self.parts.len();
        let run = &mut self.parts[at].run;
        let whole = run.whole(table, merges);
        if is_past {
            run.settle(&mut merges.retired);
        }
        whole
    }

    /// Where the parts from index `index` on begin: mostly at one of the first.
    pub(super) fn first_from(&self, index: i64) -> usize {
        match self.parts.iter().take(4).position(|part| part.index >= index) {
            Some(at) => at,
            None => self.parts.partition_point(|part| part.index < index),
        }
    }

    /// Where among the parts `first..behind` those from index `index` on begin. If no part is missing it is told by the
    /// index of the first; there is looked first, for parts that are far apart in memory are slow to read.
    pub(super) fn split_at(&self, index: i64, first: usize, behind: usize) -> usize {
        let distance = index.saturating_sub(self.parts[first].index).max(0) as usize;
        let mut at = first.saturating_add(distance).min(behind);
        while at > first && self.parts[at - 1].index >= index {
            at -= 1;
        }
        at
    }

    /// Where the part of index `index` stands, or would: mostly it is the last.
    pub(super) fn first_behind(&self, index: i64) -> usize {
        match self.parts.back() {
            Some(last) if last.index < index => self.parts.len(),
            Some(last) if last.index == index => self.parts.len() - 1,
            _ => self.parts.partition_point(|part| part.index < index),
        }
    }

    /// Forgets the sums of several parts that the part of index `index` is, or would be, among.
    fn forget_sums_with(&mut self, index: i64, block: i64, retired: &mut Vec<Slot>) {
        let among = |suffix: &mut Suffix| suffix.anchor.saturating_sub(block) <= index && index < suffix.anchor;
        if let Some(suffix) = self.suffix.take_if(among) {
            retired.extend(suffix.slots.into_iter().map(|(_, slot)| slot));
        }
        if let Some(prefix) = self.prefix.take_if(|prefix| prefix.anchor <= index && index < prefix.to) {
            retired.push(prefix.slot);
        }
    }

    /// Forgets the parts before that of index `before`.
    pub(super) fn forget_before(&mut self, before: i64, retired: &mut Vec<Slot>) {
        while let Some(mut part) = self.parts.pop_front_if(|part| part.index < before) {
            part.run.forget(retired);
            if let Some(stragglers) = part.stragglers {
                self.stragglers -= stragglers.len();
                stragglers.forget(retired);
            }
        }
        self.forget_heads(retired, |index| index < before);
        if let Some(suffix) = self.suffix.take_if(|suffix| suffix.anchor <= before) {
            retired.extend(suffix.slots.into_iter().map(|(_, slot)| slot));
        }
        retired.extend(self.prefix.take_if(|prefix| prefix.anchor < before).map(|prefix| prefix.slot));
    }

    fn forget_heads(&mut self, retired: &mut Vec<Slot>, are: impl Fn(i64) -> bool) {
        while let Some(at) = self.heads.iter().position(|head| are(head.0)) {
            self.heads.swap_remove(at).1.forget(retired);
        }
    }
}
