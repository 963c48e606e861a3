//! Expressions: they compile over the columns at hand, and give what their place wants.

use crate::check::words::a;
use crate::codes::{self, Code};
use arrow::datatypes::{DataType, SchemaRef};
use millstream_engine::expr::{AggregateExpr, Expr, ExprError, ExprErrorKind};

use super::Findings;
use crate::lower::columns::Columns;
use crate::lower::graph::Checked;
use crate::spec::text::Expression;

/// Checks a scalar expression.
pub(crate) fn scalar(expression: &Expression, columns: &Columns, findings: &mut Findings) -> Option<Checked> {
    if columns.hides_mistake(expression.as_str()) {
        return None;
    }
    let schema = columns.schema();
    match Expr::compile(expression.as_str(), &schema) {
        Ok(expr) => Some(checked(expression, expr.columns(), expr.data_type(), &schema)),
        Err(error) => {
            report(expression, error, columns, findings);
            None
        }
    }
}

/// Checks an expression whose values become a column: a bare `null` has no type.
pub(crate) fn column(expression: &Expression, columns: &Columns, findings: &mut Findings) -> Option<Checked> {
    if expression.as_str().trim().eq_ignore_ascii_case("null") {
        findings
            .error(codes::UNTYPED_COLUMN, expression.span, "this column would be null in every row, of no type")
            .help("Say its type: `cast(null as string)`.");
        return None;
    }
    scalar(expression, columns, findings)
}

/// Checks a condition: it must be boolean.
pub(crate) fn condition(expression: &Expression, columns: &Columns, findings: &mut Findings) -> Option<Checked> {
    let checked = scalar(expression, columns, findings)?;
    if checked.data_type == DataType::Boolean {
        return Some(checked);
    }
    let is = a(&checked.data_type);
    findings
        .error(codes::NOT_BOOLEAN, expression.span, format!("a condition is boolean, but this is {is}"))
        .help("Compare it with something, as in `price > 0` or `name IS NOT NULL`.");
    None
}

/// Checks an event time: a timestamp, or whole milliseconds since 1970.
pub(crate) fn event_time(expression: &Expression, columns: &Columns, findings: &mut Findings) -> Option<Checked> {
    time(expression, columns, (codes::EVENT_TIME_TYPE, "an event time"), findings)
}

/// Checks what becomes the timestamp of a record: as an event time.
pub(crate) fn timestamp(expression: &Expression, columns: &Columns, findings: &mut Findings) -> Option<Checked> {
    time(expression, columns, (codes::TIMESTAMP_TYPE, "the timestamp of a record"), findings)
}

fn time(
    expression: &Expression,
    columns: &Columns,
    (code, what): (Code, &str),
    findings: &mut Findings,
) -> Option<Checked> {
    let checked = scalar(expression, columns, findings)?;
    if matches!(checked.data_type, DataType::Timestamp(_, _)) || checked.data_type.is_integer() {
        return Some(checked);
    }
    let is = a(&checked.data_type);
    findings.error(code, expression.span, format!("{what} is a timestamp, but this is {is}")).help(
        "Declare the column as `timestamp(ms)`, or write an expression that gives a timestamp or whole \
             milliseconds since 1970.",
    );
    None
}

/// Checks an expression over aggregates.
pub(crate) fn aggregate(expression: &Expression, columns: &Columns, findings: &mut Findings) -> Option<Checked> {
    if columns.hides_mistake(expression.as_str()) {
        return None;
    }
    let schema = columns.schema();
    match AggregateExpr::compile(expression.as_str(), &schema) {
        Ok(aggregate) => {
            let calls = aggregate.calls.iter();
            let read = calls.flat_map(|call| call.args.iter().chain(call.filter.as_ref())).flat_map(Expr::columns);
            Some(checked(expression, read, aggregate.result.data_type(), &schema))
        }
        Err(error) => {
            report(expression, error, columns, findings);
            None
        }
    }
}

fn checked(
    expression: &Expression,
    read: impl IntoIterator<Item = usize>,
    data_type: &DataType,
    schema: &SchemaRef,
) -> Checked {
    Checked {
        sql: expression.as_str().to_owned(),
        reads: read.into_iter().map(|index| schema.field(index).name().clone()).collect(),
        data_type: data_type.clone(),
    }
}

fn report(expression: &Expression, error: ExprError, columns: &Columns, findings: &mut Findings) {
    let code = match error.kind {
        ExprErrorKind::Syntax => codes::SQL_SYNTAX,
        ExprErrorKind::UnknownColumn => codes::UNKNOWN_COLUMN,
        ExprErrorKind::UnknownFunction => codes::UNKNOWN_FUNCTION,
        ExprErrorKind::Type => codes::SQL_TYPE,
        ExprErrorKind::Volatile => codes::VOLATILE_FUNCTION,
        ExprErrorKind::Unsupported => codes::UNSUPPORTED_SQL,
    };
    let word = error.span.clone().and_then(|span| expression.as_str().get(span)).unwrap_or_default().to_owned();
    let finding = findings.error(code, expression.span, error.message);
    finding.within = error.span;
    match error.help {
        Some(help) => match help.strip_prefix("Did you mean `").and_then(|rest| rest.split_once("`?")) {
            Some((meant, rest)) => {
                finding.meant = Some(meant.to_owned());
                if rest.is_empty() { finding } else { finding.help(rest.trim()) }
            }
            None => finding.help(help),
        },
        None if error.kind == ExprErrorKind::UnknownColumn => {
            finding.help_nearest(word.trim_matches('"'), columns.names().collect::<Vec<_>>(), "The columns here are")
        }
        None => finding,
    };
}
