//! Rows of a table as record batches and back: the content of changelog frames and of pages.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};

use super::aggregates::Aggregates;
use super::keys::KeyFormat;
use super::table::{self, Deleted, EMPTY, Identity, Table};
use super::{Delta, PageId, PageImage};
use crate::aggregate::Slot;
use crate::error::TaskError;
use crate::size::fitting;

/// Rows in one record batch at most.
const FRAME_ROWS: usize = 8192;

/// Bytes of rows in one record batch of several, about.
const FRAME_BYTES: usize = 16 << 20;

/// The columns of saved rows: pane, whether the row is deleted, serial number (serial tables), group key, rows of input,
/// greatest event time, the extra numbers, the states of the aggregates.
pub(super) fn schema(format: &KeyFormat, identity: Identity, extra: &[&str], aggregates: &Aggregates) -> SchemaRef {
    let mut fields = vec![Field::new("pane", DataType::Int64, false), Field::new("deleted", DataType::Boolean, false)];
    if identity == Identity::Serial {
        fields.push(Field::new("serial", DataType::UInt64, false));
    }
    let key = |(at, field): (usize, &Field)| field.clone().with_name(format!("key{at}_{}", field.name()));
    fields.extend(format.fields().iter().enumerate().map(key));
    fields.push(Field::new("rows", DataType::UInt64, false));
    fields.push(Field::new("max_time", DataType::Int64, false));
    fields.extend(extra.iter().map(|name| Field::new(*name, DataType::Int64, false)));
    fields.extend(aggregates.state_fields());
    Arc::new(Schema::new(fields))
}

/// A row to be saved.
#[derive(Clone, Copy)]
enum Item<'a> {
    Live(Slot),
    Deleted(&'a Deleted),
}

impl Table {
    /// What changed since the last call, but for scalars, and forgets that it changed; changed rows' pages are marked.
    ///
    /// # Errors
    /// If a value of state cannot be put into columns.
    pub fn take_delta(&mut self) -> Result<Delta, TaskError> {
        self.moment = self.moment.wrapping_add(1);
        let dropped_panes = std::mem::take(&mut self.dropped).into_iter().collect::<Vec<_>>();
        let deleted = std::mem::take(&mut self.deleted);
        let mut changed = std::mem::take(&mut self.dirty);
        changed.retain(|&slot| self.settle(slot));
        for &slot in &changed {
            self.mark_page(slot);
        }
        let mut items = changed.iter().map(|&slot| Item::Live(slot)).collect::<Vec<_>>();
        items.extend(deleted.iter().filter(|row| self.is_news(row)).map(Item::Deleted));
        let rows = self.frames(items)?;
        changed.clear();
        self.dirty = changed;
        Ok(Delta { scalars: None, dropped_panes, rows })
    }

    /// Whether a deleted row has to be told: not if it was made anew, or went with its pane.
    fn is_news(&self, row: &Deleted) -> bool {
        self.panes.contains_key(&row.pane) && self.find_identity(row.pane, row.hash, &row.key, row.serial).is_none()
    }

    /// Applies a delta, but for its scalars. What it changes is marked in the pages, not in the next delta.
    ///
    /// # Errors
    /// If its rows are not of this table's shape.
    pub fn apply(&mut self, delta: &Delta) -> Result<(), TaskError> {
        for &pane in &delta.dropped_panes {
            self.forget_pane(pane);
        }
        for rows in &delta.rows {
            for slot in self.restore(rows)? {
                self.mark_page(slot);
            }
        }
        Ok(())
    }

    /// Pages changed since they were taken last, whole, `most` of them at most, and forgets that they changed; those that are
    /// gone come last.
    ///
    /// # Errors
    /// If a value of state cannot be put into columns.
    pub fn take_dirty_pages(&mut self, most: usize) -> Result<Vec<PageImage>, TaskError> {
        let mut images = Vec::new();
        let dirty = self.panes.iter().filter(|&(_, &at)| !self.slab[at].dirty.is_empty());
        for (pane, at) in dirty.map(|(&pane, &at)| (pane, at)).collect::<Vec<_>>() {
            let due = self.slab[at].dirty.iter().take(most - images.len()).collect::<Vec<_>>();
            images.extend(self.changed_pages(pane, at, &due)?);
            if images.len() == most {
                return Ok(images);
            }
        }
        while images.len() < most
            && let Some(id) = self.gone.pop_first()
        {
            images.push(PageImage { id, rows: None });
        }
        Ok(images)
    }

