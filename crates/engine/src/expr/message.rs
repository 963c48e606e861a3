//! What the libraries below say, in our words: lower case, no final stop, SQL's names for types.

use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use datafusion_common::DataFusionError;

use crate::types::sql_name;

const LONGEST: usize = 300;

/// Why a row has no value, or an expression no plan.
pub(super) fn in_our_words(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ArrowError(error, _) => of_arrow(error),
        DataFusionError::NotImplemented(message)
        | DataFusionError::Internal(message)
        | DataFusionError::Plan(message)
        | DataFusionError::Execution(message)
        | DataFusionError::Configuration(message) => tidy(message),
        other => tidy(&other.to_string()),
    }
}

fn of_arrow(error: &ArrowError) -> String {
    match error {
        ArrowError::DivideByZero => "division by zero".to_owned(),
        ArrowError::ArithmeticOverflow(message) => match message.strip_prefix("Overflow happened on: ") {
            // What is beyond 64 bits is a decimal without its point, which says nothing to anybody.
            Some(operation) if beyond_bigint(operation) => {
                "decimal overflow: the result has more than 38 digits".to_owned()
            }
            Some(operation) => format!("integer overflow: {operation}"),
            None => format!("integer overflow: {}", tidy(message)),
        },
        ArrowError::CastError(message)
        | ArrowError::ParseError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::InvalidArgumentError(message)
        | ArrowError::NotYetImplemented(message)
        | ArrowError::SchemaError(message) => tidy(message),
        ArrowError::ExternalError(error) => match error.downcast_ref::<DataFusionError>() {
            Some(error) => in_our_words(error),
            None => tidy(&error.to_string()),
        },
        other => tidy(&other.to_string()),
    }
}

fn beyond_bigint(operation: &str) -> bool {
    let number = |word: &&str| word.bytes().any(|byte| byte.is_ascii_digit());
    operation.split_whitespace().filter(number).any(|word| word.parse::<i64>().is_err())
}

const PREFIXES: &[&str] = &[
    "Arrow error: ",
    "Error during planning: ",
    "Execution error: ",
    "This feature is not implemented: ",
    "Internal error: ",
    "Optimizer rule ",
    "Compute error: ",
    "Cast error: ",
    "Parser error: ",
    "Invalid argument error: ",
];

/// One line of a message, without what only the library's makers care for.
fn tidy(message: &str) -> String {
    if message.contains("regex parse error") {
        let why = message.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or("it does not parse");
        return format!("not a regular expression: {}", why.trim());
    }
    if ["exceeds size limit of", "CompiledTooBig"].iter().any(|large| message.contains(large)) {
        return "the regular expression is too large".to_owned();
    }
    let message = decimals_in_our_words(message);
    let mut line = message.lines().next().unwrap_or_default().trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| line.strip_prefix(prefix)) {
        line = rest;
    }
    if let Some((before, _)) = line.split_once("This issue was likely caused by a bug") {
        line = before;
    }
    if ["Ident {", "Span(", "sqltorel"].iter().any(|inside| line.contains(inside)) {
        // A syntax tree is no message.
        return "this is not supported here".to_owned();
    }
    let line = line.trim_end_matches(['.', ' ']);
    let mut words = String::with_capacity(line.len());
    let mut word = String::new();
    for c in line.chars().take(LONGEST).chain(std::iter::once(' ')) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else {
            words.push_str(&type_word(&word));
            word.clear();
            words.push(c);
        }
    }
    words.pop();
    let words = words.replace("to value of ", "to ").replace(" type", "").replace("Can't", "cannot");
    let mut characters = words.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => "no value".to_owned(),
    }
}

/// Names types of decimals as SQL does. Where the library does not know which, it says 38 and 10.
fn decimals_in_our_words(message: &str) -> String {
    let mut words = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = rest.find("Decimal") {
        let (before, name) = rest.split_at(start);
        words.push_str(before);
        let name = name.trim_start_matches("Decimal").trim_start_matches(|c: char| c.is_ascii_digit());
        let arguments = name.strip_prefix('(').and_then(|name| name.split_once(')'));
        (words, rest) = match arguments {
            Some(("38, 10", after)) => (words + "decimal", after),
            Some((arguments, after)) => (format!("{words}decimal({})", arguments.replace(' ', "")), after),
            None => (words + "decimal", name),
        };
    }
    words + rest
}

/// A library's name of a type as SQL's, other words as they are.
fn type_word(word: &str) -> String {
    let known = match word {
        "Boolean" => DataType::Boolean,
        "Int8" => DataType::Int8,
        "Int16" => DataType::Int16,
        "Int32" => DataType::Int32,
        "Int64" => DataType::Int64,
        "UInt64" => DataType::UInt64,
        "Float32" => DataType::Float32,
        "Float64" => DataType::Float64,
        "Utf8" | "LargeUtf8" | "Utf8View" => DataType::Utf8,
        "Binary" | "LargeBinary" | "BinaryView" => DataType::Binary,
        "Date32" | "Date64" => DataType::Date32,
        "Timestamp" => return "timestamp".to_owned(),
        "Millisecond" => return unit(TimeUnit::Millisecond),
        "Microsecond" => return unit(TimeUnit::Microsecond),
        "Nanosecond" => return unit(TimeUnit::Nanosecond),
        "DataFusion" => return "the engine".to_owned(),
        other => return other.to_owned(),
    };
    sql_name(&known)
}

fn unit(unit: TimeUnit) -> String {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Decimal128Array, StringArray};

    use super::super::Expr;
    use super::super::testing::{faults, refused, rows};
    use super::*;

    #[test]
    fn decimals_are_named_as_in_sql() {
        assert_eq!(
            decimals_in_our_words("from Decimal256(40, 2) to Decimal128(6, 2)!"),
            "from decimal(40,2) to decimal(6,2)!"
        );
        assert_eq!(decimals_in_our_words("a Decimal128 of"), "a decimal of");
        let rows = rows(vec![("s", Arc::new(StringArray::from(vec!["abc"])))]);
        let cast = Expr::cast(0, &DataType::Decimal128(6, 2), &rows.schema()).expect("texts are cast");
        assert_eq!(cast.evaluate(&rows).1[0].error.message, "cannot cast string 'abc' to decimal");
    }

    #[test]
    fn an_overflow_is_one_of_its_type() {
        let most = Decimal128Array::from(vec![99_999_999_999_999_999_999_999_999_999_999_999_999]);
        let most = most.with_precision_and_scale(38, 0).expect("38 digits");
        let rows = rows(vec![("x", Arc::new(most))]);
        assert_eq!(faults("x * x", &rows), [(0, "decimal overflow: the result has more than 38 digits".to_owned())]);
    }

    #[test]
    fn a_regular_expression_that_is_too_large_is_said_to_be() {
        let rows = rows(vec![("s", Arc::new(StringArray::from(vec!["abc"])))]);
        for sql in ["s ~ '(a{1000}){1000}'", "regexp_like(s, '(a{1000}){1000}')"] {
            assert_eq!(refused(sql, &rows).message, "the regular expression is too large", "{sql}");
        }
    }
}
