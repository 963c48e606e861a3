//! Single values: their types, their words, and what is read from them.

use std::net::SocketAddr;

use serde_json::Value;

use super::{Choice, Place};
use crate::codes::{self, Code};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::spec::{ColumnType, Duration, FailAbove, Size, Start};
use crate::yaml::node::{Meaning, Scalar};
use crate::yaml::source_map::Style;
use crate::yaml::span::Span;

/// Whether a schema allows values of a type of JSON.
pub(super) fn allows(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

/// What is expected, in words.
pub(super) fn wanted(schema: &Value) -> String {
    if let Some(format) = schema.get("format").and_then(Value::as_str) {
        let words = match format {
            "duration" => "a duration such as `10s`",
            "column-type" => "a type such as `double`",
            "start" => "`earliest`, `latest` or a time",
            "share" => "a share such as `1%/5m`",
            "size" => "a size such as `512MiB`",
            "socket-address" => "an address and a port, such as `127.0.0.1:9464`",
            "sql" => "an SQL expression",
            "uint32" | "uint64" => "a whole number",
            _ => "a single value",
        };
        return words.to_owned();
    }
    let words = words_of(schema);
    if !words.is_empty() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => "`true` or `false`".into(),
        Some("integer") => "a whole number".into(),
        Some("number") => "a number".into(),
        Some("string") => "text".into(),
        _ => "a single value".into(),
    }
}

/// What is read from text that may look like a number as well.
const READ: &[&str] = &["duration", "column-type", "start", "share", "size"];

fn words_of(schema: &Value) -> Vec<&str> {
    let one = schema.get("const").and_then(Value::as_str);
    let several = schema.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(several).collect()
}

