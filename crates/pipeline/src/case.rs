//! Tests as data: the `tests:` of a pipeline and the case files, read by one type.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use crate::literal::Literal;
use crate::spec::{Duration, Entries, Name, Pipeline};
use crate::yaml::spanned::Spanned;

/// A case file (`tests/cases/<step>/*.yaml`): a pipeline, and tests of it.
///
/// ```yaml
/// description: a filter keeps what is true and counts the rest
/// pipeline:
///   version: 1
///   pipeline: keep-positive
///   sources:
///     numbers: {format: json, schema: {n: int}}
///   steps:
///     - filter: n > 0
///   sink: {topic: positive}
/// tests:
///   - name: zero and null are left out
///     in:
///       numbers: [{n: 1}, {n: 0}, {n: null}]
///     out:
///       positive: [{n: 1}]
///     ledger:
///       steps.0.filter: {rows_in: 3, passed: 1, filtered: 2}
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// What the case shows, for people.
    pub description: Option<Spanned<String>>,
    /// The pipeline, as in a file of its own. Its own `tests:` are run too.
    pub pipeline: Option<Spanned<Pipeline>>,
    /// Or the file of a pipeline, from the folder of the case file.
    pub pipeline_file: Option<Spanned<String>>,
    /// The tests.
    #[serde(default)]
    pub tests: Vec<Spanned<TestSpec>>,
}

/// A test: what arrives, and what must then have been written.
///
/// ```yaml
/// tests:
///   - name: a candle closes when the next minute has passed its grace
///     in:
///       trades:
///         - {symbol: A, price: 10, qty: 1, ts: 2026-01-01T00:00:01Z}
///         - {symbol: A, price: 12, qty: 2, ts: 2026-01-01T00:00:59Z}
///         - {symbol: A, price: 11, qty: 1, ts: 2026-01-01T00:01:15Z}
///     out:
///       ohlc-1m:
///         - {symbol: A, open: 10, high: 12, low: 10, close: 12, volume: 3, trades: 2}
/// ```
///
/// Every test is run three ways: straight through; with a commit after every record; with a crash and a restore after
/// every record. What has been committed must be the same each time. Where `emit: changes` lets results depend on
/// commits, the last one of each key must agree, and a key that was taken back (by a tombstone) is one that never was. A dead
/// letter of a result on the way, which straight through was never there, is not looked at.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestSpec {
    /// What the test shows, in a sentence.
    pub name: Spanned<String>,
    /// What arrives: by source, or one by one.
    #[serde(rename = "in")]
    pub input: Spanned<Input>,
    /// What must have been written, by topic: sinks, late and dead-letter topics. Topics that are not named are not
    /// looked at.
    #[serde(default)]
    pub out: Spanned<Entries<Spanned<Expected>>>,
    /// What the ledger must say, by step (`steps.0.filter`, `sources.trades`, `sinks.candles`,
    /// in a graph `<stream>.0.filter`, the `id` of a stateful step) and count:
    /// `rows_in`, `passed`, `filtered`, `late_rows`, `late`, `null_key`, `null_value`, `errors`, `folded`, `held`,
    /// `rows_out`, `result_errors`. Counts that are not named are not looked at; that the ledger balances always is.
    #[serde(default)]
    pub ledger: Spanned<Entries<Entries<Spanned<u64>>>>,
    /// The error with which the pipeline must stop, or a part of its text. Then `out` is what was committed before.
    pub fails: Option<Spanned<String>>,
    /// Schemas by which records of `avro`, `protobuf` and `json_schema` sources are written, by names of the test's own: a row
    /// says which one by `_schema`, and without that it is the first. `${file:orders-v1.avsc}` puts in a file. Without
    /// `writers`, records are written by the source's own schema. No registry is asked.
    #[serde(default)]
    pub writers: Entries<Spanned<String>>,
    /// How many partitions topics have; 1 by default.
    #[serde(default)]
    pub partitions: Entries<Spanned<u32>>,
    /// Moves the clock on the wall at the end of the input (for `idle`, `idle_close`, `emit: {every: ..}`).
    pub advance_clock: Option<Spanned<Duration>>,
    /// Closes all that is open at the end of the input, as `run --close` does.
    pub close: Option<Spanned<bool>>,
    /// One more way to run the test: with a crash and a restore after so many records.
    pub crash_after: Option<Spanned<u64>>,
}

/// What arrives.
///
/// By source: rows in the order of arrival within their partition. Sources are read in the order of the file, unless a
/// step reads by event time.
///
/// ```yaml
/// in:
///   trades: [{symbol: A, price: 10}, {symbol: B, price: 11}]
///   quotes: [{symbol: A, bid: 9}]
/// ```
///
/// One by one, in the order of arrival over all sources and partitions, unless a step reads by event time; here the clock can be
/// moved, and commits and crashes placed:
///
/// ```yaml
/// in:
///   - trades: {symbol: A, price: 10}
///   - quotes: {symbol: A, bid: 9}
///   - commit: true
///   - advance_clock: 30s
///   - crash: true
///   - trades: {symbol: A, price: 11}
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Input", untagged)]
pub enum Input {
    /// Rows by source.
    #[serde(rename = "map")]
    BySource(Entries<Vec<Spanned<Row>>>),
    /// One by one.
    #[serde(rename = "list")]
    OneByOne(Vec<Spanned<Arrival>>),
}

