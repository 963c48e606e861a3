//! State as a table of slots: (pane, group key) or a serial number to a slot of dense columns, with what changed marked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, SchemaRef};
use smallvec::SmallVec;

use super::aggregates::{Aggregates, Arguments};
use super::buckets::Buckets;
use super::index::Index;
use super::keys::KeyFormat;
use super::{PageId, PageSource};
use crate::aggregate::RowOrder;
pub(super) use crate::aggregate::Slot;
use crate::error::TaskError;

/// What tells the rows of a table apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// One row for each (pane, group key).
    Keyed,
    /// Any number of rows for each (pane, group key), each with a serial number that is never used again. The operator
    /// finds them by an index of its own.
    Serial,
}

/// The slot that holds nothing, always: what a deleted row is saved from.
pub(super) const EMPTY: Slot = 0;

/// Rows of a pane for each of its buckets before it gets four times as many: about 64 KB encoded.
const ROWS_PER_PAGE: usize = 1024;

/// The most buckets of a pane are `1 << MAX_BITS`.
const MAX_BITS: u8 = 22;

/// The part of a page's number that is its bucket; above it stands how many buckets its pane had.
pub(super) const BUCKET: u32 = 0x00ff_ffff;

const LIVE: u8 = 1;
const DIRTY: u8 = 2;

pub(super) type KeyBytes = SmallVec<[u8; 16]>;

/// Slots with an identity (rows of state) and without (scratch), the aggregates in them, and what has changed since the
/// last delta and the last pages.
pub struct Table {
    pub(super) step: String,
    pub(super) identity: Identity,
    pub(super) format: KeyFormat,
    pub(super) schema: SchemaRef,
    pub(super) aggregates: Aggregates,
    pub(super) entries: Vec<Entry>,
    pub(super) extra: Vec<Vec<i64>>,
    pub(super) serials: Vec<u64>,
    next_serial: u64,
    capacity: usize,
    free: Vec<Slot>,
    pub(super) panes: BTreeMap<i64, usize>,
    pub(super) slab: Vec<Pane>,
    free_panes: Vec<usize>,
    last_pane: Option<(i64, usize)>,
    held: u64,
    /// Bytes of keys that do not fit their entries.
    spilled: usize,
    pub(super) dirty: Vec<Slot>,
    pub(super) deleted: Vec<Deleted>,
    pub(super) dropped: BTreeSet<i64>,
    pub(super) gone: BTreeSet<PageId>,
    /// Where pages that were let go are read back from.
    pub(super) source: Option<Arc<dyn PageSource>>,
    pub(super) fault: Option<TaskError>,
    /// Whether rows are being loaded from pages.
    pub(super) is_loading: bool,
    /// Counts deltas: when a page was last changed.
    pub(super) moment: u32,
    /// Whether the first extra number, where it is not 0, keeps a row in memory.
    pins: bool,
}

/// What every slot has beside its aggregates.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) hash: u64,
    pub(super) pane: i64,
    pub(super) rows: u64,
    pub(super) max_time: i64,
    pub(super) key: KeyBytes,
    flags: u8,
}

/// The rows of one pane, found by their identity.
#[derive(Debug, Default)]
pub(super) struct Pane {
    pub(super) index: Index,
    /// Buckets changed since the last pages.
    pub(super) dirty: Buckets,
    /// Buckets that the store may have.
    pub(super) stored: Buckets,
    /// Buckets that were let go, and how many rows of input each remembers.
    pub(super) evicted: BTreeMap<u32, u64>,
    /// By bucket, when it was last changed or read back.
    pub(super) used: Vec<u32>,
}

/// A row that is no more.
#[derive(Debug)]
pub(super) struct Deleted {
    pub(super) pane: i64,
    pub(super) hash: u64,
    pub(super) key: KeyBytes,
    pub(super) serial: u64,
}

impl Entry {
    fn empty() -> Entry {
        Entry { hash: 0, pane: 0, rows: 0, max_time: i64::MIN, key: KeyBytes::new(), flags: 0 }
    }
}

