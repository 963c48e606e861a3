//! What at least once promises: nothing is missing. A result may be there several times, and may count an event twice.

use std::collections::BTreeMap;

use super::expect::{Bag, Totals};

/// What a pipeline promises of its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Promise {
    /// Each is there once, and right.
    #[default]
    ExactlyOnce,
    /// Each is there.
    AtLeastOnce,
}

/// Results of single events that are not there.
pub(super) fn missing_copies(expected: &Bag, found: &Bag) -> Vec<String> {
    expected
        .results()
        .filter(|result| !found.holds(result))
        .map(|result| format!("copied: missing: {result}"))
        .collect()
}

/// Results of windows that are not there, or nowhere count as many events as there are.
pub(super) fn missing_windows(topic: &str, expected: &Bag, found: &Bag) -> Vec<String> {
    let mut counted: BTreeMap<&str, i64> = BTreeMap::new();
    for (window, count) in found.results().filter_map(split) {
        let most = counted.entry(window).or_insert(count);
        *most = count.max(*most);
    }
    let is_missing = |(window, count): &(&str, i64)| counted.get(window).is_none_or(|counted| counted < count);
    let missing = expected.results().filter_map(split).filter(is_missing);
    missing.map(|(window, count)| format!("{topic}: {window}: {:?} of {count} events", counted.get(window))).collect()
}

/// Users whose total counts fewer events than there are.
pub(super) fn missing_totals(expected: &Totals, shown: &Totals) -> Vec<String> {
    let counted = |user: &String| shown.get(user).map_or(0, |shown| shown.0);
    let missing = expected.iter().filter(|(user, total)| counted(user) < total.0);
    missing.map(|(user, total)| format!("totals: {user}: {} of {} events", counted(user), total.0)).collect()
}

/// Key and bounds of a window, and how many events it counts.
fn split(result: &str) -> Option<(&str, i64)> {
    let (front, _total) = result.rsplit_once(' ')?;
    let (window, count) = front.rsplit_once(' ')?;
    Some((window, count.parse().ok()?))
}
