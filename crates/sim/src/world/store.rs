//! What outlives a crash: a changelog of deltas, and pages that are good up to some place in it.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use millstream_engine::state::{Delta, PageId, PageImage, StateHandle};

/// The stored state of one operator.
#[derive(Debug, Default)]
pub(super) struct Store {
    changelog: Vec<Delta>,
    pages: BTreeMap<PageId, RecordBatch>,
    scalars: Option<Vec<u8>>,
    /// The pages and scalars hold what this many deltas changed.
    good_for: usize,
}

impl Store {
    pub(super) fn append(&mut self, delta: Delta) {
        self.changelog.push(delta);
    }

    /// Takes pages in, right after a commit.
    pub(super) fn flush(&mut self, pages: Vec<PageImage>, scalars: Vec<u8>) {
        for PageImage { id, rows } in pages {
            match rows {
                Some(rows) => self.pages.insert(id, rows),
                None => self.pages.remove(&id),
            };
        }
        self.scalars = Some(scalars);
        self.good_for = self.changelog.len();
    }

    /// Loses the pages: the changelog is all there is.
    pub(super) fn lose_pages(&mut self) {
        self.pages.clear();
        self.scalars = None;
        self.good_for = 0;
    }

    /// Puts everything that was committed into an empty state.
    pub(super) fn restore(&self, state: &mut dyn StateHandle) -> Result<(), String> {
        let failed = |error: millstream_engine::error::TaskError| error.to_string();
        if let Some(scalars) = &self.scalars {
            state.load_scalars(scalars).map_err(failed)?;
        }
        for (&id, rows) in &self.pages {
            state.load_page(id, rows.clone()).map_err(failed)?;
        }
        self.changelog[self.good_for..].iter().try_for_each(|delta| state.apply(delta.clone())).map_err(failed)
    }
}
