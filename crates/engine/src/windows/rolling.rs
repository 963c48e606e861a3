//! The values of overlapping windows one after another, by two merges a result however many panes a window has.
//!
//! Time is cut into blocks as long as a window. A window begins in one block and ends in the next: its value is what its
//! panes in the first block add up to, from the last backwards, and then what its panes in the second add up to, forwards.
//! Blocks lie fixed in time, so the order in which doubles are added depends on the rows alone. Parts of panes whose rows
//! some windows refused are rare and are added one by one at the end.

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::aggregate::Slot;
use crate::error::TaskError;
use crate::state::table::Table;

use super::hopping::{Layout, Part};
use super::results::Ready;

/// What has been added up so far; computed from the table, never saved.
pub(crate) struct Rolling {
    layout: Layout,
    /// Number of the first pane of the second block; `None` when nothing has been added up.
    boundary: Option<i64>,
    /// Panes of the second block before this one have been added up.
    reached: i64,
    index: HashTable<u32>,
    groups: Vec<Group>,
    free: Vec<u32>,
    /// Groups by key, but for those in `fresh`.
    order: Vec<u32>,
    fresh: Vec<u32>,
    tails: Vec<Tail>,
}

/// One group key.
struct Group {
    hash: u64,
    key: SmallVec<[u8; 16]>,
    /// What its panes of the second block add up to; `None` if there is none yet.
    front: Option<Slot>,
    /// Index of the sum that begins with its first pane of the first block that is not passed.
    tail: Option<u32>,
    /// Where the value of the window being made stands.
    value: Option<Slot>,
    /// Whether parts that stand apart belong to the window being made.
    strays: bool,
}

/// What a group's panes of the first block add up to from one of them on.
struct Tail {
    pane: i64,
    slot: Slot,
    next: Option<u32>,
}

impl Rolling {
    /// Nothing added up yet.
    pub(super) fn new(layout: Layout) -> Rolling {
        Rolling {
            layout,
            boundary: None,
            reached: 0,
            index: HashTable::new(),
            groups: Vec::new(),
            free: Vec::new(),
            order: Vec::new(),
            fresh: Vec::new(),
            tails: Vec::new(),
        }
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self, table: &mut Table) {
        self.clear_sums(table);
        *self = Rolling::new(self.layout);
    }

    /// Readies the results of the window that begins at `start`, by key. The slots that they stand in are added to
    /// `made`, to be released when they have left. Windows must come in order, and each when it is closed.
    pub(super) fn window(
        &mut self,
        table: &mut Table,
        start: i64,
        made: &mut Vec<Slot>,
        ready: &mut Ready,
    ) -> Result<(), TaskError> {
        let panes = self.layout.panes_in_window();
        let first = self.layout.first_pane(start);
        let boundary = first.saturating_add(panes - 1).div_euclid(panes).saturating_mul(panes);
        if self.boundary != Some(boundary) {
            self.turn(table, first, boundary)?;
        }
        self.extend(table, first.saturating_add(panes))?;
        let strays = self.strays(table, start)?;
        self.settle_order();
        self.add_up(table, first, start, strays, made, ready)
    }

    /// Begins new blocks: the first is added up backwards, the second not at all.
    fn turn(&mut self, table: &mut Table, first: i64, boundary: i64) -> Result<(), TaskError> {
        self.clear_sums(table);
        self.boundary = Some(boundary);
        self.reached = boundary;
        let parts = self.layout.parts(table, first, boundary).filter(|part| part.refused == 0).collect::<Vec<_>>();
        let (mut copies, mut originals) = (Vec::new(), Vec::new());
        let (mut longer, mut shorter) = (Vec::new(), Vec::new());
        for part in parts.into_iter().rev() {
            [&mut copies, &mut originals, &mut longer, &mut shorter].into_iter().for_each(Vec::clear);
            table.admit(part.id)?;
            let slots = table.slots_of(part.id).collect::<Vec<_>>();
            for original in slots {
                let group = self.group(table, original) as usize;
                let copy = table.scratch();
                copies.push(copy);
                originals.push(original);
                let next = self.groups[group].tail;
                if let Some(next) = next {
                    longer.push(copy);
                    shorter.push(self.tails[next as usize].slot);
                }
                self.groups[group].tail = Some(self.tails.len() as u32);
                self.tails.push(Tail { pane: part.pane, slot: copy, next });
            }
            table.merge(&copies, &originals)?;
            table.merge(&longer, &shorter)?;
        }
        Ok(())
    }

