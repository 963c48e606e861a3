//! Builds the graph of a pipeline, step by step, and reports what is wrong on the way.

use std::collections::BTreeMap;

use super::columns::Columns;
use super::graph::{Edge, Graph, Node, Op};
use super::stream::Stream;
use crate::check::Findings;
use crate::check::create::Creates;
use crate::check::sink_columns::Written;
use crate::check::sink_headers::HeadersDraft;
use crate::check::sink_key::KeyDraft;
use crate::check::source_schema::Given;
use crate::check::state_ids::StateIds;
use crate::check::topics::Topics;
use crate::found::Found;
use crate::spec::pipeline::Pipeline;
use crate::topology::{PartitionCounts, SinkRole, SinkSchema};

/// What is built, and what was found on the way.
pub(crate) struct Builder<'a> {
    /// The pipeline as written.
    pub(crate) pipeline: &'a Pipeline,
    /// The number of partitions of the topics.
    pub(crate) counts: &'a PartitionCounts,
    /// What was found of the schemas that it needs.
    pub(crate) found: &'a Found,
    /// The graph so far.
    pub(crate) graph: Graph,
    /// The streams by name: sources, streams and arms of branches. `None`: a mistake has hidden its columns.
    pub(crate) streams: BTreeMap<&'a str, Option<Stream>>,
    /// For each source of the file what it gives, where that is right.
    pub(crate) sources: Vec<Option<Given>>,
    /// The sinks: those of the file, then the implied ones.
    pub(crate) sinks: Vec<SinkDraft>,
    /// The ids of stateful steps.
    pub(crate) ids: StateIds,
    /// The topics.
    pub(crate) topics: Topics<'a>,
    /// The topics that the pipeline makes.
    pub(crate) creates: Creates,
    /// Properties of the Kafka client.
    pub(crate) kafka: BTreeMap<String, String>,
    /// What was found.
    pub(crate) findings: Findings,
}

/// A sink by the names of its columns.
#[derive(Debug, Clone)]
pub(crate) struct SinkDraft {
    /// Its name in messages.
    pub(crate) name: String,
    /// Its topic.
    pub(crate) topic: String,
    /// How it writes.
    pub(crate) format: Written,
    /// The schema of its messages, where they have one.
    pub(crate) schema: Option<SinkSchema>,
    /// The visible columns.
    pub(crate) visible: Vec<String>,
    /// The key.
    pub(crate) key: KeyDraft,
    /// What its partitions are chosen by.
    pub(crate) partition_by: Option<KeyDraft>,
    /// The headers.
    pub(crate) headers: HeadersDraft,
    /// Where its rows come from.
    pub(crate) role: SinkRole,
}

impl SinkDraft {
    /// The columns that it writes, makes its key of or takes headers from.
    pub(crate) fn reads(&self) -> Vec<String> {
        let mut reads = match &self.format {
            Written::Raw(column) => vec![column.clone()],
            _ => self.visible.clone(),
        };
        reads.extend(self.key.reads());
        reads.extend(self.headers.reads());
        reads.extend(self.partition_by.iter().flat_map(KeyDraft::reads));
        reads
    }
}

impl<'a> Builder<'a> {
    /// Nothing yet.
    pub(crate) fn new(pipeline: &'a Pipeline, counts: &'a PartitionCounts, found: &'a Found) -> Builder<'a> {
        Builder {
            pipeline,
            counts,
            found,
            graph: Graph::default(),
            streams: BTreeMap::new(),
            sources: Vec::new(),
            sinks: Vec::new(),
            ids: StateIds::default(),
            topics: Topics::new(&pipeline.pipeline),
            creates: Creates::default(),
            kafka: BTreeMap::new(),
            findings: Findings::default(),
        }
    }

    /// The columns of a stream.
    pub(crate) fn columns(&self, stream: &Stream) -> Columns {
        self.graph.columns(stream.edge).clone()
    }

    /// Adds a node behind one other.
    pub(crate) fn append(&mut self, name: String, input: Edge, columns: Columns, op: Op) -> Edge {
        let level = self.graph.nodes[input.node].level;
        Edge::of(self.graph.push(Node { name, inputs: vec![input], columns, level, op }))
    }
}
