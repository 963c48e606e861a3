//! Rows of several inputs in one batch, in the order in which they are to be processed.
//!
//! Where that order matters and rows of different inputs alternate, they go through the graph in one pass: the rows of each
//! input as a batch of their own through the steps that only they go through, and as one batch from where the inputs meet.
//! What comes of it is what would come if each row went alone. So each row carries by which input it came, as lateness is
//! that input's affair, and its place in the pass ([`RowMeta::position`]). A row that is left out on the way leaves its time
//! behind at its place: rows behind it know of it, whichever input they came by, and rows before it do not.

use std::ops::Range;

use arrow::array::{Array, UInt32Array};
use arrow::compute;

use crate::batch::{Batch, Omitted, OwnTime, RowMeta};
use crate::clock::RowWatermarks;
use crate::ids::InputId;
use crate::time::Watermark;

/// By which input each row of a batch came, and what is known of time between the rows.
#[derive(Debug, Clone)]
pub struct Mixture {
    /// The inputs, each with what a row that came by it itself says.
    inputs: Vec<(InputId, OwnTime)>,
    /// For each row which of `inputs`.
    of_row: UInt32Array,
    /// In order of their places.
    left_out: Vec<LeftOut>,
}

/// What a row has said of time that is no longer there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeftOut {
    /// The row's place in the pass: rows of greater places know of it.
    pub(crate) position: u32,
    /// Which of the inputs it came by.
    input: u32,
    /// How far its input had come.
    pub(crate) watermark: Watermark,
}

impl Mixture {
    /// Rows of which each came by one of `inputs`, whose number there `of_row` says.
    pub fn new(inputs: Vec<(InputId, OwnTime)>, of_row: UInt32Array) -> Mixture {
        Mixture { inputs, of_row, left_out: Vec::new() }
    }

    /// So many rows of one input, which say nothing yet.
    pub(crate) fn of_one(input: InputId, rows: usize) -> Mixture {
        Mixture::new(vec![(input, OwnTime::Silent)], UInt32Array::from(vec![0; rows]))
    }

    /// Sets what each row says itself, whatever its input.
    pub(crate) fn set_own(&mut self, own: OwnTime) {
        self.inputs.iter_mut().for_each(|(_, of_input)| *of_input = own);
    }

    /// Adds what the only input has said behind the row at `position`, which is no less than those before.
    pub(crate) fn hear(&mut self, position: u32, watermark: Watermark) {
        self.left_out.push(LeftOut { position, input: 0, watermark });
    }

    /// The input that row `row` came by, and what such a row itself says.
    pub(crate) fn at(&self, row: usize) -> (InputId, OwnTime) {
        self.inputs[self.of_row.value(row) as usize]
    }

    /// What left the batch before, in order of the places.
    pub(crate) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The input of a row that left the batch.
    pub(crate) fn input_of(&self, left_out: &LeftOut) -> InputId {
        self.inputs[left_out.input as usize].0
    }

    /// The mixture of several batches' rows `picks`: (batch, row).
    pub(crate) fn join(mixtures: &[&Mixture], picks: &[(usize, usize)]) -> Mixture {
        let mut inputs: Vec<(InputId, OwnTime)> = Vec::new();
        let mut place = |input: &(InputId, OwnTime)| match inputs.iter().position(|known| known == input) {
            Some(at) => at as u32,
            None => {
                inputs.push(*input);
                inputs.len() as u32 - 1
            }
        };
        let places: Vec<Vec<u32>> =
            mixtures.iter().map(|mixture| mixture.inputs.iter().map(&mut place).collect()).collect();
        let of_row = picks.iter().map(|&(batch, row)| places[batch][mixtures[batch].of_row.value(row) as usize]);
        let of_row = UInt32Array::from_iter_values(of_row);
        let mut left_out = Vec::with_capacity(mixtures.iter().map(|mixture| mixture.left_out.len()).sum());
        for (mixture, places) in mixtures.iter().zip(&places) {
            let moved = |one: &LeftOut| LeftOut { input: places[one.input as usize], ..*one };
            left_out.extend(mixture.left_out.iter().map(moved));
        }
        left_out.sort_by_key(|one| one.position);
        Mixture { inputs, of_row, left_out }
    }

    /// The mixture of the rows of `meta` at `indices`, which ascend. The others leave behind what they say themselves and what
    /// was said before them.
    pub(crate) fn take(&self, meta: &RowMeta, indices: &UInt32Array, which: Omitted) -> Mixture {
        let times = meta.event_time.values();
        let says = |row: usize| meta.clock.before(row).max(which.own(self.at(row).1).of(times[row]));
        let mut left_out = self.left_out.clone();
        left_out.extend(self.leaving(meta, indices.values(), says));
        self.with(indices, left_out)
    }

    /// The mixture of results, one for each row of `batch` at `indices`: these say by what is `before` them how far their input
    /// has come, and so do those that have none at their places.
    pub(crate) fn of_results(&self, batch: &Batch, indices: &UInt32Array, walked: &RowWatermarks) -> Mixture {
        let told = |(one, &w): (&LeftOut, &i64)| LeftOut { watermark: Watermark(w), ..*one };
        let mut left_out: Vec<LeftOut> = self.left_out.iter().zip(walked.left_out()).map(told).collect();
        let w_i = walked.w_i();
        left_out.extend(self.leaving(&batch.meta, indices.values(), |row| Watermark(w_i[row])));
        let mut mixture = self.with(indices, left_out);
        mixture.set_own(OwnTime::Silent);
        mixture
    }

    /// So many rows from row `from` on. What was left out before the first stays with those before it.
    pub(crate) fn slice(&self, positions: Option<&UInt32Array>, from: usize, rows: usize) -> Mixture {
        let place = |row: usize| positions.filter(|positions| row < positions.len()).map(|all| all.value(row));
        let before = |row: usize| match place(row) {
            Some(first) if row > 0 => self.left_out.partition_point(|one| one.position < first),
            Some(_) => 0,
            None => self.left_out.len(),
        };
        let Range { start, end } = before(from)..before(from + rows);
        Mixture {
            inputs: self.inputs.clone(),
            of_row: self.of_row.slice(from, rows),
            left_out: self.left_out[start..end].to_vec(),
        }
    }

    /// What the rows that are not among `indices` leave behind, where they have something to say.
    fn leaving<'a>(
        &'a self,
        meta: &'a RowMeta,
        indices: &'a [u32],
        says: impl Fn(usize) -> Watermark + 'a,
    ) -> impl Iterator<Item = LeftOut> + 'a {
        let mut taken = indices.iter().map(|&index| index as usize).peekable();
        let leaving = (0..meta.event_time.len()).filter_map(move |row| {
            let mut is_taken = false;
            while taken.next_if_eq(&row).is_some() {
                is_taken = true;
            }
            (!is_taken).then(|| LeftOut {
                position: meta.position.as_ref().map_or(0, |positions| positions.value(row)),
                input: self.of_row.value(row),
                watermark: says(row),
            })
        });
        leaving.filter(|one| one.watermark.is_known())
    }

    fn with(&self, indices: &UInt32Array, mut left_out: Vec<LeftOut>) -> Mixture {
        left_out.sort_by_key(|one| one.position);
        let of_row = compute::take(&self.of_row, indices, None).expect("indices lie within the batch");
        let of_row = of_row.as_any().downcast_ref::<UInt32Array>().cloned().expect("take keeps the type");
        Mixture { inputs: self.inputs.clone(), of_row, left_out }
    }
}