    /// Adds up the second block as far as the pane before `to`.
    fn extend(&mut self, table: &mut Table, to: i64) -> Result<(), TaskError> {
        let parts = self.layout.parts(table, self.reached, to).filter(|part| part.refused == 0).collect::<Vec<_>>();
        let mut fronts = Vec::new();
        for part in parts {
            fronts.clear();
            table.admit(part.id)?;
            let slots = table.slots_of(part.id).collect::<Vec<_>>();
            for &slot in &slots {
                let group = self.group(table, slot) as usize;
                let front = self.groups[group].front.unwrap_or_else(|| table.scratch());
                self.groups[group].front = Some(front);
                fronts.push(front);
            }
            table.merge(&fronts, &slots)?;
        }
        self.reached = self.reached.max(to);
        Ok(())
    }

    /// The slots of parts that some windows refused but this one did not, with their groups, in the order of the parts.
    fn strays(&mut self, table: &mut Table, start: i64) -> Result<Vec<(u32, Slot)>, TaskError> {
        let parts = self.layout.parts_of_window(table, start);
        let mut strays = Vec::new();
        for Part { id, .. } in parts.into_iter().filter(|part| part.refused > 0) {
            table.admit(id)?;
            for slot in table.slots_of(id) {
                let group = self.group(table, slot);
                self.groups[group as usize].strays = true;
                strays.push((group, slot));
            }
        }
        Ok(strays)
    }

    fn add_up(
        &mut self,
        table: &mut Table,
        first: i64,
        start: i64,
        strays: Vec<(u32, Slot)>,
        made: &mut Vec<Slot>,
        ready: &mut Ready,
    ) -> Result<(), TaskError> {
        let end = start.saturating_add(self.layout.size());
        let (mut tail_into, mut tail_from) = (Vec::new(), Vec::new());
        let (mut front_into, mut front_from) = (Vec::new(), Vec::new());
        let mut passed = Vec::new();
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&id| {
            let group = &mut self.groups[id as usize];
            while let Some(tail) = group.tail.map(|tail| &self.tails[tail as usize]).filter(|tail| tail.pane < first) {
                passed.push(tail.slot);
                group.tail = tail.next;
            }
            group.value = None;
            if group.tail.is_none() && group.front.is_none() && !group.strays {
                self.free.push(id);
                let hash = group.hash;
                if let Ok(found) = self.index.find_entry(hash, |&other| other == id) {
                    found.remove();
                }
                return false;
            }
            let value = table.scratch_for(group.hash, &group.key);
            if let Some(tail) = group.tail {
                tail_into.push(value);
                tail_from.push(self.tails[tail as usize].slot);
            }
            if let Some(front) = group.front {
                front_into.push(value);
                front_from.push(front);
            }
            group.value = Some(value);
            group.strays = false;
            made.push(value);
            ready.window(value, start, end);
            true
        });
        self.order = order;
        // Results that are still to leave never stand in these slots, only in copies.
        table.release(&passed);
        table.merge(&tail_into, &tail_from)?;
        table.merge(&front_into, &front_from)?;
        let value = |group: u32| self.groups[group as usize].value;
        let (into, from): (Vec<_>, Vec<_>) =
            strays.into_iter().filter_map(|(group, slot)| Some((value(group)?, slot))).unzip();
        table.merge(&into, &from)
    }

    /// The group of a slot's key, made if it is not there.
    fn group(&mut self, table: &Table, slot: Slot) -> u32 {
        let (hash, key) = (table.hash(slot), table.key(slot));
        let same = |&id: &u32| {
            let group = &self.groups[id as usize];
            group.hash == hash && group.key.as_slice() == key
        };
        if let Some(&id) = self.index.find(hash, same) {
            return id;
        }
        let key = SmallVec::from_slice(key);
        let group = Group { hash, key, front: None, tail: None, value: None, strays: false };
        let id = match self.free.pop() {
            Some(id) => {
                self.groups[id as usize] = group;
                id
            }
            None => {
                self.groups.push(group);
                self.groups.len() as u32 - 1
            }
        };
        self.index.insert_unique(hash, id, |&id| self.groups[id as usize].hash);
        self.fresh.push(id);
        id
    }

    /// Puts fresh groups where they belong in the order of keys.
    fn settle_order(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        let mut fresh = std::mem::take(&mut self.fresh);
        let key = |id: &u32| &self.groups[*id as usize].key;
        fresh.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        let mut merged = Vec::with_capacity(self.order.len() + fresh.len());
        let mut old = self.order.iter().copied().peekable();
        for id in fresh {
            while let Some(before) = old.next_if(|other| key(other) < key(&id)) {
                merged.push(before);
            }
            merged.push(id);
        }
        merged.extend(old);
        self.order = merged;
    }

    fn clear_sums(&mut self, table: &mut Table) {
        let mut slots = Vec::new();
        for &id in self.order.iter().chain(&self.fresh) {
            let group = &mut self.groups[id as usize];
            slots.extend(group.front.take());
            while let Some(tail) = group.tail.map(|tail| &self.tails[tail as usize]) {
                slots.push(tail.slot);
                group.tail = tail.next;
            }
        }
        table.release(&slots);
        self.tails.clear();
    }
}
