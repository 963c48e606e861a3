//! Every inequality, one millisecond to either side.

use super::world::{OUTPUT, Result, Row, Step, World, row};
use crate::ids::{InputId, SinkId};
use crate::operator::Signal;
use crate::plan::{Emit, Late, WindowKind};
use crate::time::{Millis, Watermark};

fn tumbling(size: i64, offset: i64) -> WindowKind {
    WindowKind::Tumbling { size: Millis(size), offset: Millis(offset) }
}

fn hopping(size: i64, every: i64) -> WindowKind {
    WindowKind::Hopping { size: Millis(size), every: Millis(every), offset: Millis(0) }
}

fn shown(world: &World) -> Vec<(i64, i64, i64, i64)> {
    let show = |result: &Result| (result.key, result.start, result.end, result.count);
    world.results.iter().map(show).collect()
}

#[test]
fn a_tumbling_window_holds_its_start_and_not_its_end() {
    let mut world = World::new(Step::new(tumbling(10, 3), 0));
    world.each(&[row(1, 3), row(1, 12), row(1, 13), row(1, 23)]);
    assert_eq!(shown(&world), [(1, 3, 13, 2), (1, 13, 23, 1)]);
}

#[test]
fn windows_before_1970() {
    let mut world = World::new(Step::new(tumbling(10, 3), 0));
    world.each(&[row(1, -18), row(1, -17), row(1, -8), row(1, -7), row(1, 3)]);
    assert_eq!(shown(&world), [(1, -27, -17, 1), (1, -17, -7, 2), (1, -7, 3, 1)]);
}

#[test]
fn a_tumbling_window_closes_when_w_reaches_end_and_grace() {
    let mut world = World::new(Step::new(tumbling(10, 0), 5));
    world.each(&[row(1, 9), row(1, 14)]);
    assert_eq!(shown(&world), []);
    world.rows(&[row(2, 15)]);
    assert_eq!(shown(&world), [(1, 0, 10, 1)]);
}

#[test]
fn a_row_is_late_when_w_i_has_reached_end_and_grace() {
    for (other, late) in [(14, 0), (15, 1)] {
        let mut step = Step::new(tumbling(10, 0), 5);
        step.inputs = 2;
        let mut world = World::new(step);
        // The other input has not spoken: nothing closes, but its own input makes the row late.
        world.rows(&[row(1, other), row(1, 9)]);
        assert_eq!((world.ledger.late, world.ledger.late_rows), (late, late), "{other}");
        assert_eq!(world.results, []);
    }
}

#[test]
fn out_of_order_holds_w_back() {
    for (last, results) in [(11, 0), (12, 1)] {
        let mut step = Step::new(tumbling(10, 0), 0);
        step.out_of_order = 2;
        let mut world = World::new(step);
        world.each(&[row(1, 9), row(1, last)]);
        assert_eq!(world.results.len(), results, "{last}");
    }
}

