//! A column's name is not empty, and not that of a system column.

use super::Findings;
use crate::codes;
use crate::spec::names::Name;
use crate::topology::is_hidden;

/// Checks the name of a new column.
pub(crate) fn check(name: &Name, findings: &mut Findings) {
    if name.is_empty() {
        findings.error(codes::COLUMN_NAME, name.span, "a column has no name").help("Give it a name.");
    } else if is_hidden(name) {
        findings
            .error(codes::RESERVED_COLUMN, name.span, format!("`{name}` is a system column and cannot be written"))
            .help(format!("Choose another name, such as `{}`.", name.trim_start_matches('_')));
    }
}
