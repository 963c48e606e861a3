//! State larger than memory: pages that the store has are let go, least recently changed first, and read back at need.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute;

use super::table::{self, Identity, Table};
use super::{PageId, PageSource};
use crate::aggregate::Slot;
use crate::error::TaskError;

impl Table {
    /// Lets go of pages until rows take no more than seven eighths of `budget_bytes`, if they take more than that. Pages
    /// are read back from `source`. To be called right after all that [`take_dirty_pages`](Self::take_dirty_pages) gave has
    /// been stored. Returns how many pages were let go; none of a serial table, whose operator has to find its rows.
    pub fn evict(&mut self, budget_bytes: usize, source: &Arc<dyn PageSource>) -> usize {
        if self.identity != Identity::Keyed {
            return 0;
        }
        self.source = Some(Arc::clone(source));
        if !self.exceeds(budget_bytes) {
            return 0;
        }
        let target = (budget_bytes - budget_bytes / 8) / self.row_bytes();
        let mut over = self.len().saturating_sub(target);
        let mut pages = 0;
        for (_, pane, bucket, slots) in self.clean_pages() {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(slots.len());
            self.let_go(pane, bucket, &slots);
            pages += 1;
        }
        pages
    }

    /// Whether rows take more than `budget_bytes`; never those of a serial table, which stay.
    pub fn exceeds(&self, budget_bytes: usize) -> bool {
        self.identity == Identity::Keyed && self.len().saturating_mul(self.row_bytes()) > budget_bytes
    }

    /// About so many bytes of memory are one row's.
    fn row_bytes(&self) -> usize {
        (self.memory_bytes() / self.entries.len()).max(1)
    }

    /// The pages that the store has as they are, and none of whose rows waits to be emitted: when each was last changed,
    /// pane, bucket, rows; those longest unchanged first.
    fn clean_pages(&self) -> Vec<(u32, i64, u32, Vec<Slot>)> {
        let mut pages = Vec::new();
        for (&pane, &at) in &self.panes {
            let state = &self.slab[at];
            let stored = |&bucket: &u32| state.stored.contains(bucket) && !state.dirty.contains(bucket);
            for bucket in state.index.filled().filter(stored) {
                let slots = state.index.of_bucket(bucket).collect::<Vec<_>>();
                if slots.iter().all(|&slot| !self.is_changed(slot) && !self.is_pinned(slot)) {
                    let used = state.used.get(bucket as usize).copied().unwrap_or(0);
                    pages.push((used, pane, bucket, slots));
                }
            }
        }
        pages.sort_unstable_by_key(|&(used, pane, bucket, _)| (used, pane, bucket));
        pages
    }

    fn let_go(&mut self, pane: i64, bucket: u32, slots: &[Slot]) {
        let Some(&at) = self.panes.get(&pane) else { return };
        let rows = slots.iter().map(|&slot| self.rows(slot)).sum();
        self.slab[at].index.take_bucket(bucket);
        self.slab[at].evicted.insert(bucket, rows);
        self.release(slots);
    }

    /// Reads back all pages of a pane that were let go: to be called before [`slots_of`](Self::slots_of) and
    /// [`find`](Self::find).
    ///
    /// # Errors
    /// If a page cannot be read.
    pub fn admit(&mut self, pane: i64) -> Result<(), TaskError> {
        let Some(&at) = self.panes.get(&pane) else { return Ok(()) };
        while let Some((&bucket, _)) = self.slab[at].evicted.first_key_value() {
            self.read_back(pane, at, bucket)?;
        }
        Ok(())
    }

    /// Reads back the page that a key's hash falls into, if it was let go. A failure is kept for
    /// [`check`](Self::check), so that the way of a row stays short.
    pub(super) fn admit_hash(&mut self, pane: i64, at: usize, hash: u64) {
        let bucket = table::bucket(hash, self.slab[at].index.bits());
        if self.slab[at].evicted.contains_key(&bucket)
            && let Err(error) = self.read_back(pane, at, bucket)
        {
            self.fault.get_or_insert(error);
        }
    }

    /// Whether all pages that rows needed could be read back.
    ///
    /// # Errors
    /// The first that could not: the state in memory must be dropped.
    pub fn check(&mut self) -> Result<(), TaskError> {
        self.fault.take().map_or(Ok(()), Err)
    }

    fn read_back(&mut self, pane: i64, at: usize, bucket: u32) -> Result<(), TaskError> {
        let Some(held) = self.slab[at].evicted.remove(&bucket) else { return Ok(()) };
        self.forget_held(held);
        let rows = self.evicted_page(table::page_id(pane, bucket, self.slab[at].index.bits()))?;
        self.put(&rows)?;
        self.note_use(at, bucket);
        Ok(())
    }

    fn evicted_page(&self, id: PageId) -> Result<RecordBatch, TaskError> {
        let rows = self.source.as_ref().map(|source| source.page(id)).transpose()?.flatten();
        rows.ok_or_else(|| self.unfit("a page that was let go is not in the store".to_owned()))
    }

    /// The rows of the evicted pages of a pane that lie in page `id`, which may be wider than they.
    pub(super) fn evicted_in(&self, id: PageId) -> Result<Option<RecordBatch>, TaskError> {
        let Some(&at) = self.panes.get(&id.pane) else { return Ok(None) };
        let state = &self.slab[at];
        let narrower = state.index.bits().saturating_sub(table::bits_of(id));
        let within = |&&bucket: &&u32| table::page_id(id.pane, bucket >> narrower, table::bits_of(id)) == id;
        let pages = state.evicted.keys().filter(within).collect::<Vec<_>>();
        let pages =
            pages.into_iter().map(|&bucket| self.evicted_page(table::page_id(id.pane, bucket, state.index.bits())));
        let pages = pages.collect::<Result<Vec<_>, _>>()?;
        if pages.is_empty() {
            return Ok(None);
        }
        let rows = compute::concat_batches(&self.schema, &pages).map_err(|error| self.unfit(error.to_string()))?;
        Ok(Some(rows))
    }
}