impl Table {
    /// An empty table. `step` is the id of the step, for messages; `extra` names the numbers that each row has beside
    /// what all rows have.
    ///
    /// # Errors
    /// If a key column has a type that cannot be ordered.
    pub fn new(
        step: &str,
        key_fields: Vec<Field>,
        identity: Identity,
        extra: &[&str],
        aggregates: Aggregates,
    ) -> Result<Table, TaskError> {
        let format = KeyFormat::new(step, key_fields)?;
        let schema = super::frames::schema(&format, identity, extra, &aggregates);
        let mut table = Table {
            step: step.to_owned(),
            identity,
            format,
            schema,
            aggregates,
            entries: Vec::new(),
            extra: vec![Vec::new(); extra.len()],
            serials: Vec::new(),
            next_serial: 0,
            capacity: 0,
            free: Vec::new(),
            panes: BTreeMap::new(),
            slab: Vec::new(),
            free_panes: Vec::new(),
            last_pane: None,
            held: 0,
            spilled: 0,
            dirty: Vec::new(),
            deleted: Vec::new(),
            dropped: BTreeSet::new(),
            gone: BTreeSet::new(),
            source: None,
            fault: None,
            is_loading: false,
            moment: 0,
            pins: extra.first() == Some(&"pending"),
        };
        let empty = table.scratch();
        debug_assert_eq!(empty, EMPTY);
        Ok(table)
    }

    /// The format of the group keys.
    pub fn format(&self) -> &KeyFormat {
        &self.format
    }

    /// The aggregates, to be read.
    pub fn aggregates(&self) -> &Aggregates {
        &self.aggregates
    }

    /// Adds row `rows[i]` of a batch to slot `slots[i]`, for each `i` in order. It neither counts nor marks the slots: see
    /// [`add_row`](Self::add_row).
    ///
    /// # Errors
    /// If an aggregate cannot read its arguments.
    pub fn update(
        &mut self,
        arguments: &Arguments,
        rows: &[u32],
        slots: &[Slot],
        order: RowOrder<'_>,
    ) -> Result<(), TaskError> {
        self.aggregates.update(arguments, rows, slots, order)
    }

    /// The slot of a group key in a pane, made if it is not there, and marked as changed. Keyed tables only.
    #[inline]
    pub fn upsert(&mut self, pane: i64, hash: u64, key: &[u8]) -> Slot {
        debug_assert_eq!(self.identity, Identity::Keyed);
        let at = self.pane_at(pane);
        if !self.slab[at].evicted.is_empty() {
            self.admit_hash(pane, at, hash);
        }
        let found = self.slab[at].index.find(hash, hash, |&slot| self.entries[slot as usize].is_key(hash, key));
        let slot = match found {
            Some(slot) => slot,
            None => self.insert_at(at, pane, hash, key, 0),
        };
        self.touch(slot);
        slot
    }

    /// The slot of a group key in a pane, if it is there. Keyed tables only; see [`admit`](Self::admit).
    pub fn find(&self, pane: i64, hash: u64, key: &[u8]) -> Option<Slot> {
        let at = *self.panes.get(&pane)?;
        self.slab[at].index.find(hash, hash, |&slot| self.entries[slot as usize].is_key(hash, key))
    }

    /// A new row with the next serial number, marked as changed. Serial tables only.
    pub fn insert(&mut self, pane: i64, hash: u64, key: &[u8]) -> Slot {
        debug_assert_eq!(self.identity, Identity::Serial);
        let serial = self.next_serial;
        self.next_serial += 1;
        let at = self.pane_at(pane);
        let slot = self.insert_at(at, pane, hash, key, serial);
        self.touch(slot);
        slot
    }

    /// Marks a row as changed; [`upsert`](Self::upsert) and [`insert`](Self::insert) have done so already.
    #[inline]
    pub fn touch(&mut self, slot: Slot) {
        let entry = &mut self.entries[slot as usize];
        if entry.flags == LIVE {
            entry.flags = LIVE | DIRTY;
            self.dirty.push(slot);
        }
    }

    /// Counts a row of input into a live slot: its rows, and its greatest event time.
    #[inline]
    pub fn add_row(&mut self, slot: Slot, event_time: i64) {
        let entry = &mut self.entries[slot as usize];
        entry.rows += 1;
        entry.max_time = entry.max_time.max(event_time);
        self.held += 1;
    }

