//! The checked graph of a pipeline: everything a runtime needs to run it, and nothing it would have to decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::diagnostic::Diagnostics;
use crate::found::Registered;
pub use crate::found::{Part, Referred};
pub use crate::spec::schema::Framing;
pub use crate::spec::{Cleanup, Guarantee};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef, TimeUnit};
use millstream_engine::context::OnError;
use millstream_engine::ids::{ExchangeId, NodeId, SinkId};
use millstream_engine::plan::{HIDDEN, SubtopologyPlan};
use millstream_engine::time::Millis;
use millstream_formats::avro::{AvroRead, AvroWrite};
use millstream_formats::json_schema::{JsonSchemaRead, JsonSchemaWrite};
use millstream_formats::protobuf::{ProtobufRead, ProtobufWrite};
use millstream_formats::{SchemaId, WriterSchema};

/// A pipeline after every check: its graph cut into subtopologies, and what they read, write and keep.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The pipeline's name: the group under which offsets, state and internal topics are kept.
    pub name: String,
    /// The pipeline's description, if it has one.
    pub description: Option<String>,
    /// The sources, in the order of the file.
    pub sources: Vec<SourceDef>,
    /// The sinks by [`SinkId`]: those of the file in its order, then the implied ones (late rows).
    pub sinks: Vec<SinkDef>,
    /// The repartitions by [`ExchangeId`].
    pub exchanges: Vec<ExchangeDef>,
    /// The subtopologies; a repartition leads from a smaller index to a greater one.
    pub subtopologies: Vec<Subtopology>,
    /// The source topics, sorted and each once: the index of a topic is its rank in [`millstream_engine::ids::Origin`].
    pub topics: Vec<String>,
    /// What is kept, one for each stateful step, in the order of subtopologies and nodes.
    pub stores: Vec<StoreDef>,
    /// What happens to records that fail.
    pub on_error: OnErrorDef,
    /// A fingerprint of all stores' shapes and of how rows reach them. Equal fingerprints: the state fits.
    pub fingerprint: u64,
    /// The same of state that does not say how far windows are closed, as it was written before states did: it fits with the
    /// same grace only.
    pub fingerprint_with_grace: u64,
    /// A fingerprint of the topics that it reads and writes: another one under the same name is hardly the same pipeline.
    pub ends: u64,
    /// What a commit promises, where the pipeline says so.
    pub guarantee: Option<Guarantee>,
    /// Properties of the Kafka client, over those of the configuration.
    pub kafka: BTreeMap<String, String>,
    /// What is hardly meant, though the pipeline can run.
    pub warnings: Diagnostics,
}

/// A topic that is read.
#[derive(Debug, Clone)]
pub struct SourceDef {
    /// Its name in the pipeline.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// Index of the topic in [`Topology::topics`].
    pub topic_rank: u32,
    /// How its messages are written.
    pub format: SourceFormat,
    /// What a decoder has to make: the declared columns that are read, in the declared order, then the hidden system
    /// columns that are read, in the order of [`HIDDEN`]. All are nullable.
    pub columns: SchemaRef,
    /// All declared columns, in their order (for csv without a header this is the order of the fields).
    pub declared: SchemaRef,
    /// The schema of its messages, where they have one outside the pipeline.
    pub schema: Option<SchemaDef>,
    /// Columns that its keys give, where they have a format of their own.
    pub key: Option<KeyDef>,
    /// Where a group that has no offsets yet begins.
    pub start: Start,
    /// By how much W_i stays behind the greatest event time.
    pub out_of_order: Millis,
    /// After how long a silence (wall clock) a partition leaves the minimum.
    pub idle: Millis,
    /// When every input is idle, whether and after how long time goes on by the wall clock.
    pub idle_close: Option<Millis>,
    /// Index of the subtopology that reads it.
    pub subtopology: usize,
    /// The node there.
    pub node: NodeId,
}

