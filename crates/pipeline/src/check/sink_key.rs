//! The key of a sink's messages: its columns are there, and can be written as one.

use crate::check::words::a;
use crate::codes;
use arrow::datatypes::DataType;
use millstream_engine::text::Cells;

use super::sink_columns::{self, Written};
use super::sink_contract::{self, Shape};
use super::{Findings, group_keys};
use crate::found::{Found, Writing};
use crate::lower::columns::{Columns, SystemColumns};
use crate::lower::stream::{Stream, WindowColumns};
use crate::spec::format::{Format, FormatOptions};
use crate::spec::names::{Name, Names};
use crate::spec::sink::{Key, KeyColumns, Sink};
use crate::topology::SinkSchema;
use crate::yaml::span::Span;

/// A sink's key by the names of its columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum KeyDraft {
    /// No key.
    None,
    /// The bytes of the source message's key.
    Source,
    /// One column's text, or an object of several.
    Columns(Vec<String>),
    /// Texts joined.
    Joined(Vec<String>, String),
    /// Columns in a format of their own.
    Encoded(Box<EncodedDraft>),
    /// A key, then the bounds of the window.
    Windowed(Box<KeyDraft>, WindowColumns),
}

/// A key in a format of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EncodedDraft {
    /// How it is written.
    pub(crate) format: Written,
    /// Its schema, if it has one.
    pub(crate) schema: Option<SinkSchema>,
    /// Its columns.
    pub(crate) columns: Vec<String>,
}

impl KeyDraft {
    /// The columns that it reads.
    pub(crate) fn reads(&self) -> Vec<String> {
        match self {
            KeyDraft::None => Vec::new(),
            KeyDraft::Source => vec!["_key".to_owned()],
            KeyDraft::Columns(columns) | KeyDraft::Joined(columns, _) => columns.clone(),
            KeyDraft::Encoded(key) => key.columns.clone(),
            KeyDraft::Windowed(key, bounds) => {
                let mut reads = key.reads();
                reads.extend([bounds.start.clone(), bounds.end.clone()]);
                reads
            }
        }
    }
}

/// Checks the key `key` of a sink as written.
pub(crate) fn check(
    sink: &Sink,
    key: &Key,
    stream: &Stream,
    columns: &Columns,
    found: &Found,
    findings: &mut Findings,
) -> Option<KeyDraft> {
    match key {
        Key::Word(word) if word.value == "none" => Some(KeyDraft::None),
        Key::Word(column) => Some(KeyDraft::Columns(of_columns(std::slice::from_ref(column), columns, findings)?)),
        Key::Columns(names) => Some(KeyDraft::Columns(of_columns(names, columns, findings)?)),
        Key::Options(options) => with_options(sink, options, stream, columns, found, findings),
    }
}

/// Checks the columns by which partitions are chosen.
pub(crate) fn partition_by(names: &Names, columns: &Columns, findings: &mut Findings) -> Option<KeyDraft> {
    Some(KeyDraft::Columns(of_columns(names.as_slice(), columns, findings)?))
}