    /// Deletes one row and frees its slot.
    pub fn remove(&mut self, slot: Slot) {
        self.detach(slot);
        self.release(&[slot]);
    }

    /// Deletes one row but keeps its slot and what is in it, as scratch, until [`release`](Self::release).
    pub fn detach(&mut self, slot: Slot) {
        let serial = self.serial(slot);
        self.unlink(slot);
        let entry = &self.entries[slot as usize];
        self.deleted.push(Deleted { pane: entry.pane, hash: entry.hash, key: entry.key.clone(), serial });
    }

    /// Takes a row out of its pane; the pane's page is marked, the delta is not.
    pub(super) fn unlink(&mut self, slot: Slot) {
        let serial = self.serial(slot);
        let entry = &mut self.entries[slot as usize];
        debug_assert!(entry.flags & LIVE != 0, "a slot without identity is deleted");
        entry.flags = 0;
        self.held -= entry.rows;
        let (pane, hash) = (entry.pane, entry.hash);
        let Some(&at) = self.panes.get(&pane) else { return };
        let place = match self.identity {
            Identity::Keyed => hash,
            Identity::Serial => place_of(serial),
        };
        let state = &mut self.slab[at];
        state.index.remove(hash, place, slot);
        state.dirty.set(bucket(hash, state.index.bits()));
    }

    /// Deletes a pane whole and frees its slots. Returns how many rows of input were remembered in it.
    pub fn drop_pane(&mut self, pane: i64) -> u64 {
        if !self.panes.contains_key(&pane) {
            return 0;
        }
        self.dropped.insert(pane);
        self.forget_pane(pane)
    }

    /// Deletes a pane; its pages are marked, the delta is not.
    pub(super) fn forget_pane(&mut self, pane: i64) -> u64 {
        let Some(at) = self.panes.remove(&pane) else { return 0 };
        self.last_pane = None;
        let state = std::mem::take(&mut self.slab[at]);
        self.free_panes.push(at);
        self.gone.extend(state.stored.iter().map(|bucket| page_id(pane, bucket, state.index.bits())));
        let mut slots = state.index.iter().collect::<Vec<_>>();
        // Slots that stand side by side are used again side by side.
        slots.sort_unstable_by(|a, b| b.cmp(a));
        let rows = slots.iter().map(|&slot| self.entries[slot as usize].rows).sum::<u64>();
        let rows = rows + state.evicted.values().sum::<u64>();
        self.held -= rows;
        self.release(&slots);
        rows
    }

    /// A slot without identity, empty: for merging other slots into. It is never saved.
    pub fn scratch(&mut self) -> Slot {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = self.entries.len();
        if slot >= self.capacity {
            self.capacity = (self.capacity + self.capacity / 2).max(64);
            self.entries.reserve_exact(self.capacity - slot);
            self.aggregates.reserve(self.capacity);
        }
        self.entries.push(Entry::empty());
        self.extra.iter_mut().for_each(|column| column.push(0));
        if self.identity == Identity::Serial {
            self.serials.push(0);
        }
        slot as Slot
    }

    /// A slot without identity, empty, that has a group key to be shown.
    pub fn scratch_for(&mut self, hash: u64, key: &[u8]) -> Slot {
        let slot = self.scratch();
        let entry = &mut self.entries[slot as usize];
        (entry.hash, entry.key) = (hash, KeyBytes::from_slice(key));
        self.spilled += spilled(&entry.key);
        slot
    }

    /// Empties scratch or detached slots and frees them.
    pub fn release(&mut self, slots: &[Slot]) {
        self.aggregates.clear(slots);
        for &slot in slots {
            let old = std::mem::replace(&mut self.entries[slot as usize], Entry::empty());
            self.spilled -= spilled(&old.key);
            self.extra.iter_mut().for_each(|column| column[slot as usize] = 0);
        }
        self.free.extend_from_slice(slots);
    }

