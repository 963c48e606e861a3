//! Another grace behind a restart: what was closed stays closed, what is due with a shorter one closes at the next step of time,
//! and nothing that has been forgotten is missing from a result.

use super::model::{self, without_doubles};
use super::random::{Random, cut, rows, step};
use super::world::{Result, Row, Step, World, row};
use crate::plan::{Emit, WindowKind};
use crate::time::Millis;

const TUMBLING: WindowKind = WindowKind::Tumbling { size: Millis(10), offset: Millis(0) };
const HOPPING: WindowKind = WindowKind::Hopping { size: Millis(10), every: Millis(5), offset: Millis(0) };

/// A step of which `before` was processed with the one grace, and `after`, behind a restart, with the other. Rows come one by one.
fn changed(step: Step, before: &[Row], grace: i64, after: &[Row]) -> World {
    let mut world = World::new(step);
    world.each(before);
    world.flush();
    world.step.grace = grace;
    let results = world.results.len();
    world.restart();
    assert_eq!(world.results.len(), results, "a restart alone closes nothing");
    world.each(after);
    world
}

fn shown(world: &World) -> Vec<(i64, i64, i64, i64)> {
    let show = |result: &Result| (result.key, result.start, result.end, result.count);
    world.results.iter().map(show).collect()
}

/// Refusals of late rows since the restart, and rows that no window took.
fn late(world: &World) -> (u64, u64) {
    (world.ledger.late, world.ledger.late_rows)
}

#[test]
fn tumbling_longer() {
    // W = 16 has closed [0, 10) with a grace of 5.
    let before = [row(1, 5), row(1, 12), row(1, 16)];
    let mut world = changed(Step::new(TUMBLING, 5), &before, 20, &[row(1, 9)]);
    assert_eq!(late(&world), (1, 1), "an emitted window is not opened again");
    world.each(&[row(1, 12), row(1, 39), row(1, 13)]);
    assert_eq!(shown(&world), [(1, 0, 10, 1)], "[10, 20) is open until 40");
    world.rows(&[row(1, 40)]);
    assert_eq!(shown(&world), [(1, 0, 10, 1), (1, 10, 20, 4)]);
    assert_eq!(late(&world), (1, 1));
}

#[test]
fn tumbling_shorter() {
    let before = [row(1, 5), row(1, 16)];
    let world = changed(Step::new(TUMBLING, 20), &before, 5, &[row(1, 9)]);
    assert_eq!((shown(&world), late(&world)), (vec![(1, 0, 10, 1)], (1, 1)));
    let mut world = changed(Step::new(TUMBLING, 20), &before, 5, &[]);
    world.time(0, 16);
    assert_eq!(shown(&world), [(1, 0, 10, 1)], "time alone is a step too, though it has not moved");
}

#[test]
fn hopping_longer() {
    // W = 13 has closed [-5, 5) and [0, 10) with a grace of 2.
    let before = [row(1, 3), row(1, 13)];
    let mut world = changed(Step::new(HOPPING, 2), &before, 12, &[row(1, 8)]);
    assert_eq!(late(&world), (1, 0), "late for one window and not for the other");
    world.each(&[row(1, 2)]);
    assert_eq!(late(&world), (3, 1));
    world.each(&[row(1, 26), row(1, 14)]);
    assert_eq!(shown(&world), [(1, -5, 5, 1), (1, 0, 10, 1)]);
    world.each(&[row(1, 27)]);
    assert_eq!(shown(&world)[2..], [(1, 5, 15, 3)]);
    assert_eq!(late(&world), (3, 1));
}

#[test]
fn hopping_shorter() {
    let before = [row(1, 3), row(1, 13)];
    let world = changed(Step::new(HOPPING, 12), &before, 2, &[row(1, 8)]);
    assert_eq!(shown(&world), [(1, -5, 5, 1), (1, 0, 10, 1)]);
    assert_eq!(late(&world), (1, 0));
}

