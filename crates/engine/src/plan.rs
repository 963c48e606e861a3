//! The checked description of one subtopology's graph: what the pipeline crate lowers to, and what a task is built from.

use arrow::datatypes::SchemaRef;

use crate::context::OnError;
use crate::expr::{AggregateExpr, Expr};
use crate::ids::{ExchangeId, NodeId, SinkId};
use crate::time::Millis;

/// Columns whose names begin so are hidden: system columns that ride along and are not written to sinks.
pub const HIDDEN: &[&str] = &["_key", "_timestamp", "_topic", "_partition", "_offset", "_headers", "_schema"];

/// What runs without a repartition, once for each partition.
#[derive(Debug, Clone)]
pub struct SubtopologyPlan {
    /// The nodes; a node's inputs have smaller numbers than itself.
    pub nodes: Vec<NodePlan>,
    /// How rows of several inputs are to be read.
    pub reading: Reading,
    /// What happens to records that fail.
    pub on_error: OnError,
}

/// In which order a task reads its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Any: no operator's result depends on it.
    AsItComes,
    /// The row with the least event time among the heads of the inputs; ties by source, then partition. Rows go through the
    /// graph together all the same, and a merge puts those of several inputs in order.
    ByEventTime,
    /// As by event time, and each row goes through the graph alone: results that its step lets out then come between this
    /// row and the next, as they do where a commit falls in between.
    RowByRow,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// The step as messages, metrics and the ledger name it, such as `steps[1].window` or `trades-ohlc/ohlc`.
    pub name: String,
    /// For each of its ports the node before it and which of that node's outputs.
    pub inputs: Vec<(NodeId, usize)>,
    /// The columns that leave it (by every output).
    pub schema: SchemaRef,
    /// What it does.
    pub kind: NodeKind,
}

/// What a node does.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Rows of a source topic's partition.
    Source(SourcePlan),
    /// Rows of a repartition topic's partition, one input for each sending task.
    ExchangeSource(ExchangeId),
    /// Keeps rows for which the expression is true.
    Filter(Expr),
    /// Keeps rows whose columns of these indices are all there: the others have no key.
    KeyBy(Vec<usize>),
    /// Replaces the columns: map, select, drop, rename and cast are all this.
    Project(Vec<Expr>),
    /// One row for each element of the list column `column`, which becomes the element; other columns are repeated.
    Unnest(UnnestPlan),
    /// Sends a row by the first output whose expression is true, else by the last output if there is one more than
    /// expressions, else nowhere.
    Branch(BranchPlan),
    /// Rows of several nodes as one stream, in the order in which they entered the task.
    Merge,
    /// Rows to the tasks behind a repartition, by the text of their key columns.
    Exchange(ExchangePlan),
    /// Aggregates by key and window.
    Window(WindowPlan),
    /// Aggregates by key, for ever.
    Aggregate(AggregatePlan),
    /// Rows that leave the topology.
    Sink(SinkPlan),
}

/// A source as the engine sees it: decoded columns and record timestamps in, rows with event time out.
#[derive(Debug, Clone)]
pub struct SourcePlan {
    /// Index of the source in the topology.
    pub source: usize,
    /// The event time over the decoded columns: a timestamp or epoch milliseconds. `None`: the record's timestamp.
    pub event_time: Option<Expr>,
    /// By how much W_i stays behind the greatest event time.
    pub out_of_order: Millis,
}

/// See [`NodeKind::Unnest`].
#[derive(Debug, Clone, Copy)]
pub struct UnnestPlan {
    /// Index of the list column in the input.
    pub column: usize,
}

/// See [`NodeKind::Branch`].
#[derive(Debug, Clone)]
pub struct BranchPlan {
    /// One expression for each arm, tried in order.
    pub arms: Vec<Expr>,
    /// What happens to rows that no arm takes.
    pub otherwise: Otherwise,
}

/// What a branch does with rows that no arm takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// They are counted as filtered.
    Drop,
    /// They leave by one more output, the last.
    LastOutput,
}

/// See [`NodeKind::Sink`].
#[derive(Debug, Clone)]
pub struct SinkPlan {
    /// The sink.
    pub sink: SinkId,
    /// The timestamp of each record, over the input's columns: a timestamp or epoch milliseconds. `None`: the row's event
    /// time.
    pub timestamp: Option<Expr>,
    /// The headers that are set, by name, over the input's columns; where one is null the record does not have it.
    pub headers: Vec<(String, Expr)>,
}

/// See [`NodeKind::Exchange`].
#[derive(Debug, Clone)]
pub struct ExchangePlan {
    /// The repartition.
    pub exchange: ExchangeId,
    /// Indices of the key columns in the input.
    pub keys: Vec<usize>,
}

/// Which windows a row belongs to. All spans in milliseconds. Bounds and lateness: see `semantics` in ARCHITECTURE.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// `[start, start + size)`, start ≡ offset mod size.
    Tumbling {
        /// Length.
        size: Millis,
        /// Where the grid begins.
        offset: Millis,
    },
    /// Every window `[start, start + size)` of the grid start ≡ offset mod every that holds the row.
    Hopping {
        /// Length.
        size: Millis,
        /// Distance of neighbouring starts.
        every: Millis,
        /// Where the grid begins.
        offset: Millis,
    },
    /// For each row at t: `[t − d, t]`, and, if not empty, `[t + 1, t + 1 + d]`; both ends inclusive.
    Sliding(Millis),
    /// One result for each row: the aggregate over `[t − d, t]` of its key.
    Over(Millis),
    /// Rows of a key no further apart than the gap.
    Session(Millis),
    /// So many rows of a key in arrival order.
    Count(u64),
}

/// When results leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// Once, when the window is closed.
    Final,
    /// At each commit, what changed since the last.
    Changes,
    /// As changes, but no more often than this.
    Every(Millis),
    /// Over only: with each row, at once.
    Arrival,
}

/// What happens to a row that some window refused because it was late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It is counted.
    Drop,
    /// It is counted and goes to a sink, once, with the refusing windows, or the first and the last of many, in the header
    /// `millstream.late.windows`.
    To(SinkId),
}

/// A named result of a stateful step.
#[derive(Debug, Clone)]
pub struct NamedAggregate {
    /// The name of the result column.
    pub name: String,
    /// How it is computed, over the input's columns.
    pub expr: AggregateExpr,
}

/// See [`NodeKind::Window`]. The node's schema is: key columns, `window_start` and `window_end` (timestamp in
/// milliseconds, UTC), the aggregates.
#[derive(Debug, Clone)]
pub struct WindowPlan {
    /// The step's id: the name of its state.
    pub id: String,
    /// Indices of the group-by columns in the input; empty for one group of all rows.
    pub keys: Vec<usize>,
    /// Which windows.
    pub kind: WindowKind,
    /// How long a window stays open for late rows.
    pub grace: Millis,
    /// When results leave.
    pub emit: Emit,
    /// What happens to late rows.
    pub late: Late,
    /// The results.
    pub aggregates: Vec<NamedAggregate>,
}

/// See [`NodeKind::Aggregate`]. The node's schema is: key columns, the aggregates.
#[derive(Debug, Clone)]
pub struct AggregatePlan {
    /// The step's id: the name of its state.
    pub id: String,
    /// Indices of the group-by columns in the input; empty for one group of all rows.
    pub keys: Vec<usize>,
    /// When results leave: [`Emit::Changes`] or [`Emit::Every`].
    pub emit: Emit,
    /// The results.
    pub aggregates: Vec<NamedAggregate>,
}
