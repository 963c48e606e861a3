//! "Did you mean": the nearest of the names that would have been right.

/// The candidate that is most like `wrong`, if one is near enough to have been meant. Of equally near ones the first.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if wrong.is_empty() || wrong.len() > LONGEST {
        return None;
    }
    let lower = wrong.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates.into_iter().filter(|candidate| candidate.len() <= LONGEST) {
        let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
        let allowed = 1.max(wrong.chars().count().max(candidate.chars().count()) / 3);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_near_misses_only() {
        let names = ["filter", "map", "window"];
        assert_eq!(nearest("fliter", names), Some("filter"));
        assert_eq!(nearest("Window", names), Some("window"));
        assert_eq!(nearest("windwo", names), Some("window"));
        assert_eq!(nearest("aggregate", names), None);
        assert_eq!(nearest("", names), None);
    }
}
