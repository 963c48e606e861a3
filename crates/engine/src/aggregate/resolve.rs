//! From a call as written to its aggregate: names, aliases, numbers and types of arguments.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;

use super::{Aggregate, AggregateFunction, CallSite, Distinct};
use super::{
    accumulator, approx_distinct, avg, collect, count, distinct, extremes, first_last, logic, quantile, regression,
    sketch, statistics, sum, topk,
};
use crate::expr::{ExprError, ExprErrorKind};
use crate::types::sql_name;

type Resolve = fn(&Call<'_>) -> Result<AggregateFunction, ExprError>;

/// A function as the table knows it.
struct Entry {
    name: &'static str,
    aliases: &'static [&'static str],
    /// The least and greatest number of arguments.
    args: (usize, usize),
    /// What `distinct` means for it.
    distinct: OnDistinct,
    resolve: Resolve,
}

/// What `distinct` means for a function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnDistinct {
    /// Nothing: its value is the same.
    Same,
    /// The function of the values that differ.
    Wrapped,
    /// It knows itself.
    Own,
    /// It is not to be had.
    Refused,
}

use OnDistinct::{Own, Refused, Same, Wrapped};

const ANY: usize = usize::MAX;

const fn entry(
    name: &'static str,
    aliases: &'static [&'static str],
    args: (usize, usize),
    distinct: OnDistinct,
    resolve: Resolve,
) -> Entry {
    Entry { name, aliases, args, distinct, resolve }
}

/// All functions, sorted by name.
const FUNCTIONS: &[Entry] = &[
    entry("approx_distinct", &["approx_count_distinct"], (1, 1), Same, approx_distinct::approx_distinct),
    entry("approx_median", &[], (1, 1), Wrapped, sketch::approx_median),
    entry("approx_percentile", &["approx_percentile_cont", "percentile"], (2, 2), Wrapped, sketch::approx_percentile),
    entry("approx_percentile_cont_with_weight", &[], (3, 4), Refused, accumulator::bridged),
    entry("avg", &["mean"], (1, 1), Wrapped, avg::avg),
    entry("bit_and", &[], (1, 1), Same, logic::bit_and),
    entry("bit_or", &[], (1, 1), Same, logic::bit_or),
    entry("bit_xor", &[], (1, 1), Wrapped, logic::bit_xor),
    entry("bool_and", &["every"], (1, 1), Same, logic::bool_and),
    entry("bool_or", &["any", "some"], (1, 1), Same, logic::bool_or),
    entry("collect_list", &["array_agg"], (1, 1), Own, collect::collect_list),
    entry("collect_set", &[], (1, 1), Same, collect::collect_set),
    entry("corr", &[], (2, 2), Refused, regression::of_pairs),
    entry("count", &[], (0, ANY), Own, count::count),
    entry("covar_pop", &[], (2, 2), Refused, regression::of_pairs),
    entry("covar_samp", &["covar"], (2, 2), Refused, regression::of_pairs),
    entry("first", &["any_value", "first_value"], (1, 1), Same, first_last::first),
    entry("last", &["last_value"], (1, 1), Same, first_last::last),
    entry("max", &[], (1, 1), Same, extremes::max),
    entry("median", &[], (1, 1), Wrapped, quantile::median),
    entry("min", &[], (1, 1), Same, extremes::min),
    entry("nth_value", &[], (2, 2), Refused, collect::nth_value),
    entry("percentile_cont", &["quantile_cont"], (2, 2), Wrapped, quantile::percentile_cont),
    entry("regr_avgx", &[], (2, 2), Refused, regression::of_pairs),
    entry("regr_avgy", &[], (2, 2), Refused, regression::of_pairs),
    entry("regr_count", &[], (2, 2), Refused, regression::regr_count),
    entry("regr_intercept", &[], (2, 2), Refused, regression::of_pairs),
    entry("regr_r2", &[], (2, 2), Refused, regression::of_pairs),
    entry("regr_slope", &[], (2, 2), Refused, regression::of_pairs),
    entry("regr_sxx", &[], (2, 2), Refused, regression::of_pairs),
    entry("regr_sxy", &[], (2, 2), Refused, regression::of_pairs),
    entry("regr_syy", &[], (2, 2), Refused, regression::of_pairs),
    entry("stddev_pop", &[], (1, 1), Wrapped, statistics::stddev_pop),
    entry("stddev_samp", &["stddev"], (1, 1), Wrapped, statistics::stddev_samp),
    entry("string_agg", &[], (2, 2), Own, collect::string_agg),
    entry("sum", &[], (1, 1), Wrapped, sum::sum),
    entry("topk", &[], (2, 2), Wrapped, topk::topk),
    entry("var_pop", &["var_population"], (1, 1), Wrapped, statistics::var_pop),
    entry("var_samp", &["var", "var_sample", "variance"], (1, 1), Wrapped, statistics::var_samp),
];

