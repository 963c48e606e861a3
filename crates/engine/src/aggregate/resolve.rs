//! From a call as written to its aggregate: names, aliases, numbers and types of arguments.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;

use super::{Aggregate, AggregateFunction, CallSite, Distinct};
use super::{avg, count, extremes, first_last, sum};
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
    /// It is not to be had.
    Refused,
}

const ANY: usize = usize::MAX;

const fn entry(name: &'static str, args: (usize, usize), distinct: OnDistinct, resolve: Resolve) -> Entry {
    Entry { name, aliases: &[], args, distinct, resolve }
}

const fn alias(aliases: &'static [&'static str], entry: Entry) -> Entry {
    Entry { aliases, ..entry }
}

/// All functions, sorted by name.
const FUNCTIONS: &[Entry] = &[
    alias(&["mean"], entry("avg", (1, 1), OnDistinct::Refused, avg::avg)),
    entry("count", (0, ANY), OnDistinct::Refused, count::count),
    alias(&["first_value"], entry("first", (1, 1), OnDistinct::Same, first_last::first)),
    alias(&["last_value"], entry("last", (1, 1), OnDistinct::Same, first_last::last)),
    entry("max", (1, 1), OnDistinct::Same, extremes::max),
    entry("min", (1, 1), OnDistinct::Same, extremes::min),
    entry("sum", (1, 1), OnDistinct::Refused, sum::sum),
];

/// Finds the aggregate for a call; see [`super::resolve`].
pub(super) fn resolve(site: CallSite<'_>) -> Result<AggregateFunction, ExprError> {
    let name = site.name.to_lowercase();
    let Some(entry) = FUNCTIONS.iter().find(|entry| entry.name == name || entry.aliases.contains(&name.as_str()))
    else {
        return Err(unknown(&name));
    };
    let call = Call { name: entry.name, arg_types: site.arg_types, literals: site.literals };
    call.check_number_of_args(entry.args)?;
    if site.distinct == Distinct::Once && entry.distinct == OnDistinct::Refused {
        return Err(ExprError {
            kind: ExprErrorKind::Unsupported,
            message: format!("{} does not take distinct", entry.name),
            span: None,
            help: None,
        });
    }
    (entry.resolve)(&call)
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
        AggregateFunction { name: self.name.to_string(), arg_types, return_type, make: Arc::new(make) }
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
            _ => return Err(self.refuse(index, "a number")),
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
