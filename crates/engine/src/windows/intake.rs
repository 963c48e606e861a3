//! What every stateful step does with a batch before its windows: keys, time, arguments, and the rows that go no further.

use arrow::array::{BooleanArray, BooleanBufferBuilder};
use arrow::datatypes::Schema;

use crate::aggregate::RowOrder;
use crate::batch::Batch;
use crate::clock::{Clock, RowWatermarks};
use crate::context::Context;
use crate::error::TaskError;
use crate::state::aggregates::{Aggregates, Arguments};
use crate::state::keys::{KeyFormat, Keys};

/// The way in: buffers that are used again for each batch. It remembers nothing.
#[derive(Debug)]
pub(crate) struct Intake {
    columns: Vec<usize>,
    format: KeyFormat,
    keys: Keys,
    watermarks: RowWatermarks,
    rows: Vec<u32>,
}

/// A batch that has been taken in. Give it back by [`Intake::give_back`].
#[derive(Debug)]
pub(crate) struct Taken {
    /// The group keys, for each row of the batch.
    pub(crate) keys: Keys,
    /// How far time has come at each row of the batch.
    pub(crate) watermarks: RowWatermarks,
    /// The rows that have a key and arguments, ascending.
    pub(crate) rows: Vec<u32>,
    /// The arguments, for each row of the batch.
    pub(crate) arguments: Arguments,
}

impl Intake {
    /// For group keys that are columns `keys` of `input`; `step` is for messages.
    ///
    /// # Errors
    /// If a key column has a type that cannot be ordered.
    pub(crate) fn new(step: &str, input: &Schema, keys: &[usize]) -> Result<Intake, TaskError> {
        let format = KeyFormat::of_columns(step, input, keys)?;
        Ok(Intake {
            columns: keys.to_vec(),
            keys: format.keys(),
            format,
            watermarks: RowWatermarks::default(),
            rows: Vec::new(),
        })
    }

    /// Takes a batch in: moves the clock (W itself moves at its next refresh), evaluates arguments, and refuses rows
    /// without payload, with a null key and with arguments that fail, in this order, each counted once.
    ///
    /// # Errors
    /// With `on_error: fail`, the first row at fault.
    pub(crate) fn take(
        &mut self,
        batch: &Batch,
        clock: &mut Clock,
        aggregates: &Aggregates,
        cx: &mut Context<'_>,
    ) -> Result<Taken, TaskError> {
        let mut keys = std::mem::replace(&mut self.keys, self.format.keys());
        self.format.encode_columns(&batch.rows, &self.columns, &mut keys)?;
        let keyed = keyed(batch, &keys, cx);
        let mut watermarks = std::mem::take(&mut self.watermarks);
        clock.walk(batch, keyed.as_ref(), &mut watermarks);
        let (arguments, mut faults) = aggregates.arguments(&batch.rows);
        if let Some(keyed) = &keyed {
            faults.retain(|fault| keyed.value(fault.row));
        }
        cx.reject(batch, &faults);

        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        match &keyed {
            None => rows.extend(0..batch.len() as u32),
            Some(keyed) => rows.extend((0..batch.len() as u32).filter(|&row| keyed.value(row as usize))),
        }
        if !faults.is_empty() {
            rows.retain(|&row| faults.binary_search_by_key(&(row as usize), |fault| fault.row).is_err());
        }
        Ok(Taken { keys, watermarks, rows, arguments })
    }

    /// Takes the buffers back.
    pub(crate) fn give_back(&mut self, taken: Taken) {
        self.keys = taken.keys;
        self.watermarks = taken.watermarks;
        self.rows = taken.rows;
    }
}

/// For which rows there is a group key; `None` when for all. The others are counted.
fn keyed(batch: &Batch, keys: &Keys, cx: &mut Context<'_>) -> Option<BooleanArray> {
    if keys.nulls().is_none() && batch.meta.tombstone.is_none() {
        return None;
    }
    let mut keyed = BooleanBufferBuilder::new(batch.len());
    for row in 0..batch.len() {
        let tombstone = batch.is_tombstone(row);
        let null = keys.nulls().is_some_and(|nulls| nulls.value(row));
        cx.ledger().null_value += u64::from(tombstone);
        cx.ledger().null_key += u64::from(null && !tombstone);
        keyed.append(!null && !tombstone);
    }
    Some(BooleanArray::new(keyed.finish(), None))
}

/// The order of a batch's rows, for the aggregates.
pub(crate) fn order_of(batch: &Batch) -> RowOrder<'_> {
    RowOrder { event_time: &batch.meta.event_time, origin: &batch.meta.origin, offset: &batch.meta.offset }
}
