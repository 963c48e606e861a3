//! The rows of each key in order of event time, and sums over ranges of them; it never subtracts.
//!
//! A range `[from, to]` is summed as the rows of the part of time that `from` cuts, then whole parts, then the rows of
//! the part that holds `to`. Parts are spans of time aligned to the epoch, and so are blocks, which are about as many
//! parts as a range has: its whole parts are the last ones of one block, added up backwards, and the first ones of the
//! next, added up forwards. Which slots are merged with which, and in which order, is a function of the rows' times
//! alone: what is kept between two sums saves work and never changes a bit of a result.

mod line;
mod run;
mod stragglers;

use std::collections::BTreeMap;

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::aggregate::Slot;
use crate::error::TaskError;
use crate::state::table::Table;

use line::{Line, Part};
pub(super) use stragglers::Straggler;

/// Into how many parts a span is cut, about.
const PARTS: i64 = 32;

/// Merges that are collected before they are run, at most about.
const MERGES: usize = 1 << 16;

/// A key of a [`Timelines`]. Numbers are used again when a key has no rows left.
pub(super) type LineId = u32;

/// A row at its place. Rows stand by (event time, origin, offset), and those that agree in all of them (made from one
/// row) in the order in which they were put there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// Event time.
    pub(super) time: i64,
    /// Where it was read first.
    pub(super) origin: u64,
    /// At which offset.
    pub(super) offset: i64,
    /// What it holds alone. It must not change as long as the row stands here.
    pub(super) slot: Slot,
}

impl Spot {
    /// What rows are ordered by.
    pub(super) fn order(&self) -> (i64, u64, i64) {
        (self.time, self.origin, self.offset)
    }
}

/// The rows of all keys.
pub(super) struct Timelines {
    /// Milliseconds of a part.
    width: i64,
    /// Parts of a block.
    block: i64,
    index: HashTable<LineId>,
    lines: Vec<Line>,
    free: Vec<LineId>,
    /// For each part of time the keys that have it.
    owners: BTreeMap<i64, Vec<LineId>>,
    merges: Merges,
}

/// Merges in the order in which they are to be run, and slots that are free after that.
#[derive(Default)]
struct Merges {
    into: Vec<Slot>,
    from: Vec<Slot>,
    retired: Vec<Slot>,
}

/// How long a part of time is for ranges of length `span`, in milliseconds.
pub(super) fn part_width(span: i64) -> i64 {
    (span.saturating_add(1) / PARTS).max(1)
}

impl Timelines {
    /// No rows, for ranges `[t − span, t]`.
    pub(super) fn new(span: i64) -> Timelines {
        let width = part_width(span);
        Timelines {
            width,
            // No range has fewer whole parts: so it never lies within one block.
            block: (span.saturating_add(2) / width - 2).max(1),
            index: HashTable::new(),
            lines: Vec::new(),
            free: Vec::new(),
            owners: BTreeMap::new(),
            merges: Merges::default(),
        }
    }

    /// Forgets all rows; the slots of sums are given back.
    pub(super) fn clear(&mut self, table: &mut Table) {
        for line in &mut self.lines {
            line.forget_before(i64::MAX, &mut self.merges.retired);
        }
        self.merges.into.clear();
        self.merges.from.clear();
        table.release(&self.merges.retired);
        let (width, block) = (self.width, self.block);
        *self = Timelines { width, block, ..Timelines::new(0) };
    }

    /// The group key of a line.
    pub(super) fn key(&self, line: LineId) -> &[u8] {
        &self.lines[line as usize].key
    }

    /// The hash of a line's group key.
    pub(super) fn hash(&self, line: LineId) -> u64 {
        self.lines[line as usize].hash
    }

