//! The model of tumbling windows: hopping windows that do not overlap.

use super::Outcome;
use super::hopping;
use super::time::History;

pub(super) fn outcome(history: &History<'_>, size: i64, offset: i64) -> Outcome {
    hopping::outcome(history, size, size, offset)
}
