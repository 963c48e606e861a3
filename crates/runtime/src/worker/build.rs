//! Building tasks: a task of the engine, its lanes, its changelog and its store.

use std::collections::BTreeMap;

use millstream_engine::ids::{ExchangeId, NodeId, Offset, PartitionId, TaskId};
use millstream_engine::operator::End;
use millstream_engine::plan::{ExchangePlan, NodeKind, NodePlan, Reading};
use millstream_engine::task::{Ends, ExchangeWiring, InputKind, Position, Task, Wiring};
use millstream_engine::time::Millis;
use millstream_pipeline::topology::{ExchangeDef, Extent, PartitionCounts, Start, Topology};

use super::changelog::Changelog;
use super::lane::{Lane, Reader};
use super::position::{Beside, partitions_at_start};
use super::{Kept, RunningTask, Telling, WorkerError};
use crate::log::{CommittedOffset, Log, TopicPartition};
use crate::registry::SchemaCache;
use crate::store::StateStores;
use crate::store::shared::SharedStore;

/// What tasks are built from.
pub(super) struct Building<'a> {
    pub(super) topology: &'a Topology,
    pub(super) counts: &'a PartitionCounts,
    pub(super) extent: &'a Extent,
    pub(super) schemas: &'a SchemaCache,
    pub(super) telling: Telling,
    pub(super) now: Millis,
}

impl Building<'_> {
    pub(super) fn task(&self, id: TaskId, stores: &dyn StateStores) -> Result<RunningTask, WorkerError> {
        let plan = &self.topology.subtopologies[id.subtopology].plan;
        let mut task = Task::new(id, plan, &self.wiring()).map_err(|source| WorkerError::Task {
            pipeline: self.topology.name.clone(),
            task: id.to_string(),
            source,
        })?;
        let lanes = self.lanes(&task)?;
        let steps: BTreeMap<NodeId, String> =
            task.states().map(|(node, _)| (node, self.step_name(id.subtopology, node))).collect();
        let kept = match self.topology.changelog_topic(id.subtopology).filter(|_| !steps.is_empty()) {
            None => None,
            Some(topic) => {
                // As the changelog, it goes by what is kept there and not by a number.
                let store = SharedStore::new(stores.open_task(&format!("{topic}/{}", id.partition.0))?);
                Some(Kept { changelog: Changelog::new(topic, id.partition, steps), store })
            }
        };
        let told_end = plan.nodes.iter().any(|node| self.tells_end(node)).then_some(End::Ahead);
        Ok(RunningTask { task, lanes, kept, told_end, told_disorder_at: None })
    }

    fn wiring(&self) -> Wiring {
        let sources = self.topology.sources.iter().enumerate();
        let exchanges = self.topology.exchanges.iter().enumerate();
        Wiring {
            source_partitions: sources
                .map(|(index, source)| (index, self.counts.get(&source.topic).unwrap_or(1)))
                .collect(),
            exchanges: exchanges
                .map(|(index, exchange)| {
                    let wiring = ExchangeWiring {
                        senders: self.extent.tasks[exchange.from],
                        partitions: self.extent.exchange_partitions[index],
                        tell_every: self.telling.interval(self.extent.exchange_partitions[index]),
                        ends: self.ends(exchange),
                    };
                    (ExchangeId(index), wiring)
                })
                .collect(),
        }
    }

    /// Whether a node sends to tasks that read by event time.
    fn tells_end(&self, node: &NodePlan) -> bool {
        matches!(&node.kind, NodeKind::Exchange(plan) if self.ends(&self.topology.exchanges[plan.exchange.0]) == Ends::Told)
    }

    fn ends(&self, exchange: &ExchangeDef) -> Ends {
        match self.topology.subtopologies[exchange.to].plan.reading {
            Reading::AsItComes => Ends::Untold,
            Reading::ByEventTime | Reading::RowByRow => Ends::Told,
        }
    }

    fn lanes(&self, task: &Task) -> Result<Vec<Lane>, WorkerError> {
        let id = task.id();
        let plan = &self.topology.subtopologies[id.subtopology].plan;
        let mut lanes = Vec::new();
        let mut exchanges: BTreeMap<ExchangeId, BTreeMap<PartitionId, _>> = BTreeMap::new();
        for (input, kind) in task.inputs() {
            match kind {
                InputKind::Source(source) => {
                    let source = &self.topology.sources[*source];
                    let step = &plan.nodes[source.node.0].name;
                    lanes.push(Lane::of_source(source, step, id.partition, input, self.schemas, self.now)?);
                }
                InputKind::Sender(exchange, sender) => {
                    exchanges.entry(*exchange).or_default().insert(*sender, input);
                }
            }
        }
        for (exchange, inputs) in exchanges {
            if id.partition.0 < self.extent.exchange_partitions[exchange.0] {
                lanes.push(Lane::of_exchange(&self.topology.exchanges[exchange.0], id.partition, inputs, self.now));
            }
        }
        Ok(lanes)
    }

    /// Where the reading of a topic begins that the group has not read.
    fn start_of(&self, topic: &str) -> Start {
        let source = self.topology.sources.iter().find(|source| source.topic == topic);
        source.map_or(Start::Earliest, |source| source.start)
    }

    /// Notes how many partitions a topic that is read from its end has when reading begins.
    fn note_partitions(&self, lane: &mut Lane, committed: Option<&CommittedOffset>) {
        let Reader::Source(source) = &mut lane.reader else { return };
        if matches!(self.start_of(&lane.topic), Start::Latest) {
            let noted = committed.map(|committed| Beside::of(committed).partitions);
            source.partitions_at_start = noted.unwrap_or_else(|| self.counts.get(&lane.topic));
        }
    }

    /// The name under which a node's state is kept: a step's id, or, at both ends of a repartition, its topic's.
    fn step_name(&self, subtopology: usize, node: NodeId) -> String {
        let store = self.topology.stores.iter().find(|store| store.subtopology == subtopology && store.node == node);
        match (store, &self.topology.subtopologies[subtopology].plan.nodes[node.0].kind) {
            (Some(store), _) => store.id.clone(),
            (None, NodeKind::Exchange(ExchangePlan { exchange: id, .. }) | NodeKind::ExchangeSource(id)) => {
                self.topology.exchanges[id.0].topic.clone()
            }
            (None, _) => format!("node-{node}"),
        }
    }
}

