//! Thousands of seeds. `MILLSTREAM_SEED=n` runs one alone, `MILLSTREAM_SEEDS=n` that many.

use super::*;

/// Seeds in the normal suite.
const SEEDS: u64 = 2_000;

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
