//! How far event time has come for one operator: W_i for each of its inputs, and W, the least of them.
//!
//! Lateness of a row is measured by W_i of its own input, closing of windows by W (see ARCHITECTURE.md, "Time"), both less the
//! grace of the step. How far windows are closed is kept for itself, as the grace may be another after a restart: what was
//! closed stays closed.

use arrow::array::BooleanArray;

use crate::batch::{Batch, OwnTime};
use crate::error::TaskError;
use crate::ids::InputId;
use crate::mixture::Mixture;
use crate::operator::Signal;
use crate::time::{Millis, Watermark};

/// The clock of an operator. It is part of the operator's committed state: a restart never turns it back.
#[derive(Debug, Clone)]
pub struct Clock {
    inputs: Vec<Input>,
    w: Watermark,
    grace: Millis,
    closed: Watermark,
}

/// The name by which saved state knows how far windows are closed, among those of inputs, which have a topic or a step first.
const CLOSED: &str = "/closed";

/// How far time has come at each row of a batch, the row included; see [`Clock::walk`].
#[derive(Debug)]
pub struct RowWatermarks {
    w_i: Vec<i64>,
    /// Empty where it is the same.
    late_by: Vec<i64>,
    /// W at each row; empty where all rows came by one input.
    w: Vec<i64>,
    /// W_i behind each row that was left out of a mixture.
    left_out: Vec<i64>,
    /// W before the first row.
    floor: Watermark,
    /// The least W_i of the inputs that the rows did not come by.
    others: Watermark,
    grace: i64,
    closed: i64,
}

impl RowWatermarks {
    /// W_i of the input that each row came by.
    pub fn w_i(&self) -> &[i64] {
        &self.w_i
    }

    /// What the row is late by: W_i of the input by which it was read first. It is never less than [`w_i`](Self::w_i).
    pub fn late_by(&self) -> &[i64] {
        if self.late_by.is_empty() { &self.w_i } else { &self.late_by }
    }

    /// W at row `row`.
    pub fn w(&self, row: usize) -> Watermark {
        match self.w.get(row) {
            Some(&w) => Watermark(w),
            None => self.floor.max(self.others.min(Watermark(self.w_i[row]))),
        }
    }

    /// W_i at each row that was left out of a mixture.
    pub(crate) fn left_out(&self) -> &[i64] {
        &self.left_out
    }

    /// For a row of the batch: a window that ends at or before this is closed to it. It is what the row is late by less the
    /// grace, and never less than [`Clock::closed`].
    pub fn open_from(&self) -> impl Fn(usize) -> i64 + use<'_> {
        let (late_by, grace, closed) = (self.late_by(), self.grace, self.closed);
        move |row| late_by[row].saturating_sub(grace).max(closed)
    }

    fn clear(&mut self, floor: Watermark, others: Watermark) {
        (self.floor, self.others) = (floor, others);
        for values in [&mut self.w_i, &mut self.late_by, &mut self.w, &mut self.left_out] {
            values.clear();
        }
    }
}

impl Default for RowWatermarks {
    fn default() -> RowWatermarks {
        let (floor, others) = (Watermark::UNKNOWN, Watermark::END);
        RowWatermarks {
            w_i: Vec::new(),
            late_by: Vec::new(),
            w: Vec::new(),
            left_out: Vec::new(),
            floor,
            others,
            grace: 0,
            closed: 0,
        }
    }
}

#[derive(Debug, Clone)]
struct Input {
    id: InputId,
    /// The name under which state remembers the input.
    label: String,
    w: Watermark,
    idle: bool,
}

impl Clock {
    /// The clock of an operator that batches of these inputs reach, each with the name that state knows it by. No input
    /// has spoken yet.
    pub fn new(inputs: Vec<(InputId, String)>) -> Clock {
        Clock::with_grace(inputs, Millis(0))
    }

    /// The same, of an operator whose windows stay open for late rows for `grace`.
    pub fn with_grace(inputs: Vec<(InputId, String)>, grace: Millis) -> Clock {
        let inputs = inputs.into_iter().map(|(id, label)| Input { id, label, w: Watermark::UNKNOWN, idle: false });
        Clock { inputs: inputs.collect(), w: Watermark::UNKNOWN, grace, closed: Watermark::UNKNOWN }
    }

    /// W as of the last [`refresh`](Self::refresh). It never falls.
    pub fn w(&self) -> Watermark {
        self.w
    }

    /// How far windows are closed as of the last [`refresh`](Self::refresh): W less the grace. It never falls, also where the
    /// grace has become longer since.
    pub fn closed(&self) -> Watermark {
        self.closed
    }