    /// Adds what slot `from[i]` holds to slot `into[i]`, for each `i` in order: aggregates and greatest event time. Rows
    /// that were counted are not.
    ///
    /// # Errors
    /// If an aggregate cannot merge.
    pub fn merge(&mut self, into: &[Slot], from: &[Slot]) -> Result<(), TaskError> {
        for (&into, &from) in into.iter().zip(from) {
            let time = self.entries[from as usize].max_time;
            let entry = &mut self.entries[into as usize];
            entry.max_time = entry.max_time.max(time);
        }
        self.aggregates.merge(into, from)
    }

    /// As [`merge`](Self::merge), but for aggregates alone: for those who know the greatest event time themselves.
    ///
    /// # Errors
    /// If an aggregate cannot merge.
    pub fn merge_values(&mut self, into: &[Slot], from: &[Slot]) -> Result<(), TaskError> {
        self.aggregates.merge(into, from)
    }

    /// Moves the count of rows of input of one live slot to another (a session merged away).
    pub fn move_rows(&mut self, into: Slot, from: Slot) {
        let rows = std::mem::take(&mut self.entries[from as usize].rows);
        self.entries[into as usize].rows += rows;
    }

    /// Takes `rows` rows of input out of a live slot's count.
    pub fn forget_rows(&mut self, slot: Slot, rows: u64) {
        let entry = &mut self.entries[slot as usize];
        let rows = rows.min(entry.rows);
        entry.rows -= rows;
        self.held -= rows;
    }

    /// Bytes of a slot's key and of what its aggregates have beside their places, estimated: about what it takes as a row.
    #[inline]
    pub fn slot_bytes(&self, slot: Slot) -> usize {
        self.key(slot).len() + self.aggregates.slot_bytes(slot)
    }

    /// The key bytes of a slot that has or had an identity.
    #[inline]
    pub fn key(&self, slot: Slot) -> &[u8] {
        &self.entries[slot as usize].key
    }

    /// The hash of a slot's key.
    #[inline]
    pub fn hash(&self, slot: Slot) -> u64 {
        self.entries[slot as usize].hash
    }

    /// The pane of a slot.
    #[inline]
    pub fn pane(&self, slot: Slot) -> i64 {
        self.entries[slot as usize].pane
    }

    /// Rows of input that a slot remembers.
    #[inline]
    pub fn rows(&self, slot: Slot) -> u64 {
        self.entries[slot as usize].rows
    }

    /// The greatest event time in a slot; `i64::MIN` if it is empty.
    #[inline]
    pub fn max_time(&self, slot: Slot) -> i64 {
        self.entries[slot as usize].max_time
    }

    /// The serial number of a row; 0 in keyed tables.
    #[inline]
    pub fn serial(&self, slot: Slot) -> u64 {
        self.serials.get(slot as usize).copied().unwrap_or(0)
    }

    /// A row's extra number `index`.
    #[inline]
    pub fn extra(&self, slot: Slot, index: usize) -> i64 {
        self.extra[index][slot as usize]
    }

    /// Sets a row's extra number `index`; it does not mark the row.
    #[inline]
    pub fn set_extra(&mut self, slot: Slot, index: usize, value: i64) {
        self.extra[index][slot as usize] = value;
    }

    /// Whether the slot is a row of state.
    #[inline]
    pub fn is_live(&self, slot: Slot) -> bool {
        self.entries[slot as usize].flags & LIVE != 0
    }

