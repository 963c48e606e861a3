//! Starting a worker: topics checked or made, tasks built, state restored, positions taken up.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_engine::ids::{ExchangeId, NodeId, Offset, PartitionId, TaskId};
use millstream_engine::plan::NodeKind;
use millstream_engine::task::{ExchangeWiring, InputKind, Position, Task, Wiring};
use millstream_engine::time::Millis;
use millstream_pipeline::topology::{Extent, PartitionCounts, Start, Topology};
use serde::{Deserialize, Serialize};

use super::changelog::{Changelog, RestoreProgress};
use super::lane::{Lane, Reader};
use super::output::SinkWriter;
use super::rate::FailureRate;
use super::{CreateTopics, Kept, RunningTask, Worker, WorkerError, WorkerSettings};
use crate::log::{CommittedOffset, Log, TopicPartition, TopicSettings};
use crate::store::StateStores;
use crate::store::shared::SharedStore;

impl<L: Log> Worker<L> {
    /// Builds the tasks of `topology`, restores their state and takes up the committed positions. `progress` hears of
    /// each task's restore as it goes on.
    ///
    /// # Errors
    /// If a topic is missing, if internal topics or committed state do not fit the pipeline, or if the log or the store
    /// cannot be read.
    pub fn start(
        topology: Arc<Topology>,
        log: L,
        stores: Box<dyn StateStores>,
        settings: WorkerSettings,
        now: Millis,
        progress: &mut dyn FnMut(TaskId, RestoreProgress),
    ) -> Result<Worker<L>, WorkerError> {
        let mut log = log;
        let counts = source_partitions(&topology, &log)?;
        let extent = topology.extent(&counts);
        let committed = log.committed(&topology.name)?;
        check_shape(&topology, &committed)?;
        make_internal_topics(&topology, &extent, &committed, &mut log)?;
        let widest = topology.sources.iter().filter_map(|source| counts.get(&source.topic)).max().unwrap_or(1);
        let mut sinks = Vec::with_capacity(topology.sinks.len());
        for sink in &topology.sinks {
            let partitions = output_topic(&sink.topic, widest, settings.create_topics, &mut log)?;
            sinks.push(SinkWriter::new(sink, partitions)?);
        }
        let dead_letter_partitions = match &topology.on_error.dead_letter {
            Some(topic) => output_topic(topic, widest, settings.create_topics, &mut log)?,
            None => 1,
        };
        let steps: usize = topology.stores.iter().map(|store| extent.tasks[store.subtopology] as usize).sum();
        let step_budget = settings.state_memory / steps.max(1);
        let mut tasks = Vec::new();
        for (subtopology, &count) in extent.tasks.iter().enumerate() {
            for partition in (0..count).map(PartitionId) {
                let id = TaskId { subtopology, partition };
                let mut building = Building { topology: &topology, counts: &counts, extent: &extent, now };
                let mut running = building.task(id, stores.as_ref())?;
                restore(&topology, &mut running, &committed, &mut log, step_budget, progress)?;
                tasks.push(running);
            }
        }
        Ok(Worker {
            failure_rate: topology.on_error.fail_above.map(FailureRate::new),
            topology,
            settings,
            log,
            stores,
            tasks,
            sinks,
            dead_letter_partitions,
            committed,
            epoch_began: Some(now),
            checkpointed_at: now,
            step_budget,
            records_in: 0,
            records_out: 0,
            commits: 0,
        })
    }
}

/// What stands beside a committed offset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Beside {
    /// The fingerprint of the topology's state.
    fingerprint: u64,
    /// The end of the task's changelog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changelog: Option<i64>,
    /// For frames read by event time: how far each sender's are processed, as (offset, rows).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    senders: BTreeMap<u32, (i64, u32)>,
}

impl Beside {
    fn of(committed: &CommittedOffset) -> Beside {
        serde_json::from_str(&committed.metadata).unwrap_or_default()
    }
}

