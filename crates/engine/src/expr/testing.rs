//! Columns for tests of expressions, and what expressions give over them.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{Expr, ExprError};

/// Rows of the columns of these names.
pub(super) fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields = columns.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, values)| values).collect()).unwrap()
}

pub(super) fn compile(sql: &str, rows: &RecordBatch) -> Expr {
    Expr::compile(sql, &rows.schema()).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

/// Why the expression does not compile.
pub(super) fn refused(sql: &str, rows: &RecordBatch) -> ExprError {
    Expr::compile(sql, &rows.schema()).expect_err(sql)
}

/// The values of an expression that has one for every row.
pub(super) fn values(sql: &str, rows: &RecordBatch) -> Vec<String> {
    let (values, faults) = compile(sql, rows).evaluate(rows);
    assert!(faults.is_empty(), "{sql}: {faults:?}");
    texts(&values)
}

/// The rows that have no value, and why.
pub(super) fn faults(sql: &str, rows: &RecordBatch) -> Vec<(usize, String)> {
    let (values, faults) = compile(sql, rows).evaluate(rows);
    assert!(faults.iter().all(|fault| values.is_null(fault.row)), "{sql}: {faults:?}");
    faults.into_iter().map(|fault| (fault.row, fault.error.message)).collect()
}

pub(super) fn texts(values: &ArrayRef) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(values.as_ref(), &options).unwrap();
    (0..values.len()).map(|row| formatter.value(row).to_string()).collect()
}
