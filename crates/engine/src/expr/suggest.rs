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
