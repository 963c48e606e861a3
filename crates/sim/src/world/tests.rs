//! Thousands of seeds. `MILLSTREAM_SEED=n` runs one alone, `MILLSTREAM_SEEDS=n` that many.

use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::topology::PartitionCounts;

use super::*;

/// Seeds in the normal suite.
const SEEDS: u64 = 2_000;

#[allow(clippy::disallowed_methods)] // a test may be told its seeds
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn check_seed(seed: u64) {
    let case = generate(seed);
    let schedules = match seed % 4 {
        0 => vec![Schedule::Plain, Schedule::Crashes, Schedule::Random(seed)],
        1 => vec![Schedule::Commits, Schedule::Random(seed)],
        _ => vec![Schedule::Random(seed), Schedule::Random(seed + 1)],
    };
    if let Err(error) = check(&case, &schedules) {
        let small = shrink(&case, &schedules);
        let small_error = check(&small, &schedules).err().unwrap_or_default();
        let file = case_file(&format!("seed-{seed}"), &small);
        panic!("seed {seed}: {error}\n\nshrunken: {small_error}\n\n{:?} {:?}\n{file}", small.emit, small.clock);
    }
}

fn check_seeds(part: u64) {
    match number("MILLSTREAM_SEED") {
        Some(seed) => check_seed(seed),
        None => (0..number("MILLSTREAM_SEEDS").unwrap_or(SEEDS)).filter(|seed| seed % 2 == part).for_each(check_seed),
    }
}

#[test]
fn windows_do_what_the_model_says_even_seeds() {
    check_seeds(0);
}

#[test]
fn windows_do_what_the_model_says_odd_seeds() {
    check_seeds(1);
}

#[test]
fn a_shrunken_case_is_a_case_file() {
    let nothing = PartitionCounts::unknown();
    for seed in 0..40 {
        let text = case_file("seed", &generate(seed));
        if let Err(diagnostics) = millstream_pipeline::check("case.yaml", &text, &no_lookup, &nothing) {
            panic!("seed {seed}: {diagnostics:?}\n{text}");
        }
    }
}

type IsKind = fn(&Kind) -> bool;
type Change = fn(&mut Rules);

/// A world that would not notice an operator that is off by one millisecond would prove nothing.
#[test]
fn one_millisecond_is_noticed() {
    let grace: Change = |rules| rules.grace += 1;
    let behind: Change = |rules| rules.out_of_order += 1;
    let span: Change = |rules| match &mut rules.kind {
        Kind::Tumbling { size: span, .. }
        | Kind::Hopping { size: span, .. }
        | Kind::Sliding(span)
        | Kind::OverArrival(span)
        | Kind::OverFinal(span)
        | Kind::Session(span) => *span += 1,
        Kind::Count(rows) => *rows += 1,
    };
    let kinds: [(&str, IsKind); 6] = [
        ("tumbling", |kind| matches!(kind, Kind::Tumbling { .. })),
        ("hopping", |kind| matches!(kind, Kind::Hopping { .. })),
        ("sliding", |kind| matches!(kind, Kind::Sliding(_))),
        ("over: arrival", |kind| matches!(kind, Kind::OverArrival(_))),
        ("over: final", |kind| matches!(kind, Kind::OverFinal(_))),
        ("session", |kind| matches!(kind, Kind::Session(_))),
    ];
    for (name, is_kind) in kinds {
        for (what, change) in [("grace", grace), ("out_of_order", behind), ("span", span)] {
            assert!((0..500).any(|seed| is_caught(seed, is_kind, change)), "{name}: {what} off by one");
        }
    }
}

fn is_caught(seed: u64, is_kind: IsKind, change: Change) -> bool {
    let case = generate(seed);
    if !is_kind(&case.rules.kind) || case.emit == When::Changes {
        return false;
    }
    let mut mistaken = case.clone();
    change(&mut mistaken.rules);
    let observed = run::run(&mistaken, Schedule::Plain).expect("the engine runs");
    judge(&case, &observed).is_err()
}
