//! What `tests/kafka/torture.yaml` must make of events, written as plainly as can be.

use std::collections::BTreeMap;

use serde_json::Value;

use super::millis;
use crate::load::Event;

/// Count and sum by user.
pub type Totals = BTreeMap<String, (i64, i64)>;

/// Results, each as often as it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bag {
    results: BTreeMap<String, Vec<String>>,
}

impl Bag {
    /// One more, and where it was found.
    pub fn add(&mut self, result: String, place: String) {
        self.results.entry(result).or_default().push(place);
    }

    /// Each of them, once.
    pub fn results(&self) -> impl Iterator<Item = &str> {
        self.results.keys().map(String::as_str)
    }

    /// Whether this one is there.
    pub fn holds(&self, result: &str) -> bool {
        self.results.contains_key(result)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.results.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// What is here more often than there, and by how often.
    pub fn without(&self, other: &Bag) -> Vec<(String, usize)> {
        let count = |result| other.results.get(result).map_or(0, Vec::len);
        let more = self.results.iter().map(|(result, places)| (result, places.len().saturating_sub(count(result))));
        more.filter(|(_, more)| *more > 0).map(|(result, more)| (result.clone(), more)).collect()
    }

    /// Where a result was found.
    pub fn places(&self, result: &str) -> String {
        self.results.get(result).map(|places| places.join(", ")).unwrap_or_default()
    }
}

impl FromIterator<String> for Bag {
    fn from_iter<T: IntoIterator<Item = String>>(results: T) -> Bag {
        let mut bag = Bag::default();
        results.into_iter().for_each(|result| bag.add(result, String::new()));
        bag
    }
}

/// The columns by which results of a topic are compared: all that it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns(pub(super) &'static [&'static str]);

impl Columns {
    /// A record as the functions below write it. Columns that it has too many show, as do those that it lacks.
    pub(super) fn shown(self, value: &Value) -> String {
        let mut shown: Vec<String> = self.0.iter().map(|name| show(&value[*name])).collect();
        let others = value.as_object().into_iter().flatten().filter(|(name, _)| !self.0.contains(&name.as_str()));
        shown.extend(others.map(|(name, value)| format!("{name}={value}")));
        shown.join(" ")
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => millis(value).map_or_else(|| text.clone(), |time| time.to_string()),
        other => other.to_string(),
    }
}

/// What passes the filter.
pub(super) fn copied(events: &[Event]) -> Bag {
    let passing = events.iter().filter(|event| event.amount % 10 != 0);
    passing.map(|e| format!("{} {} {} {} {}", e.id, e.key, e.user, e.amount, e.ts)).collect()
}

fn by<'a>(events: &'a [Event], key: impl Fn(&'a Event) -> &'a str) -> BTreeMap<&'a str, Vec<&'a Event>> {
    let mut groups: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        groups.entry(key(event)).or_default().push(event);
    }
    groups.values_mut().for_each(|group| group.sort_by_key(|event| event.ts));
    groups
}

fn total(events: &[&Event]) -> i64 {
    events.iter().map(|event| event.amount).sum()
}

/// For each event those of its key in the three seconds up to it.
pub(super) fn rolling(events: &[Event]) -> Bag {
    let mut bag = Bag::default();
    for (key, group) in by(events, |event| &event.key) {
        for event in &group {
            let first = group.partition_point(|other| other.ts < event.ts - 3000);
            let behind = group.partition_point(|other| other.ts <= event.ts);
            let within = &group[first..behind];
            let span = format!("{} {}", event.ts - 3000, event.ts);
            bag.add(format!("{key} {span} {} {}", within.len(), total(within)), String::new());
        }
    }
    bag
}

/// Ten seconds at a time.
pub(super) fn sums(events: &[Event]) -> Bag {
    let mut windows: BTreeMap<(&str, i64), Vec<&Event>> = BTreeMap::new();
    for event in events {
        windows.entry((&event.user, event.ts.div_euclid(10_000) * 10_000)).or_default().push(event);
    }
    let shown = windows
        .iter()
        .map(|((user, start), within)| format!("{user} {start} {} {} {}", start + 10_000, within.len(), total(within)));
    shown.collect()
}

/// Events of a user no more than a second apart.
pub(super) fn visits(events: &[Event]) -> Bag {
    let mut bag = Bag::default();
    for (user, group) in by(events, |event| &event.user) {
        for visit in group.chunk_by(|one, next| next.ts - one.ts <= 1000) {
            let (first, last) = (visit[0].ts, visit[visit.len() - 1].ts);
            bag.add(format!("{user} {first} {last} {} {}", visit.len(), total(visit)), String::new());
        }
    }
    bag
}

/// Adds events to what there is.
pub(super) fn add_up(totals: &mut Totals, events: &[Event]) {
    for event in events {
        let total = totals.entry(event.user.clone()).or_default();
        *total = (total.0 + 1, total.1 + event.amount);
    }
}