/// One thing that happens: a mapping with one key, the name of a source or one of `advance_clock`, `commit`, `crash`.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// A row arrives at a source.
    Row(Name, Row),
    /// The clock on the wall moves on.
    AdvanceClock(Duration),
    /// What has been done so far is committed.
    Commit,
    /// The process dies and comes back.
    Crash,
}

/// A record of a test: its columns, and beside them what is not a column.
///
/// | key | meaning, in `in` | meaning, in `out` |
/// |---|---|---|
/// | `_key` | the record's key, as text; where keys have a format, a mapping with their columns | the same, of the sink's keys |
/// | `_timestamp` | the record's timestamp: a time, or milliseconds since 1970 | the same |
/// | `_partition` | the partition it is written to; by default 0 | the partition it was written to |
/// | `_headers` | a mapping from names to texts; `null` for a header without value | headers that it must have; `null` for one that it must not have |
/// | `_schema` | the schema that it is written by: one of the test's `writers`, or a record type of the source | |
/// | `_value` | the record's bytes instead of columns, as text; `null` for a record without value (a tombstone) | the same |
///
/// Values are YAML's: numbers, booleans, null, text; lists and mappings for arrays, structs and maps. Times are text.
/// Numbers keep all their digits. Decimals and whole numbers are compared exactly (`1.5` is `1.50`), decimals in quotes too.
/// Columns that are missing in `in` are missing in the message.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[schemars(extend("properties" = row_keys()), transform = any_columns)]
pub struct Row(pub Entries<Spanned<Literal>>);

impl Row {
    /// The columns, without the keys that begin with `_` and are named above.
    pub fn columns(&self) -> impl Iterator<Item = (&Name, &Spanned<Literal>)> {
        self.0.iter().filter(|(name, _)| !ROW_KEYS.contains(&name.as_str()))
    }

    /// What stands under a key, such as `_key`.
    pub fn get(&self, key: &str) -> Option<&Spanned<Literal>> {
        self.0.get(key)
    }
}

const ROW_KEYS: &[&str] = &["_key", "_timestamp", "_partition", "_headers", "_schema", "_value"];

/// What must have been written to a topic: a list of rows, or rows with options.
///
/// ```yaml
/// out:
///   candles: [{symbol: A, high: 12}]
///   alerts: {rows: [], exact: true}
///   spread: {rows: [{symbol: B}, {symbol: A}], unordered: true}
/// ```
///
/// The topic must hold as many records as there are rows, in the order written within each partition; a row need not
/// name all columns, only those it names are compared. Dead letters stand in the order of the records that failed, whichever
/// step refused them; those of results, which are no record's, before them.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Expected", untagged)]
pub enum Expected {
    /// Rows.
    #[serde(rename = "list")]
    Rows(Vec<Spanned<Row>>),
    /// Rows with options.
    #[serde(rename = "map")]
    Options(ExpectedRows),
}

impl Expected {
    /// The rows.
    pub fn rows(&self) -> &[Spanned<Row>] {
        match self {
            Expected::Rows(rows) => rows,
            Expected::Options(options) => &options.rows,
        }
    }

    /// Whether rows must have no columns beside those named.
    pub fn is_exact(&self) -> bool {
        matches!(self, Expected::Options(ExpectedRows { exact: Some(exact), .. }) if exact.value)
    }

    /// Whether the order of rows is free.
    pub fn is_unordered(&self) -> bool {
        matches!(self, Expected::Options(ExpectedRows { unordered: Some(unordered), .. }) if unordered.value)
    }
}

/// Rows with options.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedRows {
    /// The rows.
    pub rows: Vec<Spanned<Row>>,
    /// Records must have no columns beside those named. `false` by default.
    pub exact: Option<Spanned<bool>>,
    /// The order of records is free. `false` by default.
    pub unordered: Option<Spanned<bool>>,
}

fn row_keys() -> Value {
    json!({
        "_key": {},
        "_schema": { "type": "string" },
        "_timestamp": { "type": ["string", "integer"] },
        "_partition": { "type": "integer", "minimum": 0 },
        "_headers": { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "null"] } },
        "_value": { "type": ["string", "null"] }
    })
}

/// Columns may have any values, null included.
fn any_columns(schema: &mut Schema) {
    schema.remove("additionalProperties");
}

impl JsonSchema for Arrival {
    fn schema_name() -> Cow<'static, str> {
        "Arrival".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let row = generator.subschema_for::<Row>();
        let duration = generator.subschema_for::<Duration>();
        json_schema!({
            "description": "One thing that happens: a mapping with one key, the name of a source (a row arrives) or \
                            one of `advance_clock`, `commit`, `crash`.",
            "type": "object",
            "properties": {
                "advance_clock": duration,
                "commit": { "const": true },
                "crash": { "const": true }
            },
            "additionalProperties": row,
            "minProperties": 1,
            "maxProperties": 1
        })
    }
}

impl<'de> Deserialize<'de> for Arrival {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ArrivalVisitor)
    }
}

struct ArrivalVisitor;

impl<'de> Visitor<'de> for ArrivalVisitor {
    type Value = Arrival;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping with one key: a source, `advance_clock`, `commit` or `crash`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Arrival, A::Error> {
        let Some(name) = map.next_key::<Name>()? else {
            return Err(serde::de::Error::invalid_length(0, &self));
        };
        Ok(match name.value.as_str() {
            "advance_clock" => Arrival::AdvanceClock(map.next_value()?),
            "commit" => map.next_value::<bool>().map(|_| Arrival::Commit)?,
            "crash" => map.next_value::<bool>().map(|_| Arrival::Crash)?,
            _ => Arrival::Row(name, map.next_value()?),
        })
    }
}
