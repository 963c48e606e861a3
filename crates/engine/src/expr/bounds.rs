//! What one call of a function may make: a row must not be able to take all memory, or a core for minutes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit};
use arrow::datatypes::{TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType};
use datafusion_common::{ExprSchema, Result, ScalarValue, exec_err};
use datafusion_expr::{
    ColumnarValue, Documentation, Expr as Logical, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};

use crate::text::per_second;

/// The most that one value of such a function may take, in bytes; for `levenshtein`, the most pairs of bytes that it may
/// compare.
pub(super) const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// The most that the values of a batch may take together, in bytes: above it the batch is cut.
const MAX_BYTES_TOGETHER: u64 = 256 * 1024 * 1024;

/// What a function makes, in bytes, of the arguments in a row; perhaps more than it really makes, never much less.
type Cost = fn(&[Argument], usize) -> u64;

/// The functions that can make much of little.
const COSTS: &[(&str, Cost)] = &[
    ("array_repeat", array_repeat),
    ("array_resize", array_resize),
    ("generate_series", series),
    ("levenshtein", levenshtein),
    ("lpad", pad),
    ("range", series),
    ("repeat", repeat),
    ("replace", replace),
    ("rpad", pad),
];

/// `function`, or that function with a bound.
pub(super) fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    if !is_bounded(function.name()) {
        return function;
    }
    Arc::new(ScalarUDF::new_from_impl(Bounded { inner: Arc::unwrap_or_clone(function) }))
}

/// Whether calls of the function may be refused for what they would make.
pub(super) fn is_bounded(name: &str) -> bool {
    cost(name).is_some()
}

fn cost(name: &str) -> Option<Cost> {
    COSTS.iter().find(|(known, _)| *known == name).map(|(_, cost)| *cost)
}

/// A function that refuses what would make too much.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: ScalarUDF,
}

impl Bounded {
    fn check(&self, args: &ScalarFunctionArgs) -> Result<()> {
        let Some(cost) = cost(self.inner.name()) else { return Ok(()) };
        let arguments = args.args.iter().map(Argument::new).collect::<Result<Vec<_>>>()?;
        let rows = match args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            true => 1,
            false => args.number_rows,
        };
        let mut together = 0_u64;
        for row in 0..rows {
            let made = cost(&arguments, row);
            if made > MAX_BYTES {
                let what = match self.inner.name() {
                    "levenshtein" => "compare two texts of more than 16 Mi pairs of bytes",
                    _ => "make a value of more than 16 MiB",
                };
                return exec_err!("`{}` would {what}", self.inner.name());
            }
            together = together.saturating_add(made);
        }
        if together > MAX_BYTES_TOGETHER && rows > 1 {
            return exec_err!("`{}` would make more than 256 MiB at a time", self.inner.name());
        }
        Ok(())
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Logical]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<arrow::datatypes::FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn is_nullable(&self, args: &[Logical], schema: &dyn ExprSchema) -> bool {
        #[expect(deprecated, reason = "the planner still asks for it")]
        self.inner.is_nullable(args, schema)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args)?;
        self.inner.invoke_with_args(args)
    }
}

/// An argument: one value for all rows, or one each.
struct Argument {
    values: ArrayRef,
    one: bool,
}

impl Argument {
    fn new(value: &ColumnarValue) -> Result<Argument> {
        Ok(match value {
            ColumnarValue::Array(values) => Argument { values: Arc::clone(values), one: false },
            ColumnarValue::Scalar(value) => Argument { values: ScalarValue::to_array(value)?, one: true },
        })
    }

    fn at(&self, row: usize) -> usize {
        if self.one { 0 } else { row }
    }

    fn is_null(&self, row: usize) -> bool {
        self.values.is_null(self.at(row))
    }

    /// A whole number; none for null and for what is below zero.
    fn count(&self, row: usize) -> u64 {
        self.integer(row).map_or(0, |count| u64::try_from(count).unwrap_or(0))
    }

    fn integer(&self, row: usize) -> Option<i64> {
        let values = self.values.as_primitive_opt::<Int64Type>()?;
        (!self.is_null(row)).then(|| values.value(self.at(row)))
    }

    /// A text, empty for null.
    fn text(&self, row: usize) -> &str {
        if self.is_null(row) {
            return "";
        }
        let row = self.at(row);
        match self.values.data_type() {
            DataType::Utf8 => self.values.as_string::<i32>().value(row),
            DataType::LargeUtf8 => self.values.as_string::<i64>().value(row),
            DataType::Utf8View => self.values.as_string_view().value(row),
            _ => "",
        }
    }

