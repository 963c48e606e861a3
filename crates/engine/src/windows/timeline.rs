//! The rows of each key in order of event time, and sums over ranges of them; it never subtracts.
//!
//! A range `[from, to]` is summed as the rows of the part of time that `from` cuts, then whole parts, then the rows of
//! the part that holds `to`. Parts are spans of time aligned to the epoch, and so are blocks, which are about as many
//! parts as a range has: its whole parts are the last ones of one block, added up backwards, and the first ones of the
//! next, added up forwards. Which slots are merged with which, and in which order, is a function of the rows' times
//! alone: what is kept between two sums saves work and never changes a bit of a result.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashTable;
use smallvec::{SmallVec, smallvec};

use crate::aggregate::Slot;
use crate::error::TaskError;
use crate::state::table::Table;

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

/// A row that counts only in ranges that end at or behind `from`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Straggler {
    pub(super) spot: Spot,
    pub(super) from: i64,
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

/// The rows of one key.
#[derive(Default)]
struct Line {
    hash: u64,
    key: SmallVec<[u8; 16]>,
    /// Ascending by index, none without rows or stragglers.
    parts: VecDeque<Part>,
    /// By (event time, origin, offset).
    stragglers: Vec<Straggler>,
    head: Option<Head>,
    suffix: Option<Suffix>,
    prefix: Option<Prefix>,
    tail: Option<Tail>,
}

/// The rows of one key in one part of time.
struct Part {
    index: i64,
    rows: SmallVec<[Spot; 2]>,
    /// All rows in one, where it has been computed; never for a single row.
    sum: Option<Slot>,
}

/// For the rows of a part from `base` on but for the last, each with all that follow it.
struct Head {
    index: i64,
    base: usize,
    suffixes: Vec<Slot>,
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

/// The first `rows` rows of a part.
struct Tail {
    index: i64,
    rows: usize,
    slot: Slot,
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
            line.forget_before(i64::MAX, 1, &mut self.merges.retired);
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
        let mut seen = 0;
        for &id in ids {
            let line = &self.lines[id as usize];
            seen ^= line.parts.back().map_or(0, |part| part.index) ^ line.parts.front().map_or(0, |part| part.index);
            seen ^= line.parts.get(line.parts.len() / 2).map_or(0, |part| part.index);
            if let Some(suffix) = &line.suffix {
                seen ^= suffix.slots.get(suffix.slots.len() / 2).map_or(0, |&(index, _)| index);
            }
            if let Some(head) = &line.head {
                seen ^= i64::from(head.suffixes.last().copied().unwrap_or(0));
            }
        }
        std::hint::black_box(seen);
    }

    /// Puts a row in its place.
    pub(super) fn insert(&mut self, id: LineId, spot: Spot) {
        let at = self.part(id, spot.time.div_euclid(self.width));
        let line = &mut self.lines[id as usize];
        let part = &mut line.parts[at];
        let place = match part.rows.last() {
            Some(last) if last.order() > spot.order() => {
                part.rows.partition_point(|other| other.order() <= spot.order())
            }
            _ => part.rows.len(),
        };
        part.rows.insert(place, spot);
        let retired = &mut self.merges.retired;
        retired.extend(part.sum.take());
        let index = part.index;
        if let Some(head) = line.head.take_if(|head| head.index == index) {
            retired.extend(head.suffixes);
        }
        if let Some(tail) = line.tail.take_if(|tail| tail.index == index && place < tail.rows) {
            retired.push(tail.slot);
        }
        line.forget_sums_with(index, self.block, retired);
    }

