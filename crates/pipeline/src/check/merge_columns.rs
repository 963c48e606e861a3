//! Streams that are merged have the same columns with the same types.

use crate::check::words::a;
use crate::codes;

use super::Findings;
use crate::lower::columns::Columns;
use crate::spec::names::Name;

/// Checks the columns of stream `name` against those of `first`.
pub(crate) fn check(first: (&Name, &Columns), other: (&Name, &Columns), findings: &mut Findings) -> bool {
    let ((first_name, first), (name, other)) = (first, other);
    let mut differences = Vec::new();
    for column in &first.visible {
        match (other.get(&column.name).map(|other| &other.data_type), &column.data_type) {
            (None, _) => differences.push(format!("it has no column `{}`", column.name)),
            (Some(Some(theirs)), Some(ours)) if theirs != ours => {
                differences.push(format!("its `{}` is {}, not {}", column.name, a(theirs), a(ours)))
            }
            _ => {}
        }
    }
    for column in other.visible.iter().filter(|column| first.get(&column.name).is_none()) {
        differences.push(format!("its column `{}` is not in `{first_name}`", column.name));
    }
    if differences.is_empty() {
        return true;
    }
    findings
        .error(codes::MERGE_COLUMNS, name.span, format!("`{name}` cannot be merged: {}", differences.join("; ")))
        .help(format!("Give `{name}` the columns of `{first_name}` by `select` or `cast` in a stream before."))
        .related(first_name.span, "the columns of this stream are taken");
    false
}
