//! What types may meet. The dialect below converts generously; what is nearly always a mistake is refused here instead.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion_expr::expr::{BinaryExpr, InList, Like};
use datafusion_expr::{Between, Case, Cast, Expr as Logical, ExprSchemable, Operator};
use datafusion_physical_expr::PhysicalExpr;

use super::ExprErrorKind;
use super::bounds::is_bounded;
use super::message::in_our_words;
use super::plan::{Fault, physical_of};
use crate::types::sql_name;

/// The families of types that may not meet each other unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Text,
    Number,
    Boolean,
    Time,
    /// Null, bytes, nested types: left to the dialect.
    Other,
}

fn family(data_type: &DataType) -> Family {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Family::Text,
        DataType::Boolean => Family::Boolean,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => {
            Family::Time
        }
        DataType::Dictionary(_, value) => family(value),
        other if other.is_numeric() => Family::Number,
        _ => Family::Other,
    }
}

/// Refuses types that the dialect would convert, but hardly ever as meant. Works on the expression before conversions.
pub(super) fn check(expr: &Logical, schema: &DFSchema) -> Result<(), Fault> {
    let mut fault = None;
    let walked = expr.apply(|node| {
        fault = check_node(node, schema);
        Ok(if fault.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (fault, walked) {
        (Some(fault), _) => Err(fault),
        (None, Ok(_)) => Ok(()),
        (None, Err(error)) => Err(Fault::of(&error)),
    }
}

fn check_node(node: &Logical, schema: &DFSchema) -> Option<Fault> {
    match node {
        Logical::BinaryExpr(BinaryExpr { left, op, right }) if compares(*op) => compare(left, right, schema),
        Logical::BinaryExpr(BinaryExpr { left, op, right }) if computes(*op) => {
            compute(left, *op, right, schema).or_else(|| compute(right, *op, left, schema))
        }
        Logical::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            [left, right].into_iter().find_map(|operand| boolean(&op.to_string(), operand, schema))
        }
        Logical::Not(operand) => boolean("NOT", operand, schema),
        Logical::Negative(operand) => match family_of(operand, schema)? {
            (Family::Text | Family::Boolean | Family::Time, operand) => {
                Some(Fault::types(format!("cannot negate a {}", sql_name(&operand)), None))
            }
            _ => None,
        },
        Logical::Between(Between { expr, low, high, .. }) => {
            compare(expr, low, schema).or_else(|| compare(expr, high, schema))
        }
        Logical::InList(InList { expr, list, .. }) => list.iter().find_map(|item| compare(expr, item, schema)),
        Logical::Like(Like { expr, pattern, .. }) | Logical::SimilarTo(Like { expr, pattern, .. }) => {
            text("LIKE", expr, schema).or_else(|| text("LIKE", pattern, schema))
        }
        Logical::Case(Case { expr, when_then_expr, .. }) => when_then_expr.iter().find_map(|(when, _)| match expr {
            Some(expr) => compare(expr, when, schema),
            None => boolean("WHEN", when, schema),
        }),
        Logical::ScalarFunction(call) if call.name() == "get_field" => key_of_map(&call.args, schema),
        _ => None,
    }
}

/// `m[1]` of a map whose keys are text.
fn key_of_map(args: &[Logical], schema: &DFSchema) -> Option<Fault> {
    let (map, keys) = args.split_first()?;
    let DataType::Map(entries, _) = map.get_type(schema).ok()? else { return None };
    let DataType::Struct(entries) = entries.data_type() else { return None };
    let (wanted, key) = (entries.first()?.data_type(), keys.first()?);
    let (family_of_key, data_type) = family_of(key, schema)?;
    if family_of_key == family(wanted) || data_type.is_null() {
        return None;
    }
    let help = match key {
        Logical::Literal(value, _) if family(wanted) == Family::Text => Some(format!("Write the key as `'{value}'`.")),
        _ => None,
    };
    Some(Fault::types(format!("the map's keys are {}, not {}", sql_name(wanted), sql_name(&data_type)), help))
}

pub(super) fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

pub(super) fn computes(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

fn family_of(expr: &Logical, schema: &DFSchema) -> Option<(Family, DataType)> {
    let data_type = expr.get_type(schema).ok()?;
    Some((family(&data_type), data_type))
}

fn compare(left: &Logical, right: &Logical, schema: &DFSchema) -> Option<Fault> {
    let (left_family, left_type) = family_of(left, schema)?;
    let (right_family, right_type) = family_of(right, schema)?;
    let (text, other) = match (left_family, right_family) {
        (Family::Text, Family::Number | Family::Boolean) => (left, &right_type),
        (Family::Number | Family::Boolean, Family::Text) => (right, &left_type),
        (Family::Number, Family::Boolean | Family::Time) | (Family::Boolean | Family::Time, Family::Number) => {
            let help = (left_family == Family::Time || right_family == Family::Time)
                .then(|| "Compare with a time, such as `timestamp '2026-01-01T00:00:00Z'`.".to_owned());
            return Some(Fault::types(cannot_compare(&left_type, &right_type), help));
        }
        _ => return None,
    };
    let help = match text {
        Logical::Column(column) => format!(
            "Cast one side, for example `cast({} as {})`, or write the other as a string.",
            column.name,
            sql_name(other)
        ),
        Logical::Literal(ScalarValue::Utf8(Some(value)), _) if value.parse::<f64>().is_ok() => {
            format!("Write the literal without quotes: `{value}`.")
        }
        Logical::Literal(..) => format!("Write a {} there.", sql_name(other)),
        _ => format!("Cast the string: `cast(.. as {})`.", sql_name(other)),
    };
    Some(Fault::types(cannot_compare(&left_type, &right_type), Some(help)))
}

fn cannot_compare(left: &DataType, right: &DataType) -> String {
    format!("cannot compare {} with {}", sql_name(left), sql_name(right))
}

/// Whether `operand` may stand beside `other` in arithmetic.
fn compute(operand: &Logical, op: Operator, other: &Logical, schema: &DFSchema) -> Option<Fault> {
    let (family, data_type) = family_of(operand, schema)?;
    let help = match family {
        Family::Text if op == Operator::Plus && family_of(other, schema)?.0 == Family::Text => {
            Some("Strings are joined with `||`.".to_owned())
        }
        Family::Text => match operand {
            Logical::Column(column) => Some(format!("Cast it: `cast({} as double)`.", column.name)),
            _ => None,
        },
        Family::Boolean => None,
        _ => return None,
    };
    let other = other.get_type(schema).map_or_else(|_| String::new(), |other| format!(" with {}", sql_name(&other)));
    Some(Fault::types(format!("cannot compute `{op}` of {}{other}", sql_name(&data_type)), help))
}

fn boolean(word: &str, operand: &Logical, schema: &DFSchema) -> Option<Fault> {
    let data_type = operand.get_type(schema).ok()?;
    if matches!(data_type, DataType::Boolean | DataType::Null) {
        return None;
    }
    Some(Fault::types(format!("{word} wants a boolean, not {}", sql_name(&data_type)), None))
}

fn text(word: &str, operand: &Logical, schema: &DFSchema) -> Option<Fault> {
    let (family, data_type) = family_of(operand, schema)?;
    let message = format!("{word} wants a string, not {}", sql_name(&data_type));
    matches!(family, Family::Number | Family::Boolean | Family::Time).then(|| Fault::types(message, None))
}

/// Gives whole-number literals beside `int` operands the type `int`, so that `a + 1` of an `int` column is one too.
pub(super) fn narrow_literals(expr: Logical, schema: &DFSchema) -> Result<Logical> {
    let narrowed = expr.transform_up(|mut node| {
        let changed = match &mut node {
            Logical::BinaryExpr(BinaryExpr { left, op, right }) if computes(*op) => {
                narrow(&mut [left.as_mut(), right.as_mut()], schema)
            }
            Logical::ScalarFunction(call)
                if matches!(call.name(), "coalesce" | "nvl" | "nullif" | "greatest" | "least") =>
            {
                narrow(&mut call.args.iter_mut().collect::<Vec<_>>(), schema)
            }
            Logical::Case(case) => {
                let mut values = case.when_then_expr.iter_mut().map(|(_, then)| then.as_mut()).collect::<Vec<_>>();
                values.extend(case.else_expr.as_deref_mut());
                narrow(&mut values, schema)
            }
            _ => false,
        };
        Ok(if changed { Transformed::yes(node) } else { Transformed::no(node) })
    })?;
    Ok(narrowed.data)
}

/// Makes the literals among operands `int` where all others are.
fn narrow(operands: &mut [&mut Logical], schema: &DFSchema) -> bool {
    let fits = |operand: &Logical| match operand {
        Logical::Literal(ScalarValue::Int64(Some(value)), _) => i32::try_from(*value).ok(),
        _ => None,
    };
    let null = |operand: &Logical| matches!(operand, Logical::Literal(ScalarValue::Null, _));
    let mut others = operands.iter().filter(|operand| fits(operand).is_none() && !null(operand)).peekable();
    let all_int = others.peek().is_some()
        && others.all(|operand| operand.get_type(schema).is_ok_and(|data_type| data_type == DataType::Int32));
    if !all_int {
        return false;
    }
    let mut changed = false;
    for operand in operands.iter_mut() {
        if let Some(value) = fits(operand) {
            **operand = Logical::Literal(ScalarValue::Int32(Some(value)), None);
            changed = true;
        }
    }
    changed
}

/// Refuses constants that have no value: sums out of range, casts that fail. Works on the expression with its conversions.
pub(super) fn check_constants(expr: &Logical) -> Result<(), Fault> {
    let mut fault = None;
    let walked = expr.apply(|node| {
        let candidate = match node {
            Logical::BinaryExpr(BinaryExpr { op, .. }) => computes(*op),
            Logical::Cast(Cast { .. }) => true,
            Logical::ScalarFunction(call) => is_bounded(call.name()),
            _ => false,
        };
        if candidate && !node.any_column_refs() {
            fault = check_constant(node);
        }
        Ok(if fault.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (fault, walked) {
        (Some(fault), _) => Err(fault),
        (None, Ok(_)) => Ok(()),
        (None, Err(error)) => Err(Fault::of(&error)),
    }
}

fn check_constant(node: &Logical) -> Option<Fault> {
    let physical = physical_of(node, &DFSchema::empty()).ok()?;
    let error = evaluate_alone(&physical)?;
    match error.find_root() {
        DataFusionError::ArrowError(..) => no_value(&error),
        _ => matches!(node, Logical::Cast(_) | Logical::ScalarFunction(_)).then(|| refusal(&error)),
    }
}

/// Refuses an expression without columns that has no value: it would have none for any row.
pub(super) fn check_value(physical: &Arc<dyn PhysicalExpr>) -> Result<(), Fault> {
    evaluate_alone(physical).and_then(|error| no_value(&error)).map_or(Ok(()), Err)
}

/// Why an expression without columns has no value.
fn evaluate_alone(physical: &Arc<dyn PhysicalExpr>) -> Option<DataFusionError> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Schema::empty().into(), Vec::new(), &options).ok()?;
    physical.evaluate(&row).err()
}

/// A division by zero is left to the rows: a guard may stand before it.
fn no_value(error: &DataFusionError) -> Option<Fault> {
    match error.find_root() {
        DataFusionError::ArrowError(kind, _) => (!matches!(**kind, ArrowError::DivideByZero)).then(|| refusal(error)),
        _ => None,
    }
}

fn refusal(error: &DataFusionError) -> Fault {
    Fault { kind: ExprErrorKind::Type, message: in_our_words(error), help: None, ours: true }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Builder, MapBuilder, StringBuilder};

    use super::super::testing::{faults, refused, rows, values};
    use super::*;

    fn maps() -> RecordBatch {
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        maps.keys().append_value("a");
        maps.values().append_value(1);
        maps.append(true).expect("as many keys as values");
        rows(vec![("m", Arc::new(maps.finish()))])
    }

    #[test]
    fn what_fails_for_every_row_is_refused() {
        let error = refused("m[1] > 0", &maps());
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ExprErrorKind::Type, "the map's keys are string, not bigint")
        );
        assert_eq!(error.help.as_deref(), Some("Write the key as `'1'`."));
        assert_eq!(values("m['a']", &maps()), ["1"]);
        assert_eq!(values("m['b']", &maps()), ["null"]);
        for sql in ["12345678901234567890", "cast(12345678901234567890 as bigint)", "cast('x' as int)"] {
            assert_eq!(refused(sql, &maps()).kind, ExprErrorKind::Type, "{sql}");
        }
        assert_eq!(faults("1 / 0", &maps()).len(), 1);
        assert_eq!(values("case when m['a'] = 1 then 2 else 1 / 0 end", &maps()), ["2"]);
    }
}