/// How messages of a source are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFormat {
    /// One JSON object a message.
    Json,
    /// One line of separated values a message.
    Csv(CsvFormat),
    /// The payload as it is, in one column of type string or bytes.
    Raw,
    /// One Avro value a message.
    Avro(AvroRead),
    /// One Protobuf message a message.
    Protobuf(ProtobufRead),
    /// One JSON object a message, of a JSON Schema.
    JsonSchema(JsonSchemaRead),
}

impl SourceFormat {
    /// The format's name, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            SourceFormat::Json => "json",
            SourceFormat::Csv(_) => "csv",
            SourceFormat::Raw => "raw",
            SourceFormat::Avro(_) => "avro",
            SourceFormat::Protobuf(_) => "protobuf",
            SourceFormat::JsonSchema(_) => "json_schema",
        }
    }
}

/// The schema of a source's messages or keys.
#[derive(Debug, Clone)]
pub struct SchemaDef {
    /// What precedes a message.
    pub framing: Framing,
    /// Where the columns come from, one for each record type that has a subject of its own; none where they are declared.
    pub origins: Vec<SchemaOrigin>,
    /// The subjects under which the schemas of messages stand in the registry, as far as that is known.
    pub subjects: Vec<String>,
    /// Schemas of messages that are known before the first message.
    pub writers: Vec<(SchemaId, WriterSchema)>,
}

/// Where a schema comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaOrigin {
    /// It is made of columns.
    Columns,
    /// It stands in the pipeline.
    Text,
    /// It stands in a file, by its path from the folder of the pipeline.
    File(String),
    /// It is a version of a subject.
    Registry(Registered),
}

impl fmt::Display for SchemaOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaOrigin::Columns => f.write_str("made of the columns"),
            SchemaOrigin::Text => f.write_str("in the pipeline"),
            SchemaOrigin::File(path) => write!(f, "the file {path}"),
            SchemaOrigin::Registry(registered) => registered.fmt(f),
        }
    }
}

/// How the keys of a source are read.
#[derive(Debug, Clone)]
pub struct KeyDef {
    /// How they are written.
    pub format: SourceFormat,
    /// Their schema, where they have one outside the pipeline.
    pub schema: Option<SchemaDef>,
    /// All columns that keys give and values do not, in their order.
    pub declared: SchemaRef,
}

impl SourceDef {
    /// The columns that values give, of `columns`.
    pub fn of_values(&self, columns: &SchemaRef) -> SchemaRef {
        match &self.key {
            None => columns.clone(),
            Some(key) => pick(columns, |name| key.declared.index_of(name).is_err()),
        }
    }

    /// The columns that keys give, of `columns`.
    pub fn of_keys(&self, columns: &SchemaRef) -> SchemaRef {
        pick(columns, |name| self.key.as_ref().is_some_and(|key| key.declared.index_of(name).is_ok()))
    }
}

impl SourceDef {
    /// Where its schemas come from, in words: those of values, then those of keys.
    pub fn schema_origins(&self) -> Vec<String> {
        let of_values = self.schema.iter().flat_map(|schema| &schema.origins).map(ToString::to_string);
        let of_keys = self.key.iter().flat_map(|key| &key.schema).flat_map(|schema| &schema.origins);
        of_values.chain(of_keys.map(|origin| format!("{origin} for keys"))).collect()
    }

    /// The source as if its values were all that it has.
    pub fn values_alone(&self) -> SourceDef {
        let columns = self.of_values(&self.columns);
        SourceDef { columns, declared: self.of_values(&self.declared), key: None, ..self.clone() }
    }

    /// The source as if its keys were values, and all that it has; `None` if they have no format.
    pub fn keys_alone(&self) -> Option<SourceDef> {
        let key = self.key.clone()?;
        let columns = self.of_keys(&self.columns);
        let (format, schema, declared) = (key.format, key.schema, key.declared);
        Some(SourceDef { columns, declared, format, schema, key: None, ..self.clone() })
    }
}