/// Finds the aggregate for a call; see [`super::resolve`].
pub(super) fn resolve(site: CallSite<'_>) -> Result<AggregateFunction, ExprError> {
    let name = site.name.to_lowercase();
    let Some(entry) = FUNCTIONS.iter().find(|entry| entry.name == name || entry.aliases.contains(&name.as_str()))
    else {
        return Err(unknown(&name));
    };
    let call = Call { name: entry.name, distinct: site.distinct, arg_types: site.arg_types, literals: site.literals };
    call.check_number_of_args(entry.args)?;
    let function = (entry.resolve)(&call)?;
    match (site.distinct, entry.distinct) {
        (Distinct::All, _) | (Distinct::Once, Same | Own) => Ok(function),
        (Distinct::Once, Wrapped) => distinct::wrap(&call, function),
        (Distinct::Once, Refused) => Err(ExprError {
            kind: ExprErrorKind::Unsupported,
            message: format!("{} does not take distinct", entry.name),
            span: None,
            help: Some("Leave out distinct.".into()),
        }),
    }
}

/// The names of all functions, aliases included, sorted.
pub(super) fn names() -> Vec<&'static str> {
    let mut names = FUNCTIONS
        .iter()
        .flat_map(|entry| std::iter::once(entry.name).chain(entry.aliases.iter().copied()))
        .collect::<Vec<_>>();
    names.sort_unstable();
    names
}

fn unknown(name: &str) -> ExprError {
    let nearest = names()
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|&(distance, known)| distance <= 1 + known.len().min(name.len()) / 4)
        .min();
    ExprError {
        kind: ExprErrorKind::UnknownFunction,
        message: format!("there is no aggregate function {name}"),
        span: None,
        help: nearest.map(|(_, known)| format!("Did you mean {known}?")),
    }
}

/// A call whose name is known: what the families read of it.
pub(super) struct Call<'a> {
    /// The function's own name, never an alias.
    pub(super) name: &'static str,
    /// Whether it says `distinct`.
    pub(super) distinct: Distinct,
    /// The types of the arguments.
    pub(super) arg_types: &'a [DataType],
    /// The arguments that are literals.
    pub(super) literals: &'a [Option<ScalarValue>],
}

/// The types of numbers that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numeric {
    /// 32 bits.
    Int,
    /// 64 bits.
    BigInt,
    /// 64 bits without sign.
    Unsigned,
    /// Any binary float.
    Double,
    /// Precision and scale.
    Decimal(u8, i8),
}

