//! A whole pipeline file.

use schemars::JsonSchema;
use serde::Deserialize;

use super::entries::Entries;
use super::guarantee::Guarantee;
use super::names::Name;
use super::on_error::OnError;
use super::sink::Sink;
use super::source::Source;
use super::steps::Step;
use super::text::Text;
use crate::case::TestSpec;
use crate::yaml::spanned::Spanned;

/// A pipeline: what is read, what is done with it, and where the results go. One file, one pipeline.
///
/// The linear form has one source, a list of steps and one sink:
///
/// ```yaml
/// version: 1
/// pipeline: expensive-trades
/// sources:
///   trades:
///     topic: trades
///     format: json
///     schema: {symbol: string, price: double}
/// steps:
///   - filter: price > 100
/// sink: {topic: expensive-trades, format: json}
/// ```
///
/// A graph has named streams instead of `steps`, and a list of sinks:
///
/// ```yaml
/// version: 1
/// pipeline: by-price
/// sources:
///   trades:
///     topic: trades
///     format: json
///     schema: {symbol: string, price: double}
/// streams:
///   sorted:
///     from: trades
///     steps:
///       - branch: {dear: price > 100, otherwise: cheap}
///   named:
///     from: cheap
///     steps:
///       - map: {note: "'a bargain'"}
/// sinks:
///   - {from: dear, topic: dear, format: json}
///   - {from: named, topic: cheap, format: json}
/// ```
///
/// Unknown keys, keys that stand twice, anchors, aliases and tags are errors. `${env:NAME}`, `${env:NAME:-default}` and
/// `${file:PATH}` are replaced inside values; `$${` is a literal `${`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The version of the language: 1.
    pub version: Spanned<u32>,
    /// The name of the pipeline: lower-case letters, digits, `-`, `_` and `.`. It names its state and internal topics,
    /// so another name is another pipeline that starts afresh.
    pub pipeline: Name,
    /// What it is for, for people.
    pub description: Option<Spanned<String>>,
    /// The topics that are read, by name.
    #[serde(default)]
    pub sources: Spanned<Entries<Spanned<Source>>>,
    /// The linear form: what is done with the rows of the only source, in order.
    pub steps: Option<Spanned<Vec<Spanned<Step>>>>,
    /// The linear form: where the rows go.
    pub sink: Option<Spanned<Sink>>,
    /// The graph form: named streams, each a list of steps over a source or another stream.
    #[serde(default)]
    pub streams: Spanned<Entries<Spanned<Stream>>>,
    /// The graph form: where rows go.
    #[serde(default)]
    pub sinks: Spanned<Vec<Spanned<Sink>>>,
    /// What happens to records that fail: `fail` (the default), `skip`, or `{dead_letter: topic}`.
    pub on_error: Option<Spanned<OnError>>,
    /// Properties of the Kafka client (librdkafka's) that override those of the configuration, such as `linger.ms`. Where
    /// the brokers are, how to sign in, and what exactly-once results rest on cannot be set here.
    #[serde(default)]
    pub kafka: Entries<Text>,
    /// What a commit promises: `exactly_once` or `at_least_once`. By default what the configuration says, which is
    /// `exactly_once` if it says nothing. The embedded log is exactly-once in any case.
    pub guarantee: Option<Spanned<Guarantee>>,
    /// Tests of this pipeline, run by `millstream test`.
    #[serde(default)]
    pub tests: Vec<Spanned<TestSpec>>,
}

/// A named stream: the rows of a source or of another stream, after some steps.
///
/// ```yaml
/// streams:
///   good:
///     from: trades
///     steps:
///       - filter: price > 0
///   all:
///     steps:
///       - merge: [good, corrections]
///       - select: [symbol, price]
/// ```
///
/// What a stream reads stands under `from:`, or is named by a first step `merge`. The order of streams in the file is
/// free, but they must not read each other in a circle. Any number of streams and sinks may read the same stream. A
/// stream that ends in `branch` has no rows of its own: read the streams that it names.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The source or stream to read.
    pub from: Option<Name>,
    /// What is done with its rows, in order.
    #[serde(default)]
    pub steps: Vec<Spanned<Step>>,
}