fn with_options(
    sink: &Sink,
    options: &KeyColumns,
    stream: &Stream,
    columns: &Columns,
    found: &Found,
    findings: &mut Findings,
) -> Option<KeyDraft> {
    let names = of_columns(options.columns.as_slice(), columns, findings);
    let windowed = options.windowed.as_ref().filter(|windowed| windowed.value);
    if let Some(join) = &options.join {
        if let Some(windowed) = windowed {
            findings
                .error(codes::KEY_OPTIONS, join.span, "a key is either joined or windowed")
                .help("Remove `join` or `windowed`.")
                .related(windowed.span, "windowed is here");
            return None;
        }
        if let Some(format) = &options.format {
            findings
                .error(codes::KEY_OPTIONS, join.span, "a key is either joined text or written in a format")
                .help("Remove `join` or `format`.")
                .related(format.span(), "the format is here");
            return None;
        }
    }
    let formatted = options.format.as_ref().map(Format::options);
    if formatted.as_ref().is_none_or(|format| !format.has_schema()) {
        sink_contract::only_with_schema_of_key(options, formatted.as_ref(), findings);
    }
    if let (Some(windowed), None) = (windowed, &stream.window) {
        not_windowed(windowed.span, findings);
    }
    let key = match (formatted, &options.join) {
        (Some(format), _) => {
            KeyDraft::Encoded(Box::new(encoded(sink, options, &format, names?, columns, found, findings)?))
        }
        (None, Some(join)) => KeyDraft::Joined(names?, join.value.clone()),
        (None, None) => KeyDraft::Columns(names?),
    };
    match windowed {
        None => Some(key),
        Some(_) => Some(KeyDraft::Windowed(Box::new(key), stream.window.clone()?)),
    }
}

/// A key in a format of its own.
fn encoded(
    sink: &Sink,
    options: &KeyColumns,
    format: &FormatOptions,
    names: Vec<String>,
    columns: &Columns,
    found: &Found,
    findings: &mut Findings,
) -> Option<EncodedDraft> {
    let at = options.format.as_ref()?.span();
    if names.is_empty() {
        findings
            .error(codes::KEY_OPTIONS, at, "a key in a format is made of columns, and none is named")
            .help("Name them, or write `key: none`.");
        return None;
    }
    let shape = match &options.columns {
        Names::One(_) => Shape::Alone,
        Names::Many(_) => Shape::Record,
    };
    let picked = columns.project(names.iter().map(String::as_str));
    let (format, schema) = match (Writing::of_key(sink), format) {
        (Some(writing), _) => {
            let (format, schema) = sink_contract::check(&writing, &shape, &picked, found, findings)?;
            (format, Some(schema))
        }
        (None, FormatOptions::Json(_)) if matches!(shape, Shape::Alone) => {
            sink_contract::alone(format, at, findings);
            return None;
        }
        (None, FormatOptions::Raw(_)) if names.len() > 1 => {
            findings
                .error(codes::KEY_OPTIONS, at, format!("a raw key is one column, and {} are named", names.len()))
                .help("Name one, or join their texts: `join: \"_\"` instead of `format`.");
            return None;
        }
        (None, _) => {
            let fields = picked.fields().iter().map(|field| (field.name().clone(), field.data_type().clone()));
            let picked = Columns::new(fields.collect(), SystemColumns::Gone);
            (sink_columns::check(options.format.as_ref(), at, &picked, findings)?, None)
        }
    };
    Some(EncodedDraft { format, schema, columns: names })
}

fn not_windowed(at: Span, findings: &mut Findings) {
    findings
        .error(codes::KEY_NOT_WINDOWED, at, "these rows have no window: `window_start` and `window_end` are not there")
        .help("Write the result of a `window` step, and keep both columns.");
}

fn of_columns(names: &[Name], columns: &Columns, findings: &mut Findings) -> Option<Vec<String>> {
    let mut right = true;
    for (index, name) in names.iter().enumerate() {
        if names[..index].iter().any(|before| before.value == name.value) {
            findings.error(codes::DUPLICATE_COLUMN, name.span, format!("`{name}` stands twice")).help("Remove one.");
            right = false;
        }
        let Some(data_type) = columns.type_of(name) else {
            if columns.get(name).is_none() {
                group_keys::unknown(name, columns, findings);
            }
            right = false;
            continue;
        };
        if data_type.is_nested() || data_type == DataType::Null || !Cells::supports(&data_type) {
            findings
                .error(codes::KEY_TYPE, name.span, format!("`{name}` is {}, which cannot be a key", a(&data_type)))
                .help("Choose a column of text, numbers or times; make one by `map`.");
            right = false;
        }
    }
    right.then(|| names.iter().map(|name| name.value.clone()).collect())
}