#[test]
fn sliding_longer() {
    // W = 24 has closed what ends before 22 with a grace of 2: [10, 20].
    let before = [row(1, 20), row(1, 24)];
    let mut world = changed(Step::new(WindowKind::Sliding(Millis(10)), 2), &before, 12, &[row(1, 21)]);
    assert_eq!(late(&world), (1, 0), "its own window, [11, 21], is closed; [14, 24] and [21, 31] take it");
    world.each(&[row(1, 11)]);
    assert_eq!(late(&world), (2, 1), "no window that holds it ends at 22 or later");
    world.each(&[row(1, 34), row(1, 35)]);
    assert_eq!(shown(&world), [(1, 10, 20, 1)]);
    world.each(&[row(1, 37)]);
    assert_eq!(shown(&world)[1..], [(1, 14, 24, 3)]);
    world.each(&[row(9, 100)]);
    let rest = [(21, 31, 2), (22, 32, 1), (24, 34, 2), (25, 35, 2), (27, 37, 3), (35, 45, 2), (36, 46, 1)];
    assert_eq!(shown(&world)[2..], rest.map(|(start, end, count)| (1, start, end, count)));
    assert_eq!(late(&world), (2, 1));
}

#[test]
fn sliding_shorter() {
    let before = [row(1, 20), row(1, 24)];
    let mut world = changed(Step::new(WindowKind::Sliding(Millis(10)), 12), &before, 2, &[row(1, 21)]);
    assert_eq!((shown(&world), late(&world)), (vec![(1, 10, 20, 1)], (1, 0)));
    world.each(&[row(9, 100)]);
    assert_eq!(shown(&world)[1..], [(1, 14, 24, 3), (1, 21, 31, 2), (1, 22, 32, 1)]);
}

#[test]
fn over_arrival_longer() {
    // W = 30 with a grace of 2: rows before 28 are late, and those before 18 forgotten.
    let step = Step { emit: Emit::Arrival, ..Step::new(WindowKind::Over(Millis(10)), 2) };
    let mut world = changed(step, &[row(1, 20), row(1, 30)], 12, &[row(1, 27)]);
    assert_eq!(late(&world), (1, 1), "of what it would be the sum over, a part may be forgotten");
    world.each(&[row(1, 28), row(1, 40), row(1, 28), row(1, 41), row(1, 28)]);
    let expected = [(10, 20, 1), (20, 30, 2), (18, 28, 2), (30, 40, 2), (18, 28, 3), (31, 41, 2)];
    assert_eq!(shown(&world), expected.map(|(start, end, count)| (1, start, end, count)));
    assert_eq!(late(&world), (2, 2));
}

#[test]
fn over_arrival_shorter() {
    let step = Step { emit: Emit::Arrival, ..Step::new(WindowKind::Over(Millis(10)), 12) };
    let world = changed(step, &[row(1, 20), row(1, 30)], 2, &[row(1, 27), row(1, 28)]);
    assert_eq!(shown(&world), [(1, 10, 20, 1), (1, 20, 30, 2), (1, 18, 28, 2)]);
    assert_eq!(late(&world), (1, 1));
}

#[test]
fn over_final_longer() {
    // W = 25 has let go of results before 23.
    let before = [row(1, 20), row(1, 22), row(1, 25)];
    let step = Step::new(WindowKind::Over(Millis(10)), 2);
    let mut world = changed(step, &before, 12, &[row(1, 22), row(1, 23), row(1, 35)]);
    assert_eq!(shown(&world), [(1, 10, 20, 1), (1, 12, 22, 2)]);
    world.each(&[row(1, 36), row(1, 38)]);
    assert_eq!(shown(&world)[2..], [(1, 13, 23, 3), (1, 15, 25, 4)]);
    assert_eq!(late(&world), (1, 1));
}

#[test]
fn over_final_shorter() {
    let before = [row(1, 20), row(1, 22), row(1, 25)];
    let world = changed(Step::new(WindowKind::Over(Millis(10)), 12), &before, 2, &[row(1, 22)]);
    assert_eq!((shown(&world), late(&world)), (vec![(1, 10, 20, 1), (1, 12, 22, 2)], (1, 1)));
}

