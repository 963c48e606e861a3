//! The headers of a sink's messages: those of the source where there is one, or values that have a text.

use millstream_engine::text::Cells;

use super::words::a;
use super::{Findings, expression};
use crate::codes;
use crate::lower::columns::{Columns, SystemColumns};
use crate::lower::graph::Checked;
use crate::spec::names::Name;
use crate::spec::sink::Headers;
use crate::spec::text::Expression;
use crate::yaml::span::Span;

/// A sink's headers by the names of their columns.
#[derive(Debug, Clone)]
pub(crate) enum HeadersDraft {
    /// Each of these that is not null; perhaps none at all.
    Set(Vec<(String, Checked)>),
    /// Those of the source message.
    Kept,
}

impl HeadersDraft {
    /// The columns that the sink itself reads; those that are set are computed before.
    pub(crate) fn reads(&self) -> Vec<String> {
        match self {
            HeadersDraft::Set(_) => Vec::new(),
            HeadersDraft::Kept => vec!["_headers".to_owned()],
        }
    }
}

/// Checks the headers of a sink whose rows have these columns.
pub(crate) fn check(headers: Option<&Headers>, columns: &Columns, findings: &mut Findings) -> Option<HeadersDraft> {
    match headers {
        None => Some(HeadersDraft::Set(Vec::new())),
        Some(Headers::Word(word)) => kept(word.span, columns, findings),
        Some(Headers::Set(entries)) => {
            // All that is wrong is told, so every entry is looked at.
            let set = entries.iter().map(|(name, value)| set(name, value, columns, findings)).collect::<Vec<_>>();
            set.into_iter().collect::<Option<Vec<_>>>().map(HeadersDraft::Set)
        }
    }
}

fn kept(at: Span, columns: &Columns, findings: &mut Findings) -> Option<HeadersDraft> {
    if columns.system == SystemColumns::AtHand {
        return Some(HeadersDraft::Kept);
    }
    findings
        .error(codes::NO_HEADERS, at, "these rows are results over many records: there are no headers to keep")
        .help(
            "Let the step take the header along, as in `aggregates: {trace: last(_headers['trace'])}`, and set it here: \
             `headers: {trace: trace}`.",
        );
    None
}

fn set(name: &Name, value: &Expression, columns: &Columns, findings: &mut Findings) -> Option<(String, Checked)> {
    let is_name = !name.is_empty() && !name.contains('\0');
    if !is_name {
        let what = if name.is_empty() { "a header has no name" } else { "a header's name has no zero byte" };
        findings.error(codes::HEADER_NAME, name.span, what).help("Give it another name.");
    }
    let checked = expression::scalar(value, columns, findings)?;
    if !Cells::supports(&checked.data_type) {
        let what = format!("a header is text, and {} has none", a(&checked.data_type));
        findings.error(codes::HEADER_TYPE, value.span, what).help("Cast it to a type that has, such as `string`.");
        return None;
    }
    is_name.then(|| (name.value.clone(), checked))
}
