//! SQL expressions: parsed, typed and compiled when a pipeline loads, evaluated on batches with bad rows isolated.

mod aggregate_expr;
mod bounds;
mod casts;
mod check;
mod evaluate;
mod functions;
mod literals;
mod message;
mod parse;
mod plan;
mod rules;
mod source;
mod suggest;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;

use crate::aggregate::AggregateCall;
use crate::error::RowFault;
pub(crate) use evaluate::TooLarge;
use plan::Scope;
use source::Source;

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

/// A compiled scalar expression over the columns of one schema. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Expr {
    sql: Arc<str>,
    data_type: DataType,
    code: Code,
}

/// How values are had.
#[derive(Debug, Clone)]
enum Code {
    /// They stand in a column.
    Column(usize),
    /// They are computed.
    Physical(Arc<dyn PhysicalExpr>),
}

impl Expr {
    /// Compiles `sql` against `schema`. Column names are case-sensitive as written; an unquoted name that matches no column
    /// exactly is an error, never folded.
    ///
    /// # Errors
    /// The first mistake, with its place in `sql`.
    pub fn compile(sql: &str, schema: &SchemaRef) -> Result<Expr, ExprError> {
        parse::with_deep_stack(|| compile(sql, schema))
    }

    /// The expression that is column `index` of `schema`.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn column(index: usize, schema: &SchemaRef) -> Expr {
        let field = schema.field(index);
        Expr { sql: field.name().as_str().into(), data_type: field.data_type().clone(), code: Code::Column(index) }
    }

    /// Column `index` of `schema` cast to `target`. A value that cannot be cast is an error of its row, not null.
    ///
    /// # Errors
    /// If no value of the column's type can be cast to `target`.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn cast(index: usize, target: &DataType, schema: &SchemaRef) -> Result<Expr, ExprError> {
        plan::cast(&Expr::column(index, schema), target, schema)
    }

    /// The text that it was compiled from; for a column or its cast, the column's name; for a part of an expression perhaps without
    /// its ends.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Whether both give the same for every row. The texts do not tell: that of a part of an expression may lack its ends
    /// (`n` of `-n`), as the parser leaves them out of its spans.
    pub fn is_same(&self, other: &Expr) -> bool {
        let code = match (&self.code, &other.code) {
            (Code::Column(one), Code::Column(other)) => one == other,
            (Code::Physical(one), Code::Physical(other)) => one.as_ref() == other.as_ref(),
            (Code::Column(_), Code::Physical(_)) | (Code::Physical(_), Code::Column(_)) => false,
        };
        code && self.data_type == other.data_type
    }

    /// The type of its values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Indices of the columns that it reads.
    pub fn columns(&self) -> BTreeSet<usize> {
        match &self.code {
            Code::Column(index) => BTreeSet::from([*index]),
            Code::Physical(physical) => datafusion_physical_expr::utils::collect_columns(physical)
                .into_iter()
                .map(|column| column.index())
                .collect(),
        }
    }

    /// One value a row of `rows`. Rows that have no value (a failed cast, a division by zero) are null in the array
    /// and named in the list, in row order. The happy path pays nothing for that.
    pub fn evaluate(&self, rows: &RecordBatch) -> (ArrayRef, Vec<RowFault>) {
        evaluate::evaluate(self, rows)
    }

    /// As [`evaluate`](Self::evaluate), for callers that can cut the rows into smaller batches.
    ///
    /// # Errors
    /// If the values do not fit into one array (2 GiB of text). Those of a single row always fit, or are at fault.
    pub(crate) fn try_evaluate(&self, rows: &RecordBatch) -> Result<(ArrayRef, Vec<RowFault>), TooLarge> {
        evaluate::try_evaluate(self, rows)
    }

    /// For which rows a boolean expression is true: never null. Rows that have no value are false in the selection and
    /// named in the list.
    pub fn evaluate_filter(&self, rows: &RecordBatch) -> (BooleanArray, Vec<RowFault>) {
        evaluate::evaluate_filter(self, rows)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
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
    pub fn compile(sql: &str, schema: &SchemaRef) -> Result<AggregateExpr, ExprError> {
        parse::with_deep_stack(|| aggregate_expr::compile(sql, schema))
    }

    /// The text that it was compiled from.
    pub fn sql(&self) -> &str {
        self.result.sql()
    }
}

impl fmt::Display for AggregateExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql())
    }
}

/// The names of all scalar functions that an expression may call, sorted.
pub fn scalar_function_names() -> Vec<&'static str> {
    functions::FUNCTIONS.names()
}

fn compile(sql: &str, schema: &SchemaRef) -> Result<Expr, ExprError> {
    let source = Source::new(sql);
    let ast = parse::parse(source, schema)?;
    check::check(source, &ast, schema)?;
    let scope = Scope::new(schema)?;
    let mut expr = plan::compile(source, &ast, &scope)?;
    expr.sql = sql.into();
    if expr.data_type.is_null() {
        let help = "Say what is missing, for example `cast(null as string)`.".to_owned();
        return Err(source.error(ExprErrorKind::Type, None, "the expression is null and has no type", help));
    }
    Ok(expr)
}