#[test]
fn session_longer() {
    // W = 20 has closed [10, 12] with a grace of 2.
    let before = [row(1, 10), row(1, 12), row(2, 20)];
    let mut world = changed(Step::new(WindowKind::Session(Millis(5)), 2), &before, 12, &[row(1, 14), row(1, 12)]);
    assert_eq!(late(&world), (0, 0), "they make a session beside the one that was emitted");
    world.each(&[row(1, 6)]);
    assert_eq!(late(&world), (1, 1), "it would belong to the one that was emitted");
    world.each(&[row(2, 31)]);
    assert_eq!(shown(&world), [(1, 10, 12, 2)]);
    world.each(&[row(2, 32)]);
    assert_eq!(shown(&world)[1..], [(1, 12, 14, 2)]);
}

#[test]
fn session_shorter() {
    // With a grace of 2, [10, 12] is due at W = 20: no row joins it any more.
    let before = [row(1, 10), row(1, 12), row(2, 20)];
    let session = || Step::new(WindowKind::Session(Millis(5)), 12);
    let mut world = changed(session(), &before, 2, &[row(1, 13)]);
    assert_eq!((shown(&world), late(&world)), (vec![(1, 10, 12, 2)], (0, 0)));
    world.each(&[row(2, 21)]);
    assert_eq!(shown(&world)[1..], [(1, 13, 13, 1)]);
    let world = changed(session(), &before, 2, &[row(1, 11)]);
    assert_eq!((shown(&world), late(&world)), (vec![(1, 10, 12, 2)], (1, 1)));
}

/// A pane of a long grace is longer than one of a short grace: none is dropped while rows in it are needed.
#[test]
fn rows_outlive_a_shorter_grace_as_long_as_they_are_needed() {
    let before: Vec<Row> = (0..100).map(|at| row(1, at * 10)).collect();
    for kind in [WindowKind::Sliding(Millis(100)), WindowKind::Over(Millis(100))] {
        let after: Vec<Row> = (100..300).map(|at| row(1, at * 10)).collect();
        let world = changed(Step::new(kind, 1_000_000), &before, 0, &after);
        let own = world.results.iter().filter(|result| result.end % 10 == 0 && result.end >= 100);
        assert!(own.clone().count() > 250);
        assert!(own.clone().all(|result| result.count == 11), "{:?}", own.collect::<Vec<_>>());
    }
}

/// However rows are cut into batches and whatever restarts there are beside, another grace at a row does the same; windows of a
/// grid are those of the model.
#[test]
fn changes_of_the_grace_do_the_same_however_rows_are_cut() {
    for seed in 0..80 {
        let mut random = Random(7_000 + seed);
        let mut step = step(&mut random);
        match random.below(6) {
            0 => step.kind = Some(WindowKind::Sliding(Millis(random.below(12)))),
            1 => step.kind = Some(WindowKind::Over(Millis(random.below(12)))),
            2 => step.kind = Some(WindowKind::Session(Millis(1 + random.below(6)))),
            _ => {}
        }
        let parts: Vec<(i64, Vec<Row>)> = {
            let all = rows(&mut random, &step, 160);
            all.chunks(40).map(|rows| (random.below(30), rows.to_vec())).collect()
        };
        let mut run = |shaken: bool| {
            let mut world = World::new(Step { grace: parts[0].0, ..step.clone() });
            for (grace, rows) in &parts {
                world.flush();
                world.step.grace = *grace;
                world.restart();
                match shaken {
                    true => cut(&mut world, &mut random, rows, true),
                    false => world.each(rows),
                }
            }
            world
        };
        let (single, shaken) = (run(false), run(true));
        assert_eq!(shaken.results, single.results, "seed {seed}: {:?}", step.kind);
        assert_eq!(shaken.told, single.told, "seed {seed}");
        let mut windows: Vec<_> = single.results.iter().map(|it| (it.key, it.start, it.end)).collect();
        let all = windows.len();
        windows.sort_unstable();
        windows.dedup();
        match step.kind {
            Some(WindowKind::Tumbling { .. } | WindowKind::Hopping { .. }) => {
                assert_eq!(without_doubles(&single.results), model::run_parts(&step, &parts).results, "seed {seed}");
            }
            Some(WindowKind::Sliding(_)) => assert_eq!(windows.len(), all, "seed {seed}: each window once"),
            _ => {}
        }
    }
}
