//! The columns that a step groups by: they are there, each once, and of types whose values can be compared.

use crate::check::words::a;
use crate::codes;
use arrow::datatypes::DataType;

use super::Findings;
use crate::lower::columns::Columns;
use crate::spec::names::Name;
use crate::topology::is_hidden;

/// Checks the columns of `by` or `key_by`. Gives them where all are right.
pub(crate) fn check(by: &[Name], columns: &Columns, findings: &mut Findings) -> Option<Vec<String>> {
    let mut right = true;
    for (index, name) in by.iter().enumerate() {
        if by[..index].iter().any(|before| before.value == name.value) {
            findings.error(codes::DUPLICATE_COLUMN, name.span, format!("`{name}` stands twice")).help("Remove one.");
            right = false;
        }
        right &= check_one(name, columns, findings);
    }
    right.then(|| by.iter().map(|name| name.value.clone()).collect())
}

fn check_one(name: &Name, columns: &Columns, findings: &mut Findings) -> bool {
    if is_hidden(name) {
        findings
            .error(codes::RESERVED_COLUMN, name.span, format!("`{name}` is a system column and cannot be grouped by"))
            .help(format!("Give it a name first: `- map: {{{}: {name}}}`.", name.trim_start_matches('_')));
        return false;
    }
    let Some(column) = columns.get(name) else {
        unknown(name, columns, findings);
        return false;
    };
    // A column whose type a mistake has hidden is no reason to say more.
    let Some(data_type) = &column.data_type else { return false };
    match data_type {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            findings
                .warning(codes::FLOAT_KEY, name.span, format!("`{name}` is {}: rarely are two equal", a(data_type)))
                .help("Cast it to a decimal, or to a whole number, in a step before.");
            true
        }
        data_type if data_type.is_nested() || *data_type == DataType::Null => {
            findings
                .error(codes::KEY_TYPE, name.span, format!("`{name}` is {}, which cannot be a key", a(data_type)))
                .help("Group by one of its parts: add it as a column of its own by `map`.");
            false
        }
        _ => true,
    }
}

/// Reports a column that is not there.
pub(crate) fn unknown(name: &Name, columns: &Columns, findings: &mut Findings) {
    let names = columns.names().collect::<Vec<_>>();
    findings.error(codes::UNKNOWN_COLUMN, name.span, format!("there is no column `{name}`")).help_nearest(
        name,
        names,
        "The columns here are",
    );
}
