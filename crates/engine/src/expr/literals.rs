//! Numbers as they are written: exact beside decimals, doubles everywhere else.

use std::ops::ControlFlow;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Decimal256Type, DecimalType, i256};
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, Result, ScalarValue};
use datafusion_expr::expr::{BinaryExpr, Cast, InList};
use datafusion_expr::sqlparser::ast::{
    CastKind, DataType as SqlType, ExactNumberInfo, Expr as SqlExpr, Value, VisitorMut,
};
use datafusion_expr::{Between, Expr as Logical, ExprSchemable};

use super::rules::{compares, computes};

/// Makes doubles of the numbers that the planner must not read as decimals: those with an exponent, and those with more
/// digits than a decimal has.
pub(super) struct Approximate;

impl VisitorMut for Approximate {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
        let SqlExpr::Value(value) = expr else { return ControlFlow::Continue(()) };
        let Value::Number(number, _) = &mut value.value else { return ControlFlow::Continue(()) };
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        if digits > usize::from(DECIMAL128_MAX_PRECISION) || number.bytes().any(|byte| matches!(byte, b'e' | b'E')) {
            let text = Value::SingleQuotedString(number.replace('_', "")).with_span(value.span);
            *expr = SqlExpr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(SqlExpr::Value(text)),
                data_type: SqlType::Double(ExactNumberInfo::None),
                array: false,
                format: None,
            };
        } else if number.starts_with('.') {
            number.insert(0, '0');
        } else if number.ends_with('.') {
            number.push('0');
        }
        ControlFlow::Continue(())
    }
}

/// What operands are there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// They are compared: no type comes of them.
    Compared,
    /// Their types make that of the result.
    Combined,
}

/// Leaves numbers with a fraction, and those beyond `bigint`, decimals where they stand beside a decimal or are cast to
/// one, and makes doubles of all others. The planner is to read all as decimals.
pub(super) fn fit_decimals(expr: Logical, schema: &DFSchema) -> Result<Logical> {
    let kept = expr.transform_up(|node| keep_beside_decimals(node, schema)).data()?;
    kept.transform_down(|node| match node {
        Logical::Cast(Cast { expr, field }) if is_exact(&expr) && field.data_type().is_decimal() => {
            Ok(Transformed::new(Logical::Cast(Cast { expr, field }), false, TreeNodeRecursion::Jump))
        }
        Logical::Literal(value, metadata) => match as_double(&value) {
            Some(double) => Ok(Transformed::yes(Logical::Literal(ScalarValue::Float64(Some(double)), metadata))),
            None => Ok(Transformed::no(Logical::Literal(value, metadata))),
        },
        other => Ok(Transformed::no(other)),
    })
    .data()
}