    /// Puts a row in its place that counts only in some ranges.
    pub(super) fn insert_straggler(&mut self, id: LineId, straggler: Straggler) {
        // The part says when the straggler is to be forgotten.
        let at = self.part(id, straggler.spot.time.div_euclid(self.width));
        let line = &mut self.lines[id as usize];
        line.forget_sums_with(line.parts[at].index, self.block, &mut self.merges.retired);
        let place = line.stragglers.partition_point(|other| other.spot.order() <= straggler.spot.order());
        line.stragglers.insert(place, straggler);
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
                found = slot.and(line.parts[first].rows.last().copied());
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
            let rows = count_to(&line.parts[behind].rows, to);
            let slot = line.tail(behind, rows, table, &mut self.merges);
            self.merges.add(into, slot);
            if let Some(last) = rows.checked_sub(1) {
                return Some(line.parts[behind].rows[last]);
            }
        }
        let whole = line.parts.range(first..behind.max(first));
        whole.rev().find_map(|part| part.rows.last().copied()).or(found)
    }

    /// Merges the stragglers of `[from, to]` that count in a range that ends at `to` into `into`, and returns the last of
    /// them.
    pub(super) fn sum_stragglers(&mut self, id: LineId, from: i64, to: i64, into: Slot) -> Option<Spot> {
        let stragglers = &self.lines[id as usize].stragglers;
        let mut found = None;
        for straggler in stragglers {
            if from <= straggler.spot.time && straggler.spot.time <= to && straggler.from <= to {
                self.merges.add(into, Some(straggler.spot.slot));
                found = Some(straggler.spot);
            }
        }
        found
    }

    /// The rows of `[from, to]`, stragglers among them, each with the end from which on it counts.
    pub(super) fn rows(&self, id: LineId, from: i64, to: i64) -> impl Iterator<Item = (Spot, i64)> + '_ {
        let line = &self.lines[id as usize];
        let (first, last) = (from.div_euclid(self.width), to.div_euclid(self.width));
        let first = line.first_from(first);
        let parts = line.parts.range(first..).take_while(move |part| part.index <= last);
        let rows = parts.flat_map(|part| part.rows.iter().map(|&spot| (spot, spot.time)));
        let stragglers = line.stragglers.iter().map(|straggler| (straggler.spot, straggler.from));
        rows.chain(stragglers).filter(move |(spot, _)| from <= spot.time && spot.time <= to)
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
        let width = self.width;
        if self.owners.first_key_value().is_none_or(|(&first, _)| first >= before) {
            return Ok(());
        }
        self.run(table)?;
        let kept = self.owners.split_off(&before);
        for id in std::mem::replace(&mut self.owners, kept).into_values().flatten() {
            let line = &mut self.lines[id as usize];
            let had_rows = !line.parts.is_empty();
            line.forget_before(before, width, &mut self.merges.retired);
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
            parts.insert(at, Part { index, rows: smallvec![], sum: None });
            self.owners.entry(index).or_default().push(id);
        }
        at
    }
}

impl Line {
    /// The rows of part `at` from time `from` on, in one.
    fn head(&mut self, at: usize, from: i64, table: &mut Table, merges: &mut Merges) -> Option<Slot> {
        let part = &self.parts[at];
        let rows = part.rows.as_slice();
        let place = match &self.head {
            Some(head) if head.index == part.index && rows[head.base].time < from => {
                head.base + rows[head.base..].partition_point(|spot| spot.time < from)
            }
            _ => rows.partition_point(|spot| spot.time < from),
        };
        let last = rows.len().checked_sub(1).filter(|&last| place <= last)?;
        if place == last {
            return Some(rows[last].slot);
        }
        if let Some(head) = self.head.as_ref().filter(|head| head.index == part.index && head.base <= place) {
            return Some(head.suffixes[place - head.base]);
        }
        let mut suffixes = vec![0; last - place];
        let mut next = rows[last].slot;
        for (suffix, spot) in suffixes.iter_mut().zip(&rows[place..last]).rev() {
            *suffix = table.scratch();
            merges.add(*suffix, Some(spot.slot));
            merges.add(*suffix, Some(next));
            next = *suffix;
        }
        let head = Head { index: part.index, base: place, suffixes };
        let old = match &self.head {
            Some(known) if known.index > head.index => Some(head),
            _ => self.head.replace(head),
        };
        merges.retired.extend(old.into_iter().flat_map(|old| old.suffixes));
        Some(next)
    }