impl Call<'_> {
    /// The function under its own name.
    pub(super) fn function(
        &self,
        arg_types: Vec<DataType>,
        return_type: DataType,
        make: impl Fn() -> Box<dyn Aggregate> + Send + Sync + 'static,
    ) -> AggregateFunction {
        self.named(self.name.to_string(), arg_types, return_type, make)
    }

    /// The function under a name that says more: its literals.
    pub(super) fn named(
        &self,
        name: String,
        arg_types: Vec<DataType>,
        return_type: DataType,
        make: impl Fn() -> Box<dyn Aggregate> + Send + Sync + 'static,
    ) -> AggregateFunction {
        AggregateFunction { name, arg_types, return_type, make: Arc::new(make) }
    }

    /// Argument `index` as a number from 0 to 1 that stands in the text.
    pub(super) fn literal_fraction(&self, index: usize) -> Result<f64, ExprError> {
        match self.literal(index, &DataType::Float64) {
            Some(ScalarValue::Float64(Some(fraction))) if (0.0..=1.0).contains(&fraction) => Ok(fraction),
            _ => Err(self.refuse_literal(index, "a number from 0 to 1")),
        }
    }

    /// Argument `index` as an integer that stands in the text.
    pub(super) fn literal_int(&self, index: usize, range: RangeInclusive<i64>) -> Result<i64, ExprError> {
        match self.literal(index, &DataType::Int64) {
            Some(ScalarValue::Int64(Some(value))) if range.contains(&value) && self.is_integer(index) => Ok(value),
            _ => {
                let wanted = format!("an integer from {} to {}", range.start(), range.end());
                Err(self.refuse_literal(index, &wanted))
            }
        }
    }

    /// Argument `index` as a string that stands in the text.
    pub(super) fn literal_string(&self, index: usize) -> Result<String, ExprError> {
        match self.literal(index, &DataType::Utf8) {
            Some(ScalarValue::Utf8(Some(text))) if plain(&self.arg_types[index]) == DataType::Utf8 => Ok(text),
            _ => Err(self.refuse_literal(index, "a string")),
        }
    }

    fn literal(&self, index: usize, data_type: &DataType) -> Option<ScalarValue> {
        self.literals.get(index)?.as_ref()?.cast_to(data_type).ok()
    }

    fn is_integer(&self, index: usize) -> bool {
        self.arg_types[index].is_integer()
    }

    fn refuse_literal(&self, index: usize, wanted: &str) -> ExprError {
        let which = if index == 1 { "second" } else { "last" };
        let mut error = self.type_error(format!("the {which} argument of {} must be {wanted}", self.name));
        error.help = Some("Write it as a literal, not as an expression over columns.".into());
        error
    }

    /// Argument `index` as a number, and the type to cast it to.
    pub(super) fn number(&self, index: usize) -> Result<(Numeric, DataType), ExprError> {
        Ok(match &self.arg_types[index] {
            DataType::Int32 => (Numeric::Int, DataType::Int32),
            DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => (Numeric::Int, DataType::Int32),
            DataType::Int64 | DataType::UInt32 | DataType::Null => (Numeric::BigInt, DataType::Int64),
            DataType::UInt64 => (Numeric::Unsigned, DataType::UInt64),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => (Numeric::Double, DataType::Float64),
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => {
                (Numeric::Decimal(*precision, *scale), DataType::Decimal128(*precision, *scale))
            }
            _ => return Err(self.refuse_number(index)),
        })
    }

    /// The type of argument `index`, in the layout that the families read: one of the layouts of strings, bytes, decimals.
    pub(super) fn plain_type(&self, index: usize) -> Result<DataType, ExprError> {
        Ok(plain(&self.arg_types[index]))
    }

    /// The error of an argument of a type that the function does not take.
    pub(super) fn refuse(&self, index: usize, wanted: &str) -> ExprError {
        let found = sql_name(&self.arg_types[index]);
        self.type_error(format!("{} takes {wanted}, not {found}", self.name))
    }

    fn refuse_number(&self, index: usize) -> ExprError {
        let mut error = self.refuse(index, "a number");
        error.help = match &self.arg_types[index] {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Some(format!("If it holds numbers, cast it: {}(cast(.. as double)).", self.name))
            }
            DataType::Boolean => Some("To count rows, write count(*) filter (where ..).".into()),
            DataType::Decimal256(..) => Some("Cast it to a decimal of no more than 38 digits.".into()),
            _ => None,
        };
        error
    }

    /// A mistake in the arguments.
    pub(super) fn type_error(&self, message: String) -> ExprError {
        ExprError { kind: ExprErrorKind::Type, message, span: None, help: None }
    }

    fn check_number_of_args(&self, (least, most): (usize, usize)) -> Result<(), ExprError> {
        let found = self.arg_types.len();
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let wanted = match (least, most) {
            (1, 1) => "one argument".to_string(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        Err(self.type_error(format!("{} takes {wanted}, not {found}", self.name)))
    }
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Float16 => DataType::Float32,
        DataType::Dictionary(_, value) => plain(value),
        other => other.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{call, call_with};
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_name_stands_twice() {
        assert!(FUNCTIONS.is_sorted_by_key(|entry| entry.name));
        let names = names();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    }

    #[test]
    fn names_ignore_case_and_aliases_lead_to_one_function() {
        let pairs = [
            ("MEAN", "avg"),
            ("Any_Value", "first"),
            ("last_value", "last"),
            ("stddev", "stddev_samp"),
            ("variance", "var_samp"),
            ("median", "median"),
        ];
        for (written, name) in pairs {
            assert_eq!(call(written, &[DataType::Int64]).unwrap().name, name);
        }
    }

    #[test]
    fn an_unknown_name_is_told_its_neighbour() {
        let error = call("sun", &[DataType::Int64]).unwrap_err();
        assert_eq!(error.kind, ExprErrorKind::UnknownFunction);
        assert_eq!(error.message, "there is no aggregate function sun");
        assert_eq!(error.help.as_deref(), Some("Did you mean sum?"));
        let error = call("aprox_distinct", &[DataType::Int64]).unwrap_err();
        assert_eq!(error.help.as_deref(), Some("Did you mean approx_distinct?"));
        assert_eq!(call("frobnicate", &[]).unwrap_err().help, None);
    }

    #[test]
    fn types_that_do_not_fit_are_named_in_sql() {
        let message = |name: &str, types: &[DataType]| {
            let error = call(name, types).unwrap_err();
            assert_eq!(error.kind, ExprErrorKind::Type, "{name}");
            error.message
        };
        let list = super::super::pool::list_type(&DataType::Int32);
        assert_eq!(message("sum", &[DataType::Utf8]), "sum takes a number, not string");
        assert_eq!(message("avg", &[DataType::Boolean]), "avg takes a number, not boolean");
        assert_eq!(message("median", &[DataType::Date32]), "median takes a number, not date");
        assert_eq!(message("bool_and", &[DataType::Int64]), "bool_and takes a boolean, not bigint");
        assert_eq!(
            message("max", &[list]),
            "max takes a number, string, bytes, boolean, date or timestamp, not array<int>"
        );
        assert_eq!(message("sum", &[]), "sum takes one argument, not 0");
        assert_eq!(message("corr", &[DataType::Int64]), "corr takes 2 arguments, not 1");
        assert_eq!(message("string_agg", &[DataType::Int64, DataType::Utf8]), "string_agg takes a string, not bigint");
    }

    #[test]
    fn distinct_is_taken_or_refused() {
        let once = |name: &str| call_with(name, Distinct::Once, DataType::Int64, &[]);
        assert_eq!(once("count").unwrap().name, "count(distinct)");
        assert_eq!(once("avg").unwrap().name, "avg(distinct)");
        assert_eq!(once("max").unwrap().name, "max");
        let quarter = [ScalarValue::from(0.25)];
        let percentile = call_with("percentile_cont", Distinct::Once, DataType::Int64, &quarter).unwrap();
        assert_eq!(percentile.name, "percentile_cont(distinct, 0.25)");
        let types = [DataType::Int64, DataType::Int64];
        let site = CallSite { name: "corr", distinct: Distinct::Once, arg_types: &types, literals: &[None, None] };
        assert_eq!(resolve(site).unwrap_err().kind, ExprErrorKind::Unsupported);
    }

    #[test]
    fn nulls_alone_are_taken() {
        for name in ["count", "sum", "avg", "bool_and", "stddev"] {
            let function = call(name, &[DataType::Null]).unwrap();
            let nulls = arrow::array::new_null_array(&function.arg_types[0], 3);
            let value = super::super::testing::value_of(&function, vec![nulls]);
            assert_eq!(value.is_null(), name != "count", "{name}");
        }
    }
}