fn pick(columns: &SchemaRef, is_picked: impl Fn(&str) -> bool) -> SchemaRef {
    let fields = columns.fields().iter().filter(|field| is_picked(field.name())).cloned();
    Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
}

/// The dialect of separated values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFormat {
    /// What stands between two fields.
    pub delimiter: u8,
    /// What a field that holds a delimiter stands in.
    pub quote: u8,
    /// The text that means null.
    pub null: String,
}

/// Where a group that has no offsets yet begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first record that is still there.
    Earliest,
    /// Behind the last record.
    Latest,
    /// At the first record whose timestamp is not before this.
    Time(Millis),
}

/// How a topic is made when it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CreateDef {
    /// How many partitions; `None`: as many as the source topic that has most.
    pub partitions: Option<u32>,
    /// On how many brokers each record is kept, at most 32,767; `None`: what the cluster does by default.
    pub replication: Option<u32>,
    /// For how long records are kept; `None`: for ever.
    pub retention: Option<Millis>,
    /// What becomes of old records.
    pub cleanup: Cleanup,
}

/// A topic that is written.
#[derive(Debug, Clone)]
pub struct SinkDef {
    /// Its name in the pipeline, for messages: the topic, or the topic and the stream where that is not enough.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// How its messages are written.
    pub format: SinkFormat,
    /// The schema of its messages, where they have one.
    pub schema: Option<SinkSchema>,
    /// The columns of the rows that arrive.
    pub columns: SchemaRef,
    /// Indices of the columns that are written, in order: those not hidden.
    pub written: Vec<usize>,
    /// The key of a message.
    pub key: SinkKey,
    /// What a message's partition is chosen by, where that is not its key.
    pub partition_by: Option<SinkKey>,
    /// Index of the hidden column `_headers` in [`SinkDef::columns`], where messages have the headers of those that they
    /// stem from. Headers that are set come with the rows.
    pub kept_headers: Option<usize>,
    /// How its topic is made when it is missing, where the pipeline says so. Sinks of one topic have the same.
    pub create: Option<CreateDef>,
    /// Where its rows come from.
    pub role: SinkRole,
    /// Index of the subtopology that writes it.
    pub subtopology: usize,
    /// The node there: the sink's own, or for late rows the window's.
    pub node: NodeId,
}

/// How messages of a sink are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkFormat {
    /// One JSON object a message.
    Json,
    /// One line of separated values a message, no header.
    Csv(CsvFormat),
    /// The bytes of one column of type string or bytes, given by its index.
    Raw {
        /// Index of the column in [`SinkDef::columns`].
        column: usize,
    },
    /// One Avro record a message. It has the id of its schema once that is settled (see [`SinkSchema::registered`]).
    Avro(AvroWrite),
    /// One Protobuf message a message.
    Protobuf(ProtobufWrite),
    /// One JSON object a message, behind the id of its schema.
    JsonSchema(JsonSchemaWrite),
}

impl SinkFormat {
    /// The format's name, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            SinkFormat::Json => "json",
            SinkFormat::Csv(_) => "csv",
            SinkFormat::Raw { .. } => "raw",
            SinkFormat::Avro(_) => "avro",
            SinkFormat::Protobuf(_) => "protobuf",
            SinkFormat::JsonSchema(_) => "json_schema",
        }
    }

    /// Says which id messages begin with, if they begin with any.
    pub fn set_id(&mut self, to: SchemaId) {
        match self {
            SinkFormat::Avro(AvroWrite { id, .. })
            | SinkFormat::Protobuf(ProtobufWrite { id, .. })
            | SinkFormat::JsonSchema(JsonSchemaWrite { id, .. }) => *id = Some(to),
            SinkFormat::Json | SinkFormat::Csv(_) | SinkFormat::Raw { .. } => {}
        }
    }
}