    /// The line of a key, made if it is not there: a row has to be put there.
    pub(super) fn line(&mut self, hash: u64, key: &[u8]) -> LineId {
        let lines = &self.lines;
        let same = |&id: &LineId| lines[id as usize].hash == hash && lines[id as usize].key.as_slice() == key;
        if let Some(&id) = self.index.find(hash, same) {
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.lines.push(Line::default());
            (self.lines.len() - 1) as LineId
        });
        let line = &mut self.lines[id as usize];
        (line.hash, line.key) = (hash, SmallVec::from_slice(key));
        let lines = &self.lines;
        self.index.insert_unique(hash, id, |&id| lines[id as usize].hash);
        id
    }

    /// Reads what [`insert`](Self::insert) and [`sum`](Self::sum) will read of these lines, side by side: memory that is
    /// far away is then waited for once, not for each line. It changes nothing.
    pub(super) fn warm(&self, ids: &[LineId]) {
        let seen = ids.iter().fold(0, |seen, &id| seen ^ self.lines[id as usize].touch());
        std::hint::black_box(seen);
    }

    /// Puts a row in its place.
    pub(super) fn insert(&mut self, id: LineId, spot: Spot) {
        let at = self.part(id, spot.time.div_euclid(self.width));
        self.lines[id as usize].insert(at, spot, self.block, &mut self.merges.retired);
    }

    /// Puts a row in its place that counts only in some ranges.
    pub(super) fn insert_straggler(&mut self, id: LineId, straggler: Straggler) {
        let at = self.part(id, straggler.spot.time.div_euclid(self.width));
        self.lines[id as usize].insert_straggler(at, straggler, self.block, &mut self.merges.retired);
    }

    /// Merges the rows of `[from, to]` into `into`, which must be empty, and returns the last of them. Nothing happens to
    /// slots before [`run`](Self::run). Stragglers are not among the rows.
    pub(super) fn sum(&mut self, table: &mut Table, id: LineId, from: i64, to: i64, into: Slot) -> Option<Spot> {
        let line = &mut self.lines[id as usize];
        let (head, tail) = (from.div_euclid(self.width), to.div_euclid(self.width));
        let mut first = line.first_from(head);
        let behind = line.first_behind(tail);
        let mut found = None;
        let mut whole_from = head;
        if from.rem_euclid(self.width) != 0 {
            whole_from += 1;
            if first < behind && line.parts[first].index == head {
                let slot = line.head(first, from, table, &mut self.merges);
                self.merges.add(into, slot);
                found = slot.and(line.parts[first].rows().last().copied());
                first += 1;
            }
        }
        if first < behind {
            let anchor = whole_from.saturating_add(self.block - 1).div_euclid(self.block).saturating_mul(self.block);
            let split = line.split_at(anchor, first, behind);
            let slot = line.suffix(first, split, anchor, table, &mut self.merges);
            self.merges.add(into, slot);
            let slot = line.prefix(split, behind, (anchor, tail), table, &mut self.merges);
            self.merges.add(into, slot);
        }
        if line.parts.get(behind).is_some_and(|part| part.index == tail) {
            let rows = count_to(line.parts[behind].rows(), to);
            let slot = line.parts[behind].run.first(rows, table, &mut self.merges);
            self.merges.add(into, slot);
            if let Some(last) = rows.checked_sub(1) {
                return Some(line.parts[behind].rows()[last]);
            }
        }
        let whole = line.parts.range(first..behind.max(first));
        whole.rev().find_map(|part| part.rows().last().copied()).or(found)
    }

    /// Merges the stragglers of `[from, to]` that count in a range that ends at `to` into `into`, part by part, and returns
    /// the greatest event time of them.
    pub(super) fn sum_stragglers(
        &mut self,
        table: &mut Table,
        id: LineId,
        from: i64,
        to: i64,
        into: Slot,
    ) -> Option<i64> {
        let line = &mut self.lines[id as usize];
        if line.stragglers == 0 {
            return None;
        }
        let (head, tail) = (from.div_euclid(self.width), to.div_euclid(self.width));
        let first = line.first_from(head);
        let mut latest = None;
        for part in line.parts.range_mut(first..).take_while(|part| part.index <= tail) {
            if let Some(stragglers) = &mut part.stragglers {
                let cut = (part.index == head && from.rem_euclid(self.width) != 0).then_some(from);
                latest = latest.max(stragglers.sum(cut, to, into, table, &mut self.merges));
            }
        }
        latest
    }

    /// The rows of `[from, to]`, stragglers among them, each with the end from which on it counts.
    pub(super) fn rows(&self, id: LineId, from: i64, to: i64) -> impl Iterator<Item = (Spot, i64)> + '_ {
        let line = &self.lines[id as usize];
        let (first, last) = (from.div_euclid(self.width), to.div_euclid(self.width));
        let parts = line.parts.range(line.first_from(first)..).take_while(move |part| part.index <= last);
        parts.flat_map(move |part| part.all_between(from, to))
    }

    /// Runs the merges if there are many.
    pub(super) fn run_if_many(&mut self, table: &mut Table) -> Result<(), TaskError> {
        if self.merges.into.len() >= MERGES { self.run(table) } else { Ok(()) }
    }

    /// Runs the merges: now the sums are what they are said to be.
    pub(super) fn run(&mut self, table: &mut Table) -> Result<(), TaskError> {
        table.merge_values(&self.merges.into, &self.merges.from)?;
        self.merges.into.clear();
        self.merges.from.clear();
        table.release(&self.merges.retired);
        self.merges.retired.clear();
        Ok(())
    }

    /// Forgets the parts of time that end at or before `time`. Their slots may be released after it.
    pub(super) fn forget_before(&mut self, time: i64, table: &mut Table) -> Result<(), TaskError> {
        let before = time.div_euclid(self.width);
        if self.owners.first_key_value().is_none_or(|(&first, _)| first >= before) {
            return Ok(());
        }
        self.run(table)?;
        let kept = self.owners.split_off(&before);
        for id in std::mem::replace(&mut self.owners, kept).into_values().flatten() {
            let line = &mut self.lines[id as usize];
            let had_rows = !line.parts.is_empty();
            line.forget_before(before, &mut self.merges.retired);
            if had_rows && line.parts.is_empty() {
                if let Ok(found) = self.index.find_entry(line.hash, |&other| other == id) {
                    found.remove();
                }
                *line = Line::default();
                self.free.push(id);
            }
        }
        self.run(table)
    }

    /// Where the part of a line stands, made if it is not there.
    fn part(&mut self, id: LineId, index: i64) -> usize {
        let parts = &mut self.lines[id as usize].parts;
        let at = match parts.back() {
            Some(last) if last.index == index => return parts.len() - 1,
            Some(last) if last.index > index => parts.partition_point(|part| part.index < index),
            _ => parts.len(),
        };
        if parts.get(at).is_none_or(|part| part.index != index) {
            parts.insert(at, Part::new(index));
            self.owners.entry(index).or_default().push(id);
        }
        at
    }
}

impl Merges {
    /// A new slot of what two hold.
    fn joined(&mut self, first: Slot, second: Slot, table: &mut Table) -> Slot {
        let slot = table.scratch();
        self.add(slot, Some(first));
        self.add(slot, Some(second));
        slot
    }

    #[inline]
    fn add(&mut self, into: Slot, from: Option<Slot>) {
        if let Some(from) = from {
            self.into.push(into);
            self.from.push(from);
        }
    }
}

/// How many of the rows are not behind `to`; mostly all.
fn count_to(rows: &[Spot], to: i64) -> usize {
    match rows.last() {
        Some(last) if last.time <= to => rows.len(),
        _ => rows.partition_point(|spot| spot.time <= to),
    }
}