pub(super) fn check(scalar: &Scalar, span: Span, choices: &[Choice<'_>], place: &Place, diagnostics: &mut Diagnostics) {
    let words: Vec<&str> = choices.iter().flat_map(|choice| words_of(choice.schema)).collect();
    if words.contains(&scalar.value.as_str()) {
        return;
    }
    let mut typed = choices.iter().filter(|choice| words_of(choice.schema).is_empty()).map(|choice| choice.schema);
    let found = match typed.next() {
        Some(schema) => typed_value(scalar, span, schema, place),
        None => Some(unknown_word(scalar, span, &words, place)),
    };
    diagnostics.extend(found);
}

fn unknown_word(scalar: &Scalar, span: Span, words: &[&str], place: &Place) -> Diagnostic {
    let name = scalar.value.as_str();
    let all = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    Diagnostic::error(codes::UNKNOWN_WORD, span, format!("{} cannot be `{name}`", place.what))
        .help(format!("There are {all}."))
        .did_you_mean(name, words.iter().copied())
}

fn typed_value(scalar: &Scalar, span: Span, schema: &Value, place: &Place) -> Option<Diagnostic> {
    if let Some(constant) = schema.get("const") {
        let is_it = matches!((constant, scalar.meaning()), (Value::Bool(a), Meaning::Bool(b)) if *a == b);
        return (!is_it).then(|| {
            let message = format!("{} is always `{constant}`", place.what);
            Diagnostic::error(codes::WRONG_TYPE, span, message)
        });
    }
    if READ.iter().any(|format| schema.get("format").is_some_and(|name| name == format)) {
        return read(scalar, span, schema, place);
    }
    let (fits, found) = match scalar.meaning() {
        Meaning::Null => (allows(schema, "null"), "nothing"),
        Meaning::Bool(_) => (allows(schema, "boolean"), "true or false"),
        Meaning::Int(_) | Meaning::Uint(_) => (allows(schema, "integer") || allows(schema, "number"), "a number"),
        Meaning::Float(_) => (allows(schema, "number"), "a number"),
        Meaning::Text(_) => (allows(schema, "string"), "text"),
    };
    let text_after_all = scalar.style == Style::Replaced && allows(schema, "string");
    if !fits && !text_after_all {
        return Some(wrong_type(scalar, span, schema, place, found));
    }
    read(scalar, span, schema, place)
}

fn wrong_type(scalar: &Scalar, span: Span, schema: &Value, place: &Place, found: &str) -> Diagnostic {
    let value = shorten(&scalar.value);
    let message = format!("{} is {} here, not `{value}`", place.what, wanted(schema));
    let diagnostic = Diagnostic::error(codes::WRONG_TYPE, span, message);
    if allows(schema, "string") {
        return diagnostic
            .label(format!("this is {found}"))
            .help("Put it in quotes if text is meant.")
            .suggest(span, format!("\"{value}\""));
    }
    let quoted = matches!(scalar.style, Style::SingleQuoted | Style::DoubleQuoted);
    let unquoted = Scalar { value: scalar.value.clone(), style: Style::Plain };
    match quoted && !matches!(unquoted.meaning(), Meaning::Text(_) | Meaning::Null) {
        true => diagnostic.help("Leave the quotes out.").suggest(span, value),
        false => diagnostic,
    }
}

/// What is read from the text: by the same parsers as behind the types.
fn read(scalar: &Scalar, span: Span, schema: &Value, place: &Place) -> Option<Diagnostic> {
    let text = scalar.value.as_str();
    let wrong = |code: Code, why: Option<String>| {
        why.map(|why| {
            let meant = why.split_once("did you mean `").and_then(|(_, rest)| rest.split_once('`'));
            let has_units = code == codes::BAD_DURATION || code == codes::BAD_SIZE;
            let whole = why.starts_with(&format!("`{text}`")) || has_units;
            let diagnostic = Diagnostic::error(code, span, why.clone());
            match meant {
                Some((meant, _)) if whole && !meant.contains("..") && (!has_units || single(text)) => {
                    let message = why.split("; did you mean").next().unwrap_or(&why).to_owned();
                    Diagnostic { message, ..diagnostic.suggest(span, meant) }
                }
                _ => diagnostic.help(code.entry().explanation),
            }
        })
    };
    match schema.get("format").and_then(Value::as_str) {
        Some("duration") => wrong(codes::BAD_DURATION, text.parse::<Duration>().err()),
        Some("column-type") => wrong(codes::BAD_TYPE, text.parse::<ColumnType>().err()),
        Some("start") => wrong(codes::BAD_START, text.parse::<Start>().err()),
        Some("share") => wrong(codes::BAD_SHARE, text.parse::<FailAbove>().err()),
        Some("size") => wrong(codes::BAD_SIZE, text.parse::<Size>().err()),
        Some("socket-address") => wrong(codes::BAD_ADDRESS, not_an_address(text)),
        Some("uint32") => number(text.parse::<u32>().is_ok(), scalar, span, place),
        Some("uint64") => number(text.parse::<u64>().is_ok(), scalar, span, place),
        _ => match schema.get("minimum").and_then(Value::as_i64) {
            Some(least) => number(text.parse::<i64>().is_ok_and(|value| value >= least), scalar, span, place),
            None => None,
        },
    }
}

fn not_an_address(text: &str) -> Option<String> {
    text.parse::<SocketAddr>().err().map(|_| format!("expected an address and a port, not `{}`", shorten(text)))
}

/// Whether the text of a duration is one number with one unit, so that a suggestion stands for all of it.
fn single(text: &str) -> bool {
    let units = text.trim_start_matches(|c: char| c.is_ascii_digit());
    !units.contains(|c: char| c.is_ascii_digit())
}

fn number(fits: bool, scalar: &Scalar, span: Span, place: &Place) -> Option<Diagnostic> {
    let hexadecimal = matches!(scalar.meaning(), Meaning::Int(value) if value >= 0) && scalar.value.starts_with('0');
    (!fits && !hexadecimal).then(|| {
        let message = format!("{} cannot be {}", place.what, shorten(&scalar.value));
        Diagnostic::error(codes::OUT_OF_RANGE, span, message).help("It is a whole number, not below 0.")
    })
}

/// A value for a message: at most so many characters of it, on one line.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 40;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST + 1).collect();
    match line.chars().count() > LONGEST {
        true => line.chars().take(LONGEST).collect::<String>() + "…",
        false => line,
    }
}