    /// What a value of any type takes, in bytes.
    fn bytes(&self, row: usize) -> u64 {
        let data_type = self.values.data_type();
        if data_type.is_string() {
            return self.text(row).len() as u64 + 4;
        }
        match data_type.primitive_width() {
            Some(width) => width as u64,
            None => self.values.slice(self.at(row), 1).to_data().get_slice_memory_size().unwrap_or(1) as u64,
        }
    }

    /// A date or time, in nanoseconds since 1970.
    fn time(&self, row: usize) -> Option<i128> {
        if self.is_null(row) {
            return None;
        }
        let row = self.at(row);
        let (value, unit) = match self.values.data_type() {
            DataType::Date32 => {
                return Some(i128::from(self.values.as_primitive::<Date32Type>().value(row)) * DAY);
            }
            DataType::Timestamp(unit @ TimeUnit::Millisecond, _) => {
                (self.values.as_primitive::<TimestampMillisecondType>().value(row), *unit)
            }
            DataType::Timestamp(unit @ TimeUnit::Microsecond, _) => {
                (self.values.as_primitive::<TimestampMicrosecondType>().value(row), *unit)
            }
            DataType::Timestamp(unit @ TimeUnit::Nanosecond, _) => {
                (self.values.as_primitive::<TimestampNanosecondType>().value(row), *unit)
            }
            _ => return None,
        };
        Some(i128::from(value) * i128::from(per_second(TimeUnit::Nanosecond) / per_second(unit)))
    }
}

/// A day in nanoseconds.
const DAY: i128 = 86_400 * 1_000_000_000;

fn repeat(args: &[Argument], row: usize) -> u64 {
    match args {
        [text, times] => (text.text(row).len() as u64).saturating_mul(times.count(row)),
        _ => 0,
    }
}

/// As many characters as are asked for, whatever they take.
fn pad(args: &[Argument], row: usize) -> u64 {
    args.get(1).map_or(0, |length| length.count(row))
}

fn levenshtein(args: &[Argument], row: usize) -> u64 {
    match args {
        [one, other] => (one.text(row).len() as u64).saturating_mul(other.text(row).len() as u64),
        _ => 0,
    }
}

fn replace(args: &[Argument], row: usize) -> u64 {
    let [text, what, with] = args else { return 0 };
    let (text, what, with) = (text.text(row), what.text(row), with.text(row).len() as u64);
    let most = (text.len() / what.len().max(1) + 1) as u64;
    if most.saturating_mul(with) <= MAX_BYTES {
        return text.len() as u64;
    }
    let found = text.matches(what).count() as u64;
    (text.len() as u64).saturating_add(found.saturating_mul(with))
}

fn array_repeat(args: &[Argument], row: usize) -> u64 {
    match args {
        [element, times] => element.bytes(row).max(1).saturating_mul(times.count(row)),
        _ => 0,
    }
}

fn array_resize(args: &[Argument], row: usize) -> u64 {
    let [_, length, with @ ..] = args else { return 0 };
    let element = with.first().map_or(8, |with| with.bytes(row).max(1));
    element.saturating_mul(length.count(row))
}

/// `range` and `generate_series`: eight bytes for each step.
fn series(args: &[Argument], row: usize) -> u64 {
    let steps = match args {
        [stop] => stop.count(row),
        [start, stop] => steps(start.integer(row), stop.integer(row), 1),
        [start, stop, step] => match step.values.as_primitive_opt::<IntervalMonthDayNanoType>() {
            Some(_) if step.is_null(row) => 0,
            Some(steps) => steps_of_time(start.time(row), stop.time(row), steps.value(step.at(row))),
            None => steps(start.integer(row), stop.integer(row), step.integer(row).unwrap_or(0)),
        },
        _ => 0,
    };
    steps.saturating_mul(8)
}

fn steps(start: Option<i64>, stop: Option<i64>, step: i64) -> u64 {
    let (Some(start), Some(stop)) = (start, stop) else { return 0 };
    let (way, step) = (i128::from(stop) - i128::from(start), i128::from(step));
    // Without a step, and the other way, nothing is made.
    if step == 0 || way.signum() * step.signum() < 0 {
        return 0;
    }
    u64::try_from(way / step + 1).unwrap_or(u64::MAX)
}

