//! `window`: aggregates by key and window of time.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::create::Create;
use crate::spec::duration::Duration;
use crate::spec::entries::Entries;
use crate::spec::names::{Name, Names};
use crate::spec::text::Expression;
use crate::yaml::span::Span;
use crate::yaml::spanned::Spanned;

/// Aggregates the rows of a key within windows of event time.
///
/// ```yaml
/// - window:
///     id: ohlc
///     by: symbol
///     tumbling: 1m
///     grace: 10s
///     aggregates:
///       open: first(price)
///       high: max(price)
///       low: min(price)
///       close: last(price)
///       trades: count(*)
/// ```
///
/// | in | out, when time has passed 00:01:10 |
/// |---|---|
/// | `{symbol: A, price: 10, ts: 00:00:01}`, `{symbol: A, price: 12, ts: 00:00:59}` | `{symbol: A, window_start: 00:00:00, window_end: 00:01:00, open: 10, high: 12, low: 10, close: 12, trades: 2}` |
///
/// Exactly one of these says which windows there are:
///
/// | key | windows | `window_start`, `window_end` |
/// |---|---|---|
/// | `tumbling: 1m` | side by side; each row is in one | start, end (exclusive) |
/// | `hopping: {size: 10m, every: 1m}` | on a grid, overlapping; each row is in size/every of them | start, end (exclusive) |
/// | `sliding: 10m` | for each row at t the window [t − 10m, t], and the one that begins right behind it | start, end (inclusive) |
/// | `over: 10m` | rolling: one result for each row, over the last 10 minutes of its key | t − 10m, t |
/// | `session: 30m` | rows of a key no further apart than 30 minutes | first and last row |
/// | `count: 100` | every 100 rows of a key, as they arrive | least and greatest event time |
///
/// The columns behind it are those of `by`, `window_start`, `window_end`, and the aggregates. A window closes when time
/// has passed its end by `grace`; a row that comes for a closed window is late. A row with null in a column of `by` is
/// left out and counted as `null_key`. Null arguments are skipped as in SQL.
///
/// The values that `collect_list`, `collect_set`, `string_agg` or `nth_value` keep of a group take 256 MiB at most. Above that the
/// group has no result: it is in error (`overflow`) and goes where `on_error` says.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The name of the step's state, unique in the pipeline. Another name starts afresh.
    pub id: Option<Name>,
    /// The columns to group by. By default those of the `key_by` before it; `[]` puts all rows into one group.
    pub by: Option<Names>,
    /// Windows side by side: their length, or `{size: 1m, offset: 15s}` to begin 15 seconds past the minute.
    pub tumbling: Option<Spanned<Tumbling>>,
    /// Windows that overlap on a grid: `{size: 10m, every: 1m}`, and `offset` to move the grid.
    pub hopping: Option<Spanned<Hopping>>,
    /// Windows anchored to rows: for each row at t the window [t − span, t], and, if not empty, the one of the same
    /// length that begins a millisecond behind t.
    pub sliding: Option<Spanned<Duration>>,
    /// A rolling aggregate: one result for each row, over the rows of its key in [t − span, t].
    pub over: Option<Spanned<Duration>>,
    /// Sessions: rows of a key no further apart than this gap.
    pub session: Option<Spanned<Duration>>,
    /// So many rows of a key, in the order of arrival. An unfilled window is never written.
    pub count: Option<Spanned<u64>>,
    /// For how long behind its end a window waits for late rows. `0` by default.
    pub grace: Option<Spanned<Duration>>,
    /// When results leave: `final` (once, when the window has closed; the default), `changes` (at each commit what has
    /// changed), or `{every: 10s}` (as changes, no more often). For `over` only `final`, or `arrival` (with each row; its
    /// default).
    pub emit: Option<Spanned<Emit>>,
    /// What happens to late rows: `drop` (the default; they are counted), or `{to: topic}`.
    pub late: Option<Spanned<Late>>,
    /// The results: column name to SQL aggregate, such as `sum(qty)`, `count(*)` or
    /// `avg(price) filter (where side = 'buy')`.
    pub aggregates: Spanned<Entries<Expression>>,
}