/// How far `task` has come on `lane`, as it is to be committed.
pub(super) fn position_of(topology: &Topology, task: &Task, lane: &Lane, changelog: Option<i64>) -> CommittedOffset {
    let mut beside = Beside { fingerprint: topology.fingerprint, changelog, senders: BTreeMap::new() };
    let offset = match &lane.reader {
        Reader::Source(source) => task.position(source.input).offset,
        Reader::Exchange(exchange) => {
            let mut least = lane.next;
            for (sender, input) in &exchange.inputs {
                // A sender none of whose frames wait has come as far as the lane.
                let position = if task.waits(*input) { task.position(*input) } else { ahead(lane) };
                if position != ahead(lane) {
                    beside.senders.insert(sender.0, (position.offset.0, position.rows));
                    least = least.min(position.offset);
                } else {
                    beside.senders.insert(sender.0, (position.offset.0, 0));
                }
            }
            if beside.senders.values().all(|&(offset, rows)| offset == least.0 && rows == 0) {
                beside.senders.clear();
            }
            least
        }
    };
    CommittedOffset { offset, metadata: serde_json::to_string(&beside).unwrap_or_default() }
}

fn ahead(lane: &Lane) -> Position {
    Position { offset: lane.next, rows: 0 }
}

/// Whether the input has moved since it was committed: an epoch that only would write the changelog's end anew is empty.
pub(super) fn moved(last: &CommittedOffset, now: &CommittedOffset) -> bool {
    last.offset != now.offset || Beside::of(last).senders != Beside::of(now).senders
}

struct Building<'a> {
    topology: &'a Topology,
    counts: &'a PartitionCounts,
    extent: &'a Extent,
    now: Millis,
}

impl Building<'_> {
    fn task(&mut self, id: TaskId, stores: &dyn StateStores) -> Result<RunningTask, WorkerError> {
        let plan = &self.topology.subtopologies[id.subtopology].plan;
        let mut task = Task::new(id, plan, &self.wiring()).map_err(|source| WorkerError::Task {
            pipeline: self.topology.name.clone(),
            task: id.to_string(),
            source,
        })?;
        let lanes = self.lanes(&task)?;
        let steps: BTreeMap<NodeId, String> =
            task.states().map(|(node, _)| (node, self.step_name(id.subtopology, node))).collect();
        let kept = if steps.is_empty() {
            None
        } else {
            let topic = self.topology.changelog_topic(id.subtopology);
            let store = SharedStore::new(stores.open_task(&format!("{}/{id}", self.topology.name))?);
            Some(Kept { changelog: Changelog::new(topic, id.partition, steps), store })
        };
        Ok(RunningTask { task, lanes, kept })
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
                    };
                    (ExchangeId(index), wiring)
                })
                .collect(),
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
                    lanes.push(Lane::of_source(source, step, id.partition, input, self.now)?);
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

    /// The name under which a node's state is kept: a step's id, or, for the clock of a repartition, its topic's.
    fn step_name(&self, subtopology: usize, node: NodeId) -> String {
        let store = self.topology.stores.iter().find(|store| store.subtopology == subtopology && store.node == node);
        match (store, &self.topology.subtopologies[subtopology].plan.nodes[node.0].kind) {
            (Some(store), _) => store.id.clone(),
            (None, NodeKind::Exchange(plan)) => self.topology.exchanges[plan.exchange.0].topic.clone(),
            (None, _) => format!("node-{node}"),
        }
    }
}

fn restore<L: Log>(
    topology: &Topology,
    running: &mut RunningTask,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
    log: &mut L,
    step_budget: usize,
    progress: &mut dyn FnMut(TaskId, RestoreProgress),
) -> Result<(), WorkerError> {
    let id = running.task.id();
    if let Some(kept) = &mut running.kept {
        let promised = running
            .lanes
            .iter()
            .filter_map(|lane| committed.get(&(lane.topic.clone(), lane.partition)))
            .filter_map(|offset| Beside::of(offset).changelog)
            .max();
        let extent = log.extent(&kept.changelog.topic, kept.changelog.partition)?;
        if promised.is_some_and(|end| end > extent.end.0) {
            return Err(WorkerError::ChangelogLost {
                topic: kept.changelog.topic.clone(),
                partition: kept.changelog.partition.0,
            });
        }
        kept.changelog.restore(&mut running.task, &mut kept.store, log, step_budget, &mut |p| progress(id, p))?;
        running.task.restored();
    }
    for lane in &mut running.lanes {
        let place = (lane.topic.clone(), lane.partition);
        take_up(topology, &mut running.task, lane, committed.get(&place), log)?;
    }
    Ok(())
}