    /// W_i of an input.
    pub fn input_watermark(&self, input: InputId) -> Watermark {
        self.inputs.iter().find(|known| known.id == input).map_or(Watermark::UNKNOWN, |known| known.w)
    }

    /// The least W_i of the other inputs that are not idle; [`Watermark::END`] where there is none.
    fn least_of_others(&self, input: InputId) -> Watermark {
        let others = self.inputs.iter().filter(|other| !other.idle && other.id != input);
        others.map(|other| other.w).min().unwrap_or(Watermark::END)
    }

    /// How far the furthest of the inputs that are not idle is ahead of W: what the others hold back. None where either is unknown.
    pub fn held_back(&self) -> Option<Millis> {
        let furthest = self.inputs.iter().filter(|input| !input.idle && input.w.is_known()).map(|input| input.w).max();
        let (furthest, w) = (furthest?, self.w);
        w.is_known().then(|| Millis(furthest.0.saturating_sub(w.0).max(0)))
    }

    /// The input has spoken: it is no longer idle, and if it was, W_i is no less than the W that went on without it.
    pub fn speaks(&mut self, input: InputId) {
        let w = self.w;
        let known = self.input_mut(input);
        known.idle = false;
        // Of an input that is in the minimum, W is no more than W_i: this raises only one that was left behind, also where
        // a restart has forgotten that it was idle.
        known.w = known.w.max(w);
    }

    /// W_i reaches `watermark`, if it is not there already.
    pub fn advance(&mut self, input: InputId, watermark: Watermark) {
        if watermark.is_known() {
            self.speaks(input);
            let known = self.input_mut(input);
            known.w = known.w.max(watermark);
        }
    }

    /// The input has been silent for long: it leaves the minimum until it speaks.
    pub fn on_idle(&mut self, input: InputId) {
        self.input_mut(input).idle = true;
    }

    /// Passes a row of `input` by, before which it says `watermark` (perhaps nothing), and computes W anew. Returns W_i.
    ///
    /// W must have been computed since any other input said something.
    pub(crate) fn pass(&mut self, input: InputId, watermark: Watermark) -> Watermark {
        let was_idle = std::mem::take(&mut self.input_mut(input).idle);
        self.speaks(input);
        let known = self.input_mut(input);
        let from = known.w;
        known.w = from.max(watermark);
        let now = known.w;
        // Only an input that stands where W does holds W back. Where all were idle W may stand behind the one that speaks.
        if was_idle || (from <= self.w && now > from) {
            self.refresh();
        }
        now
    }

    /// Whether every input is idle.
    pub fn all_idle(&self) -> bool {
        self.inputs.iter().all(|input| input.idle)
    }

    /// Computes W anew: the least W_i of the inputs that are not idle, never less than before. If every input is idle W
    /// stands.
    pub fn refresh(&mut self) -> Watermark {
        if let Some(least) = self.inputs.iter().filter(|input| !input.idle).map(|input| input.w).min() {
            self.w = self.w.max(least);
        }
        self.closed = self.closed.max(self.w.minus(self.grace));
        self.w
    }

    /// Takes what a signal says about silence.
    pub fn on_silence(&mut self, signal: Signal) {
        match signal {
            Signal::Idle(input) => self.on_idle(input),
            Signal::Elapsed(span) => self.elapse(span),
            Signal::Close => {}
        }
    }

    /// So much time has passed on the wall while every input was idle: W goes on by it, if it exists at all.
    pub fn elapse(&mut self, span: Millis) {
        if self.w.is_known() && self.w != Watermark::END {
            self.w = Watermark(self.w.0.saturating_add(span.0));
        }
    }

    /// Time has come so far on every input that windows are closed at least to `closed`, because a user asked for an end.
    pub fn close_to(&mut self, closed: Watermark) {
        let w = Watermark(closed.0.saturating_add(self.grace.0));
        for input in &mut self.inputs {
            input.w = input.w.max(w);
        }
        self.w = self.w.max(w);
        self.closed = self.closed.max(closed);
    }