    /// The pages of some buckets of one pane, ascending, which do not count as changed any more.
    fn changed_pages(&mut self, pane: i64, at: usize, buckets: &[u32]) -> Result<Vec<PageImage>, TaskError> {
        let bits = self.slab[at].index.bits();
        let slots = buckets.iter().flat_map(|&bucket| self.slab[at].index.of_bucket(bucket));
        let mut pages = self.paged(pane, bits, slots.collect())?.into_iter().peekable();
        let mut images = Vec::with_capacity(buckets.len());
        for &bucket in buckets {
            let id = table::page_id(pane, bucket, bits);
            images.push(pages.next_if(|page| page.id == id).unwrap_or(PageImage { id, rows: None }));
            self.slab[at].dirty.unset(bucket);
            self.slab[at].stored.set(bucket);
            self.gone.remove(&id);
        }
        Ok(images)
    }

    /// Restores a page read from the store.
    ///
    /// # Errors
    /// If its rows are not of this table's shape.
    pub fn load_page(&mut self, id: PageId, rows: &RecordBatch) -> Result<(), TaskError> {
        let bits = table::bits_of(id);
        let at = self.pane_at(id.pane);
        if self.slab[at].index.bits() < bits {
            let is_empty = self.slab[at].index.len() == 0 && self.slab[at].evicted.is_empty();
            // Where not, the writer was stopped between the new pages of a pane that was split and the end of its old ones.
            // What is in these may stand nowhere else, and stays marked.
            self.admit(id.pane)?;
            self.split(id.pane, at, bits);
            if is_empty {
                self.slab[at].dirty = Default::default();
            }
        }
        // A pane that is split has changed, and nothing of it can be let go: that waits until all of it is loaded.
        self.is_loading = true;
        let slots = self.restore(rows);
        self.is_loading = false;
        let slots = slots?;
        let state = &mut self.slab[at];
        if state.index.bits() == bits {
            state.stored.set(id.bucket & table::BUCKET);
        } else {
            self.gone.insert(id);
            slots.into_iter().for_each(|slot| self.mark_page(slot));
        }
        Ok(())
    }

    /// All pages that have rows, in order.
    pub fn page_ids(&self) -> Vec<PageId> {
        let mut ids = Vec::new();
        for (&pane, &at) in &self.panes {
            let state = &self.slab[at];
            let mut buckets = state.index.filled().chain(state.evicted.keys().copied()).collect::<Vec<_>>();
            buckets.sort_unstable();
            ids.extend(buckets.into_iter().map(|bucket| table::page_id(pane, bucket, state.index.bits())));
        }
        ids
    }

    /// One page as it stands, also when its pane has been split since the page was named.
    ///
    /// # Errors
    /// If a value of state cannot be put into columns, or a page that was let go cannot be read.
    pub fn page(&self, id: PageId) -> Result<PageImage, TaskError> {
        let none = PageImage { id, rows: None };
        let Some(&at) = self.panes.get(&id.pane) else { return Ok(none) };
        let slots = self.slab[at].index.of_page(id).collect();
        let resident = self.paged(id.pane, table::bits_of(id), slots)?.pop().and_then(|page| page.rows);
        let rows = match (resident, self.evicted_in(id)?) {
            (Some(resident), Some(evicted)) => {
                let rows = compute::concat_batches(&self.schema, [&resident, &evicted]);
                Some(rows.map_err(|error| self.unfit(error.to_string()))?)
            }
            (resident, evicted) => resident.or(evicted),
        };
        Ok(PageImage { id, rows })
    }

