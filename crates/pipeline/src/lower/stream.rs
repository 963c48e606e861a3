//! A stream while the graph is built: where its rows come from, and what is known of them.

use super::graph::{Edge, Value};
use super::spread::{RecordKey, Spread};

/// A stream at some point between two steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stream {
    /// The last node.
    pub(crate) edge: Edge,
    /// The default key of its messages.
    pub(crate) key: RecordKey,
    /// Which step has said so.
    pub(crate) keyed: Keyed,
    /// How its rows are spread over partitions.
    pub(crate) spread: Spread,
    /// The columns that bound the rows' window, if they come from one.
    pub(crate) window: Option<WindowColumns>,
    /// The step whose results change from commit to commit, if they do.
    pub(crate) changes: Option<Changes>,
}

/// Where the key of a stream comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// The source.
    Source,
    /// A `key_by`: steps that group may leave out `by`.
    KeyBy,
    /// A step that groups.
    Grouping,
}

/// The columns that bound a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WindowColumns {
    /// Its start.
    pub(crate) start: String,
    /// Its end.
    pub(crate) end: String,
    /// Whether it is a session's.
    pub(crate) kind: WindowedBy,
}

/// What bounds a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowedBy {
    /// A span of time, or a number of rows.
    Span,
    /// A gap.
    Gap,
}

/// Results that change from commit to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The id of the step.
    pub(crate) step: String,
    /// Whether they are retracted, as those of sessions are.
    pub(crate) retracted: Retracted,
}

/// Whether a result can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retracted {
    /// A session merged away leaves a tombstone.
    ByTombstone,
    /// Never.
    Never,
}

impl Stream {
    /// The stream behind a projection.
    pub(crate) fn through(self, edge: Edge, outputs: &[(String, Value)]) -> Stream {
        Stream {
            edge,
            key: self.key.through(outputs),
            spread: self.spread.through(outputs),
            window: self.window.and_then(|window| window.through(outputs)),
            ..self
        }
    }
}

impl WindowColumns {
    /// The bounds behind a projection, if both are still there as they were.
    pub(crate) fn through(&self, outputs: &[(String, Value)]) -> Option<WindowColumns> {
        let carried = |column: &str| {
            let is_it = |value: &Value| matches!(value, Value::Column(from) if from == column);
            outputs.iter().find(|(_, value)| is_it(value)).map(|(name, _)| name.clone())
        };
        Some(WindowColumns { start: carried(&self.start)?, end: carried(&self.end)?, kind: self.kind })
    }
}
