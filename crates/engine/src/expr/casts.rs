//! Casts of times: towards the past where digits are lost, and to the same text as everywhere else.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericListArray, Int64Array, MapArray, PrimitiveArray, StringBuilder, StructArray,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{ArrowTimestampType, DataType, TimeUnit};
use arrow::datatypes::{TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType};
use arrow::error::ArrowError;
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion_common::{DFSchema, Result};
use datafusion_expr::expr::{Cast, ScalarFunction};
use datafusion_expr::{
    ColumnarValue, Expr as Logical, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast,
    Volatility,
};
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr, expressions};

use super::functions::FUNCTIONS;
use crate::text::{per_second, write_timestamp};

/// Whether the library casts `from` to `to` otherwise than we do: it cuts times towards 1970, so that what comes before
/// that year is moved to a later time, and leaves digits out of their text.
fn differs(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => per_second(*from) > per_second(*to),
        (DataType::Timestamp(..), to) => to.is_string(),
        (DataType::List(from), DataType::List(to)) | (DataType::Map(from, _), DataType::Map(to, _)) => {
            differs(from.data_type(), to.data_type())
        }
        (DataType::Struct(from), DataType::Struct(to)) => {
            from.len() == to.len()
                && from.iter().zip(to).all(|(from, to)| from.name() == to.name())
                && from.iter().zip(to).any(|(from, to)| differs(from.data_type(), to.data_type()))
        }
        _ => false,
    }
}

/// `array` as `to`.
fn convert(array: &ArrayRef, to: &DataType, options: &CastOptions<'_>) -> Result<ArrayRef, ArrowError> {
    if !differs(array.data_type(), to) {
        return cast_with_options(array, to, options);
    }
    match to {
        DataType::Timestamp(unit, _) => cast_with_options(&floor(array, *unit)?, to, options),
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = convert(list.values(), item.data_type(), options)?;
            let list =
                GenericListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?;
            Ok(Arc::new(list))
        }
        DataType::Map(field, ordered) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let entries = convert(&entries, field.data_type(), options)?.as_struct().clone();
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *ordered)?))
        }
        DataType::Struct(fields) => {
            let values = array.as_struct();
            let columns = values.columns().iter().zip(fields);
            let columns = columns.map(|(column, field)| convert(column, field.data_type(), options));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, values.nulls().cloned())?))
        }
        text => cast(&texts(array)?, text),
    }
}