    /// The whole parts `first..split`, which stand before `anchor` and are the last of its block, in one.
    fn suffix(
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
    fn prefix(
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
        let part = &mut self.parts[at];
        match part.rows.as_slice() {
            [] => None,
            [only] => Some(only.slot),
            rows => Some(*part.sum.get_or_insert_with(|| {
                let slot = table.scratch();
                rows.iter().for_each(|spot| merges.add(slot, Some(spot.slot)));
                slot
            })),
        }
    }

    /// The first `rows` rows of part `at` in one.
    fn tail(&mut self, at: usize, rows: usize, table: &mut Table, merges: &mut Merges) -> Option<Slot> {
        let part = &self.parts[at];
        let index = part.index;
        match rows {
            0 => return None,
            1 => return Some(part.rows[0].slot),
            _ => {}
        }
        if let Some(tail) = self.tail.as_mut().filter(|tail| tail.index == index && tail.rows <= rows) {
            part.rows[tail.rows..rows].iter().for_each(|spot| merges.add(tail.slot, Some(spot.slot)));
            tail.rows = rows;
            return Some(tail.slot);
        }
        let slot = table.scratch();
        part.rows[..rows].iter().for_each(|spot| merges.add(slot, Some(spot.slot)));
        let tail = Tail { index, rows, slot };
        let old = match &self.tail {
            Some(known) if (known.index, known.rows) > (index, rows) => Some(tail),
            _ => self.tail.replace(tail),
        };
        if let Some(old) = old {
            self.keep_or_retire(old, merges);
        }
        Some(slot)
    }

    /// A tail that holds a whole part is the part's sum.
    fn keep_or_retire(&mut self, tail: Tail, merges: &mut Merges) {
        let at = self.parts.partition_point(|part| part.index < tail.index);
        match self.parts.get_mut(at) {
            Some(part) if part.index == tail.index && part.rows.len() == tail.rows && part.sum.is_none() => {
                part.sum = Some(tail.slot);
            }
            _ => merges.retired.push(tail.slot),
        }
    }

    /// Where the parts from index `index` on begin: mostly at one of the first.
    fn first_from(&self, index: i64) -> usize {
        match self.parts.iter().take(4).position(|part| part.index >= index) {
            Some(at) => at,
            None => self.parts.partition_point(|part| part.index < index),
        }
    }

    /// Where among the parts `first..behind` those from index `index` on begin. If no part is missing it is told by the
    /// index of the first; there is looked first, for parts that are far apart in memory are slow to read.
    fn split_at(&self, index: i64, first: usize, behind: usize) -> usize {
        let distance = index.saturating_sub(self.parts[first].index).max(0) as usize;
        let mut at = first.saturating_add(distance).min(behind);
        while at > first && self.parts[at - 1].index >= index {
            at -= 1;
        }
        at
    }

    /// Where the part of index `index` stands, or would: mostly it is the last.
    fn first_behind(&self, index: i64) -> usize {
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

    /// Forgets the parts, of `width` milliseconds, before that of index `before`.
    fn forget_before(&mut self, before: i64, width: i64, retired: &mut Vec<Slot>) {
        while let Some(part) = self.parts.pop_front_if(|part| part.index < before) {
            retired.extend(part.sum);
        }
        self.stragglers.retain(|straggler| straggler.spot.time.div_euclid(width) >= before);
        if let Some(head) = self.head.take_if(|head| head.index < before) {
            retired.extend(head.suffixes);
        }
        if let Some(suffix) = self.suffix.take_if(|suffix| suffix.anchor <= before) {
            retired.extend(suffix.slots.into_iter().map(|(_, slot)| slot));
        }
        retired.extend(self.prefix.take_if(|prefix| prefix.anchor < before).map(|prefix| prefix.slot));
        retired.extend(self.tail.take_if(|tail| tail.index < before).map(|tail| tail.slot));
    }
}

impl Merges {
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
