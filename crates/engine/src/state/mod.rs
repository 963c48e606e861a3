//! State as the world outside sees it: deltas for the changelog, pages for the state store.
//!
//! Hot state is dense columns. Its unit is the page: the rows of one pane (a window start, or a bucket of time) whose
//! group key hashes into one bucket. What stands in a page is the operator's business; outside it is an opaque
//! `RecordBatch`.

pub mod aggregates;
mod buckets;
mod evict;
mod frames;
mod index;
pub mod kept;
pub mod keys;
pub(crate) mod scalars;
pub mod table;

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::error::TaskError;

/// Which page of a store: a pane and a bucket of key hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId {
    /// The pane: for windows its start in milliseconds; 0 where state has no time.
    pub pane: i64,
    /// The bucket of the group key's hash within the pane.
    pub bucket: u32,
}

/// A page as it is to be stored.
#[derive(Debug, Clone)]
pub struct PageImage {
    /// Which page.
    pub id: PageId,
    /// Its rows; `None` when the page is gone.
    pub rows: Option<RecordBatch>,
}

/// Where an operator reads back pages that it let go: the store, as of the last pages written into it.
pub trait PageSource: Send + Sync {
    /// A page as it was last stored; `None` if the store does not have it.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn page(&self, id: PageId) -> Result<Option<RecordBatch>, TaskError>;
}

/// What one epoch changed in one store: the content of its changelog frames.
#[derive(Debug, Clone, Default)]
pub struct Delta {
    /// The operator's scalars (clock, counters), when they changed; replaces what was there.
    pub scalars: Option<Vec<u8>>,
    /// Panes that are gone whole; to be applied before `rows`.
    pub dropped_panes: Vec<i64>,
    /// Rows inserted, replaced or deleted, in a fixed order.
    pub rows: Vec<RecordBatch>,
}

impl Delta {
    /// Whether the epoch changed nothing.
    pub fn is_empty(&self) -> bool {
        self.scalars.is_none() && self.dropped_panes.is_empty() && self.rows.is_empty()
    }
}

/// An operator's state, as the runtime handles it.
///
/// A state is rebuilt by [`load_scalars`](Self::load_scalars) and [`load_page`](Self::load_page) for what the store had, then
/// [`apply`](Self::apply) for every later delta of the changelog, in order. Applying a delta twice is harmless.
///
/// What is said of pages here holds for a state of scalars alone.
pub trait StateHandle {
    /// What changed since the last call, and forgets that it changed. Two runs over the same input, cut into the same
    /// epochs, give equal deltas.
    ///
    /// # Errors
    /// If a value of state cannot be put into columns.
    fn take_delta(&mut self) -> Result<Delta, TaskError>;

    /// Applies a delta read from the changelog.
    ///
    /// # Errors
    /// If the delta is not of this operator's shape.
    fn apply(&mut self, delta: Delta) -> Result<(), TaskError> {
        delta.scalars.map_or(Ok(()), |scalars| self.load_scalars(&scalars))
    }

    /// The operator's scalars as they stand.
    fn scalars(&self) -> Vec<u8>;

    /// Restores scalars read from the store.
    ///
    /// # Errors
    /// If they are not of this operator's shape.
    fn load_scalars(&mut self, scalars: &[u8]) -> Result<(), TaskError>;

    /// Pages changed since they were taken last, whole, `most` of them at most, and forgets that they changed; none when there
    /// are no more. Pages that are gone come last: where a pane was split, the rows of its old pages stand in the new ones, and
    /// a store that loses its writer must still have one or the other. To be called only when memory is what was committed.
    ///
    /// # Errors
    /// If a value of state cannot be put into columns.
    fn take_dirty_pages(&mut self, _most: usize) -> Result<Vec<PageImage>, TaskError> {
        Ok(Vec::new())
    }

    /// Lets go of pages that the store has, least recently changed first, when the state takes more memory than
    /// `budget_bytes`; they are read back from `source` at need. To be called only right after all that
    /// [`take_dirty_pages`](Self::take_dirty_pages) gave has been stored, or between pages while state is being loaded
    /// from the store. Returns how many pages were let go; an operator that cannot do without its rows keeps them.
    fn evict(&mut self, _budget_bytes: usize, _source: &Arc<dyn PageSource>) -> usize {
        0
    }

    /// Whether the rows in memory take more than `budget_bytes`, and [`evict`](Self::evict) would let go of some if the store
    /// had them all; never, of an operator that cannot do without its rows.
    fn exceeds(&self, _budget_bytes: usize) -> bool {
        false
    }

    /// Restores a page read from the store; pages are to come in order. A page read from the changelog is to be given to
    /// [`apply`](Self::apply), as rows: the store may not have it.
    ///
    /// # Errors
    /// If its rows are not of this operator's shape.
    fn load_page(&mut self, id: PageId, _rows: RecordBatch) -> Result<(), TaskError> {
        let message = format!("it has no pages, but found {id:?}");
        Err(TaskError::State { step: "a clock".to_owned(), message })
    }

    /// All pages in memory, in order.
    fn page_ids(&self) -> Vec<PageId> {
        Vec::new()
    }

    /// One page as it stands.
    ///
    /// # Errors
    /// If a value of state cannot be put into columns.
    fn page(&self, id: PageId) -> Result<PageImage, TaskError> {
        Ok(PageImage { id, rows: None })
    }

    /// Rows of input that open state still remembers.
    fn held_rows(&self) -> u64 {
        0
    }

    /// Bytes of memory that the state takes, estimated.
    fn memory_bytes(&self) -> usize {
        0
    }
}
