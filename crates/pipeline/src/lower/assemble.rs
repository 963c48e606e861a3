//! The topology put together from the placed graph.

use std::collections::BTreeSet;

use millstream_engine::plan::{Emit, NodeKind, NodePlan, Reading, SubtopologyPlan};
use millstream_engine::time::Millis;

use super::builder::{Builder, SinkDraft};
use super::columns::Columns;
use super::graph::{Grouping, Op};
use super::liveness::Liveness;
use super::physical::{Physical, Placed, SourceNumbers, is_order_sensitive};
use super::stream::WindowedBy;
use super::{parts, shape, sources};
use crate::check::on_error;
use crate::check::sink_columns::Written;
use crate::check::sink_headers::HeadersDraft;
use crate::check::sink_key::KeyDraft;
use crate::diagnostic::Diagnostics;
use crate::topology::{
    EncodedKey, KeyDef, OnErrorDef, SinkDef, SinkFormat, SinkKey, SourceDef, StoreDef, Subtopology, Topology,
    WindowedBounds, is_hidden,
};
use millstream_engine::expr::ExprError;

/// How long a silent partition holds time back by default.
const DEFAULT_IDLE: Millis = Millis(30_000);

impl Builder<'_> {
    /// The topology of a graph without mistakes.
    ///
    /// # Errors
    /// If an expression that has been checked does not compile again: a mistake of ours.
    pub(crate) fn assemble(&self) -> Result<Topology, ExprError> {
        let used = self.graph.used();
        let sink_reads = self.sinks.iter().map(|sink| BTreeSet::from_iter(sink.reads())).collect::<Vec<_>>();
        let liveness = Liveness::of(&self.graph, &used, &sink_reads);
        let parts = parts::of(&self.graph, &used);
        let numbers = self.source_numbers(&used);
        let physical = Physical::place(&self.graph, &liveness, &parts, &self.pipeline.pipeline, &numbers)?;
        let stores = self.stores(&physical, shape::of);
        let keys = physical.exchanges.iter().map(|exchange| {
            let keys = exchange.keys.iter().map(|&key| exchange.columns.field(key).name().as_str());
            format!("{} by {}", exchange.topic, keys.collect::<Vec<_>>().join(", "))
        });
        let keys = keys.collect::<Vec<_>>();
        let fingerprint = |stores: &[StoreDef]| {
            let shapes = stores.iter().flat_map(|store| [store.id.as_str(), store.shape.as_str()]);
            shape::fingerprint(shapes.chain(keys.iter().map(String::as_str)))
        };
        let mut topics = self
            .sources_in_use(&numbers)
            .map(|(name, source, _)| sources::topic(name, source).to_owned())
            .collect::<Vec<_>>();
        topics.sort();
        topics.dedup();
        let sinks = self.sink_defs(&physical);
        let mut written = sinks.iter().map(|sink| format!("to {}", sink.topic)).collect::<Vec<_>>();
        written.sort();
        let ends = shape::fingerprint(topics.iter().chain(&written).map(String::as_str));
        Ok(Topology {
            name: self.pipeline.pipeline.value.clone(),
            description: self.pipeline.description.as_ref().map(|text| text.value.clone()),
            sources: self.source_defs(&numbers, &physical, &topics),
            sinks,
            subtopologies: self.subtopologies(&physical),
            topics,
            on_error: self.on_error(),
            fingerprint: fingerprint(&stores),
            fingerprint_with_grace: fingerprint(&self.stores(&physical, shape::with_grace)),
            stores,
            ends,
            guarantee: self.pipeline.guarantee.as_ref().map(|guarantee| guarantee.value),
            kafka: self.kafka.clone(),
            warnings: Diagnostics::new(std::sync::Arc::default()),
            exchanges: physical.exchanges,
        })
    }

    /// The numbers of the sources that are read; `None` for the others.
    fn source_numbers(&self, used: &[bool]) -> Vec<Option<SourceNumbers>> {
        let mut numbers = vec![None; self.pipeline.sources.len()];
        for (index, node) in self.graph.nodes.iter().enumerate() {
            if let (Op::Source { source, .. }, true) = (&node.op, used[index]) {
                let watermark = self.pipeline.sources.0[*source].1.watermark.as_ref();
                let out_of_order = watermark.and_then(|watermark| watermark.out_of_order.as_ref());
                let out_of_order = out_of_order.map_or(Millis(0), |span| span.millis());
                numbers[*source] = Some(SourceNumbers { source: 0, out_of_order });
            }
        }
        for (number, found) in numbers.iter_mut().flatten().enumerate() {
            found.source = number;
        }
        numbers
    }

    fn sources_in_use<'s>(
        &'s self,
        numbers: &'s [Option<SourceNumbers>],
    ) -> impl Iterator<Item = (&'s crate::spec::names::Name, &'s crate::spec::source::Source, usize)> {
        let sources = self.pipeline.sources.iter().enumerate();
        sources
            .filter(|(index, _)| numbers[*index].is_some())
            .map(|(index, (name, source))| (name, &source.value, index))
    }

    fn source_defs(
        &self,
        numbers: &[Option<SourceNumbers>],
        physical: &Physical<'_>,
        topics: &[String],
    ) -> Vec<SourceDef> {
        let defs = self.sources_in_use(numbers).filter_map(|(name, source, index)| {
            let given = self.sources[index].clone()?;
            let is_it = |op: &Op| matches!(op, Op::Source { source, .. } if *source == index);
            let node = self.graph.nodes.iter().position(|node| is_it(&node.op))?;
            let placed = physical.placed[node].as_ref()?;
            let columns = &self.graph.nodes[node].columns;
            let topic = sources::topic(name, source).to_owned();
            let watermark = source.watermark.as_ref();
            let idle = watermark.and_then(|watermark| watermark.idle.as_ref());
            let idle_close = watermark.and_then(|watermark| watermark.idle_close.as_ref());
            Some(SourceDef {
                name: name.value.clone(),
                topic_rank: topics.iter().position(|other| *other == topic)? as u32,
                topic,
                format: given.format,
                schema: given.schema,
                key: given.key.map(|key| KeyDef {
                    format: key.format,
                    schema: key.schema,
                    declared: columns.project(key.declared.iter().map(|(name, _)| name.as_str())),
                }),
                columns: columns.project(placed.columns.iter().map(String::as_str)),
                declared: columns.project(columns.names()),
                start: sources::start(source),
                out_of_order: numbers[index]?.out_of_order,
                idle: idle.map_or(DEFAULT_IDLE, |span| span.millis()),
                idle_close: idle_close.map(|span| span.millis()),
                subtopology: placed.subtopology,
                node: placed.node,
            })
        });
        defs.collect()
    }

    fn sink_defs(&self, physical: &Physical<'_>) -> Vec<SinkDef> {
        let defs = self.sinks.iter().enumerate().filter_map(|(index, draft)| {
            let node = self.graph.nodes.iter().position(|node| match &node.op {
                Op::Sink { sink, .. } => *sink == index,
                Op::Group(grouping) => grouping.window.as_ref().is_some_and(|window| window.late == Some(index)),
                _ => false,
            })?;
            let placed = physical.placed[node].as_ref()?;
            let input = self.graph.nodes[node].inputs.first()?.node;
            let arriving = physical.placed[input].as_ref()?;
            let def = sink_def(draft, placed, arriving, &self.graph.nodes[input].columns);
            Some(SinkDef { create: self.creates.get(&draft.topic), ..def })
        });
        defs.collect()
    }

    fn on_error(&self) -> OnErrorDef {
        let def = on_error::of(self.pipeline.on_error.as_ref());
        let create = def.dead_letter.as_ref().and_then(|topic| self.creates.get(topic));
        OnErrorDef { create, ..def }
    }

    /// What is kept, each with the shape that `shape` gives it.
    fn stores(&self, physical: &Physical<'_>, shape: fn(&Grouping, &Columns) -> String) -> Vec<StoreDef> {
        let groups = self.graph.nodes.iter().enumerate().filter_map(|(index, node)| match &node.op {
            Op::Group(grouping) => {
                let placed = physical.placed[index].as_ref()?;
                let columns = self.graph.columns(*node.inputs.first()?);
                Some(StoreDef {
                    subtopology: placed.subtopology,
                    node: placed.node,
                    id: grouping.id.clone(),
                    shape: shape(grouping, columns),
                })
            }
            _ => None,
        });
        let mut stores = groups.collect::<Vec<_>>();
        stores.sort_by_key(|store| (store.subtopology, store.node));
        stores
    }

    fn subtopologies(&self, physical: &Physical<'_>) -> Vec<Subtopology> {
        let policy = on_error::of(self.pipeline.on_error.as_ref()).policy;
        let readings = readings(physical);
        let all = physical.nodes.iter().zip(readings).map(|(nodes, reading)| {
            let mut part = Subtopology {
                plan: SubtopologyPlan { nodes: nodes.clone(), reading, on_error: policy },
                sources: Vec::new(),
                exchanges_in: Vec::new(),
                exchanges_out: Vec::new(),
                sinks: Vec::new(),
            };
            for node in nodes {
                match &node.kind {
                    NodeKind::Source(plan) => part.sources.push(plan.source),
                    NodeKind::ExchangeSource(id) => part.exchanges_in.push(*id),
                    NodeKind::Exchange(plan) => part.exchanges_out.push(plan.exchange),
                    NodeKind::Sink(plan) => part.sinks.push(plan.sink),
                    NodeKind::Window(plan) => {
                        part.sinks.extend(match plan.late {
                            millstream_engine::plan::Late::To(id) => Some(id),
                            millstream_engine::plan::Late::Drop => None,
                        });
                    }
                    _ => {}
                }
            }
            part.sinks.sort();
            part
        });
        all.collect()
    }
}