/// Whether the partition was added to a topic that the group reads already: its first record is newer than the start.
fn is_new(lane: &Lane, offsets: &BTreeMap<TopicPartition, CommittedOffset>) -> bool {
    partitions_at_start(&lane.topic, offsets).is_some_and(|known| lane.partition.0 >= known)
}

/// Sets where a lane begins: where it was committed, or where the source says for a group without offsets. Where that was the
/// end once, `begun`, it stays, though the first commit may fail.
pub(super) fn take_up<L: Log>(
    building: &Building<'_>,
    task: &mut Task,
    lane: &mut Lane,
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    begun: &mut BTreeMap<TopicPartition, Offset>,
    log: &mut L,
) -> Result<(), WorkerError> {
    let extent = log.extent(&lane.topic, lane.partition)?;
    lane.end = extent.end;
    let committed = offsets.get(&(lane.topic.clone(), lane.partition));
    lane.next = match committed {
        Some(committed) if committed.offset > extent.end => {
            return Err(WorkerError::SourceTruncated {
                topic: lane.topic.clone(),
                partition: lane.partition.0,
                committed: committed.offset.0,
                end: extent.end.0,
            });
        }
        Some(committed) => committed.offset,
        None => match building.start_of(&lane.topic) {
            Start::Earliest => extent.earliest,
            Start::Latest if is_new(lane, offsets) => extent.earliest,
            Start::Latest => *begun.entry((lane.topic.clone(), lane.partition)).or_insert(extent.end),
            Start::Time(time) => log.offset_at(&lane.topic, lane.partition, time)?,
        },
    };
    building.note_partitions(lane, committed);
    lane.skip_to(extent.earliest)?;
    let senders = committed.map(Beside::senders).unwrap_or_default();
    let begin = Position { offset: lane.next, rows: 0 };
    for input in lane.inputs() {
        task.start_at(input, begin);
    }
    if let Reader::Exchange(exchange) = &mut lane.reader {
        for (sender, position) in (0..).map(PartitionId).zip(senders) {
            exchange.done.insert(sender, position);
            if let Some(&input) = exchange.inputs.get(&sender) {
                task.start_at(input, position);
            }
        }
    }
    Ok(())
}
