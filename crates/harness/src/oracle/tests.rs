//! The oracle itself: small worlds by hand, and faults that it must see.

use serde_json::json;

use super::expect::{Columns, copied, rolling, sums, visits};
use super::{Bag, Found, Oracle, expect, millis};
use crate::load::Event;

fn event(id: i64, ts: i64, amount: i64) -> Event {
    Event { id, key: "k".to_owned(), user: "u".to_owned(), amount, ts, partition: None }
}

fn bag(results: &[&str]) -> Bag {
    results.iter().map(|result| (*result).to_owned()).collect()
}

#[test]
fn times_are_read() {
    assert_eq!(millis(&json!("1970-01-01T00:00:00Z")), Some(0));
    assert_eq!(millis(&json!("2026-01-01T00:00:00.010Z")), Some(1_767_225_600_010));
    assert_eq!(millis(&json!("2024-02-29T12:34:56.7Z")), Some(1_709_210_096_700));
    assert_eq!(millis(&json!("2000-03-01T00:00:00Z")), Some(951_868_800_000));
    assert_eq!((millis(&json!("u17")), millis(&json!(3))), (None, None));
}

#[test]
fn small_worlds_by_hand() {
    let events = [event(0, 9_000, 1), event(1, 10_000, 2), event(2, 8_500, 10), event(3, 12_001, 4)];
    assert_eq!(copied(&events), bag(&["0 k u 1 9000", "1 k u 2 10000", "3 k u 4 12001"]));
    assert_eq!(sums(&events), bag(&["u 0 10000 2 11", "u 10000 20000 2 6"]));
    assert_eq!(visits(&events), bag(&["u 8500 10000 3 13", "u 12001 12001 1 4"]));
    assert_eq!(
        rolling(&events),
        bag(&["k 5500 8500 1 10", "k 6000 9000 2 11", "k 7000 10000 3 13", "k 9001 12001 2 6"])
    );
}

#[test]
fn bounds_are_inclusive() {
    let events = [event(0, 1_000, 1), event(1, 2_000, 2), event(2, 4_000, 4), event(3, 4_000, 8)];
    assert_eq!(visits(&events), bag(&["u 1000 2000 2 3", "u 4000 4000 2 12"]));
    // Rows of one time share the value; three seconds before is within.
    assert_eq!(
        rolling(&events),
        bag(&["k -2000 1000 1 1", "k -1000 2000 2 3", "k 1000 4000 4 15", "k 1000 4000 4 15"])
    );
}

#[test]
fn records_are_shown_as_expectations_are() {
    let columns = Columns(&["user", "window_start", "n"]);
    let record = json!({"user": "u1", "window_start": "1970-01-01T00:00:01Z", "n": 2});
    assert_eq!(columns.shown(&record), "u1 1000 2");
    assert_eq!(columns.shown(&json!({"user": "u1", "n": 2, "more": 1})), "u1 null 2 more=1");
}

/// What the oracle says of these copies, when there was one event of id 0.
fn judge(found: &[&str]) -> Vec<(bool, String)> {
    let oracle = Oracle::new("");
    let expected = [("copied", copied(&[event(0, 1, 1)]))].into();
    let bags = [("copied", bag(found))].into();
    let found = Found { bags, ..Found::default() };
    oracle.compare(&expected, &found).into_iter().map(|c| (c.is_missing, c.text)).collect()
}

#[test]
fn what_is_missing_or_too_much_is_seen() {
    assert_eq!(judge(&["0 k u 1 1"]), []);
    assert_eq!(judge(&[]), [(true, "copied: missing 1 times: 0 k u 1 1".to_owned())]);
    assert_eq!(judge(&["0 k u 1 1", "0 k u 1 1"]), [(false, "copied: 1 times too often: 0 k u 1 1 (, )".to_owned())]);
    let wrong = judge(&["0 k u 3 1"]);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(!wrong[1].0, "{wrong:?}");
}

#[test]
fn totals_may_lag_and_never_lie() {
    let mut oracle = Oracle::new("");
    expect::add_up(&mut oracle.totals, &[event(0, 1, 1), event(1, 1, 2)]);
    let mut judge = |shown: Option<(i64, i64)>| {
        oracle.shown = shown.map(|shown| ("u".to_owned(), shown)).into_iter().collect();
        let complaints = oracle.compare(&[].into(), &Found::default());
        complaints.iter().map(|complaint| complaint.is_missing).collect::<Vec<_>>()
    };
    assert_eq!(judge(Some((2, 3))), [false; 0]);
    assert_eq!(judge(None), [true]);
    assert_eq!(judge(Some((1, 1))), [true]);
    assert_eq!(judge(Some((2, 4))), [false]);
    assert_eq!(judge(Some((3, 5))), [false]);
}

#[test]
fn at_least_once_may_be_too_much_and_never_too_little() {
    let events = [event(0, 1_000, 1), event(1, 2_000, 2)];
    let expected = [("copied", copied(&events)), ("sums", sums(&events))].into();
    let mut oracle = Oracle::new("").at_least_once();
    expect::add_up(&mut oracle.totals, &events);
    let mut judge = |copies: &[&str], windows: &[&str], total: (i64, i64)| {
        oracle.shown = [("u".to_owned(), total)].into();
        let bags = [("copied", bag(copies)), ("sums", bag(windows))].into();
        let complaints = oracle.compare(&expected, &Found { bags, ..Found::default() });
        assert!(complaints.iter().all(|complaint| complaint.is_missing));
        complaints.into_iter().map(|complaint| complaint.text).collect::<Vec<_>>()
    };
    let (copies, window) = (["0 k u 1 1000", "1 k u 2 2000"], "u 0 10000 2 3");
    assert_eq!(judge(&copies, &[window], (2, 3)), [""; 0]);
    let twice = [&copies[..], &copies[..1]].concat();
    assert_eq!(judge(&twice, &["u 0 10000 1 1", "u 0 10000 3 4", "u 0 10000 1 2"], (4, 6)), [""; 0]);
    assert_eq!(judge(&copies[1..], &[window], (2, 3)), ["copied: missing: 0 k u 1 1000"]);
    assert_eq!(judge(&copies, &["u 0 10000 1 1"], (2, 3)), ["sums: u 0 10000: Some(1) of 2 events"]);
    assert_eq!(judge(&copies, &[], (1, 1)), ["sums: u 0 10000: None of 2 events", "totals: u: 1 of 2 events"]);
}
