//! Filter: keeps the rows for which an expression is true; null counts as false.

use arrow::array::BooleanArray;
use arrow::compute;

use super::without_tombstones;
use crate::batch::Batch;
use crate::context::Context;
use crate::error::{RowFault, TaskError};
use crate::expr::Expr;
use crate::ids::Port;
use crate::operator::Operator;

/// See [`crate::plan::NodeKind::Filter`]. Rows that retract an earlier result always pass.
#[derive(Debug)]
pub struct Filter {
    condition: Expr,
}

impl Filter {
    /// A filter by a boolean expression over the input's columns.
    pub fn new(condition: Expr) -> Filter {
        Filter { condition }
    }
}

impl Operator for Filter {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        if batch.is_empty() {
            cx.emit(batch);
            return Ok(());
        }
        let (keep, faults) = passes(&self.condition, &batch);
        cx.reject(&batch, &faults);
        let kept = keep.true_count();
        cx.ledger().passed += kept as u64;
        cx.ledger().filtered += (batch.len() - kept - faults.len()) as u64;
        cx.emit(batch.filter(&keep));
        Ok(())
    }
}

/// The rows of `batch` that `condition` takes, and those that it cannot judge (false in the selection). Tombstones are
/// taken whatever it says.
pub(super) fn passes(condition: &Expr, batch: &Batch) -> (BooleanArray, Vec<RowFault>) {
    let (keep, faults) = condition.evaluate_filter(&batch.rows);
    match &batch.meta.tombstone {
        None => (keep, faults),
        Some(tombstone) => {
            let keep = compute::or(&keep, tombstone).expect("one tombstone flag a row");
            (keep, without_tombstones(batch, faults))
        }
    }
}
