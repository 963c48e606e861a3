//! Tests fit their pipeline: sources, topics, columns, and the names in the ledger are there.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::{Arrival, Input, Row, TestSpec};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::spec::{Name, Pipeline};
use crate::topology::Topology;
use crate::yaml::spanned::Spanned;

/// What the counts of the ledger are called.
fn counts() -> impl Iterator<Item = &'static str> + Clone {
    let names = millstream_engine::ledger::Ledger::default().entries();
    names.into_iter().map(|(name, _)| name)
}

/// Checks tests against the pipeline that they are of.
pub(crate) fn check(
    tests: &[Spanned<TestSpec>],
    pipeline: &Pipeline,
    topology: &Topology,
    diagnostics: &mut Diagnostics,
) {
    let known = Known::new(pipeline, topology);
    for test in tests {
        known.input(test, diagnostics);
        for (topic, expected) in &test.out.value {
            let Some(columns) = known.topics.get(topic.as_str()) else {
                let topics = known.topics.keys().copied();
                diagnostics.push(unknown(
                    codes::UNKNOWN_TOPIC,
                    topic,
                    "the pipeline writes no topic",
                    topics,
                    "It writes",
                ));
                continue;
            };
            for row in expected.rows() {
                fits(row, columns.as_ref(), &format!("the topic `{topic}`"), diagnostics);
            }
        }
        for (step, wanted) in &test.ledger.value {
            if !known.nodes.contains(step.as_str()) {
                let nodes = known.nodes.iter().copied();
                diagnostics.push(unknown(codes::UNKNOWN_COUNT, step, "the ledger has no step", nodes, "It has"));
            }
            for name in wanted.names().filter(|name| !counts().any(|count| count == name.as_str())) {
                diagnostics.push(unknown(codes::UNKNOWN_COUNT, name, "the ledger has no count", counts(), "It has"));
            }
        }
        for topic in test.partitions.names().filter(|topic| !known.is_topic(topic)) {
            let topics = known.read.iter().chain(known.topics.keys()).copied().collect::<BTreeSet<_>>();
            let message = "the pipeline neither reads nor writes a topic";
            diagnostics.push(unknown(codes::UNKNOWN_TOPIC, topic, message, topics.iter().copied(), "There are"));
        }
    }
}

/// What a test can name.
struct Known<'a> {
    /// The columns of each source.
    sources: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// The topics that are read.
    read: BTreeSet<&'a str>,
    /// The topics that are written, and their columns; `None` where a record may have any.
    topics: BTreeMap<&'a str, Option<BTreeSet<&'a str>>>,
    /// The steps of the ledger.
    nodes: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    fn new(pipeline: &'a Pipeline, topology: &'a Topology) -> Known<'a> {
        let columns =
            |schema: &'a arrow::datatypes::SchemaRef| schema.fields().iter().map(|field| field.name().as_str());
        let declared =
            topology.sources.iter().map(|source| (source.name.as_str(), columns(&source.declared).collect()));
        let mut topics: BTreeMap<_, _> = BTreeMap::new();
        for sink in &topology.sinks {
            let written = sink.written.iter().map(|&index| sink.columns.field(index).name().as_str());
            let columns = topics.entry(sink.topic.as_str()).or_insert_with(|| Some(BTreeSet::new()));
            match &sink.schema {
                // A schema fills in what the columns leave out.
                Some(_) => *columns = None,
                None => columns.iter_mut().for_each(|columns| columns.extend(written.clone())),
            }
        }
        if let Some(topic) = &topology.on_error.dead_letter {
            topics.insert(topic, None);
        }
        let nodes = topology.subtopologies.iter().flat_map(|subtopology| &subtopology.plan.nodes);
        Known {
            sources: declared.collect(),
            read: topology
                .topics
                .iter()
                .map(String::as_str)
                .chain(pipeline.sources.names().map(|n| n.as_str()))
                .collect(),
            topics,
            nodes: nodes.map(|node| node.name.as_str()).collect(),
        }
    }

    fn is_topic(&self, name: &str) -> bool {
        self.read.contains(name) || self.topics.contains_key(name)
    }

    fn input(&self, test: &'a TestSpec, diagnostics: &mut Diagnostics) {
        match &test.input.value {
            Input::BySource(sources) => {
                for (source, rows) in sources {
                    let columns = self.written(source, test, diagnostics);
                    for row in rows {
                        fits(row, columns, &format!("the source `{source}`"), diagnostics);
                    }
                }
            }
            Input::OneByOne(arrivals) => {
                for arrival in arrivals {
                    if let Arrival::Row(source, row) = &arrival.value {
                        let columns = self.written(source, test, diagnostics);
                        fits(row, columns, &format!("the source `{source}`"), diagnostics);
                    }
                }
            }
        }
    }

    /// The columns that rows of a source may have; `None` for any: a writer's schema may have what the source does not.
    fn written(&self, name: &Name, test: &TestSpec, diagnostics: &mut Diagnostics) -> Option<&BTreeSet<&'a str>> {
        self.source(name, diagnostics).filter(|_| test.writers.is_empty())
    }

    fn source(&self, name: &Name, diagnostics: &mut Diagnostics) -> Option<&BTreeSet<&'a str>> {
        let found = self.sources.get(name.as_str());
        if found.is_none() {
            let sources = self.sources.keys().copied();
            diagnostics.push(unknown(codes::UNKNOWN_SOURCE, name, "there is no source", sources, "There are"));
        }
        found
    }
}

fn fits(row: &Row, columns: Option<&BTreeSet<&str>>, of: &str, diagnostics: &mut Diagnostics) {
    let Some(columns) = columns else { return };
    for (name, _) in row.columns().filter(|(name, _)| !columns.contains(name.as_str())) {
        let message = format!("{of} has no column");
        diagnostics.push(unknown(codes::TEST_ROW, name, &message, columns.iter().copied(), "It has"));
    }
}

fn unknown<'a>(
    code: codes::Code,
    name: &Name,
    message: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    there: &str,
) -> Diagnostic {
    let all = known.clone().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let all = if all.is_empty() { "none".to_owned() } else { all };
    Diagnostic::error(code, name.span, format!("{message} `{name}`"))
        .help(format!("{there} {all}."))
        .did_you_mean(name.as_str(), known)
}
