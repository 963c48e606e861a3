//! What a task has refused in one go: the rows of one record that one step has refused are one dead letter.

use std::collections::BTreeMap;

use millstream_engine::error::Rejected;
use millstream_engine::ids::Origin;

/// Refused records and rows, in the order in which they came.
///
/// A task takes a record through its whole graph in one go, whatever batch, epoch or attempt brings it. So all rows that were made
/// of a record are together here, and how many of them a step has refused is a property of the record.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    letters: Vec<Letter>,
    /// By step, then by record: which letter that is.
    of_records: BTreeMap<String, BTreeMap<(Origin, i64), usize>>,
}

/// What becomes one dead letter.
#[derive(Debug)]
pub(super) struct Letter {
    /// What was refused first.
    pub(super) rejected: Rejected,
    /// How many rows of the record the step has refused.
    pub(super) rows: u64,
}

impl Refusals {
    /// Adds what was refused. `is_at_hand` says whether the record itself will be the letter; a row that is written as such has a
    /// letter of its own.
    pub(super) fn add(&mut self, rejected: Rejected, is_at_hand: impl FnOnce(&Rejected) -> bool) {
        let record = (rejected.origin, rejected.offset.0);
        if let Some(&at) = self.of_records.get(&rejected.step).and_then(|records| records.get(&record)) {
            self.letters[at].rows += 1;
            return;
        }
        if is_at_hand(&rejected) {
            self.of_records.entry(rejected.step.clone()).or_default().insert(record, self.letters.len());
        }
        self.letters.push(Letter { rejected, rows: 1 });
    }

    /// The letters, record by record in the order in which these were read, of a record in the order of its steps: as if each had
    /// come alone.
    pub(super) fn into_letters(mut self) -> Vec<Letter> {
        self.letters.sort_by_key(|letter| (letter.rejected.origin, letter.rejected.offset));
        self.letters
    }
}

#[cfg(test)]
mod tests {
    use millstream_engine::error::{RecordError, RecordErrorKind};
    use millstream_engine::ids::Offset;

    use super::*;

    fn rejected(step: &str, offset: i64, message: &str) -> Rejected {
        let error = RecordError { kind: RecordErrorKind::Expression, message: message.to_owned() };
        Rejected { step: step.to_owned(), error, origin: Origin(0), offset: Offset(offset), row: None }
    }

    fn added(rejected: &[Rejected], is_at_hand: bool) -> Vec<(String, i64, u64)> {
        let mut refusals = Refusals::default();
        rejected.iter().cloned().for_each(|rejected| refusals.add(rejected, |_| is_at_hand));
        let told = |Letter { rejected, rows }: Letter| (rejected.error.message, rejected.offset.0, rows);
        refusals.into_letters().into_iter().map(told).collect()
    }

    #[test]
    fn rows_of_a_record_are_one_letter_for_each_step() {
        let rows = [
            rejected("a", 1, "first"),
            rejected("a", 2, "other record"),
            rejected("b", 1, "other step"),
            rejected("a", 1, "second"),
        ];
        let letters = [("first", 1, 2), ("other step", 1, 1), ("other record", 2, 1)];
        assert_eq!(added(&rows, true), letters.map(|(message, offset, rows)| (message.to_owned(), offset, rows)));
    }

    #[test]
    fn what_is_written_as_a_row_has_a_letter_of_its_own() {
        assert_eq!(added(&[rejected("a", 1, "first"), rejected("a", 1, "second")], false).len(), 2);
    }
}