/// The schema of a sink's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSchema {
    /// What precedes a message.
    pub framing: Framing,
    /// The subject under which it stands in the registry.
    pub subject: String,
    /// The schema as text.
    pub text: String,
    /// What it refers to, if it is given; each behind those that it refers to itself.
    pub references: Vec<Referred>,
    /// Where it comes from.
    pub origin: SchemaOrigin,
    /// Whether it may be registered when the pipeline starts.
    pub register: bool,
    /// Where it stands in the registry; `None` as long as nobody has said so ([`crate::found::Found::settle`]), and without
    /// ids.
    pub registered: Option<Registered>,
}

impl SinkSchema {
    /// Whether its place in the registry is still to be found out before messages can be written.
    pub fn is_open(&self) -> bool {
        self.framing == Framing::Confluent && self.registered.is_none()
    }
}

/// How a message's key is made. Indices are those of [`SinkDef::columns`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKey {
    /// No key.
    None,
    /// One column as its plain text; null makes no key.
    Column(usize),
    /// A JSON object of the named columns, in this order.
    Object(Vec<(String, usize)>),
    /// The texts of columns, joined.
    Joined {
        /// The columns.
        columns: Vec<usize>,
        /// What stands between two of them.
        separator: String,
    },
    /// Columns in a format of their own.
    Encoded(Box<EncodedKey>),
    /// Kafka Streams' windowed key: the bytes of the key, then the bounds as 64-bit big-endian milliseconds.
    Windowed {
        /// The key itself: not windowed again.
        key: Box<SinkKey>,
        /// What follows it.
        bounds: WindowedBounds,
    },
    /// The bytes of the source message's key: the hidden column `_key`.
    SourceKey(usize),
}

/// A key in a format of its own. If it is made of one column, null makes no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedKey {
    /// How it is written.
    pub format: SinkFormat,
    /// Its schema, where it has one.
    pub schema: Option<SinkSchema>,
    /// The columns, with the names of the fields that they are written to.
    pub columns: Vec<(String, usize)>,
}

impl SinkKey {
    /// The key in a format of its own, also where the bounds of a window follow it.
    pub fn encoded(&self) -> Option<&EncodedKey> {
        match self {
            SinkKey::Encoded(key) => Some(key),
            SinkKey::Windowed { key, .. } => key.encoded(),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn encoded_mut(&mut self) -> Option<&mut EncodedKey> {
        match self {
            SinkKey::Encoded(key) => Some(key),
            SinkKey::Windowed { key, .. } => key.encoded_mut(),
            _ => None,
        }
    }
}

impl SinkDef {
    /// The schemas by which it writes: of its values, then of its keys.
    pub fn schemas(&self) -> impl Iterator<Item = (Part, &SinkFormat, &SinkSchema)> {
        let of_values = self.schema.iter().map(|schema| (Part::Value, &self.format, schema));
        let key = self.key.encoded();
        let of_keys = key.and_then(|key| Some((Part::Key, &key.format, key.schema.as_ref()?)));
        of_values.chain(of_keys)
    }

    /// The same, to be changed.
    pub fn schemas_mut(&mut self) -> impl Iterator<Item = (Part, &mut SinkFormat, &mut SinkSchema)> {
        let SinkDef { format, schema, key, .. } = self;
        let of_values = schema.as_mut().map(|schema| (Part::Value, format, schema)).into_iter();
        let of_keys = key.encoded_mut().and_then(|key| Some((Part::Key, &mut key.format, key.schema.as_mut()?)));
        of_values.chain(of_keys)
    }
}

/// Which bounds follow the key in a windowed key. Indices are those of [`SinkDef::columns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowedBounds {
    /// `window_start`.
    Start {
        /// Index of `window_start`.
        start: usize,
    },
    /// A session's: `window_end`, then `window_start`.
    EndStart {
        /// Index of `window_end`.
        end: usize,
        /// Index of `window_start`.
        start: usize,
    },
}

/// Where the rows of a sink come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkRole {
    /// A sink of the file.
    User,
    /// The late rows of a window, named by its step.
    Late {
        /// The name of the window's node.
        step: String,
    },
}

