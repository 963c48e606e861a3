//! A sink: a stream written to a topic.

use schemars::JsonSchema;
use serde::Deserialize;

use super::create::Create;
use super::entries::Entries;
use super::format::Format;
use super::names::{Name, Names};
use super::schema::{Framing, SchemaSpec, SubjectNaming};
use super::text::Expression;
use crate::yaml::spanned::Spanned;

/// A stream written to a topic. The linear form has one, under `sink:`; a graph has a list of them, under `sinks:`, and
/// each says what it writes by `from:`.
///
/// ```yaml
/// sink: {topic: ohlc-1m, format: json, key: symbol}
/// ```
/// ```yaml
/// sinks:
///   - {from: candles, topic: ohlc-1m, format: json, key: symbol}
///   - {from: alerts, topic: alerts, format: json}
/// ```
///
/// A sink of `avro`, `protobuf` or `json_schema` makes its schema of its columns, or has one given by `schema`. The schema must be in the registry
/// already, unless the pipeline may register it when it starts:
///
/// ```yaml
/// sink: {topic: ohlc-1m, format: avro, name: Candle, namespace: shop.candles, register: true}
/// ```
///
/// All columns of the stream are written, system columns excepted. The record's timestamp is the row's event time (of a
/// window: the greatest event time that went into it), unless `timestamp` says otherwise. It has no headers but those that
/// `headers` gives it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    /// The source or stream to write. Required under `sinks:`; the linear form writes what the last step gives.
    pub from: Option<Name>,
    /// The topic to write.
    pub topic: Name,
    /// How messages are written. `json` by default.
    pub format: Option<Format>,
    /// The schema of the messages, for formats with one: a file, or a version in the registry. By default it is made of the columns:
    /// each a field that may be null, with null as default, so that a column may be added later.
    pub schema: Option<Spanned<SchemaSpec>>,
    /// The name of the record in a schema that is made of the columns. By default that of the topic, with `_` for what
    /// cannot stand in a name.
    pub name: Option<Name>,
    /// The namespace of the record in a schema that is made of the columns. None by default.
    pub namespace: Option<Name>,
    /// Whether the schema is registered when the pipeline starts, if it is not in the registry yet; and that of the keys, if
    /// they have one. By default they must be there: schemas are often registered by a build, and a pipeline then has no
    /// right to. Never done for a record.
    pub register: Option<Spanned<bool>>,
    /// How the subject of the schema is named: `topic_name` (the default), `record_name` or `topic_record_name`.
    pub subject: Option<Spanned<SubjectNaming>>,
    /// What precedes each message: `confluent` (the default), a zero and the id of its schema in the registry; or `none`,
    /// and then no registry is needed.
    pub framing: Option<Spanned<Framing>>,
    /// The key of each record. By default the key of the last step that has one (`window`, `aggregate`, `key_by`), else
    /// the bytes of the key that the row was read with.
    pub key: Option<Key>,
    /// Columns by which the partition is chosen, by their plain text (several: their JSON object), where that is not to be
    /// the key. By default it is chosen by the bytes of the key as the Java clients do it; of a windowed key without the window.
    pub partition_by: Option<Names>,
    /// The headers of each record: `keep` for those of the record that the row was read from, or a mapping from names to
    /// SQL expressions. None by default.
    pub headers: Option<Headers>,
    /// The timestamp of each record: an SQL expression that gives a timestamp or whole milliseconds since 1970, such as
    /// `window_end`. By default the row's event time. A row for which it is null or negative is a record that fails.
    pub timestamp: Option<Expression>,
    /// How the topic is made when it is missing. Without it, over Kafka, a topic that is missing is an error.
    pub create: Option<Spanned<Create>>,
}

/// The key of each record of a sink.
///
/// ```yaml
/// key: symbol                                              # its plain text: AAPL
/// key: [user_id, region]                                   # a JSON object: {"user_id":7,"region":"eu"}
/// key: {columns: [user_id, transaction_id], join: "_"}     # text: 7_t-12
/// key: {columns: symbol, windowed: true}                   # as Kafka Streams writes the key of a window
/// key: {columns: [user_id, region], format: avro}          # an Avro record of these columns
/// key: {columns: symbol, format: avro}                     # an Avro string
/// key: none                                                # no key
/// ```
///
/// A column whose name is `none` is written as the list `[none]`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Key", untagged)]
pub enum Key {
    /// A column, written as its plain text; or the word `none`.
    #[serde(rename = "scalar")]
    Word(Name),
    /// Columns, written as a JSON object.
    #[serde(rename = "list")]
    Columns(Vec<Name>),
    /// Columns, and how they are written.
    #[serde(rename = "map")]
    Options(Box<KeyColumns>),
}

/// The headers of each record of a sink.
///
/// ```yaml
/// headers: keep                                            # those of the source record
/// headers: {source: "'trades'", trace: _headers['trace']}  # these, and no others
/// ```
///
/// With `keep` all headers of the record that the row was read from are written again: in their order, names that stand
/// several times too. Each row must stem from one record, so this is not possible behind `window` or `aggregate`; a result can
/// take a header along as a column.
///
/// What is set is the plain text of a value: strings and bytes as they are, numbers as in JSON, times in ISO 8601. Where the
/// value is null, the record does not have that header.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Headers", untagged)]
pub enum Headers {
    /// The word `keep`.
    #[serde(rename = "scalar")]
    Word(Spanned<HeadersWord>),
    /// Name to expression.
    #[serde(rename = "map")]
    Set(Entries<Expression>),
}

/// Headers in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeadersWord {
    /// Those of the source record.
    Keep,
}

/// Columns of a key, and how they are written.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyColumns {
    /// The columns: one, written as its plain text, or a list of them, written as a JSON object. With a `format` one column
    /// is the value alone where the format can write that, as in Avro's `"string"`; a list is a record, also of one.
    pub columns: Names,
    /// Write the columns' plain texts with this between them instead of a JSON object.
    pub join: Option<Spanned<String>>,
    /// Append the window as Kafka Streams does: the key's bytes, then the window's start (for sessions its end and
    /// start), each as eight bytes, big-endian. The stream must come from a window.
    pub windowed: Option<Spanned<bool>>,
    /// Write the columns in this format. A key of one column that is null is none; any other is there, with nulls in it.
    pub format: Option<Format>,
    /// The schema of the keys, for formats with one: as of values. By default it is made of the key's columns.
    pub schema: Option<Spanned<SchemaSpec>>,
    /// The name of the record in a schema that is made of the columns. By default that of the topic and `_key`.
    pub name: Option<Name>,
    /// The namespace of that record. None by default.
    pub namespace: Option<Name>,
    /// How the subject of the schema is named: `topic_name` (the default, `<topic>-key`), `record_name` or
    /// `topic_record_name`.
    pub subject: Option<Spanned<SubjectNaming>>,
    /// What precedes each key: `confluent` (the default), a zero and the id of its schema in the registry; or `none`.
    pub framing: Option<Spanned<Framing>>,
}
