//! key_by: leaves out the rows without a key, those with null in a key column.

use arrow::array::{Array, ArrayRef, BooleanArray};

use crate::batch::Batch;
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::Port;
use crate::operator::Operator;

/// See [`crate::plan::NodeKind::KeyBy`]. Rows that retract an earlier result always pass.
#[derive(Debug)]
pub struct KeyBy {
    columns: Vec<usize>,
}

impl KeyBy {
    /// Keys of the columns of these indices.
    pub fn new(columns: Vec<usize>) -> KeyBy {
        KeyBy { columns }
    }
}

impl Operator for KeyBy {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let columns: Vec<&ArrayRef> = self.columns.iter().map(|&column| batch.rows.column(column)).collect();
        if columns.iter().all(|column| column.null_count() == 0) {
            cx.ledger().passed += batch.len() as u64;
            cx.emit(batch);
            return Ok(());
        }
        let has_key = |row| batch.is_tombstone(row) || columns.iter().all(|column| column.is_valid(row));
        let keyed: BooleanArray = (0..batch.len()).map(|row| Some(has_key(row))).collect();
        cx.ledger().passed += keyed.true_count() as u64;
        cx.ledger().null_key += keyed.false_count() as u64;
        cx.emit(batch.keyed(&keyed));
        Ok(())
    }
}