/// A repartition: rows of one subtopology to the tasks of another, by key, through an internal topic.
#[derive(Debug, Clone)]
pub struct ExchangeDef {
    /// The name of its topic: `<pipeline>-<step>-repartition`.
    pub topic: String,
    /// The step for which it was inserted.
    pub step: String,
    /// The columns that travel.
    pub columns: SchemaRef,
    /// Index of the subtopology that sends.
    pub from: usize,
    /// The node that sends.
    pub from_node: NodeId,
    /// Index of the subtopology that receives, greater than `from`.
    pub to: usize,
    /// The node that receives.
    pub to_node: NodeId,
    /// Indices of the key columns; empty: all rows go to one partition.
    pub keys: Vec<usize>,
    /// How many partitions its topic has.
    pub partitions: ExchangePartitions,
}

/// How many partitions a repartition topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangePartitions {
    /// One: its rows have no key.
    One,
    /// As many as the senders of all repartitions into the same subtopology have at most.
    LikeSenders,
}

/// What runs without a repartition: a graph, once for each partition of its inputs.
#[derive(Debug, Clone)]
pub struct Subtopology {
    /// The graph.
    pub plan: SubtopologyPlan,
    /// Indices of the sources that it reads.
    pub sources: Vec<usize>,
    /// The repartitions that it reads.
    pub exchanges_in: Vec<ExchangeId>,
    /// The repartitions that it writes.
    pub exchanges_out: Vec<ExchangeId>,
    /// The sinks that it writes.
    pub sinks: Vec<SinkId>,
}

/// What a stateful step keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreDef {
    /// Index of the subtopology.
    pub subtopology: usize,
    /// The node there.
    pub node: NodeId,
    /// The step's id: the name of its state.
    pub id: String,
    /// Window, keys and aggregates in canonical text, for the rules of upgrades: equal shapes hold equal state.
    pub shape: String,
}

/// What happens to records that fail.
#[derive(Debug, Clone, PartialEq)]
pub struct OnErrorDef {
    /// For the engine.
    pub policy: OnError,
    /// The topic that takes them, with [`OnError::DeadLetter`].
    pub dead_letter: Option<String>,
    /// How that topic is made when it is missing, where the pipeline says so.
    pub create: Option<CreateDef>,
    /// Beyond which rate of failures the pipeline stops all the same.
    pub fail_above: Option<FailAbove>,
}

impl OnErrorDef {
    /// The topic of dead letters, where records that fail become such.
    pub fn dead_letters(&self) -> Option<&str> {
        self.dead_letter.as_deref().filter(|_| self.policy == OnError::DeadLetter)
    }
}

/// A rate of failures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailAbove {
    /// The share of records, from 0 to 1.
    pub fraction: f64,
    /// Over how long (wall clock).
    pub span: Millis,
}

/// How many partitions the topics have that are known; a topic that is missing here may have any number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionCounts(pub BTreeMap<String, u32>);

impl PartitionCounts {
    /// Nothing is known.
    pub fn unknown() -> PartitionCounts {
        PartitionCounts::default()
    }

    /// The number of partitions of `topic`, if it is known.
    pub fn get(&self, topic: &str) -> Option<u32> {
        self.0.get(topic).copied()
    }
}

impl<S: Into<String>> FromIterator<(S, u32)> for PartitionCounts {
    fn from_iter<I: IntoIterator<Item = (S, u32)>>(counts: I) -> PartitionCounts {
        PartitionCounts(counts.into_iter().map(|(topic, count)| (topic.into(), count)).collect())
    }
}

/// How many tasks and partitions a topology comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Tasks of each subtopology.
    pub tasks: Vec<u32>,
    /// Partitions of each repartition topic.
    pub exchange_partitions: Vec<u32>,
}