    /// The pages that the slots of one pane stand in, in order.
    fn paged(&self, pane: i64, bits: u8, slots: Vec<Slot>) -> Result<Vec<PageImage>, TaskError> {
        let mut items = slots.into_iter().map(Item::Live).collect::<Vec<_>>();
        self.sort(&mut items);
        let bucket = |item: &Item<'_>| table::bucket(self.place(item).1, bits);
        let pages = items.chunk_by(|a, b| bucket(a) == bucket(b));
        pages
            .map(|page| {
                let id = table::page_id(pane, bucket(&page[0]), bits);
                Ok(PageImage { id, rows: Some(self.rows_of(page)?) })
            })
            .collect()
    }

    fn mark_page(&mut self, slot: Slot) {
        if !self.is_live(slot) {
            return;
        }
        let (pane, hash) = (self.pane(slot), self.hash(slot));
        if let Some(&at) = self.panes.get(&pane) {
            let state = &mut self.slab[at];
            let bucket = table::bucket(hash, state.index.bits());
            state.dirty.set(bucket);
            self.note_use(at, bucket);
        }
    }

    fn place<'a>(&'a self, item: &Item<'a>) -> (i64, u64, &'a [u8], u64) {
        match item {
            Item::Live(slot) => (self.pane(*slot), self.hash(*slot), self.key(*slot), self.serial(*slot)),
            Item::Deleted(row) => (row.pane, row.hash, &row.key, row.serial),
        }
    }

    /// By pane, hash of the key, key, serial number: the order of pages, and the same on every run. A row that was deleted
    /// more than once is told once.
    fn sort(&self, items: &mut Vec<Item<'_>>) {
        let rank = |(at, item): (usize, &Item<'_>)| {
            let (pane, hash, ..) = self.place(item);
            (pane, hash, at)
        };
        let mut ranks = items.iter().enumerate().map(rank).collect::<Vec<_>>();
        // Hashes are seldom equal: the keys behind them are looked up only then.
        ranks.sort_unstable_by(|a, b| -> Ordering {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| self.place(&items[a.2]).cmp(&self.place(&items[b.2])))
        });
        ranks.dedup_by(|a, b| a.1 == b.1 && self.place(&items[a.2]) == self.place(&items[b.2]));
        *items = ranks.into_iter().map(|(_, _, at)| items[at]).collect();
    }

    fn frames(&self, mut items: Vec<Item<'_>>) -> Result<Vec<RecordBatch>, TaskError> {
        self.sort(&mut items);
        let bytes = |item: &Item<'_>| match item {
            Item::Live(slot) => self.slot_bytes(*slot),
            Item::Deleted(row) => row.key.len(),
        };
        let mut frames = Vec::new();
        let mut rest = items.as_slice();
        while !rest.is_empty() {
            let (items, others) = rest.split_at(fitting(rest.iter().map(bytes), FRAME_ROWS, FRAME_BYTES));
            frames.push(self.rows_of(items)?);
            rest = others;
        }
        Ok(frames)
    }

    fn rows_of(&self, items: &[Item<'_>]) -> Result<RecordBatch, TaskError> {
        let slots =
            items.iter().map(|item| if let Item::Live(slot) = item { *slot } else { EMPTY }).collect::<Vec<_>>();
        let places = items.iter().map(|item| self.place(item)).collect::<Vec<_>>();
        let deleted = items.iter().map(|item| matches!(item, Item::Deleted(_))).collect::<Vec<_>>();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(places.iter().map(|place| place.0))),
            Arc::new(BooleanArray::from(deleted)),
        ];
        if self.identity == Identity::Serial {
            columns.push(Arc::new(UInt64Array::from_iter_values(places.iter().map(|place| place.3))));
        }
        columns.extend(self.format.decode(places.iter().map(|place| place.2))?);
        columns.push(Arc::new(UInt64Array::from_iter_values(slots.iter().map(|&slot| self.rows(slot)))));
        columns.push(Arc::new(Int64Array::from_iter_values(slots.iter().map(|&slot| self.max_time(slot)))));
        for extra in &self.extra {
            columns.push(Arc::new(Int64Array::from_iter_values(slots.iter().map(|&slot| extra[slot as usize]))));
        }
        columns.extend(self.aggregates.save(&slots)?);
        let options = RecordBatchOptions::new().with_row_count(Some(items.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| self.unfit(error.to_string()))
    }

    /// Puts saved rows into slots, replacing what was there, and takes deleted ones away. Returns the slots.
    fn restore(&mut self, rows: &RecordBatch) -> Result<Vec<Slot>, TaskError> {
        let shape = |schema: &Schema| {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect::<Vec<_>>()
        };
        if shape(&rows.schema()) != shape(&self.schema) {
            return Err(self.unfit("saved rows have other columns".to_owned()));
        }
        let deleted = rows.column(1).as_boolean();
        if deleted.true_count() > 0 {
            self.take_away(rows, deleted)?;
            let kept =
                compute::filter_record_batch(rows, &compute::not(deleted).map_err(|e| self.unfit(e.to_string()))?);
            return self.put(&kept.map_err(|error| self.unfit(error.to_string()))?);
        }
        self.put(rows)
    }

    fn take_away(&mut self, rows: &RecordBatch, deleted: &BooleanArray) -> Result<(), TaskError> {
        let saved = Saved::read(self, rows)?;
        for row in (0..rows.num_rows()).filter(|&row| deleted.value(row)) {
            let (hash, key) = (saved.keys.hash(row), saved.keys.key(row));
            if let Some(&at) = self.panes.get(&saved.panes.value(row)) {
                self.admit_hash(saved.panes.value(row), at, hash);
            }
            if let Some(slot) = self.find_identity(saved.panes.value(row), hash, key, saved.serial(row)) {
                self.unlink(slot);
                self.release(&[slot]);
            }
        }
        Ok(())
    }

    pub(super) fn put(&mut self, rows: &RecordBatch) -> Result<Vec<Slot>, TaskError> {
        let saved = Saved::read(self, rows)?;
        let mut slots = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let (pane, hash, key, serial) =
                (saved.panes.value(row), saved.keys.hash(row), saved.keys.key(row), saved.serial(row));
            let at = self.pane_at(pane);
            if !self.slab[at].evicted.is_empty() {
                self.admit_hash(pane, at, hash);
            }
            let slot = match self.find_identity(pane, hash, key, serial) {
                Some(slot) => slot,
                None => self.insert_at(at, pane, hash, key, serial),
            };
            self.restore_counts(slot, saved.rows.value(row), saved.max_times.value(row));
            for (extra, column) in self.extra.iter_mut().zip(&saved.extra) {
                extra[slot as usize] = column.value(row);
            }
            slots.push(slot);
        }
        if let Some(last) = saved.serials.as_ref().and_then(compute::max) {
            self.set_next_serial(last + 1);
        }
        self.aggregates.load(&slots, &rows.columns()[saved.states..])?;
        self.check()?;
        Ok(slots)
    }

    pub(super) fn unfit(&self, message: String) -> TaskError {
        TaskError::State { step: self.step.clone(), message }
    }
}