/// Sets where a lane begins: where it was committed, or where the source says for a group without offsets.
fn take_up<L: Log>(
    topology: &Topology,
    task: &mut Task,
    lane: &mut Lane,
    committed: Option<&CommittedOffset>,
    log: &mut L,
) -> Result<(), WorkerError> {
    let extent = log.extent(&lane.topic, lane.partition)?;
    lane.end = extent.end;
    lane.next = match committed {
        Some(committed) => committed.offset.max(extent.earliest),
        None => {
            let source = topology.sources.iter().find(|source| source.topic == lane.topic);
            match source.map_or(Start::Earliest, |source| source.start) {
                Start::Earliest => extent.earliest,
                Start::Latest => extent.end,
                Start::Time(time) => log.offset_at(&lane.topic, lane.partition, time)?,
            }
        }
    };
    let senders = committed.map(|committed| Beside::of(committed).senders).unwrap_or_default();
    let begin = Position { offset: lane.next, rows: 0 };
    for input in lane.inputs() {
        task.start_at(input, begin);
    }
    if let Reader::Exchange(exchange) = &mut lane.reader {
        for (sender, (offset, rows)) in senders {
            let position = Position { offset: Offset(offset), rows };
            exchange.done.insert(PartitionId(sender), position);
            if let Some(&input) = exchange.inputs.get(&PartitionId(sender)) {
                task.start_at(input, position);
            }
        }
    }
    Ok(())
}

fn source_partitions<L: Log>(topology: &Topology, log: &L) -> Result<PartitionCounts, WorkerError> {
    let mut counts = BTreeMap::new();
    for source in &topology.sources {
        let partitions =
            log.partitions(&source.topic)?.ok_or_else(|| WorkerError::MissingTopic { topic: source.topic.clone() })?;
        counts.insert(source.topic.clone(), partitions);
    }
    Ok(PartitionCounts(counts))
}

/// Committed offsets say which shapes of state they go with.
fn check_shape(topology: &Topology, committed: &BTreeMap<TopicPartition, CommittedOffset>) -> Result<(), WorkerError> {
    if committed.values().any(|offset| Beside::of(offset).fingerprint != topology.fingerprint) {
        return Err(WorkerError::ShapeChanged { pipeline: topology.name.clone() });
    }
    Ok(())
}

fn make_internal_topics<L: Log>(
    topology: &Topology,
    extent: &Extent,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
    log: &mut L,
) -> Result<(), WorkerError> {
    for (exchange, &partitions) in topology.exchanges.iter().zip(&extent.exchange_partitions) {
        internal_topic(&exchange.topic, partitions, log)?;
    }
    for (subtopology, &partitions) in extent.tasks.iter().enumerate() {
        let graph = &topology.subtopologies[subtopology];
        let keeps = topology.stores.iter().any(|store| store.subtopology == subtopology);
        if !keeps && graph.exchanges_out.is_empty() {
            continue;
        }
        let topic = topology.changelog_topic(subtopology);
        let reads_committed = graph
            .sources
            .iter()
            .any(|&source| committed.keys().any(|(name, _)| *name == topology.sources[source].topic));
        if reads_committed && log.partitions(&topic)?.is_none() {
            return Err(WorkerError::ChangelogLost { topic, partition: 0 });
        }
        internal_topic(&topic, partitions, log)?;
    }
    Ok(())
}

fn internal_topic<L: Log>(topic: &str, needed: u32, log: &mut L) -> Result<(), WorkerError> {
    match log.partitions(topic)? {
        Some(found) if found == needed => Ok(()),
        Some(found) => Err(WorkerError::PartitionsChanged { topic: topic.to_owned(), found, needed }),
        None => Ok(log.create_topic(topic, TopicSettings::internal(needed))?),
    }
}

fn output_topic<L: Log>(topic: &str, partitions: u32, create: CreateTopics, log: &mut L) -> Result<u32, WorkerError> {
    match (log.partitions(topic)?, create) {
        (Some(found), _) => Ok(found),
        (None, CreateTopics::WhereMissing) => {
            log.create_topic(topic, TopicSettings::user(partitions))?;
            Ok(partitions)
        }
        (None, CreateTopics::Never) => Err(WorkerError::MissingTopic { topic: topic.to_owned() }),
    }
}
