//! SQL expressions: parsed, typed and compiled when a pipeline loads, evaluated on batches with bad rows isolated.

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};

use crate::aggregate::AggregateCall;
use crate::error::RowFault;

/// Why an expression was refused at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError {
    /// What kind of mistake it is; the pipeline crate maps it to a diagnostic code.
    pub kind: ExprErrorKind,
    /// What is wrong, in lower case, without a final stop.
    pub message: String,
    /// Where in the text of the expression, as byte offsets; `None` for all of it.
    pub span: Option<Range<usize>>,
    /// What to do about it, as a full sentence.
    pub help: Option<String>,
}

/// The kinds of mistakes in an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExprErrorKind {
    /// Not SQL.
    Syntax,
    /// A column that is not there.
    UnknownColumn,
    /// A function that is not there.
    UnknownFunction,
    /// Types that do not fit: a sum of strings, `price + name`.
    Type,
    /// A function whose value is not decided by the row: `now`, `random`, `uuid`.
    Volatile,
    /// SQL that has no place in a pipeline: a subquery, an OVER clause, an aggregate where a scalar belongs.
    Unsupported,
}

/// A compiled scalar expression over the columns of one schema.
#[derive(Debug, Clone)]
pub struct Expr {}

impl Expr {
    /// Compiles `sql` against `schema`. Column names are case-sensitive as written; an unquoted name that matches no column
    /// exactly is an error, never folded.
    ///
    /// # Errors
    /// The first mistake, with its place in `sql`.
    pub fn compile(_sql: &str, _schema: &SchemaRef) -> Result<Expr, ExprError> {
        todo!()
    }

    /// The expression that is column `index` of `schema`.
    pub fn column(_index: usize, _schema: &SchemaRef) -> Expr {
        todo!()
    }

    /// Column `index` of `schema` cast to `target`. A value that cannot be cast is an error of its row, not null.
    ///
    /// # Errors
    /// If no value of the column's type can be cast to `target`.
    pub fn cast(_index: usize, _target: &DataType, _schema: &SchemaRef) -> Result<Expr, ExprError> {
        todo!()
    }

    /// The text that it was compiled from.
    pub fn sql(&self) -> &str {
        todo!()
    }

    /// The type of its values.
    pub fn data_type(&self) -> &DataType {
        todo!()
    }

    /// Indices of the columns that it reads.
    pub fn columns(&self) -> BTreeSet<usize> {
        todo!()
    }

    /// One value a row of `rows`. Rows that have no value (a failed cast, a division by zero) are null in the array
    /// and named in the list, in row order. The happy path pays nothing for that.
    pub fn evaluate(&self, _rows: &RecordBatch) -> (ArrayRef, Vec<RowFault>) {
        todo!()
    }

    /// For which rows a boolean expression is true: never null. Rows that have no value are false in the selection and
    /// named in the list.
    pub fn evaluate_filter(&self, _rows: &RecordBatch) -> (BooleanArray, Vec<RowFault>) {
        todo!()
    }
}

/// A compiled expression over aggregates: `sum(qty)`, `sum(price * qty) / sum(qty)`,
/// `sum(qty) filter (where side = 'buy')`.
#[derive(Debug, Clone)]
pub struct AggregateExpr {
    /// The aggregate calls in it, each with its arguments as expressions over the input's columns.
    pub calls: Vec<AggregateCall>,
    /// The expression over the calls' values (column `i` is call `i`).
    pub result: Expr,
}

impl AggregateExpr {
    /// Compiles `sql` against `schema`.
    ///
    /// # Errors
    /// The first mistake, with its place in `sql`.
    pub fn compile(_sql: &str, _schema: &SchemaRef) -> Result<AggregateExpr, ExprError> {
        todo!()
    }

    /// The text that it was compiled from.
    pub fn sql(&self) -> &str {
        self.result.sql()
    }
}

/// The names of all scalar functions that an expression may call, sorted.
pub fn scalar_function_names() -> Vec<&'static str> {
    todo!()
}
