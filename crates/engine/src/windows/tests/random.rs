//! Seeded random rows: batch cuts, commits, restarts and interleavings never change a result.

use super::model::{self, without_doubles};
use super::world::{Result, Row, Step, World};
use crate::plan::{Emit, WindowKind};
use crate::time::Millis;

/// A small generator of numbers (splitmix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: i64) -> i64 {
        (self.next() % bound as u64) as i64
    }

    fn one_in(&mut self, bound: i64) -> bool {
        self.below(bound) == 0
    }
}

pub(super) fn step(random: &mut Random) -> Step {
    let size = 1 + random.below(12);
    let kind = match random.below(3) {
        0 => WindowKind::Tumbling { size: Millis(size), offset: Millis(random.below(15) - 5) },
        _ => {
            let every = 1 + random.below(size);
            WindowKind::Hopping { size: Millis(size), every: Millis(every), offset: Millis(random.below(15) - 5) }
        }
    };
    Step { inputs: 1 + random.below(3) as u32, out_of_order: random.below(5), ..Step::new(kind, random.below(6)) }
}

/// Rows of several inputs, as they come.
pub(super) fn rows(random: &mut Random, step: &Step, count: usize) -> Vec<Row> {
    let mut clocks = vec![-20i64; step.inputs as usize];
    let mut offsets = vec![0; step.inputs as usize];
    (0..count)
        .map(|_| {
            let input = random.below(i64::from(step.inputs));
            let clock = &mut clocks[input as usize];
            *clock += if random.one_in(40) { random.below(60) } else { random.below(3) };
            let behind = if random.one_in(4) { random.below(25) } else { random.below(3) };
            let offset = &mut offsets[input as usize];
            *offset += 1;
            Row {
                input: input as u32,
                key: (!random.one_in(30)).then(|| random.below(4)),
                time: *clock - behind,
                value: random.below(100) - 50,
                offset: *offset,
            }
        })
        .collect()
}

/// The rows cut into batches at random, with commits and restarts between them.
pub(super) fn cut(world: &mut World, random: &mut Random, rows: &[Row], shaken: bool) {
    let mut rest = rows;
    while !rest.is_empty() {
        let same = rest.iter().take_while(|row| row.input == rest[0].input).count();
        let take = 1 + random.below(same as i64) as usize;
        world.rows(&rest[..take]);
        rest = &rest[take..];
        if shaken {
            match random.below(7) {
                0 => world.commit(),
                1 => world.flush(),
                4 => {
                    world.flush();
                    world.evict();
                }
                2 => {
                    world.commit();
                    world.restart();
                }
                3 => {
                    world.flush();
                    world.restart();
                }
                _ => {}
            }
        }
    }
}

#[test]
fn results_are_those_of_the_model_however_the_rows_are_cut() {
    for seed in 0..150 {
        let mut random = Random(seed);
        let step = step(&mut random);
        let rows = rows(&mut random, &step, 120);
        let expected = model::run(&step, &rows);

        let mut single = World::new(step.clone());
        single.each(&rows);
        assert_eq!(
            without_doubles(&single.results),
            expected.results,
            "seed {seed}: {:?} {step_kind:?}",
            step.grace,
            step_kind = step.kind
        );
        assert_eq!(
            (single.ledger.late, single.ledger.late_rows, single.ledger.null_key),
            (expected.late, expected.late_rows, expected.null_key),
            "seed {seed}"
        );

        let mut whole = World::new(step.clone());
        cut(&mut whole, &mut random, &rows, false);
        assert_eq!(whole.results, single.results, "seed {seed}: cut");
        assert_eq!(whole.ledger, single.ledger, "seed {seed}: cut");

        let mut shaken = World::new(step.clone());
        cut(&mut shaken, &mut random, &rows, true);
        assert_eq!(shaken.results, single.results, "seed {seed}: commits and restarts");
        assert_eq!(shaken.told, single.told, "seed {seed}");
    }
}