impl Topology {
    /// The name of the topic that holds the changes of a subtopology's state, one partition for each of its tasks; `None` where it
    /// keeps none. It goes by the first step that keeps state or, where only the clock of a repartition's senders is kept, by the
    /// repartition: the number of a subtopology changes with what else there is in a pipeline.
    pub fn changelog_topic(&self, subtopology: usize) -> Option<String> {
        let store = self.stores.iter().find(|store| store.subtopology == subtopology);
        let sent = self.subtopologies[subtopology].exchanges_out.first();
        let name = store.map(|store| format!("{}-{}", self.name, store.id));
        name.or_else(|| sent.map(|id| self.exchanges[id.0].topic.clone())).map(|name| name + "-changelog")
    }

    /// The source topics whose records' headers nobody reads: no step, and no dead letter, which has those of its record.
    pub fn headerless_topics(&self) -> BTreeSet<&str> {
        if self.on_error.dead_letter.is_some() {
            return BTreeSet::new();
        }
        let reads = |source: &&SourceDef| source.columns.column_with_name("_headers").is_some();
        let read: BTreeSet<&str> = self.sources.iter().filter(reads).map(|source| source.topic.as_str()).collect();
        self.sources.iter().map(|source| source.topic.as_str()).filter(|topic| !read.contains(topic)).collect()
    }

    /// How many tasks each subtopology has when the source topics have `counts` partitions (a topic that is not known
    /// counts as one): as many as the greatest number of partitions among its inputs.
    pub fn extent(&self, counts: &PartitionCounts) -> Extent {
        self.extent_with(counts, &PartitionCounts::unknown())
    }

    /// As [`extent`](Self::extent), where some repartition topics are there already and keep their number of partitions: a
    /// source may grow without moving the keys behind a repartition.
    pub fn extent_with(&self, counts: &PartitionCounts, made: &PartitionCounts) -> Extent {
        let mut extent = Extent { tasks: Vec::new(), exchange_partitions: vec![1; self.exchanges.len()] };
        for subtopology in &self.subtopologies {
            let senders = subtopology.exchanges_in.iter().map(|id| &self.exchanges[id.0]);
            let like_senders =
                senders.filter(|exchange| exchange.partitions == ExchangePartitions::LikeSenders).collect::<Vec<_>>();
            let kept = like_senders.iter().filter_map(|exchange| made.get(&exchange.topic)).max();
            let widest = like_senders.iter().map(|exchange| extent.tasks[exchange.from]).max();
            let widest = kept.or(widest).unwrap_or(1);
            for id in &subtopology.exchanges_in {
                extent.exchange_partitions[id.0] = match self.exchanges[id.0].partitions {
                    ExchangePartitions::One => 1,
                    ExchangePartitions::LikeSenders => widest,
                };
            }
            let sources = subtopology.sources.iter().map(|&source| &self.sources[source].topic);
            let read = sources.map(|topic| counts.get(topic).unwrap_or(1)).max().unwrap_or(1);
            extent.tasks.push(read.max(widest));
        }
        extent
    }
}

/// The type of the hidden system column `name`, one of [`HIDDEN`].
pub fn hidden_type(name: &str) -> Option<DataType> {
    if !HIDDEN.contains(&name) {
        return None;
    }
    Some(match name {
        "_key" => DataType::Binary,
        "_timestamp" => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        "_topic" | "_schema" => DataType::Utf8,
        "_partition" => DataType::Int32,
        "_offset" => DataType::Int64,
        _ => headers_type(),
    })
}

/// Whether `name` is a hidden system column's.
pub fn is_hidden(name: &str) -> bool {
    HIDDEN.contains(&name)
}

/// `map<string, bytes>`: of headers with one name the last counts.
fn headers_type() -> DataType {
    let entries =
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Binary, true)]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}
