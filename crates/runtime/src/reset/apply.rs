//! Doing what a plan says, in an order in which a crash at any point leaves nothing that runs wrongly.

use std::collections::BTreeMap;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_pipeline::topology::Topology;

use super::{GroupLog, Plan, ResetError, State};
use crate::log::{CommittedOffset, NewRecord, Records, TopicPartition, TopicSettings, UNTIMED};
use crate::worker::position::{Beside, at_rest};

/// Moves the group, and empties what holds state if that is to go. The folder in which this machine keeps state is not
/// looked at: what lies there no longer fits, and is dropped at the next start.
///
/// # Errors
/// If the log fails or refuses: then the pipeline does not run until a reset has gone through.
pub fn apply(plan: &Plan, topology: &Topology, place: &mut GroupLog<'_>) -> Result<(), ResetError> {
    match plan.state {
        State::Keep => commit(&kept(plan, topology), topology, place),
        State::Clear => {
            let mut offsets = cleared(plan, topology);
            let marked = offsets.iter().map(|(place, offset)| (place.clone(), Beside::unfinished(offset)));
            commit(&marked.collect(), topology, place)?;
            let ends = empty(plan, place)?;
            for (topic, partitions) in &plan.grown {
                place.log().grow_topic(topic, *partitions)?;
            }
            for (topic, partitions) in &plan.made {
                place.log().create_topic(topic, TopicSettings::internal(*partitions))?;
            }
            settle(&mut offsets, &ends, topology);
            commit(&offsets, topology, place)
        }
    }
}

/// The offsets of a pipeline that keeps its state: what stands beside them stays.
fn kept(plan: &Plan, topology: &Topology) -> BTreeMap<TopicPartition, CommittedOffset> {
    let moves = plan.moves.iter().filter_map(|one| {
        let place = (one.topic.clone(), one.partition);
        let offset = one.to?;
        let committed = match plan.committed.get(&place) {
            Some(committed) => CommittedOffset { offset, ..committed.clone() },
            None => at_rest(topology, offset, None),
        };
        Some((place, committed))
    });
    moves.collect()
}

/// The offsets of a pipeline that begins with no state. Offsets of topics that it does not read any more come along, so that
/// none of them speaks of earlier state.
pub(super) fn cleared(plan: &Plan, topology: &Topology) -> BTreeMap<TopicPartition, CommittedOffset> {
    let old = plan.committed.iter().map(|(place, committed)| (place.clone(), committed.offset));
    let moves = plan.moves.iter().filter_map(|one| Some(((one.topic.clone(), one.partition), one.to?)));
    old.chain(moves).map(|(place, offset)| (place, at_rest(topology, offset, None))).collect()
}

/// Gives up all records of the internal topics, and says where they end now. One record is written first: what a machine has
/// stored of a task, if it is all that there was, would otherwise still fit.
fn empty(plan: &Plan, place: &mut GroupLog<'_>) -> Result<BTreeMap<TopicPartition, Offset>, ResetError> {
    let mut ends = BTreeMap::new();
    for (topic, partitions) in &plan.emptied {
        for partition in (0..*partitions).map(PartitionId) {
            let mut mark = Records::new();
            let record = NewRecord { key: Some(b"reset:"), value: None, timestamp: UNTIMED, headers: &[] };
            mark.push(Offset(0), record);
            let end = place.log().produce(topic, partition, &mark)?;
            ends.insert((topic.clone(), partition), end);
        }
    }
    match place {
        GroupLog::Cluster(log) => log.trim_now(&ends)?,
        GroupLog::Folder(log) => {
            for ((topic, partition), end) in &ends {
                log.trim(topic, *partition, *end)?;
            }
        }
    }
    Ok(ends)
}

/// Puts repartitions at their ends, and says beside each offset where the changelog of its task ends.
fn settle(
    offsets: &mut BTreeMap<TopicPartition, CommittedOffset>,
    ends: &BTreeMap<TopicPartition, Offset>,
    topology: &Topology,
) {
    for (index, part) in topology.subtopologies.iter().enumerate() {
        let changelog = topology.changelog_topic(index);
        let sources = part.sources.iter().map(|&source| &topology.sources[source].topic);
        let exchanges = part.exchanges_in.iter().map(|id| &topology.exchanges[id.0].topic);
        for topic in exchanges.clone() {
            for ((_, partition), end) in ends.iter().filter(|((name, _), _)| name == topic) {
                offsets.insert((topic.clone(), *partition), at_rest(topology, *end, None));
            }
        }
        for topic in sources.chain(exchanges) {
            for ((_, partition), committed) in offsets.iter_mut().filter(|((name, _), _)| name == topic) {
                let end = changelog.as_ref().and_then(|name| ends.get(&(name.clone(), *partition))).copied();
                *committed = at_rest(topology, committed.offset, end);
            }
        }
    }
}

fn commit(
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    topology: &Topology,
    place: &mut GroupLog<'_>,
) -> Result<(), ResetError> {
    if offsets.is_empty() {
        return Ok(());
    }
    match place {
        GroupLog::Cluster(log) => log.move_group(offsets)?,
        GroupLog::Folder(log) => {
            log.commit(&topology.name, offsets)?;
        }
    }
    Ok(())
}