/// Times without what is finer than `unit`, in their own unit. The earliest of all times has no such time before it, and
/// becomes one that no cast can hold either.
fn floor(array: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef, ArrowError> {
    fn of<T: ArrowTimestampType>(array: &ArrayRef, step: i64) -> ArrayRef {
        let times = array.as_primitive::<T>();
        let floored: PrimitiveArray<T> = times.unary(|time| time.saturating_sub(time.rem_euclid(step)));
        Arc::new(floored.with_timezone_opt(times.timezone()))
    }
    let DataType::Timestamp(from, _) = array.data_type() else { return Ok(Arc::clone(array)) };
    let step = per_second(*from) / per_second(unit);
    Ok(match from {
        TimeUnit::Second => Arc::clone(array),
        TimeUnit::Millisecond => of::<TimestampMillisecondType>(array, step),
        TimeUnit::Microsecond => of::<TimestampMicrosecondType>(array, step),
        TimeUnit::Nanosecond => of::<TimestampNanosecondType>(array, step),
    })
}

/// Times as keys and JSON have them: `2026-01-01T00:00:00.000Z`. No time that a pipeline can name is finer than
/// microseconds.
fn texts(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let DataType::Timestamp(unit, zone) = array.data_type() else { return cast(array, &DataType::Utf8) };
    let (times, unit) = match unit {
        TimeUnit::Nanosecond => {
            let to = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            (cast(&floor(array, TimeUnit::Microsecond)?, &to)?, TimeUnit::Microsecond)
        }
        unit => (Arc::clone(array), *unit),
    };
    let times = cast(&times, &DataType::Int64)?;
    let times = times.as_primitive_opt().cloned().unwrap_or_else(|| Int64Array::new_null(array.len()));
    let mut texts = StringBuilder::with_capacity(times.len(), times.len() * "2026-01-01T00:00:00.000Z".len());
    let mut text = Vec::new();
    for time in &times {
        text.clear();
        match time {
            Some(time) => {
                write_timestamp(time, unit, &mut text);
                texts.append_value(String::from_utf8_lossy(&text));
            }
            None => texts.append_null(),
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// What a value that cannot be cast becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Failure {
    /// An error of its row.
    Error,
    /// Null, as `try_cast` has it.
    Null,
}

/// The cast as a function, so that constants are folded by it too.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CastOfTimes {
    signature: Signature,
    to: DataType,
    failure: Failure,
}

impl CastOfTimes {
    fn function(to: &DataType, failure: Failure) -> Arc<ScalarUDF> {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(CastOfTimes { signature, to: to.clone(), failure }))
    }
}

impl ScalarUDFImpl for CastOfTimes {
    fn name(&self) -> &str {
        "cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let options = CastOptions { safe: self.failure == Failure::Null, ..CastOptions::default() };
        let scalar = matches!(args.args.as_slice(), [ColumnarValue::Scalar(_)]);
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [array] = arrays.as_slice() else {
            return datafusion_common::exec_err!("a cast takes one value");
        };
        let values = convert(array, &self.to, &options)?;
        if scalar {
            return Ok(ColumnarValue::Scalar(datafusion_common::ScalarValue::try_from_array(&values, 0)?));
        }
        Ok(ColumnarValue::Array(values))
    }
}

/// Puts our casts in the place of those that differ. Works on the expression with its conversions.
pub(super) fn ours(expr: Logical, schema: &DFSchema) -> Result<Logical> {
    let call =
        |function: Arc<ScalarUDF>, arg: Logical| Logical::ScalarFunction(ScalarFunction::new_udf(function, vec![arg]));
    expr.transform_up(|node| match node {
        Logical::Cast(Cast { expr, field }) if differs(&expr.get_type(schema)?, field.data_type()) => {
            Ok(Transformed::yes(call(CastOfTimes::function(field.data_type(), Failure::Error), *expr)))
        }
        Logical::TryCast(TryCast { expr, field }) if differs(&expr.get_type(schema)?, field.data_type()) => {
            Ok(Transformed::yes(call(CastOfTimes::function(field.data_type(), Failure::Null), *expr)))
        }
        Logical::ScalarFunction(function) => to_timestamp(function, schema),
        other => Ok(Transformed::no(other)),
    })
    .data()
}

/// `to_timestamp_millis` and its like, of times and of texts, as casts of the finest time.
fn to_timestamp(function: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Logical>> {
    let unit = match function.name() {
        "to_timestamp_seconds" => TimeUnit::Second,
        "to_timestamp_millis" => TimeUnit::Millisecond,
        "to_timestamp_micros" => TimeUnit::Microsecond,
        _ => return Ok(Transformed::no(Logical::ScalarFunction(function))),
    };
    let to = DataType::Timestamp(unit, None);
    let finest = match function.args.first().map(|arg| arg.get_type(schema)).transpose()? {
        Some(from) if differs(&from, &to) => function.args.into_iter().next(),
        Some(from) if from.is_string() => FUNCTIONS
            .scalar("to_timestamp_nanos")
            .map(|nanos| Logical::ScalarFunction(ScalarFunction::new_udf(Arc::clone(nanos), function.args.clone()))),
        _ => return Ok(Transformed::no(Logical::ScalarFunction(function))),
    };
    let call = ScalarFunction::new_udf(CastOfTimes::function(&to, Failure::Error), finest.into_iter().collect());
    Ok(Transformed::yes(Logical::ScalarFunction(call)))
}

/// `physical`, of type `from`, cast to `to`.
pub(super) fn physical(
    physical: Arc<dyn PhysicalExpr>,
    from: &DataType,
    to: &DataType,
    schema: &arrow::datatypes::Schema,
) -> Result<Arc<dyn PhysicalExpr>> {
    if !differs(from, to) {
        return expressions::cast(physical, schema, to.clone());
    }
    let function = CastOfTimes::function(to, Failure::Error);
    let config = Arc::new(ConfigOptions::default());
    Ok(Arc::new(ScalarFunctionExpr::try_new(function, vec![physical], schema, config)?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder};

    use super::super::Expr;
    use super::super::testing::{compile, rows, texts, values};
    use super::*;

    fn millis() -> DataType {
        DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
    }

    /// Just before 1970, 1970, just after, no time.
    fn times() -> arrow::array::RecordBatch {
        let times = TimestampMicrosecondArray::from(vec![Some(-1), Some(0), Some(1_001_999), None]);
        rows(vec![("u", Arc::new(times.with_timezone("UTC")))])
    }

    #[test]
    fn times_are_cast_towards_the_past() {
        let of_a_second = ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z", "null"];
        let of_a_millisecond = ["1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01.001Z", "null"];
        for sql in ["cast(u as timestamp(3))", "try_cast(u as timestamp(3))", "to_timestamp_millis(u)"] {
            assert_eq!(values(sql, &times()), of_a_millisecond, "{sql}");
        }
        assert_eq!(values("to_timestamp_seconds(u)", &times()), of_a_second);
        let step = Expr::cast(0, &millis(), &times().schema()).expect("times are cast");
        assert_eq!(texts(&step.evaluate(&times()).0), of_a_millisecond);
    }

    #[test]
    fn constants_and_texts_are_cast_towards_the_past_too() {
        for sql in [
            "cast(timestamp '1969-12-31T23:59:59.999999Z' as timestamp(3))",
            "cast('1969-12-31T23:59:59.999999Z' as timestamp(3))",
            "to_timestamp_millis('1969-12-31T23:59:59.999999Z')",
        ] {
            assert_eq!(values(sql, &times())[0], "1969-12-31T23:59:59.999Z", "{sql}");
        }
        let exact = "cast(u as timestamp(3)) = timestamp '1969-12-31T23:59:59.999Z'";
        assert_eq!(values(exact, &times()), ["true", "false", "false", "null"]);
        assert_eq!(compile("u", &times()).data_type(), times().column(0).data_type());
    }

    #[test]
    fn nested_times_are_cast_towards_the_past() {
        let mut lists = ListBuilder::new(TimestampMicrosecondBuilder::new().with_timezone("UTC"));
        lists.append_value([Some(-1), None]);
        lists.append_null();
        let rows = rows(vec![("l", Arc::new(lists.finish()))]);
        let step = Expr::cast(0, &DataType::new_list(millis(), true), &rows.schema()).expect("lists are cast");
        assert_eq!(texts(&step.evaluate(&rows).0), ["[1969-12-31T23:59:59.999Z, null]", "null"]);
    }

    #[test]
    fn a_time_has_one_text() {
        let of_millis = ["1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:01.001Z", "null"];
        let of_micros =
            ["1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00.000000Z", "1970-01-01T00:00:01.001999Z", "null"];
        assert_eq!(values("cast(cast(u as timestamp(3)) as string)", &times()), of_millis);
        assert_eq!(values("cast(u as string)", &times()), of_micros);
        assert_eq!(values("u || ''", &times()), of_micros);
        assert_eq!(values("cast(to_timestamp(0) as string)", &times())[0], "1970-01-01T00:00:00.000000Z");
        let step = Expr::cast(0, &DataType::Utf8, &times().schema()).expect("times are cast");
        assert_eq!(texts(&step.evaluate(&times()).0), of_micros);
    }
}
