//! A source: a topic read as a stream of rows.

use schemars::JsonSchema;
use serde::Deserialize;

use super::duration::Duration;
use super::format::Format;
use super::names::Name;
use super::schema::{Framing, SchemaSpec, SubjectNaming};
use super::start::Start;
use super::text::Expression;
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
/// the record, its `_timestamp`, where it was read (`_topic`, `_partition`, `_offset`), and for `avro` and `protobuf` the
/// name of the record type that it was written as (`_schema`). They are not written to sinks.
///
/// A topic with several record types names those that are wanted; the others are passed over:
///
/// ```yaml
/// sources:
///   orders:
///     format: avro
///     types: [shop.OrderPlaced, shop.OrderCancelled]
///     subject: record_name
/// ```
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
    /// The columns in order, name and type. Required for `json` and `csv`; for `raw` at most one column. For `avro`,
    /// `protobuf` and `json_schema` also the place of a schema.
    pub schema: Option<Spanned<SchemaSpec>>,
    /// What precedes each message: `confluent` (the default), a zero and the id of its schema in the registry; or `none`.
    /// For `avro`, `protobuf` and `json_schema`.
    pub framing: Option<Spanned<Framing>>,
    /// The full names of the record types that are read, where the topic has several: each row then has the columns of all
    /// of them, and those that its own type does not have are null. Messages of other types are passed over. For `avro` and
    /// `protobuf`.
    pub types: Option<Spanned<Vec<Name>>>,
    /// How the subjects of the topic's schemas are named in the registry, where `schema` names none: `topic_name` (the
    /// default), `record_name` or `topic_record_name`. The last two need `types`.
    pub subject: Option<Spanned<SubjectNaming>>,
    /// When the row happened: a column, or an SQL expression, of type timestamp or whole milliseconds since 1970. By
    /// default the record's own timestamp.
    pub event_time: Option<Expression>,
    /// How time moves on by what is read.
    pub watermark: Option<Spanned<Watermark>>,
    /// Where to begin when nothing has been committed yet: `earliest` (the default), `latest`, or a time. A partition that
    /// is added to the topic later is read from its beginning under `latest` too: nothing in it is older than the pipeline.
    pub start: Option<Spanned<Start>>,
    /// Says that the key of each record is the plain text of this column (`[a, b]`: of a JSON object of these columns).
    /// A step that groups by it then needs no repartition. A promise of whoever writes the topic: it is not checked.
    ///
    /// Or what the key holds, which then is columns too: `key: {format: avro}`.
    pub key: Option<SourceKey>,
}

/// What the key of each record of a source is.
///
/// ```yaml
/// key: symbol                                           # the plain text of this column
/// key: [user_id, region]                                # a JSON object of these columns
/// key: {format: avro}                                   # an Avro record: its fields are columns
/// key: {format: json, schema: {customer: string}}       # a JSON object: its members are columns
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "SourceKey", untagged)]
pub enum SourceKey {
    /// A column of the value.
    #[serde(rename = "scalar")]
    Column(Name),
    /// Columns of the value.
    #[serde(rename = "list")]
    Columns(Vec<Name>),
    /// A format of its own.
    #[serde(rename = "map")]
    Format(Box<KeyFormat>),
}

impl SourceKey {
    /// The columns of the value that the key consists of; `None` where it has a format of its own.
    pub fn names(&self) -> Option<&[Name]> {
        match self {
            SourceKey::Column(name) => Some(std::slice::from_ref(name)),
            SourceKey::Columns(names) => Some(names),
            SourceKey::Format(_) => None,
        }
    }
}

/// How keys are read. Their fields are columns beside those of the value; a column of the same name is the value's. A record
/// without key has null in them.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFormat {
    /// How keys are read.
    pub format: Format,
    /// What they hold. For `avro`, `protobuf` and `json_schema` by default the latest version of the subject
    /// `<topic>-key`.
    pub schema: Option<Spanned<SchemaSpec>>,
    /// What precedes each key: `confluent` (the default) or `none`. For `avro`, `protobuf` and `json_schema`.
    pub framing: Option<Spanned<Framing>>,
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
