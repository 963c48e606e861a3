//! The fewest events of a failing case that still fail.

use super::{Case, Schedule, check};

/// Takes events out of a case as long as it fails.
pub fn shrink(case: &Case, schedules: &[Schedule]) -> Case {
    let mut smallest = case.clone();
    let mut piece = smallest.events.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        let before = smallest.events.len();
        while from < smallest.events.len() {
            let mut fewer = smallest.clone();
            fewer.events.drain(from..(from + piece).min(smallest.events.len()));
            match check(&fewer, schedules) {
                Ok(()) => from += piece,
                Err(_) => smallest = fewer,
            }
        }
        if piece == 1 && smallest.events.len() == before {
            return smallest;
        }
        piece = piece.div_ceil(2);
    }
}
