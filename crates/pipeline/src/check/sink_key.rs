//! The key of a sink's messages: its columns are there, and can be written as one.

use crate::check::words::a;
use crate::codes;
use arrow::datatypes::DataType;

use super::{Findings, group_keys};
use crate::lower::columns::Columns;
use crate::lower::stream::{Stream, WindowColumns};
use crate::spec::names::{Name, Names};
use crate::spec::sink::{Key, KeyColumns};
use crate::yaml::span::Span;

/// A sink's key by the names of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyDraft {
    /// No key.
    None,
    /// The bytes of the source message's key.
    Source,
    /// One column's text, or an object of several.
    Columns(Vec<String>),
    /// Texts joined.
    Joined(Vec<String>, String),
    /// Columns, then the bounds of the window.
    Windowed(Vec<String>, WindowColumns),
}

impl KeyDraft {
    /// The columns that it reads.
    pub(crate) fn reads(&self) -> Vec<String> {
        match self {
            KeyDraft::None => Vec::new(),
            KeyDraft::Source => vec!["_key".to_owned()],
            KeyDraft::Columns(columns) | KeyDraft::Joined(columns, _) => columns.clone(),
            KeyDraft::Windowed(columns, bounds) => {
                let mut reads = columns.clone();
                reads.extend([bounds.start.clone(), bounds.end.clone()]);
                reads
            }
        }
    }
}

/// Checks a key as written.
pub(crate) fn check(key: &Key, stream: &Stream, columns: &Columns, findings: &mut Findings) -> Option<KeyDraft> {
    match key {
        Key::Word(word) if word.value == "none" => Some(KeyDraft::None),
        Key::Word(column) => Some(KeyDraft::Columns(of_columns(std::slice::from_ref(column), columns, findings)?)),
        Key::Columns(names) => Some(KeyDraft::Columns(of_columns(names, columns, findings)?)),
        Key::Options(options) => with_options(options, stream, columns, findings),
    }
}

/// Checks the columns by which partitions are chosen.
pub(crate) fn partition_by(names: &Names, columns: &Columns, findings: &mut Findings) -> Option<KeyDraft> {
    Some(KeyDraft::Columns(of_columns(names.as_slice(), columns, findings)?))
}

fn with_options(options: &KeyColumns, stream: &Stream, columns: &Columns, findings: &mut Findings) -> Option<KeyDraft> {
    let names = of_columns(options.columns.as_slice(), columns, findings);
    let windowed = options.windowed.as_ref().filter(|windowed| windowed.value);
    match (windowed, &options.join) {
        (Some(windowed), Some(join)) => {
            findings
                .error(codes::KEY_OPTIONS, join.span, "a key is either joined or windowed")
                .help("Remove `join` or `windowed`.")
                .related(windowed.span, "windowed is here");
            None
        }
        (Some(windowed), None) => {
            let Some(bounds) = stream.window.clone() else {
                not_windowed(windowed.span, findings);
                return None;
            };
            Some(KeyDraft::Windowed(names?, bounds))
        }
        (None, Some(join)) => Some(KeyDraft::Joined(names?, join.value.clone())),
        (None, None) => Some(KeyDraft::Columns(names?)),
    }
}

fn not_windowed(at: Span, findings: &mut Findings) {
    findings
        .error(codes::KEY_NOT_WINDOWED, at, "these rows have no window: `window_start` and `window_end` are not there")
        .help("Write the result of a `window` step, and keep both columns.");
}

fn of_columns(names: &[Name], columns: &Columns, findings: &mut Findings) -> Option<Vec<String>> {
    let mut right = true;
    for name in names {
        let Some(data_type) = columns.type_of(name) else {
            if columns.get(name).is_none() {
                group_keys::unknown(name, columns, findings);
            }
            right = false;
            continue;
        };
        if data_type.is_nested() || data_type == DataType::Null {
            findings
                .error(codes::KEY_TYPE, name.span, format!("`{name}` is {}, which cannot be a key", a(&data_type)))
                .help("Choose a column of text, numbers or times; make one by `map`.");
            right = false;
        }
    }
    right.then(|| names.iter().map(|name| name.value.clone()).collect())
}
