//! The model against outcomes worked out by hand, at the edges of each rule.

use super::*;

/// Rows of input 0 and key `k`, in order of arrival.
fn rows(times: &[i64]) -> Vec<Event> {
    let row =
        |(offset, &t): (usize, &i64)| Row { input: 0, offset: offset as i64, key: Some("k".into()), t, value: Some(t) };
    times.iter().enumerate().map(row).map(Event::Row).collect()
}

fn run(kind: Kind, grace: i64, times: &[i64]) -> Outcome {
    outcome(Rules { inputs: 1, out_of_order: 0, grace, kind }, &rows(times))
}

/// (start, end, rows) of windows.
fn shown(windows: &[Window]) -> Vec<(i64, i64, Vec<usize>)> {
    windows.iter().map(|window| (window.start, window.end, window.rows.clone())).collect()
}

#[test]
fn a_tumbling_window_closes_and_refuses_at_its_end_plus_grace() {
    let kind = Kind::Tumbling { size: 10, offset: 0 };
    assert_eq!(shown(&run(kind, 2, &[1, 11]).closed), []);
    let out = run(kind, 2, &[1, 11, 9, 12, 9]);
    assert_eq!(shown(&out.closed), [(0, 10, vec![0, 2])]);
    assert_eq!(out.late, [LateRow { row: 4, refused_by: vec![(0, 10)], taken_by_none: true }]);
    assert_eq!(shown(&run(kind, 0, &[-1]).open), [(-10, 0, vec![0])]);
}

#[test]
fn a_row_may_enter_some_hopping_windows_and_be_late_for_others() {
    let out = run(Kind::Hopping { size: 10, every: 5, offset: 0 }, 0, &[7, 11, 8]);
    assert_eq!(shown(&out.closed), [(0, 10, vec![0])]);
    assert_eq!(shown(&out.open), [(5, 15, vec![0, 2, 1]), (10, 20, vec![1])]);
    assert_eq!(out.late, [LateRow { row: 2, refused_by: vec![(0, 10)], taken_by_none: false }]);
}

#[test]
fn a_row_counts_in_sliding_windows_made_earlier_and_later() {
    let out = run(Kind::Sliding(10), 5, &[10, 20, 16]);
    assert_eq!(shown(&out.closed), [(0, 10, vec![0])]);
    assert_eq!(
        shown(&out.open),
        [(6, 16, vec![0, 2]), (10, 20, vec![0, 2, 1]), (11, 21, vec![2, 1]), (17, 27, vec![1])]
    );
    let out = run(Kind::Sliding(10), 0, &[10, 20, 10, 9]);
    assert_eq!(shown(&out.closed), [(0, 10, vec![0])]);
    assert_eq!(shown(&out.open), [(10, 20, vec![0, 2, 1]), (11, 21, vec![1])]);
    assert_eq!(out.late.iter().map(|late| (late.row, late.taken_by_none)).collect::<Vec<_>>(), [(2, false), (3, true)]);
}

#[test]
fn over_shares_the_value_of_one_time_only_when_final() {
    let out = run(Kind::OverArrival(5), 0, &[10, 10, 15, 16]);
    assert_eq!(
        shown(&out.closed),
        [(5, 10, vec![0]), (5, 10, vec![0, 1]), (10, 15, vec![0, 1, 2]), (11, 16, vec![2, 3])]
    );
    let out = run(Kind::OverFinal(5), 1, &[10, 10, 11, 12]);
    assert_eq!(shown(&out.closed), [(5, 10, vec![0, 1]), (5, 10, vec![0, 1])]);
    assert_eq!(shown(&out.open), [(6, 11, vec![0, 1, 2]), (7, 12, vec![0, 1, 2, 3])]);
}

#[test]
fn sessions_merge_at_the_gap_and_stand_apart_beyond_it() {
    let out = run(Kind::Session(10), 0, &[10, 20, 31, 42]);
    assert_eq!(shown(&out.closed), [(10, 20, vec![0, 1]), (31, 31, vec![2])]);
    assert_eq!(shown(&out.open), [(42, 42, vec![3])]);
    let out = run(Kind::Session(10), 0, &[10, 30, 20]);
    assert_eq!(shown(&out.closed), [(10, 10, vec![0])], "closed before the row that would have joined it");
    assert_eq!(shown(&out.open), [(20, 30, vec![2, 1])]);
    let out = run(Kind::Session(10), 0, &[30, 19, 20, 20]);
    assert_eq!(out.late.iter().map(|late| late.row).collect::<Vec<_>>(), [1]);
    assert_eq!(shown(&out.open), [(20, 30, vec![2, 3, 0])]);
}

#[test]
fn counts_go_by_arrival_and_show_least_and_greatest_time() {
    let out = run(Kind::Count(2), 0, &[10, 5, 7]);
    assert_eq!(shown(&out.closed), [(5, 10, vec![1, 0])]);
    assert_eq!(shown(&out.open), [(7, 7, vec![2])]);
}

#[test]
fn one_slow_input_holds_windows_open_but_not_lateness() {
    let mut events = rows(&[1, 30, 5]);
    events.push(Event::Row(Row { input: 1, offset: 0, key: Some("k".into()), t: 6, value: None }));
    let kind = Kind::Tumbling { size: 10, offset: 0 };
    let rules = Rules { inputs: 2, out_of_order: 0, grace: 0, kind };
    let out = outcome(rules, &events);
    assert_eq!(shown(&out.open), [(0, 10, vec![0, 3]), (30, 40, vec![1])]);
    assert_eq!(out.late.iter().map(|late| late.row).collect::<Vec<_>>(), [2]);
    events.insert(3, Event::Idle(1));
    let out = outcome(rules, &events);
    assert_eq!(shown(&out.closed), [(0, 10, vec![0])]);
    assert_eq!(out.late.iter().map(|late| late.row).collect::<Vec<_>>(), [2, 3]);
}
