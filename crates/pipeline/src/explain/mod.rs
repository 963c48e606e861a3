//! What a topology comes to, for people and for tools: the graph with its columns, tasks, topics and state.

mod graph;
mod nodes;
mod render;
mod size;

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use millstream_engine::plan::Reading;
use millstream_engine::types::sql_name;
use serde::Serialize;

pub use graph::{dot, mermaid};

use crate::spec::duration::Duration;
use crate::topology::{
    CreateDef, ExchangePartitions, Framing, Part, PartitionCounts, SinkRole, SinkSchema, SourceDef, Topology, is_hidden,
};

/// What a topology comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The pipeline.
    pub pipeline: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it reads.
    pub sources: Vec<PlanSource>,
    /// The graph in its parts.
    pub subtopologies: Vec<PlanSubtopology>,
    /// The topics that it writes, those that it creates for itself included.
    pub topics: Vec<PlanTopic>,
    /// What it keeps.
    pub stores: Vec<PlanStore>,
    /// The fingerprint of what it keeps, in hexadecimal.
    pub fingerprint: String,
    /// What brokers see of it, where it is to run over Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<PlanKafka>,
}

/// What brokers see of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanKafka {
    /// The consumer group.
    pub group: String,
    /// What a commit promises: `exactly_once` or `at_least_once`.
    pub guarantee: &'static str,
    /// The transactional ids of its producers, one a worker thread; none without transactions.
    pub transactional_ids: Vec<String>,
    /// The properties that the pipeline sets for its clients.
    pub properties: BTreeMap<String, String>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanColumn {
    /// Its name.
    pub name: String,
    /// Its SQL type.
    #[serde(rename = "type")]
    pub sql_type: String,
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanSource {
    /// Its name in the pipeline.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// Its partitions, where that is known.
    pub partitions: Option<u32>,
    /// The format.
    pub format: &'static str,
    /// Where its schema comes from, such as `trades-value version 3 (id 7)`; none where the pipeline declares the columns.
    pub schema: Vec<String>,
    /// The columns that are decoded.
    pub reads: Vec<PlanColumn>,
    /// The declared columns that nothing reads, and that are not decoded.
    pub skips: Vec<String>,
    /// By how much time stays behind the greatest event time, as written in a pipeline.
    pub out_of_order: String,
}

/// A part of the graph: what runs without a repartition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanSubtopology {
    /// Its number.
    pub number: usize,
    /// How many tasks run it.
    pub tasks: u32,
    /// Whether that is known, or one partition a topic was assumed.
    pub tasks_known: bool,
    /// In which order it reads its inputs.
    pub reading: &'static str,
    /// Its nodes.
    pub nodes: Vec<PlanNode>,
}

/// A step, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanNode {
    /// Its name.
    pub name: String,
    /// What it does, in a word.
    pub kind: &'static str,
    /// What it does, in SQL and settings.
    pub detail: String,
    /// The numbers of the nodes that it reads.
    pub inputs: Vec<usize>,
    /// The columns behind it.
    pub columns: Vec<PlanColumn>,
}

/// A topic that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanTopic {
    /// Its name.
    pub name: String,
    /// What stands in it.
    pub role: &'static str,
    /// Its partitions, where they are known.
    pub partitions: Option<u32>,
    /// Whether the pipeline creates it.
    pub created: Created,
    /// Its settings by name where the pipeline creates it, filled in by who knows them.
    pub settings: BTreeMap<String, String>,
    /// How a message's key is made.
    pub key: Option<String>,
    /// The schema of its messages, where they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<PlanSchema>,
    /// The schema of its keys, where they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_schema: Option<PlanSchema>,
}

/// The schema of a topic that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanSchema {
    /// The subject; none for messages without ids.
    pub subject: Option<String>,
    /// Its version there, where a registry was asked and has it.
    pub version: Option<u32>,
    /// Its id there.
    pub id: Option<u32>,
    /// Whether the pipeline registers it when it starts, if it must.
    pub register: bool,
    /// Where it comes from.
    pub origin: String,
    /// The schema.
    pub text: String,
}

impl PlanSchema {
    fn of(schema: &SinkSchema) -> PlanSchema {
        let registered = schema.registered.as_ref();
        PlanSchema {
            subject: (schema.framing == Framing::Confluent).then(|| schema.subject.clone()),
            version: registered.map(|registered| registered.version),
            id: registered.map(|registered| registered.id.0),
            register: schema.register,
            origin: schema.origin.to_string(),
            text: schema.text.clone(),
        }
    }
}

/// Who creates a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Created {
    /// The pipeline, as its own.
    ByPipeline,
    /// The pipeline, if it is missing.
    WhenMissing,
    /// The user, or the embedded log when it is first written.
    Outside,
}

/// What a stateful step keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanStore {
    /// The step's id.
    pub id: String,
    /// The subtopology.
    pub subtopology: usize,
    /// The shape that must stay equal for the state to be continued.
    pub shape: String,
    /// What there is one of, such as `key and window`.
    pub unit: &'static str,
    /// Bytes that one takes, estimated from the types.
    pub bytes: usize,
    /// How many a key has at once, where that does not depend on the rate of rows.
    pub units_per_key: Option<u64>,
}