    /// The panes that have been made and not dropped, ascending.
    pub fn panes(&self) -> impl DoubleEndedIterator<Item = i64> + '_ {
        self.panes.keys().copied()
    }

    /// The panes from `from` to before `to`, ascending.
    pub fn panes_between(&self, from: i64, to: i64) -> impl DoubleEndedIterator<Item = i64> + '_ {
        self.panes.range(from..to.max(from)).map(|(&pane, _)| pane)
    }

    /// The rows of a pane, in no order that may reach a result; see [`admit`](Self::admit).
    pub fn slots_of(&self, pane: i64) -> impl Iterator<Item = Slot> + '_ {
        self.panes.get(&pane).into_iter().flat_map(|&at| self.slab[at].index.iter())
    }

    /// All rows: pane by pane, in no order within a pane that may reach a result.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.panes.values().flat_map(|&at| self.slab[at].index.iter())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.panes.values().map(|&at| self.slab[at].index.len()).sum()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.panes.values().all(|&at| self.slab[at].index.len() == 0)
    }

    /// Puts slots into the order of their keys; slots of equal keys stay as they stand.
    pub fn sort_by_key(&self, slots: &mut Vec<Slot>) {
        let mut keyed = slots.iter().enumerate().map(|(at, &slot)| (self.prefix(slot), at, slot)).collect::<Vec<_>>();
        keyed.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| self.key(a.2).cmp(self.key(b.2))).then_with(|| a.1.cmp(&b.1))
        });
        slots.clear();
        slots.extend(keyed.iter().map(|&(_, _, slot)| slot));
    }

    /// The first bytes of a slot's key as a number that orders as they do.
    fn prefix(&self, slot: Slot) -> u128 {
        let key = self.key(slot);
        let mut bytes = [0; 16];
        let length = key.len().min(16);
        bytes[..length].copy_from_slice(&key[..length]);
        u128::from_be_bytes(bytes)
    }

    /// The key columns of the slots, in the order given.
    ///
    /// # Errors
    /// If the bytes of a key are not of the format.
    pub fn key_columns(&self, slots: &[Slot]) -> Result<Vec<ArrayRef>, TaskError> {
        self.format.decode(slots.iter().map(|&slot| self.key(slot)))
    }

    /// Rows of input that live slots remember.
    pub fn held_rows(&self) -> u64 {
        self.held
    }

    /// The next serial number; part of the operator's scalars.
    pub fn next_serial(&self) -> u64 {
        self.next_serial
    }

    /// Restores the next serial number; it never goes back.
    pub fn set_next_serial(&mut self, next: u64) {
        self.next_serial = self.next_serial.max(next);
    }

    /// Bytes of memory that the table takes, estimated.
    pub fn memory_bytes(&self) -> usize {
        let indices = self.panes.values().map(|&at| self.slab[at].index.memory_bytes() + size_of::<Pane>());
        self.entries.capacity() * size_of::<Entry>()
            + self.spilled
            + indices.sum::<usize>()
            + self.extra.iter().map(|column| column.capacity() * size_of::<i64>()).sum::<usize>()
            + self.serials.capacity() * size_of::<u64>()
            + self.free.capacity() * size_of::<Slot>()
            + self.aggregates.memory_bytes()
    }

    /// The slot of a row by its identity.
    pub(super) fn find_identity(&self, pane: i64, hash: u64, key: &[u8], serial: u64) -> Option<Slot> {
        let at = *self.panes.get(&pane)?;
        match self.identity {
            Identity::Keyed => self.find(pane, hash, key),
            Identity::Serial => {
                let same = |&slot: &Slot| self.serials[slot as usize] == serial;
                self.slab[at].index.find(hash, place_of(serial), same)
            }
        }
    }

    /// Where the state of a pane stands, made if it is not there.
    #[inline]
    pub(super) fn pane_at(&mut self, pane: i64) -> usize {
        if let Some((last, at)) = self.last_pane
            && last == pane
        {
            return at;
        }
        let at = match self.panes.get(&pane) {
            Some(&at) => at,
            None => {
                let at = self.free_panes.pop().unwrap_or_else(|| {
                    self.slab.push(Pane::default());
                    self.slab.len() - 1
                });
                self.panes.insert(pane, at);
                at
            }
        };
        self.last_pane = Some((pane, at));
        at
    }

    /// A new row, not marked in the delta.
    pub(super) fn insert_at(&mut self, at: usize, pane: i64, hash: u64, key: &[u8], serial: u64) -> Slot {
        let slot = self.scratch();
        let entry = &mut self.entries[slot as usize];
        (entry.hash, entry.pane, entry.key, entry.flags) = (hash, pane, KeyBytes::from_slice(key), LIVE);
        self.spilled += spilled(&entry.key);
        let place = match self.identity {
            Identity::Keyed => hash,
            Identity::Serial => {
                self.serials[slot as usize] = serial;
                place_of(serial)
            }
        };
        let (entries, serials, identity) = (&self.entries, &self.serials, self.identity);
        let state = &mut self.slab[at];
        state.index.insert(hash, place, slot, |slot| place_in(identity, entries, serials, slot));
        let bits = state.index.bits();
        let may_split = state.evicted.is_empty() && !self.is_loading;
        if state.index.len() > ROWS_PER_PAGE << bits && bits < MAX_BITS && may_split {
            self.split(pane, at, bits + 2);
        }
        slot
    }

    /// Gives a pane more buckets: the pages that the store may have are gone, and all of its pages have changed.
    pub(super) fn split(&mut self, pane: i64, at: usize, bits: u8) {
        let state = &mut self.slab[at];
        self.gone.extend(state.stored.iter().map(|bucket| page_id(pane, bucket, state.index.bits())));
        let (entries, serials, identity) = (&self.entries, &self.serials, self.identity);
        let hash_of = |slot: Slot| entries[slot as usize].hash;
        state.index.split(bits, hash_of, |slot| place_in(identity, entries, serials, slot));
        state.stored = Buckets::default();
        state.dirty = Buckets::all(1 << bits);
    }

    /// Whether a row changed since the last delta.
    pub(super) fn is_changed(&self, slot: Slot) -> bool {
        self.entries[slot as usize].flags & DIRTY != 0
    }

    /// Whether a row must stay in memory: the operator knows its slot.
    pub(super) fn is_pinned(&self, slot: Slot) -> bool {
        self.pins && self.extra[0][slot as usize] != 0
    }

    /// A bucket has been changed or read back.
    pub(super) fn note_use(&mut self, at: usize, bucket: u32) {
        let used = &mut self.slab[at].used;
        if used.len() <= bucket as usize {
            used.resize(bucket as usize + 1, 0);
        }
        used[bucket as usize] = self.moment;
    }

    /// Takes rows of input out of the count of those held.
    pub(super) fn forget_held(&mut self, rows: u64) {
        self.held -= rows;
    }

    /// Forgets that a live row changed; whether it had.
    pub(super) fn settle(&mut self, slot: Slot) -> bool {
        let entry = &mut self.entries[slot as usize];
        let changed = entry.flags == LIVE | DIRTY;
        entry.flags &= !DIRTY;
        changed
    }

    /// Replaces the counts of a row that is being restored.
    pub(super) fn restore_counts(&mut self, slot: Slot, rows: u64, max_time: i64) {
        let entry = &mut self.entries[slot as usize];
        self.held = self.held - entry.rows + rows;
        (entry.rows, entry.max_time) = (rows, max_time);
    }
}

