//! How an output topic is made.

use schemars::JsonSchema;
use serde::Deserialize;

use super::duration::Duration;
use crate::yaml::spanned::Spanned;

/// How a topic is made when it is missing. Over Kafka an output topic is made only where this is said; without it a topic
/// that is missing is an error, for a slip in its name would be a topic that nobody reads. (The embedded log makes the
/// topics of sinks in any case.) A topic that is there stays as it is.
///
/// ```yaml
/// sink:
///   topic: ohlc-1m
///   format: json
///   key: symbol
///   create: {partitions: 6, replication: 3, retention: 30d}
/// ```
///
/// `create: {}` makes it with the defaults. Topics of late rows and of failed records have the same key:
/// `late: {to: trades-late, create: {}}`, `on_error: {dead_letter: trades-dlq, create: {retention: 90d}}`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// How many partitions. By default as many as the source that has most.
    pub partitions: Option<Spanned<u32>>,
    /// On how many brokers each record is kept. By default what the cluster does by default.
    pub replication: Option<Spanned<u32>>,
    /// For how long records are kept. By default for ever.
    pub retention: Option<Spanned<Duration>>,
    /// What becomes of old records: `delete` (the default) once they are older than `retention`, `compact` (the last
    /// record of each key stays), or `compact_and_delete`.
    pub cleanup: Option<Spanned<Cleanup>>,
}

/// What becomes of the old records of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cleanup {
    /// They go once they are older than `retention`.
    #[default]
    Delete,
    /// The last record of each key stays.
    Compact,
    /// The last record of each key stays until it is older than `retention`.
    CompactAndDelete,
}
