//! The columns behind a grouping step must have different names, and there must be a result.

use super::Findings;
use super::column_names;
use crate::codes;
use crate::spec::entries::Entries;
use crate::spec::names::Name;
use crate::spec::text::Expression;
use crate::yaml::spanned::Spanned;

/// Whether `window_start` and `window_end` are among the columns behind the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// A window's.
    Shown,
    /// An aggregate's for ever.
    Absent,
}

impl Bounds {
    /// The names of the bounds.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Bounds::Shown => &["window_start", "window_end"],
            Bounds::Absent => &[],
        }
    }
}

/// Checks the names of the group-by columns and of the results.
pub(crate) fn check(by: &[Name], bounds: Bounds, aggregates: &Spanned<Entries<Expression>>, findings: &mut Findings) {
    if aggregates.is_empty() {
        findings
            .error(codes::NO_AGGREGATES, aggregates.span, "a step that groups has no aggregates")
            .help("Name at least one result, such as `rows: count(*)`.");
    }
    for column in by.iter().filter(|column| bounds.names().contains(&column.as_str())) {
        findings
            .error(
                codes::COLUMN_CLASH,
                column.span,
                format!("`{column}` is also the name of a bound of the new window"),
            )
            .help(format!("Give the column another name in a step before: `- rename: {{{column}: first_{column}}}`."));
    }
    for name in aggregates.names() {
        if bounds.names().contains(&name.as_str()) {
            findings
                .error(codes::COLUMN_CLASH, name.span, format!("`{name}` is the name of a bound of the window"))
                .help("Give the result another name.");
        } else if let Some(column) = by.iter().find(|column| column.value == name.value) {
            findings
                .error(codes::COLUMN_CLASH, name.span, format!("`{name}` is also a column of `by`"))
                .help("Give the result another name.")
                .related(column.span, "the column is here");
        } else {
            column_names::check(name, findings);
        }
    }
}