impl Entry {
    #[inline]
    fn is_key(&self, hash: u64, key: &[u8]) -> bool {
        self.hash == hash && self.key.as_slice() == key
    }
}

/// The bucket of a key's hash in a pane of `1 << bits` buckets.
pub(super) fn bucket(hash: u64, bits: u8) -> u32 {
    if bits == 0 { 0 } else { (hash >> (64 - u32::from(bits))) as u32 }
}

/// The page of a bucket: the number of buckets is part of it, so that a pane can be split.
pub(super) fn page_id(pane: i64, bucket: u32, bits: u8) -> PageId {
    PageId { pane, bucket: u32::from(bits) << 24 | bucket }
}

/// Where a slot stands in the index of its pane.
fn place_in(identity: Identity, entries: &[Entry], serials: &[u64], slot: Slot) -> u64 {
    match identity {
        Identity::Keyed => entries[slot as usize].hash,
        Identity::Serial => place_of(serials[slot as usize]),
    }
}

/// How many buckets the pane of a page had: `1 << bits`.
pub(super) fn bits_of(id: PageId) -> u8 {
    (id.bucket >> 24) as u8
}

/// Bytes that a key takes outside of its entry.
fn spilled(key: &KeyBytes) -> usize {
    if key.spilled() { key.capacity() } else { 0 }
}

/// Where a serial number stands in the index of its pane.
fn place_of(serial: u64) -> u64 {
    super::keys::hash(&serial.to_le_bytes())
}