/// Casts the numbers in `node` that stand beside a decimal to what they are, which tells them from the others.
fn keep_beside_decimals(node: Logical, schema: &DFSchema) -> Result<Transformed<Logical>> {
    let mut numbers = false;
    node.apply_children(|operand| {
        numbers |= is_exact(operand);
        Ok(if numbers { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !numbers {
        return Ok(Transformed::no(node));
    }
    let mut kept = node.clone();
    let changed = match &mut kept {
        Logical::BinaryExpr(BinaryExpr { left, op, right }) if compares(*op) => {
            keep(&mut [left.as_mut(), right.as_mut()], Use::Compared, schema)
        }
        Logical::BinaryExpr(BinaryExpr { left, op, right }) if computes(*op) => {
            keep(&mut [left.as_mut(), right.as_mut()], Use::Combined, schema)
        }
        Logical::Between(Between { expr, low, high, .. }) => {
            keep(&mut [expr.as_mut(), low.as_mut(), high.as_mut()], Use::Compared, schema)
        }
        Logical::InList(InList { expr, list, .. }) => {
            let operands = std::iter::once(expr.as_mut()).chain(list);
            keep(&mut operands.collect::<Vec<_>>(), Use::Compared, schema)
        }
        Logical::ScalarFunction(call)
            if matches!(call.name(), "coalesce" | "nvl" | "nullif" | "greatest" | "least") =>
        {
            keep(&mut call.args.iter_mut().collect::<Vec<_>>(), Use::Combined, schema)
        }
        Logical::Case(case) => {
            let (whens, mut values): (Vec<_>, Vec<_>) =
                case.when_then_expr.iter_mut().map(|(when, then)| (when.as_mut(), then.as_mut())).unzip();
            values.extend(case.else_expr.as_deref_mut());
            let compared = match case.expr.as_deref_mut() {
                Some(expr) => keep(&mut std::iter::once(expr).chain(whens).collect::<Vec<_>>(), Use::Compared, schema),
                None => false,
            };
            keep(&mut values, Use::Combined, schema) || compared
        }
        _ => false,
    };
    // A product may have more digits than a decimal: then it is computed with doubles.
    Ok(if changed && kept.get_type(schema).is_ok() { Transformed::yes(kept) } else { Transformed::no(node) })
}

fn keep(operands: &mut [&mut Logical], used: Use, schema: &DFSchema) -> bool {
    if !operands.iter().any(|operand| is_exact(operand)) {
        return false;
    }
    let types = operands.iter().filter(|operand| !matches!(operand, Logical::Literal(..)));
    let types = types.filter_map(|operand| operand.get_type(schema).ok()).filter(DataType::is_decimal);
    let types = types.collect::<Vec<_>>();
    if types.is_empty() {
        return false;
    }
    for operand in operands.iter_mut() {
        let Logical::Literal(value, _) = &**operand else { continue };
        if is_exact(operand) {
            let value = if used == Use::Compared { wide_enough(value, &types) } else { value.clone() };
            let data_type = value.data_type();
            **operand = Logical::Cast(Cast::new(Box::new(Logical::Literal(value, None)), data_type));
        }
    }
    true
}

/// The number, as a decimal of 76 digits where one of 38 could not hold both it and a value of each of `types`.
fn wide_enough(value: &ScalarValue, types: &[DataType]) -> ScalarValue {
    let ScalarValue::Decimal128(Some(number), precision, scale) = value else { return value.clone() };
    let (mut whole, mut fraction) = (i16::from(*precision) - i16::from(*scale), i16::from(*scale));
    for data_type in types {
        if let DataType::Decimal128(precision, scale) = data_type {
            whole = whole.max(i16::from(*precision) - i16::from(*scale));
            fraction = fraction.max(i16::from(*scale));
        }
    }
    if whole + fraction <= i16::from(DECIMAL128_MAX_PRECISION) {
        return value.clone();
    }
    ScalarValue::Decimal256(Some(i256::from_i128(*number)), *precision, *scale)
}

fn is_exact(expr: &Logical) -> bool {
    matches!(expr, Logical::Literal(ScalarValue::Decimal128(Some(_), ..) | ScalarValue::Decimal256(Some(_), ..), _))
}

/// The double nearest to a decimal.
fn as_double(value: &ScalarValue) -> Option<f64> {
    let text = match value {
        ScalarValue::Decimal128(Some(value), precision, scale) => {
            Decimal128Type::format_decimal(*value, *precision, *scale)
        }
        ScalarValue::Decimal256(Some(value), precision, scale) => {
            Decimal256Type::format_decimal(*value, *precision, *scale)
        }
        _ => return None,
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch};

    use super::super::testing::{compile, rows, values};
    use crate::types::sql_name;

    fn decimals(values: Vec<i128>, precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).expect("they fit"))
    }

    fn all() -> RecordBatch {
        rows(vec![
            ("x", decimals(vec![100_000_001, 10_000_000_000_000_000_001], 20, 2)),
            ("wide", decimals(vec![10_i128.pow(37) + 1, 1], 38, 2)),
            ("d", Arc::new(Float64Array::from(vec![0.1, 1.5]))),
            ("n", Arc::new(Int64Array::from(vec![1, 2]))),
        ])
    }

    fn type_of(sql: &str) -> String {
        sql_name(compile(sql, &all()).data_type())
    }

    #[test]
    fn a_number_beside_a_decimal_is_exact() {
        for (sql, expected) in [
            ("x = 1000000.01", ["true", "false"]),
            ("x = 1000000.010", ["true", "false"]),
            ("x <= 1000000.01", ["true", "false"]),
            ("x < 1000000.01", ["false", "false"]),
            ("x <> 1000000.01", ["false", "true"]),
            ("x is not distinct from 1000000.01", ["true", "false"]),
            ("x in (3.5, 1000000.01)", ["true", "false"]),
            ("x in (1, 2.5, 3, 4, 5, 1000000.01)", ["true", "false"]),
            ("x between 1000000.01 and 1000000.011", ["true", "false"]),
            ("x = 100000000000000000.01", ["false", "true"]),
            ("x < 100000000000000000000", ["true", "true"]),
            ("x > -100000000000000000000", ["true", "true"]),
            ("case x when 1000000.01 then true else false end", ["true", "false"]),
            ("x = cast(1000000.01 as decimal(20,2))", ["true", "false"]),
            ("wide = 100000000000000000000000000000000000.01", ["true", "false"]),
            ("wide > 0.0001", ["true", "true"]),
            ("nullif(x, 1000000.01) is null", ["true", "false"]),
        ] {
            assert_eq!(values(sql, &all()), expected, "{sql}");
        }
        assert_eq!(values("x + 0.1", &all()), ["1000000.11", "100000000000000000.11"]);
        assert_eq!(values("x - .01", &all())[1], "100000000000000000.00");
        assert_eq!(values("x * 1.5", &all())[0], "1500000.015");
        assert_eq!(values("coalesce(x, 0.5)", &all())[1], "100000000000000000.01");
    }

    #[test]
    fn other_numbers_are_doubles() {
        for sql in ["d * 0.908", "n / 2.0", "1.5", "-1.5", "1.", ".5", "n * 100000000000000000000", "1e3", "-1E-3"] {
            assert_eq!(type_of(sql), "double", "{sql}");
        }
        for sql in ["d = 0.1", "d = 1e-1", "n = 1.0", "cast(d as float) = cast(0.1 as float)"] {
            assert_eq!(values(sql, &all()), ["true", "false"], "{sql}");
        }
        assert_eq!(values("1e300", &all())[0], "1e300");
        assert_eq!(values("0.00000000000000000000000000000000000000000001", &all())[0], "1e-44");
        assert_eq!(values("0.1 + 0.2", &all())[0], "0.30000000000000004");
        assert_eq!(values("[1.5, 2]", &all())[0], "[1.5, 2.0]");
        assert_eq!(type_of("x * 1e0"), "double");
        // The product would have more digits behind the point than a decimal has.
        assert_eq!(type_of("cast(n as decimal(38,30)) * 0.0000000001"), "double");
    }
}