#[test]
fn a_row_enters_some_windows_and_is_late_for_others() {
    let mut step = Step::new(hopping(10, 5), 2);
    step.late = Late::To(SinkId(7));
    let mut world = World::new(step);
    // At W_i = 17 the window [5, 15) is closed and [10, 20) is not; at 16 both are open.
    world.each(&[row(1, 16), row(1, 12)]);
    assert_eq!((world.ledger.late, world.ledger.late_rows), (0, 0));
    world.each(&[row(1, 17), row(1, 12), row(1, 4)]);
    assert_eq!((world.ledger.late, world.ledger.late_rows), (3, 1));
    let late = [
        (12, r#"[{"start":5,"end":15}]"#.to_owned()),
        (4, r#"[{"start":-5,"end":5},{"start":0,"end":10}]"#.to_owned()),
    ];
    assert_eq!(world.late, late);
    world.rows(&[row(2, 40)]);
    assert_eq!(shown(&world), [(1, 5, 15, 1), (1, 10, 20, 4), (1, 15, 25, 2)]);
}

#[test]
fn hopping_windows_with_gaps_leave_rows_out() {
    let mut world = World::new(Step::new(hopping(4, 10), 0));
    world.each(&[row(1, 3), row(1, 4), row(1, 9), row(1, 10), row(1, 20)]);
    assert_eq!(world.ledger.filtered, 2);
    assert_eq!(shown(&world), [(1, 0, 4, 1), (1, 10, 14, 1)]);
}

#[test]
fn one_row_that_jumps_past_many_windows_loses_none() {
    let mut world = World::new(Step::new(hopping(10, 5), 0));
    world.each(&[row(2, 0), row(1, 7), row(1, 5_000), row(1, 9_000_000_000_000)]);
    let expected =
        [(2, -5, 5, 1), (1, 0, 10, 1), (2, 0, 10, 1), (1, 5, 15, 1), (1, 4_995, 5_005, 1), (1, 5_000, 5_010, 1)];
    assert_eq!(shown(&world), expected);
}

#[test]
fn a_null_key_neither_counts_nor_moves_time() {
    let mut world = World::new(Step::new(tumbling(10, 0), 0));
    world.each(&[row(1, 5), Row { key: None, ..row(0, 50) }, row(1, 6)]);
    assert_eq!((world.ledger.null_key, world.ledger.late, world.ledger.held), (1, 0, 2));
    assert_eq!(world.results, []);
}

#[test]
fn an_idle_input_lets_time_go_on_and_is_late_when_it_comes_back() {
    let mut step = Step::new(tumbling(10, 0), 0);
    step.inputs = 2;
    let mut world = World::new(step);
    let other = |time| Row { input: 1, ..row(1, time) };
    world.each(&[row(1, 5), other(7), row(1, 30)]);
    assert_eq!(world.results, []);
    world.signal(Signal::Idle(InputId(1)));
    assert_eq!(shown(&world), [(1, 0, 10, 2)]);
    assert_eq!(world.told, Watermark(30));
    world.rows(&[other(29)]);
    assert_eq!(world.ledger.late_rows, 1, "late by W, though its own W_i was 7");
    world.rows(&[other(30)]);
    assert_eq!(world.ledger.late_rows, 1);
    world.signal(Signal::Idle(InputId(1)));
    assert_eq!(world.signals, []);
    world.signal(Signal::Idle(InputId(0)));
    assert_eq!(world.signals, [Signal::Idle(OUTPUT)]);
    assert_eq!(world.told, Watermark(30));
}

#[test]
fn time_alone_closes_and_is_passed_on() {
    let mut world = World::new(Step::new(tumbling(10, 0), 3));
    world.rows(&[row(1, 5)]);
    world.time(0, 12);
    assert_eq!((shown(&world).len(), world.told), (0, Watermark(0)));
    world.time(0, 13);
    assert_eq!((shown(&world).len(), world.told), (1, Watermark(10)));
    world.time(0, 44);
    assert_eq!(world.told, Watermark(40));
}

#[test]
fn close_closes_all_that_is_open_and_no_more() {
    for kind in [tumbling(10, 0), hopping(10, 5)] {
        let mut step = Step::new(kind, 3);
        step.inputs = 2;
        let mut world = World::new(step);
        world.rows(&[row(1, 5), row(2, 25)]);
        world.signal(Signal::Close);
        assert_eq!(world.signals, [Signal::Close]);
        assert_eq!(world.ledger.held, 0, "{kind:?}");
        let last = world.results.last().copied().unwrap().end;
        // The watermark left behind is that which closed the last window.
        let late = world.ledger.late;
        world.rows(&[Row { input: 1, ..row(3, last - 1) }]);
        assert_eq!(world.ledger.late, late + 1);
        world.rows(&[Row { input: 1, ..row(3, last) }]);
        assert_eq!(world.ledger.late, late + 1);
    }
}

#[test]
fn count_windows_fill_in_arrival_order() {
    let mut world = World::new(Step::new(WindowKind::Count(2), 0));
    world.rows(&[row(1, 50), row(2, 7), row(1, 20), row(1, 5), row(2, 9), row(1, 6), row(1, 1)]);
    assert_eq!(shown(&world), [(1, 20, 50, 2), (2, 7, 9, 2), (1, 5, 6, 2)]);
    assert_eq!((world.ledger.folded, world.ledger.held, world.ledger.late), (6, 1, 0));
    world.flush();
    world.restart();
    world.rows(&[row(1, 2)]);
    assert_eq!(shown(&world)[3..], [(1, 1, 2, 2)]);
    world.flush();
    world.restart();
    world.signal(Signal::Close);
    assert_eq!(world.results.len(), 4);
}

#[test]
fn values_by_key_leave_at_commits_when_they_changed() {
    let mut step = Step::new(WindowKind::Count(1), 0);
    step.kind = None;
    step.emit = Emit::Changes;
    let mut world = World::new(step.clone());
    world.rows(&[row(2, 5), row(1, 6), row(2, 7)]);
    assert_eq!(world.results, []);
    world.flush();
    let counts = |world: &World| world.results.iter().map(|r| (r.key, r.count, r.time)).collect::<Vec<_>>();
    assert_eq!(counts(&world), [(1, 1, 6), (2, 2, 7)]);
    assert_eq!(world.told, Watermark(7));
    world.restart();
    world.rows(&[row(1, 8)]);
    world.commit();
    world.commit();
    assert_eq!(counts(&world)[2..], [(1, 2, 8)]);

    step.emit = Emit::Every(Millis(10));
    let mut world = World::new(step);
    world.rows(&[row(1, 1)]);
    world.commit();
    assert_eq!(counts(&world), [(1, 1, 1)]);
    world.rows(&[row(1, 2)]);
    world.now = 9;
    world.commit();
    world.restart();
    world.commit();
    assert_eq!(world.results.len(), 1, "not before ten milliseconds have passed");
    world.now = 10;
    world.commit();
    assert_eq!(counts(&world)[1..], [(1, 2, 2)]);
    world.restart();
    world.rows(&[row(1, 3)]);
    world.now = 3;
    world.commit();
    assert_eq!(counts(&world)[2..], [(1, 3, 3)], "a process whose clock was ahead is not waited for");
}

#[test]
fn many_rows_split_pages_and_come_back() {
    let mut world = World::new(Step::new(tumbling(10, 0), 0));
    let rows = (0..5_000).map(|key| row(key, 1)).collect::<Vec<_>>();
    world.rows(&rows[..500]);
    world.flush();
    assert_eq!(world.rows_in_pages_before(|world| world.rows(&rows[500..])), 5_000, "pages split since are whole");
    world.flush();
    assert!(world.evict() > 4, "every page can go");
    world.rows(&rows[..10]);
    world.flush();
    world.evict();
    world.restart();
    world.rows(&[row(0, 10)]);
    assert_eq!(world.results.len(), 5_000);
    assert_eq!(world.results.iter().map(|result| result.count).sum::<i64>(), 5_010);
    assert!(world.results.is_sorted_by_key(|result| result.key));
    world.flush();
    world.restart();
    assert_eq!(world.ledger.held, 1);
}

/// However many of the pages have reached the store, the old ones of a pane that was split are there until all new ones are.
#[test]
fn a_flush_that_stops_after_any_page_loses_nothing() {
    let rows = (0..5_000).map(|key| row(key, 1)).collect::<Vec<_>>();
    for stored in 0..=20 {
        let mut world = World::new(Step::new(tumbling(10, 0), 0));
        world.rows(&rows[..3_000]);
        world.flush();
        world.rows(&rows[2_000..]);
        world.commit();
        for page in 0..stored {
            assert!(world.flush_some(1), "{page} pages are all");
        }
        world.restart();
        world.flush();
        world.restart();
        world.rows(&[row(0, 10)]);
        assert_eq!(world.results.iter().map(|result| result.count).sum::<i64>(), 6_000, "{stored} pages stored");
        assert_eq!(world.results.len(), 5_000);
    }
}

#[test]
fn a_million_pairs_would_fit_250_mb() {
    let mut world = World::new(Step::new(tumbling(10, 0), 0));
    for from in (0..200_000).step_by(8_000) {
        world.rows(&(from..from + 8_000).map(|key| row(key, 1)).collect::<Vec<_>>());
        world.commit();
    }
    // The tests' step keeps a double and a first value as well, which is more than a count and a sum.
    assert!(world.memory_bytes() < 200_000 * 250, "{} bytes a pair", world.memory_bytes() / 200_000);
}
