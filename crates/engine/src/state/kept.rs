//! All that a stateful operator remembers: its table, its clock and a few numbers of its own.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::table::Table;
use super::{Delta, PageId, PageImage, PageSource, StateHandle, scalars};
use crate::clock::Clock;
use crate::error::TaskError;

/// What an operator remembers. It holds nothing else from one batch to the next that it could not compute from this.
pub struct Kept {
    /// The rows.
    pub table: Table,
    /// The watermarks.
    pub clock: Clock,
    /// Numbers of the operator's own (when it last emitted, say), saved with the clock.
    pub numbers: Vec<i64>,
    restored: bool,
    saved: Vec<u8>,
    step: String,
}

impl Kept {
    /// What the operator of step `step` remembers when it starts.
    pub fn new(step: &str, table: Table, clock: Clock, numbers: Vec<i64>) -> Kept {
        Kept { table, clock, numbers, restored: false, saved: Vec::new(), step: step.to_owned() }
    }

    /// Whether something was restored since the last call: what was computed from the state has to be computed anew.
    pub fn take_restored(&mut self) -> bool {
        std::mem::take(&mut self.restored)
    }
}

impl StateHandle for Kept {
    fn take_delta(&mut self) -> Result<Delta, TaskError> {
        let mut delta = self.table.take_delta()?;
        let scalars = self.scalars();
        if scalars != self.saved {
            self.saved.clone_from(&scalars);
            delta.scalars = Some(scalars);
        }
        Ok(delta)
    }

    fn apply(&mut self, delta: Delta) -> Result<(), TaskError> {
        self.restored = true;
        self.table.apply(&delta)?;
        delta.scalars.map_or(Ok(()), |scalars| self.load_scalars(&scalars))
    }

    fn scalars(&self) -> Vec<u8> {
        let mut bytes = scalars::begin();
        bytes.extend(self.clock.save());
        bytes.extend(self.table.next_serial().to_le_bytes());
        for number in &self.numbers {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    fn load_scalars(&mut self, scalars: &[u8]) -> Result<(), TaskError> {
        self.restored = true;
        let clock = scalars::open(&self.step, scalars)?;
        let rest = clock.get(self.clock.load(clock)?..).and_then(|rest| rest.split_first_chunk::<8>());
        let numbers = rest.map(|(next, rest)| (u64::from_le_bytes(*next), rest.as_chunks::<8>()));
        match numbers {
            Some((next, (numbers, []))) if numbers.len() == self.numbers.len() => {
                self.table.set_next_serial(next);
                self.numbers = numbers.iter().map(|number| i64::from_le_bytes(*number)).collect();
                self.saved = scalars.to_vec();
                Ok(())
            }
            _ => {
                Err(TaskError::State { step: self.step.clone(), message: "saved scalars of another shape".to_owned() })
            }
        }
    }

    fn take_dirty_pages(&mut self, most: usize) -> Result<Vec<PageImage>, TaskError> {
        self.table.take_dirty_pages(most)
    }

    fn evict(&mut self, budget_bytes: usize, source: &Arc<dyn PageSource>) -> usize {
        self.table.evict(budget_bytes, source)
    }

    fn exceeds(&self, budget_bytes: usize) -> bool {
        self.table.exceeds(budget_bytes)
    }

    fn load_page(&mut self, id: PageId, rows: RecordBatch) -> Result<(), TaskError> {
        self.restored = true;
        self.table.load_page(id, &rows)
    }

    fn page_ids(&self) -> Vec<PageId> {
        self.table.page_ids()
    }

    fn page(&self, id: PageId) -> Result<PageImage, TaskError> {
        self.table.page(id)
    }

    fn held_rows(&self) -> u64 {
        self.table.held_rows()
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
    }
}