/// Which of the kinds of windows a step has, with its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WindowShape<'a> {
    /// `tumbling`.
    Tumbling(&'a Spanned<Tumbling>),
    /// `hopping`.
    Hopping(&'a Spanned<Hopping>),
    /// `sliding`.
    Sliding(&'a Spanned<Duration>),
    /// `over`.
    Over(&'a Spanned<Duration>),
    /// `session`.
    Session(&'a Spanned<Duration>),
    /// `count`.
    Count(&'a Spanned<u64>),
}

impl WindowShape<'_> {
    /// Its key in YAML.
    pub fn name(&self) -> &'static str {
        match self {
            WindowShape::Tumbling(_) => "tumbling",
            WindowShape::Hopping(_) => "hopping",
            WindowShape::Sliding(_) => "sliding",
            WindowShape::Over(_) => "over",
            WindowShape::Session(_) => "session",
            WindowShape::Count(_) => "count",
        }
    }

    /// Where its value stands.
    pub fn span(&self) -> Span {
        match self {
            WindowShape::Tumbling(shape) => shape.span,
            WindowShape::Hopping(shape) => shape.span,
            WindowShape::Sliding(shape) | WindowShape::Over(shape) | WindowShape::Session(shape) => shape.span,
            WindowShape::Count(shape) => shape.span,
        }
    }
}

impl Window {
    /// The kinds of windows that are given: exactly one in a right pipeline.
    pub fn shapes(&self) -> Vec<WindowShape<'_>> {
        let shapes = [
            self.tumbling.as_ref().map(WindowShape::Tumbling),
            self.hopping.as_ref().map(WindowShape::Hopping),
            self.sliding.as_ref().map(WindowShape::Sliding),
            self.over.as_ref().map(WindowShape::Over),
            self.session.as_ref().map(WindowShape::Session),
            self.count.as_ref().map(WindowShape::Count),
        ];
        shapes.into_iter().flatten().collect()
    }
}

/// Windows side by side: their length, or length and offset.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Tumbling", untagged)]
pub enum Tumbling {
    /// Length.
    #[serde(rename = "scalar")]
    Size(Spanned<Duration>),
    /// Length and offset.
    #[serde(rename = "map")]
    Grid(Grid),
}

impl Tumbling {
    /// Length.
    pub fn size(&self) -> &Spanned<Duration> {
        match self {
            Tumbling::Size(size) => size,
            Tumbling::Grid(grid) => &grid.size,
        }
    }

    /// By how much windows begin behind full multiples of the length since 1970.
    pub fn offset(&self) -> Option<&Spanned<Duration>> {
        match self {
            Tumbling::Size(_) => None,
            Tumbling::Grid(grid) => grid.offset.as_ref(),
        }
    }
}

/// Length and offset of windows side by side.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The length of a window.
    pub size: Spanned<Duration>,
    /// By how much windows begin behind full multiples of `size` since 1970. `0` by default.
    pub offset: Option<Spanned<Duration>>,
}

/// Length, distance and offset of windows on a grid.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hopping {
    /// The length of a window.
    pub size: Spanned<Duration>,
    /// How far apart windows begin; at most `size`.
    pub every: Spanned<Duration>,
    /// By how much windows begin behind full multiples of `every` since 1970. `0` by default.
    pub offset: Option<Spanned<Duration>>,
}

/// When results leave: a word, or `{every: 10s}`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Emit", untagged)]
pub enum Emit {
    /// A word.
    #[serde(rename = "scalar")]
    Word(EmitWord),
    /// As changes, no more often than this.
    #[serde(rename = "map")]
    Every(EmitEvery),
}

/// When results leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmitWord {
    /// Once, when the window has closed.
    Final,
    /// At each commit, what has changed since the last.
    Changes,
    /// Only for `over`: with each row, at once.
    Arrival,
}

/// As `changes`, no more often than this.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmitEvery {
    /// The least time between two results of one key and window, by the clock on the wall.
    pub every: Spanned<Duration>,
}

/// What happens to late rows: `drop`, or `{to: topic}`.
///
/// A late row goes to the topic once, with its own columns, and with the windows that refused it in the header
/// `millstream.late.windows`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Late", untagged)]
pub enum Late {
    /// They are counted and dropped.
    #[serde(rename = "scalar")]
    Word(LateWord),
    /// They are counted and go to a topic.
    #[serde(rename = "map")]
    To(Box<LateTo>),
}

/// What happens to late rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LateWord {
    /// They are counted and dropped.
    Drop,
}

/// Late rows go to a topic, each once, with its own columns. The header `millstream.late.windows` names the windows that refused it:
/// a JSON list of `{"start":..,"end":..}`, in milliseconds since 1970. Of more than ten windows it has the first, `{"more": n}` for
/// the n between, and the last.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LateTo {
    /// The topic, written as JSON.
    pub to: Name,
    /// How the topic is made when it is missing. Without it, over Kafka, a topic that is missing is an error.
    pub create: Option<Spanned<Create>>,
}