/// In which order each subtopology reads. Where the order of rows decides a result, every subtopology that the rows come
/// through must keep to one.
fn readings(physical: &Physical<'_>) -> Vec<Reading> {
    let sensitive = |nodes: &Vec<_>| nodes.iter().any(is_order_sensitive);
    let mut readings = physical
        .nodes
        .iter()
        .map(|nodes| if sensitive(nodes) { Reading::ByEventTime } else { Reading::AsItComes })
        .collect::<Vec<_>>();
    for receiver in (0..readings.len()).rev() {
        if readings[receiver] == Reading::ByEventTime {
            for exchange in physical.exchanges.iter().filter(|exchange| exchange.to == receiver) {
                readings[exchange.from] = Reading::ByEventTime;
            }
        }
    }
    for (reading, nodes) in readings.iter_mut().zip(&physical.nodes) {
        if *reading == Reading::ByEventTime && mixes_results(nodes) {
            *reading = Reading::RowByRow;
        }
    }
    readings
}

/// Whether results of a step come together with rows that are not: they leave at the end of what is processed in one go.
fn mixes_results(nodes: &[NodePlan]) -> bool {
    let mut origins: Vec<BTreeSet<usize>> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let is_origin = match &node.kind {
            NodeKind::Source(_) | NodeKind::ExchangeSource(_) | NodeKind::Aggregate(_) => true,
            NodeKind::Window(plan) => plan.emit != Emit::Arrival,
            _ => false,
        };
        let before = node.inputs.iter().flat_map(|(before, _)| origins[before.0].iter().copied()).collect();
        origins.push(if is_origin { BTreeSet::from([index]) } else { before });
    }
    let is_result = |origin: &usize| matches!(nodes[*origin].kind, NodeKind::Window(_) | NodeKind::Aggregate(_));
    nodes.iter().zip(&origins).any(|(node, origins)| {
        matches!(node.kind, NodeKind::Merge) && origins.len() > 1 && origins.iter().any(is_result)
    })
}