/// The columns of saved rows, downcast.
struct Saved {
    panes: Int64Array,
    serials: Option<UInt64Array>,
    keys: super::keys::Keys,
    rows: UInt64Array,
    max_times: Int64Array,
    extra: Vec<Int64Array>,
    /// Index of the first column of the aggregates.
    states: usize,
}

impl Saved {
    fn read(table: &Table, rows: &RecordBatch) -> Result<Saved, TaskError> {
        let mut at = 2;
        let serials =
            (table.identity == Identity::Serial).then(|| rows.column(at).as_primitive::<UInt64Type>().clone());
        at += usize::from(serials.is_some());
        let key_columns = table.format.fields().len();
        let mut keys = table.format.keys();
        table.format.encode(&rows.columns()[at..at + key_columns], rows.num_rows(), &mut keys)?;
        at += key_columns;
        let extra = (0..table.extra.len()).map(|index| rows.column(at + 2 + index).as_primitive::<Int64Type>().clone());
        Ok(Saved {
            panes: rows.column(0).as_primitive::<Int64Type>().clone(),
            serials,
            keys,
            rows: rows.column(at).as_primitive::<UInt64Type>().clone(),
            max_times: rows.column(at + 1).as_primitive::<Int64Type>().clone(),
            extra: extra.collect(),
            states: at + 2 + table.extra.len(),
        })
    }

    fn serial(&self, row: usize) -> u64 {
        self.serials.as_ref().map_or(0, |serials| serials.value(row))
    }
}