#[test]
fn interleavings_of_the_inputs_do_not_change_what_a_key_gets() {
    for seed in 0..60 {
        let mut random = Random(1_000 + seed);
        let mut step = step(&mut random);
        step.inputs = 2 + random.below(2) as u32;
        let rows = rows(&mut random, &step, 120);
        // The last row of each input closes every window of the others.
        let last = (0..step.inputs).map(|input| Row { input, key: Some(0), time: 10_000, value: 0, offset: 1_000 });
        let rows = rows.into_iter().chain(last).collect::<Vec<_>>();
        let sorted = |world: World| {
            let mut results = without_doubles(&world.results);
            results.sort_by_key(|result| (result.end, result.key));
            results
        };
        let mut one = World::new(step.clone());
        one.each(&rows);
        let one = sorted(one);
        let mut queues = (0..step.inputs)
            .map(|input| {
                rows.iter().filter(|row| row.input == input).copied().collect::<std::collections::VecDeque<_>>()
            })
            .collect::<Vec<_>>();
        let mut other = World::new(step.clone());
        while queues.iter().any(|queue| !queue.is_empty()) {
            let input = random.below(queues.len() as i64) as usize;
            if let Some(row) = queues[input].pop_front() {
                other.rows(&[row]);
            }
        }
        assert_eq!(sorted(other), one, "seed {seed}");
    }
}

#[test]
fn changes_end_with_the_final_values() {
    for seed in 0..100 {
        let mut random = Random(2_000 + seed);
        let mut step = step(&mut random);
        let rows = rows(&mut random, &step, 100);
        let mut expected = model::run(&step, &rows).results;
        step.emit = if random.one_in(2) { Emit::Changes } else { Emit::Every(Millis(3)) };
        let mut world = World::new(step.clone());
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let same = rest.iter().take_while(|row| row.input == rest[0].input).count();
            let take = 1 + random.below(same as i64) as usize;
            world.rows(&rest[..take]);
            rest = &rest[take..];
            world.now += random.below(3);
            match random.below(5) {
                0 => world.commit(),
                1 => world.flush(),
                2 => {
                    world.flush();
                    world.evict();
                }
                _ => {}
            }
            if random.one_in(5) {
                world.commit();
                world.restart();
            }
        }
        world.now += 10;
        world.commit();
        let last = |key: i64, start: i64| {
            let of_window = |result: &&Result| result.key == key && result.start == start;
            without_doubles(&world.results).iter().rfind(of_window).copied()
        };
        expected.retain(|result| last(result.key, result.start) != Some(*result));
        assert_eq!(expected, [], "seed {seed}: the last value of a window is its final one");
        let count = world.results.len();
        world.now += 10;
        world.commit();
        assert_eq!(world.results.len(), count, "seed {seed}: nothing changed");
    }
}

/// A step that keeps rows one by one, or sessions.
fn keeping(random: &mut Random) -> Step {
    let span = Millis(1 + if random.one_in(3) { random.below(20) } else { random.below(400) });
    let kind = match random.below(4) {
        0 | 1 => WindowKind::Sliding(span),
        2 => WindowKind::Over(span),
        _ => WindowKind::Session(Millis(random.below(12))),
    };
    Step { inputs: 1, out_of_order: random.below(9), ..Step::new(kind, random.below(30)) }
}

#[test]
fn sums_of_rows_kept_one_by_one_are_the_same_to_the_bit_however_the_rows_are_cut() {
    for seed in 0..120 {
        let mut random = Random(3_000 + seed);
        let step = keeping(&mut random);
        let rows = rows(&mut random, &step, 300);
        let mut single = World::new(step.clone());
        single.each(&rows);
        let mut whole = World::new(step.clone());
        cut(&mut whole, &mut random, &rows, false);
        assert_eq!(whole.results, single.results, "seed {seed}: {:?} cut", step.kind);
        assert_eq!(whole.ledger, single.ledger, "seed {seed}: {:?} cut", step.kind);
        let mut shaken = World::new(step.clone());
        cut(&mut shaken, &mut random, &rows, true);
        assert_eq!(shaken.results, single.results, "seed {seed}: {:?} commits and restarts", step.kind);
    }
}