    /// Walks over the rows of a batch in order and writes how far time has come at each row into `walked` (cleared first):
    /// what the batch says before the row, then the row's own time if `keyed` is true for it. Then applies what the batch
    /// says after its last row. W is not computed anew.
    pub fn walk(&mut self, batch: &Batch, keyed: Option<&BooleanArray>, walked: &mut RowWatermarks) {
        (walked.grace, walked.closed) = (self.grace.0, self.closed.0);
        let clock = &batch.meta.clock;
        match &batch.meta.mixture {
            Some(mixture) => self.walk_mixed(batch, mixture, keyed, walked),
            None => {
                walked.clear(self.w, self.least_of_others(batch.meta.input));
                self.walk_one(batch, keyed, &mut walked.w_i);
            }
        }
        if let (Some(own), false) = (&clock.late_by, batch.is_empty()) {
            walked.late_by.extend(walked.w_i.iter().zip(own.values()).map(|(&w, &own)| w.max(own)));
        }
    }

    /// The rows of one input.
    fn walk_one(&mut self, batch: &Batch, keyed: Option<&BooleanArray>, watermarks: &mut Vec<i64>) {
        let clock = &batch.meta.clock;
        if batch.is_empty() {
            self.advance(batch.meta.input, clock.after);
            return;
        }
        self.speaks(batch.meta.input);
        let input = self.input_mut(batch.meta.input);
        let mut w = input.w;
        if let (OwnTime::Less(span), None, None) = (clock.own, &clock.before, keyed) {
            watermarks.extend(batch.meta.event_time.values().iter().map(|time| {
                w = w.max(Watermark(time.saturating_sub(span.0)));
                w.0
            }));
            input.w = w.max(clock.after);
            return;
        }
        for (row, &time) in batch.meta.event_time.values().iter().enumerate() {
            w = w.max(clock.before(row));
            if keyed.is_none_or(|keyed| keyed.value(row)) {
                w = w.max(clock.own(time));
            }
            watermarks.push(w.0);
        }
        input.w = w.max(clock.after);
    }

    /// The rows of several inputs, and those that are no longer there at their places: as if each had come alone, and W had
    /// been computed behind it.
    fn walk_mixed(
        &mut self,
        batch: &Batch,
        mixture: &Mixture,
        keyed: Option<&BooleanArray>,
        walked: &mut RowWatermarks,
    ) {
        let (before, closed) = (self.w, self.closed);
        walked.clear(before, Watermark::END);
        let mut left_out = mixture.left_out().iter().peekable();
        for (row, &time) in batch.meta.event_time.values().iter().enumerate() {
            let position = batch.position(row);
            while let Some(one) = left_out.next_if(|one| one.position < position) {
                walked.left_out.push(self.pass(mixture.input_of(one), one.watermark).0);
            }
            let (input, own) = mixture.at(row);
            let is_keyed = keyed.is_none_or(|keyed| keyed.value(row));
            let own = if is_keyed { own.of(time) } else { Watermark::UNKNOWN };
            walked.w_i.push(self.pass(input, batch.meta.clock.before(row).max(own)).0);
            walked.w.push(self.w.0);
        }
        for one in left_out {
            walked.left_out.push(self.pass(mixture.input_of(one), one.watermark).0);
        }
        // Who takes the batch takes it as a whole: until it has, W is what it was, and nothing more is closed.
        (self.w, self.closed) = (before, closed);
    }

    /// The clock as bytes, for the operator's scalars. Idleness is part of it: an input that was idle is late by at least W
    /// when it speaks, and a restart does not make the others wait for it.
    pub fn save(&self) -> Vec<u8> {
        let inputs = self.inputs.iter().map(|input| (input.w, input.idle, input.label.as_str()));
        let mut bytes = self.w.0.to_le_bytes().to_vec();
        bytes.extend((self.inputs.len() as u32 + 1).to_le_bytes());
        for (w, idle, label) in inputs.chain([(self.closed, false, CLOSED)]) {
            bytes.extend(w.0.to_le_bytes());
            bytes.push(u8::from(idle));
            bytes.extend((label.len() as u32).to_le_bytes());
            bytes.extend(label.as_bytes());
        }
        bytes
    }

    /// Takes over what [`save`](Self::save) wrote, input by input by their names; returns how many bytes that was.
    /// Inputs that are not named there have not spoken. The grace stays what it is; where it is longer than that of the saved
    /// clock, windows stay closed as far as they were, and where it is shorter, the next [`refresh`](Self::refresh) closes more.
    ///
    /// # Errors
    /// If the bytes do not hold a clock.
    pub fn load(&mut self, bytes: &[u8]) -> Result<usize, TaskError> {
        self.try_load(bytes).ok_or_else(|| TaskError::State {
            step: "clock".to_owned(),
            message: "the stored clock cannot be read".to_owned(),
        })
    }

