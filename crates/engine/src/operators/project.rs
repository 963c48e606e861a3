//! Project: replaces the columns by expressions over them; map, select, drop, rename and cast are all this.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute;
use arrow::datatypes::SchemaRef;

use super::{all_but, without_tombstones};
use crate::batch::Batch;
use crate::context::Context;
use crate::error::{RowFault, TaskError};
use crate::expr::{Expr, TooLarge};
use crate::ids::Port;
use crate::operator::Operator;

/// See [`crate::plan::NodeKind::Project`].
#[derive(Debug)]
pub struct Project {
    exprs: Vec<Expr>,
    schema: SchemaRef,
}

impl Project {
    /// A projection whose column `i`, field `i` of `schema`, is `exprs[i]` over the input's columns.
    pub fn new(exprs: Vec<Expr>, schema: SchemaRef) -> Project {
        Project { exprs, schema }
    }

    fn columns(&self, batch: &Batch) -> Result<(Vec<ArrayRef>, Vec<RowFault>), TooLarge> {
        let mut columns = Vec::with_capacity(self.exprs.len());
        let mut faults = Vec::new();
        for expr in &self.exprs {
            let (column, more) = expr.try_evaluate(&batch.rows)?;
            columns.push(column);
            faults.extend(more);
        }
        // A row is refused once, for the first of its columns that failed.
        faults.sort_by_key(|fault: &RowFault| fault.row);
        faults.dedup_by_key(|fault| fault.row);
        Ok((columns, without_tombstones(batch, faults)))
    }

    fn rows(&self, columns: Vec<ArrayRef>, rows: usize, cx: &Context<'_>) -> Result<RecordBatch, TaskError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| TaskError::Kernel { step: cx.step().to_owned(), message: error.to_string() })
    }

    fn project(&self, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        if batch.is_empty() {
            cx.emit(batch.with_rows(RecordBatch::new_empty(self.schema.clone())));
            return Ok(());
        }
        let Ok((mut columns, faults)) = self.columns(&batch) else {
            // The values of one row always fit, so this ends.
            let (first, others) = batch.split_at(batch.len() / 2);
            self.project(first, cx)?;
            return self.project(others, cx);
        };
        let mut meta = batch.meta.clone();
        let mut rows = batch.len();
        if !faults.is_empty() {
            cx.reject(&batch, &faults);
            let keep = all_but(rows, &faults);
            let failed = |error: arrow::error::ArrowError| TaskError::Kernel {
                step: cx.step().to_owned(),
                message: error.to_string(),
            };
            for column in &mut columns {
                *column = compute::filter(column, &keep).map_err(failed)?;
            }
            rows -= faults.len();
            meta = batch.filter(&keep).meta;
        }
        cx.ledger().passed += rows as u64;
        let rows = self.rows(columns, rows, cx)?;
        cx.emit(Batch { rows, meta });
        Ok(())
    }
}

impl Operator for Project {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.project(batch, cx)
    }
}
