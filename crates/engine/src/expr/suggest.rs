//! "Did you mean": the nearest of the names that there are.

/// The known name nearest to `name`, if one is near enough to have been meant. Ties go to the first in order.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let allowed = 1 + name.chars().count() / 4;
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// What functions of other systems are called here, or what stands in their place.
const ELSEWHERE: &[(&str, &str)] = &[
    ("char_len", "Did you mean `char_length`?"),
    ("dateadd", "Add an interval: `ts + interval '1 day'`."),
    ("datediff", "Subtract the times: `a - b`."),
    ("iff", "Write `case when .. then .. else .. end`."),
    ("if", "Write `case when .. then .. else .. end`."),
    ("isnull", "Write `x is null`, or `coalesce(x, ..)`."),
    ("lag", "Rows before a row are seen by a window step with `over:`."),
    ("lcase", "Did you mean `lower`?"),
    ("lead", "Rows before a row are seen by a window step with `over:`."),
    ("len", "Did you mean `length`?"),
    ("mode", "`topk(x, 1)` gives the most frequent value."),
    ("strlen", "Did you mean `length`?"),
    ("ucase", "Did you mean `upper`?"),
];

/// What can be said about an unknown function, `name` in lower case: what it is called here, or the nearest name.
pub(super) fn function_help<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    if let Some((_, help)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name) {
        return Some((*help).to_owned());
    }
    nearest(name, known).map(|near| format!("Did you mean `{near}`?"))
}

/// What can be said about an unknown column: the nearest name, else all names if they are few.
pub(super) fn column_help(name: &str, columns: &[&str]) -> Option<String> {
    if let Some(near) = nearest(name, columns.iter().copied()) {
        return Some(if near.eq_ignore_ascii_case(name) {
            format!("Did you mean `{near}`? Names are taken as they are written, upper and lower case.")
        } else {
            format!("Did you mean `{near}`?")
        });
    }
    let shown = columns.iter().copied().filter(|column| !column.starts_with('_')).collect::<Vec<_>>();
    match shown.len() {
        0 => None,
        1..=12 => Some(format!("The columns here are {}.", list(&shown))),
        more => Some(format!("The columns here are {} and {} more.", list(&shown[..10]), more - 10)),
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::super::testing::{refused, rows};

    #[test]
    fn names_of_other_systems_are_known() {
        let rows = rows(vec![("venue", Arc::new(StringArray::from(vec!["x"])))]);
        let help = |sql: &str| refused(sql, &rows).help.unwrap_or_default();
        assert_eq!(help("len(venue)"), "Did you mean `length`?");
        assert_eq!(help("lag(venue)"), "Rows before a row are seen by a window step with `over:`.");
        assert_eq!(help("mode(venue)"), "`topk(x, 1)` gives the most frequent value.");
        assert_eq!(help("uper(venue)"), "Did you mean `upper`?");
    }

    #[test]
    fn a_name_in_double_quotes_may_be_meant_as_text() {
        let rows = rows(vec![("venue", Arc::new(StringArray::from(vec!["x"])))]);
        let help = |sql: &str| refused(sql, &rows).help.unwrap_or_default();
        assert_eq!(help("venue = \"venues\""), "Did you mean the column `venue`? A string is written 'venues'.");
        assert_eq!(help("venue = \"XNAS\""), "Double quotes name a column; a string is written 'XNAS'.");
    }
}