/// How many steps of an interval there are at most; what goes on and back, as `1 month -30 days` does, may never arrive.
fn steps_of_time(start: Option<i128>, stop: Option<i128>, step: IntervalMonthDayNano) -> u64 {
    let (Some(start), Some(stop)) = (start, stop) else { return 0 };
    let parts = [i128::from(step.months) * 28 * DAY, i128::from(step.days) * DAY, i128::from(step.nanoseconds)];
    if parts.iter().any(|part| *part < 0) && parts.iter().any(|part| *part > 0) {
        return u64::MAX;
    }
    let (way, step) = (stop - start, parts.iter().sum::<i128>());
    if way.signum() * step.signum() < 0 {
        return 0;
    }
    way.checked_div(step).map_or(0, |steps| u64::try_from(steps + 1).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::super::ExprErrorKind;
    use super::super::testing::{faults, refused, rows, values};
    use super::*;

    fn texts(of: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(of.to_vec()))
    }

    #[test]
    fn a_row_that_makes_too_much_fails_alone() {
        let (few, many): (i64, i64) = (3, 2_000_000_000);
        let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(few), Some(many), None]));
        let rows = rows(vec![("n", n), ("s", texts(&["ab", "ab", "ab"]))]);
        for (sql, name) in [
            ("repeat(s, n)", "repeat"),
            ("lpad(s, n, '-')", "lpad"),
            ("rpad(s, n)", "rpad"),
            ("generate_series(1, n)", "generate_series"),
            ("range(n)", "range"),
            ("range(0, -n, -1)", "range"),
            ("array_repeat(s, n)", "array_repeat"),
            ("list_repeat(null, n)", "array_repeat"),
            ("array_resize([1], n, 0)", "array_resize"),
        ] {
            let expected = (1, format!("`{name}` would make a value of more than 16 MiB"));
            assert_eq!(faults(sql, &rows), [expected], "{sql}");
        }
        assert_eq!(values("length(repeat(s, coalesce(nullif(n, 2000000000), 8)))", &rows), ["6", "16", "16"]);
        assert_eq!(values("range(n, 0)", &rows)[..2], ["[]", "[]"]);
    }

    #[test]
    fn series_of_times_are_counted_before_they_are_made() {
        let day: ArrayRef = Arc::new(arrow::array::Date32Array::from(vec![0]));
        let rows = rows(vec![("day", day)]);
        let series = |step: &str| format!("range(day, date '1970-01-03', interval '{step}')");
        assert_eq!(values(&series("1 day"), &rows), ["[1970-01-01, 1970-01-02]"]);
        assert_eq!(faults(&series("1 month -27 days"), &rows).len(), 1);
        let nanos = "range(cast(day as timestamp), timestamp '1970-01-03', interval '1 nanosecond')";
        assert_eq!(faults(nanos, &rows).len(), 1);
        let hours = "array_length(range(cast(day as timestamp), cast(day + 2 as timestamp), interval '1 hour'))";
        assert_eq!(values(hours, &rows), ["48"]);
    }

    #[test]
    fn work_on_two_long_texts_is_bounded() {
        let long = "x".repeat(5_000);
        let rows = rows(vec![("a", texts(&["kitten", &long])), ("b", texts(&["sitting", &long]))]);
        assert_eq!(values("levenshtein('kitten', b)", &rows)[0], "3");
        let compared = "`levenshtein` would compare two texts of more than 16 Mi pairs of bytes";
        assert_eq!(faults("levenshtein(a, b)", &rows), [(1, compared.to_owned())]);
        assert_eq!(
            faults("replace(a, 'x', b)", &rows),
            [(1, "`replace` would make a value of more than 16 MiB".into())]
        );
        assert_eq!(faults("replace(a, '', b)", &rows).len(), 1);
    }

    #[test]
    fn constants_that_make_too_much_are_refused() {
        let rows = rows(vec![("n", Arc::new(Int64Array::from(vec![1])))]);
        for sql in ["generate_series(1, 1000000000)", "case when n = 1 then repeat('x', 1000000000) else '' end"] {
            let error = refused(sql, &rows);
            assert_eq!(error.kind, ExprErrorKind::Type, "{error:?}");
            assert!(error.message.ends_with("would make a value of more than 16 MiB"), "{error:?}");
        }
    }
}