fn sink_def(draft: &SinkDraft, placed: &Placed, arriving: &Placed, columns: &Columns) -> SinkDef {
    let at = |name: &String| arriving.columns.iter().position(|column| column == name);
    let index = |name: &String| at(name).unwrap_or_default();
    debug_assert!(draft.reads().iter().all(|name| at(name).is_some()), "what a sink reads is live");
    let written = match &draft.format {
        Written::Raw(column) => vec![index(column)],
        _ => draft.visible.iter().map(index).collect(),
    };
    debug_assert!(draft.visible.iter().all(|name| !is_hidden(name)), "hidden columns are not written");
    SinkDef {
        name: draft.name.clone(),
        topic: draft.topic.clone(),
        format: sink_format(&draft.format, &index),
        schema: draft.schema.clone(),
        columns: columns.project(arriving.columns.iter().map(String::as_str)),
        written,
        key: sink_key(&draft.key, &index),
        partition_by: draft.partition_by.as_ref().map(|key| sink_key(key, &index)),
        kept_headers: matches!(draft.headers, HeadersDraft::Kept).then(|| index(&"_headers".to_owned())),
        create: None,
        role: draft.role.clone(),
        subtopology: placed.subtopology,
        node: placed.node,
    }
}

fn sink_format(format: &Written, index: &impl Fn(&String) -> usize) -> SinkFormat {
    match format {
        Written::Json => SinkFormat::Json,
        Written::Csv(csv) => SinkFormat::Csv(csv.clone()),
        Written::Raw(column) => SinkFormat::Raw { column: index(column) },
        Written::Avro(write) => SinkFormat::Avro(write.clone()),
        Written::Protobuf(write) => SinkFormat::Protobuf(write.clone()),
        Written::JsonSchema(write) => SinkFormat::JsonSchema(write.clone()),
    }
}

fn sink_key(key: &KeyDraft, index: &impl Fn(&String) -> usize) -> SinkKey {
    let of_columns = |columns: &[String]| match columns {
        [] => SinkKey::None,
        [column] => SinkKey::Column(index(column)),
        columns => SinkKey::Object(columns.iter().map(|column| (column.clone(), index(column))).collect()),
    };
    match key {
        KeyDraft::None => SinkKey::None,
        KeyDraft::Source => SinkKey::SourceKey(index(&"_key".to_owned())),
        KeyDraft::Columns(columns) => of_columns(columns),
        KeyDraft::Joined(columns, separator) => {
            SinkKey::Joined { columns: columns.iter().map(index).collect(), separator: separator.clone() }
        }
        KeyDraft::Encoded(key) => SinkKey::Encoded(Box::new(EncodedKey {
            format: sink_format(&key.format, index),
            schema: key.schema.clone(),
            columns: key.columns.iter().map(|column| (column.clone(), index(column))).collect(),
        })),
        KeyDraft::Windowed(key, window) => {
            let (start, end) = (index(&window.start), index(&window.end));
            let bounds = match window.kind {
                WindowedBy::Span => WindowedBounds::Start { start },
                WindowedBy::Gap => WindowedBounds::EndStart { end, start },
            };
            SinkKey::Windowed { key: Box::new(sink_key(key, index)), bounds }
        }
    }
}