    fn try_load(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        let w = Watermark(i64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?));
        // State that does not say it was made with the grace that there is: see `shape` of the pipelines.
        let mut closed = w.minus(self.grace);
        let count = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?);
        for _ in 0..count {
            let w = Watermark(i64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?));
            let idle = take(&mut rest, 1)?[0] != 0;
            let length = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?);
            let label = take(&mut rest, length as usize)?;
            if label == CLOSED.as_bytes() {
                closed = w;
            } else if let Some(input) = self.inputs.iter_mut().find(|input| input.label.as_bytes() == label) {
                (input.w, input.idle) = (w, idle);
            }
        }
        (self.w, self.closed) = (w, closed);
        Some(bytes.len() - rest.len())
    }

    fn input_mut(&mut self, input: InputId) -> &mut Input {
        let first = self.inputs.first().map_or(0, |first| first.id.0);
        // Inputs mostly are numbered one after the other.
        let guess = input.0.wrapping_sub(first) as usize;
        let is_right = self.inputs.get(guess).is_some_and(|known| known.id == input);
        let known = if is_right { Some(guess) } else { self.inputs.iter().position(|known| known.id == input) };
        assert!(known.is_some(), "input {input} does not reach this operator");
        &mut self.inputs[known.unwrap_or_default()]
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: InputId = InputId(0);
    const B: InputId = InputId(1);

    fn clock() -> Clock {
        Clock::new(vec![(A, "a".to_owned()), (B, "b".to_owned())])
    }

    #[test]
    fn an_input_that_has_not_spoken_holds_time_back() {
        let mut clock = clock();
        clock.advance(A, Watermark(10));
        assert_eq!(clock.refresh(), Watermark::UNKNOWN);
        assert_eq!(clock.held_back(), None);
        clock.advance(B, Watermark(5));
        assert_eq!(clock.refresh(), Watermark(5));
        assert_eq!(clock.held_back(), Some(Millis(5)));
        clock.on_idle(A);
        assert_eq!(clock.held_back(), Some(Millis(0)), "who is idle waits for nobody");
    }

    #[test]
    fn an_idle_input_leaves_the_minimum_and_comes_back_late() {
        let mut clock = clock();
        clock.advance(A, Watermark(10));
        clock.on_idle(B);
        assert_eq!(clock.refresh(), Watermark(10));
        clock.advance(B, Watermark(3));
        assert_eq!(clock.input_watermark(B), Watermark(10));
        assert_eq!(clock.refresh(), Watermark(10));
    }

    #[test]
    fn time_stands_when_all_are_idle_and_never_falls() {
        let mut clock = clock();
        clock.advance(A, Watermark(10));
        clock.advance(B, Watermark(7));
        clock.refresh();
        clock.on_idle(A);
        clock.on_idle(B);
        assert!(clock.all_idle());
        assert_eq!(clock.refresh(), Watermark(7));
    }

    #[test]
    fn a_saved_clock_comes_back_by_name() {
        let mut saved = clock();
        saved.advance(A, Watermark(10));
        saved.advance(B, Watermark(-7));
        saved.refresh();
        saved.on_idle(B);
        let bytes = saved.save();
        let mut loaded = Clock::new(vec![(A, "b".to_owned()), (B, "a".to_owned())]);
        assert_eq!(loaded.load(&bytes).unwrap(), bytes.len());
        assert_eq!(loaded.w(), Watermark(-7));
        assert_eq!(loaded.input_watermark(B), Watermark(10));
        assert_eq!(loaded.refresh(), Watermark(10), "b is still idle");
        for cut in 0..bytes.len() {
            assert!(clock().load(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_closed_stays_closed_whatever_the_grace() {
        let clock = |grace| Clock::with_grace(vec![(A, "a".to_owned())], Millis(grace));
        let mut saved = clock(5);
        saved.advance(A, Watermark(100));
        saved.refresh();
        assert_eq!(saved.closed(), Watermark(95));
        for (grace, closed, later) in [(5, 95, 97), (20, 95, 95), (0, 100, 102)] {
            let mut loaded = clock(grace);
            loaded.load(&saved.save()).unwrap();
            assert_eq!(loaded.closed(), Watermark(95), "a restart alone closes nothing");
            loaded.refresh();
            assert_eq!(loaded.closed(), Watermark(closed), "grace {grace}");
            loaded.advance(A, Watermark(102));
            loaded.refresh();
            assert_eq!(loaded.closed(), Watermark(later), "grace {grace}");
            loaded.close_to(Watermark(110));
            assert_eq!((loaded.closed(), loaded.w()), (Watermark(110), Watermark(110 + grace)));
        }
    }
}
