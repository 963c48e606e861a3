//! The two families of errors of a running engine, never mixed: one record's, and one that stops the task.

use arrow::array::RecordBatch;

use crate::ids::{Offset, Origin};

/// Why one record could not be processed. It goes where the pipeline's `on_error` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// What failed.
    pub kind: RecordErrorKind,
    /// What is wrong with this record, in lower case, without a final stop.
    pub message: String,
}

/// What failed when a record was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordErrorKind {
    /// The bytes are not a document of the source's format and schema.
    Decode,
    /// The event time is missing, negative or not a time.
    EventTime,
    /// An expression has no value for this row: a division by zero, a failed cast.
    Expression,
    /// An aggregate has no value (an integer sum out of range), or what would be made of the row is too large.
    Overflow,
    /// The row cannot be written in the sink's format, or is too large for the topic that it goes to.
    Encode,
}

impl RecordErrorKind {
    /// The kind as it is written in headers, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordErrorKind::Decode => "decode",
            RecordErrorKind::EventTime => "event_time",
            RecordErrorKind::Expression => "expression",
            RecordErrorKind::Overflow => "overflow",
            RecordErrorKind::Encode => "encode",
        }
    }
}

/// One row of a batch that failed, by its index in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// Index of the row in the batch.
    pub row: usize,
    /// Why it failed.
    pub error: RecordError,
}

/// A record that a step refused, on its way to `on_error`.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// The step that refused it, as the topology names it.
    pub step: String,
    /// Why.
    pub error: RecordError,
    /// Where the record was read first.
    pub origin: Origin,
    /// At which offset.
    pub offset: Offset,
    /// The row as the step saw it (one row), where the step had columns already.
    pub row: Option<RecordBatch>,
}

/// An error that stops the task. It says nothing about single records.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A record failed and the pipeline says `on_error: fail`.
    #[error("step {}: {}: {}", .0.step, .0.error.kind.as_str(), .0.error.message)]
    RecordFailed(Box<Rejected>),
    /// Kept state does not fit the step that reads it.
    #[error("state of step {step}: {message}")]
    State {
        /// The id of the step.
        step: String,
        /// What does not fit.
        message: String,
    },
    /// A vectorised kernel failed in a way that no row is to blame for.
    #[error("step {step}: {message}")]
    Kernel {
        /// The step.
        step: String,
        /// What the kernel said.
        message: String,
    },
}
