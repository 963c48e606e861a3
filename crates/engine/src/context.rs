//! What an operator may do to the world while it runs: emit, reject, count. It has no other way out.

use crate::batch::Batch;
use crate::error::{RecordError, Rejected, RowFault, TaskError};
use crate::ids::{ExchangeId, SinkId};
use crate::ledger::Ledger;
use crate::operator::{End, Signal};
use arrow::array::ArrayRef;

/// What a node sends to the nodes behind it.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "signals are rare: batches do not pay for a box")]
pub enum Item {
    /// Rows and time.
    Batch(Batch),
    /// A signal.
    Signal(Signal),
}

/// What leaves the task.
#[derive(Debug)]
pub enum Effect {
    /// Rows for a sink, in the order in which they are to stand in each partition.
    Output(Output),
    /// Rows or time for one partition of a repartition topic.
    Exchange(ExchangeOutput),
    /// A record for the dead-letter topic.
    DeadLetter(Rejected),
}

/// Rows for a sink.
#[derive(Debug)]
pub struct Output {
    /// The sink.
    pub sink: SinkId,
    /// The rows; the sink writes the columns that are not hidden. Their event times are the timestamps of the records.
    pub batch: Batch,
    /// Headers by name: a column of one value a row, which is written as its plain text; null for none.
    pub headers: Vec<(String, ArrayRef)>,
}

/// Rows of one partition of a repartition.
#[derive(Debug)]
pub struct ExchangeOutput {
    /// The repartition.
    pub exchange: ExchangeId,
    /// To which partition of its topic.
    pub partition: crate::ids::PartitionId,
    /// The rows (perhaps none), with the sender's W at each row in `clock.before` and at its end in `clock.after`.
    pub batch: Batch,
    /// Whether every input of the sender is idle.
    pub idle: bool,
    /// How the sender stands, behind these rows, to what there is for it to read.
    pub end: End,
}

/// What happens to a record that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The task stops once all steps have processed what was read, and names the first record that failed.
    Fail,
    /// It is counted and dropped.
    Skip,
    /// It is counted and leaves as [`Effect::DeadLetter`].
    DeadLetter,
}

/// The nodes behind one that is running.
pub(crate) trait Behind {
    /// Takes what the node has emitted and runs the nodes behind it over that.
    fn run(&mut self, outbox: &mut Vec<(usize, Item)>, effects: &mut Vec<Effect>) -> Result<(), TaskError>;
}

/// One node's view of the task while it runs.
pub struct Context<'a> {
    pub(crate) step: &'a str,
    pub(crate) on_error: OnError,
    pub(crate) ledger: &'a mut Ledger,
    /// (output port, item), in order.
    pub(crate) outbox: &'a mut Vec<(usize, Item)>,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) behind: Option<&'a mut (dyn Behind + 'a)>,
}

impl<'a> Context<'a> {
    /// A context for one call of one node. `outbox` receives (output port, item) in order of emission.
    pub fn new(
        step: &'a str,
        on_error: OnError,
        ledger: &'a mut Ledger,
        outbox: &'a mut Vec<(usize, Item)>,
        effects: &'a mut Vec<Effect>,
    ) -> Context<'a> {
        Context { step, on_error, ledger, outbox, effects, behind: None }
    }

    /// The name of the running step, for messages.
    pub fn step(&self) -> &'a str {
        self.step
    }

    /// The node's counts. `rows_in` and `rows_out` are kept by the task and by [`emit`](Self::emit); the operator
    /// keeps the others.
    pub fn ledger(&mut self) -> &mut Ledger {
        self.ledger
    }

    /// Sends a batch to every node behind this one. A batch that says nothing is dropped.
    pub fn emit(&mut self, batch: Batch) {
        self.emit_to(0, batch);
    }

    /// Sends a batch by output `output` (a branch's arm).
    pub fn emit_to(&mut self, output: usize, batch: Batch) {
        if batch.says_nothing() {
            return;
        }
        self.ledger.rows_out += batch.len() as u64;
        self.outbox.push((output, Item::Batch(batch)));
    }

    /// Lets the nodes behind this one take what has been emitted so far, for operators that make much of one batch: memory
    /// need not hold all of it. Results never depend on it.
    ///
    /// # Errors
    /// What stops the task, of a node behind.
    pub fn flush(&mut self) -> Result<(), TaskError> {
        match self.behind.as_deref_mut() {
            Some(behind) => behind.run(self.outbox, self.effects),
            None => Ok(()),
        }
    }

    /// Sends a signal by every output.
    pub fn signal(&mut self, signal: Signal) {
        self.outbox.push((usize::MAX, Item::Signal(signal)));
    }

    /// Hands something out of the task.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Gives rows of `batch` to `on_error` and counts them as `errors`. The caller takes them out of the batch.
    pub fn reject(&mut self, batch: &Batch, faults: &[RowFault]) {
        for fault in faults {
            let rejected = Rejected {
                step: self.step.to_owned(),
                error: fault.error.clone(),
                origin: batch.meta.origin.at(fault.row),
                offset: crate::ids::Offset(batch.meta.offset.value(fault.row)),
                row: Some(batch.rows.slice(fault.row, 1)),
            };
            self.ledger.errors += 1;
            self.send_to_on_error(rejected);
        }
    }

    /// Gives a result row that could not be computed (an aggregate out of range) to `on_error`, counted as
    /// `result_errors`. `row` is one row that says which result it is: group key and window bounds.
    pub fn reject_result(&mut self, row: arrow::array::RecordBatch, error: RecordError) {
        self.ledger.result_errors += 1;
        self.send_to_on_error(Rejected {
            step: self.step.to_owned(),
            error,
            origin: crate::ids::Origin::RESULTS,
            offset: crate::ids::Offset(-1),
            row: Some(row),
        });
    }

    /// Gives a record that has no row yet (it did not decode) to `on_error`, counted as `errors`.
    pub fn reject_record(&mut self, rejected: Rejected) {
        self.ledger.errors += 1;
        self.send_to_on_error(rejected);
    }

    /// With `on_error: fail` the task looks through what was refused when all steps are done: a step that comes first need not
    /// have refused the record that comes first.
    fn send_to_on_error(&mut self, rejected: Rejected) {
        match self.on_error {
            OnError::Skip => {}
            OnError::Fail | OnError::DeadLetter => self.effects.push(Effect::DeadLetter(rejected)),
        }
    }
}
