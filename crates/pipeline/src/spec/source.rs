//! A source: a topic read as a stream of rows.

use schemars::JsonSchema;
use serde::Deserialize;

use super::duration::Duration;
use super::entries::Entries;
use super::format::Format;
use super::names::Name;
use super::start::Start;
use super::text::Expression;
use super::types::ColumnType;
use crate::yaml::spanned::Spanned;

/// A topic read as a stream of rows. Sources have names; the linear form has one source, a graph as many as it likes.
///
/// ```yaml
/// sources:
///   trades:
///     topic: trades
///     format: json
///     schema:
///       symbol: string
///       price: double
///       qty: bigint
///       ts: timestamp(ms)
///     event_time: ts
///     watermark: {out_of_order: 5s}
/// ```
///
/// Beside the columns of the schema, every row has system columns that expressions may read: `_key` and `_headers` of
/// the record, its `_timestamp`, and where it was read (`_topic`, `_partition`, `_offset`). They are not written to
/// sinks.
///
/// A record with a key and no value (a tombstone) is not a row: it is dropped and counted as `null_value`. A record
/// without event time, or whose event time is before 1970, has failed: see `on_error`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The topic to read. By default it is named as the source.
    pub topic: Option<Name>,
    /// How messages are read.
    pub format: Format,
    /// The columns in order, name and type. Required for `json` and `csv`; for `raw` at most one column.
    pub schema: Option<Spanned<Entries<Spanned<ColumnType>>>>,
    /// When the row happened: a column, or an SQL expression, of type timestamp or whole milliseconds since 1970. By
    /// default the record's own timestamp.
    pub event_time: Option<Expression>,
    /// How time moves on by what is read.
    pub watermark: Option<Spanned<Watermark>>,
    /// Where to begin when nothing has been committed yet: `earliest` (the default), `latest`, or a time.
    pub start: Option<Spanned<Start>>,
    /// Says that the key of each record is the plain text of this column (`[a, b]`: of a JSON object of these columns).
    /// A step that groups by it then needs no repartition. A promise of whoever writes the topic: it is not checked.
    pub key: Option<super::names::Names>,
}

/// How time moves on by what a source reads. Time (the *watermark*) is the greatest event time read so far, less
/// `out_of_order`, of whichever partition is furthest behind. Windows close by it.
///
/// ```yaml
/// watermark: {out_of_order: 5s, idle: 30s}
/// ```
///
/// A row that is behind its own partition's time by more than a window's `grace` is late for this window.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Watermark {
    /// By how much rows may be out of order within a partition: time stays this far behind the greatest event time.
    /// `0` by default.
    pub out_of_order: Option<Spanned<Duration>>,
    /// A partition that has been silent for so long (by the clock on the wall) no longer holds time back. `30s` by
    /// default.
    pub idle: Option<Spanned<Duration>>,
    /// When all partitions are idle for so long, time goes on by the clock on the wall, so that the last windows close.
    /// Off by default: results then depend on the data alone.
    pub idle_close: Option<Spanned<Duration>>,
}
