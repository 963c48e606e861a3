//! Starting a worker: topics checked or made, and what all its tasks share.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_engine::ids::TaskId;
use millstream_engine::time::Millis;
use millstream_pipeline::topology::{CreateDef, Extent, Framing, PartitionCounts, SourceDef, Topology};

use super::leads::lead_topics;
use super::output::SinkWriter;
use super::position::check_shape;
use super::rate::FailureRate;
use super::replay::RestoreProgress;
use super::{CreateTopics, Restored, Worker, WorkerError, WorkerSettings};
use crate::log::{CommittedOffset, Log, LogError, TopicPartition, TopicSettings};
use crate::store::StateStores;

impl<L: Log> Worker<L> {
    /// A worker with all tasks of `topology`, their state restored and their positions taken up. `progress` hears of each
    /// task's restore as it goes on.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare) and [`take`](Self::take).
    pub fn start(
        topology: Arc<Topology>,
        log: L,
        stores: Box<dyn StateStores>,
        settings: WorkerSettings,
        now: Millis,
        progress: &mut dyn FnMut(TaskId, RestoreProgress),
    ) -> Result<Worker<L>, WorkerError> {
        let mut worker = Worker::prepare(topology, log, stores, settings, now)?;
        let all = worker.all_tasks();
        worker.take(&all, now)?;
        while worker.restore_some(now, progress)? == Restored::More {}
        Ok(worker)
    }

    /// A worker without tasks: the topics of `topology` are there and fit.
    ///
    /// # Errors
    /// If a topic is missing, if internal topics or committed state do not fit the pipeline, or if the log cannot be read.
    pub fn prepare(
        topology: Arc<Topology>,
        log: L,
        stores: Box<dyn StateStores>,
        settings: WorkerSettings,
        now: Millis,
    ) -> Result<Worker<L>, WorkerError> {
        let mut log = log;
        if settings.schemas.is_nowhere()
            && let Some(source) = topology.sources.iter().find(|source| names_schemas(source))
        {
            return Err(WorkerError::NoRegistry { topic: source.topic.clone() });
        }
        let counts = source_partitions(&topology, &log)?;
        let mut made = BTreeMap::new();
        for exchange in &topology.exchanges {
            made.extend(log.partitions(&exchange.topic)?.map(|partitions| (exchange.topic.clone(), partitions)));
        }
        let extent = topology.extent_with(&counts, &PartitionCounts(made));
        let committed = log.committed(&topology.name)?;
        check_shape(&topology, &committed)?;
        make_internal_topics(&topology, &extent, &committed, &mut log)?;
        let widest = topology.sources.iter().filter_map(|source| counts.get(&source.topic)).max().unwrap_or(1);
        let mut sinks = Vec::with_capacity(topology.sinks.len());
        for sink in &topology.sinks {
            let partitions = output_topic(&sink.topic, sink.create, widest, settings.create_topics, &mut log)?;
            sinks.push(SinkWriter::new(sink, partitions)?);
        }
        let dead_letter_partitions = match &topology.on_error.dead_letter {
            Some(topic) => output_topic(topic, topology.on_error.create, widest, settings.create_topics, &mut log)?,
            None => 1,
        };
        Ok(Worker {
            failure_rates: failure_rates(&topology),
            leads: lead_topics(&topology, &counts, &extent).into_iter().map(str::to_owned).collect(),
            topology,
            settings,
            log,
            stores,
            counts,
            extent,
            tasks: Vec::new(),
            restoring: Vec::new(),
            parked: Vec::new(),
            gone: Vec::new(),
            sinks,
            dead_letter_partitions,
            committed,
            begun: BTreeMap::new(),
            epoch_began: Some(now),
            next_task: 0,
            due_at: None,
            checkpointed_at: now,
            step_budget: 0,
            records_in: 0,
            oldest_read: None,
            bytes_in: 0,
            records_out: 0,
            bytes_out: 0,
            dead_letters: 0,
            deleted_before: 0,
            commits: 0,
            spent: super::Spent::default(),
        })
    }
}

/// One for each subtopology, if there is a limit.
fn failure_rates(topology: &Topology) -> Vec<FailureRate> {
    let limit = topology.on_error.fail_above.into_iter();
    limit.flat_map(|limit| topology.subtopologies.iter().map(move |_| FailureRate::new(limit))).collect()
}

/// Whether its messages, or their keys, begin with the id of a schema.
fn names_schemas(source: &SourceDef) -> bool {
    let of_key = source.key.iter().flat_map(|key| &key.schema);
    source.schema.iter().chain(of_key).any(|schema| schema.framing == Framing::Confluent)
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
        let Some(topic) = topology.changelog_topic(subtopology) else { continue };
        let keeps = topology.stores.iter().any(|store| store.subtopology == subtopology);
        let sources = graph.sources.iter().map(|&source| &topology.sources[source].topic);
        let mut inputs = sources.chain(graph.exchanges_in.iter().map(|id| &topology.exchanges[id.0].topic));
        let reads_committed = inputs.any(|topic| committed.keys().any(|(name, _)| name == topic));
        if reads_committed && log.partitions(&topic)?.is_none() {
            return Err(WorkerError::ChangelogLost { topic, partition: 0 });
        }
        match log.partitions(&topic)? {
            // Nothing but the clock of each task is kept, so no key moves where a source has grown.
            Some(found) if found < partitions && !keeps => match log.grow_topic(&topic, partitions) {
                // Another worker was quicker.
                Err(_) if log.partitions(&topic)? == Some(partitions) => {}
                grown => grown?,
            },
            _ => internal_topic(&topic, partitions, log)?,
        }
    }
    Ok(())
}

fn internal_topic<L: Log>(topic: &str, needed: u32, log: &mut L) -> Result<(), WorkerError> {
    match log.partitions(topic)? {
        Some(found) if found == needed => Ok(()),
        Some(found) => Err(WorkerError::PartitionsChanged { topic: topic.to_owned(), found, needed }),
        None => match log.create_topic(topic, TopicSettings::internal(needed)) {
            // Another worker of the group was quicker.
            Err(LogError::TopicExists { .. }) => Ok(()),
            made => Ok(made?),
        },
    }
}

fn output_topic<L: Log>(
    topic: &str,
    declared: Option<CreateDef>,
    widest: u32,
    create: CreateTopics,
    log: &mut L,
) -> Result<u32, WorkerError> {
    if let Some(found) = log.partitions(topic)? {
        return Ok(found);
    }
    if declared.is_none() && create == CreateTopics::AsDeclared {
        return Err(WorkerError::MissingOutput { topic: topic.to_owned() });
    }
    let settings = TopicSettings::created(&declared.unwrap_or_default(), widest);
    let partitions = settings.partitions;
    match log.create_topic(topic, settings) {
        // Another worker was quicker; it may have made it otherwise. Never guessed: keys would go to wrong partitions.
        Err(LogError::TopicExists { .. }) => {
            log.partitions(topic)?.ok_or_else(|| WorkerError::MissingOutput { topic: topic.to_owned() })
        }
        made => made.map(|()| partitions).map_err(WorkerError::from),
    }
}