/// What a topology comes to when its topics have `counts` partitions.
pub fn plan(topology: &Topology, counts: &PartitionCounts) -> Plan {
    let extent = topology.extent(counts);
    let subtopologies = topology.subtopologies.iter().enumerate().map(|(number, part)| PlanSubtopology {
        number,
        tasks: extent.tasks[number],
        tasks_known: tasks_known(topology, number, counts),
        reading: match part.plan.reading {
            Reading::AsItComes => "as it comes",
            Reading::ByEventTime => "by event time",
            Reading::RowByRow => "by event time, row by row",
        },
        nodes: part.plan.nodes.iter().map(|node| nodes::node(node, topology)).collect(),
    });
    Plan {
        pipeline: topology.name.clone(),
        description: topology.description.clone(),
        sources: topology.sources.iter().map(|source| plan_source(source, counts)).collect(),
        subtopologies: subtopologies.collect(),
        topics: topics(topology, counts),
        stores: topology.stores.iter().filter_map(|store| size::store(store, topology)).collect(),
        fingerprint: format!("{:016x}", topology.fingerprint),
        kafka: None,
    }
}

/// Whether the number of tasks of a subtopology is sure: that all topics are known, or all its rows go into one partition.
fn tasks_known(topology: &Topology, number: usize, counts: &PartitionCounts) -> bool {
    let known = topology.topics.iter().all(|topic| counts.get(topic).is_some());
    let mut exchanges = topology.exchanges.iter().filter(|exchange| exchange.to == number);
    let one = topology.subtopologies[number].sources.is_empty()
        && exchanges.all(|exchange| exchange.partitions == ExchangePartitions::One);
    known || one
}

fn plan_source(source: &SourceDef, counts: &PartitionCounts) -> PlanSource {
    let reads = columns(&source.columns);
    let declared = source.declared.fields().iter().map(|field| field.name());
    let skips = declared.filter(|name| source.columns.index_of(name).is_err()).cloned().collect();
    PlanSource {
        name: source.name.clone(),
        topic: source.topic.clone(),
        partitions: counts.get(&source.topic),
        format: source.format.name(),
        schema: source.schema_origins(),
        reads,
        skips,
        out_of_order: Duration(source.out_of_order).to_string(),
    }
}

/// The columns of a schema in SQL's words.
fn columns(schema: &Schema) -> Vec<PlanColumn> {
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| PlanColumn {
        name: field.name().clone(),
        sql_type: sql_name(field.data_type()),
    };
    schema.fields().iter().map(column).collect()
}

/// The topics that are written: sinks, then what the pipeline keeps for itself.
fn topics(topology: &Topology, counts: &PartitionCounts) -> Vec<PlanTopic> {
    let extent = topology.extent(counts);
    let output = |name: &str, role, key, create: Option<CreateDef>| PlanTopic {
        name: name.to_owned(),
        role,
        partitions: counts.get(name).or(create.and_then(|create| create.partitions)),
        created: if create.is_some() { Created::WhenMissing } else { Created::Outside },
        settings: BTreeMap::new(),
        key,
        schema: None,
        key_schema: None,
    };
    let mut topics = Vec::new();
    for sink in &topology.sinks {
        let role = match sink.role {
            SinkRole::User => "results",
            SinkRole::Late { .. } => "late rows",
        };
        let topic = output(&sink.topic, role, Some(nodes::key(&sink.key, &sink.columns)), sink.create);
        let of = |part| sink.schemas().find(|(of, ..)| *of == part).map(|(_, _, schema)| PlanSchema::of(schema));
        topics.push(PlanTopic { schema: of(Part::Value), key_schema: of(Part::Key), ..topic });
    }
    let dead_letter = topology.on_error.dead_letter.iter();
    topics.extend(dead_letter.map(|topic| output(topic, "failed records", None, topology.on_error.create)));
    for (exchange, partitions) in topology.exchanges.iter().zip(extent.exchange_partitions) {
        let keys = exchange.keys.iter().map(|&key| exchange.columns.field(key).name().as_str()).collect::<Vec<_>>();
        topics.push(PlanTopic {
            name: exchange.topic.clone(),
            role: "repartition",
            partitions: tasks_known(topology, exchange.to, counts).then_some(partitions),
            created: Created::ByPipeline,
            settings: BTreeMap::new(),
            key: (!keys.is_empty()).then(|| keys.join(", ")),
            schema: None,
            key_schema: None,
        });
    }
    for subtopology in 0..topology.subtopologies.len() {
        let Some(name) = topology.changelog_topic(subtopology) else { continue };
        topics.push(PlanTopic {
            name,
            role: "changelog",
            partitions: tasks_known(topology, subtopology, counts).then_some(extent.tasks[subtopology]),
            created: Created::ByPipeline,
            settings: BTreeMap::new(),
            key: None,
            schema: None,
            key_schema: None,
        });
    }
    topics
}

/// The visible columns of a list, for people.
fn visible(columns: &[PlanColumn]) -> impl Iterator<Item = &PlanColumn> {
    columns.iter().filter(|column| !is_hidden(&column.name))
}

#[cfg(test)]
mod tests;
