//! Moving a pipeline's group by hand, with its state: to process records again, to pass over some, to begin anew.
//!
//! A reset that is cut off leaves the pipeline refusing to run until it is done again, never running over half of it: first
//! the offsets are committed with a mark that says so, then state goes, then the mark. It is for a group that nobody is in.

mod apply;
mod target;

use std::collections::BTreeMap;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_pipeline::topology::{Extent as TaskCounts, PartitionCounts, Topology};

use crate::log::kafka::KafkaLog;
use crate::log::{CommittedOffset, Extent, Log, LogError, TopicPartition};
use crate::worker::WorkerError;

pub use apply::apply;
pub use target::Target;

/// What becomes of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It goes: the pipeline begins with none.
    Clear,
    /// It stays as it is: records that are read again are counted again, and may be late.
    Keep,
}

/// A partition of a source, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// Where the group stands; `None` if it has never committed.
    pub from: Option<Offset>,
    /// Where it will stand; `None` if it stays without an offset, and begins where the source says.
    pub to: Option<Offset>,
    /// The offsets that the partition has.
    pub extent: Extent,
}

/// What a reset will do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The pipeline and its group.
    pub pipeline: String,
    /// The partitions of the sources.
    pub moves: Vec<Move>,
    /// What becomes of the state.
    pub state: State,
    /// Topics whose records go: changelogs and repartitions, with their partitions. None if state is kept.
    pub emptied: Vec<(String, u32)>,
    /// Changelogs that get more partitions, as their source has got them: topic and how many in all.
    pub grown: Vec<(String, u32)>,
    /// Changelogs that are missing and are made: topic and partitions.
    pub made: Vec<(String, u32)>,
    committed: BTreeMap<TopicPartition, CommittedOffset>,
    tasks: TaskCounts,
}

/// Why a group cannot be moved.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The log failed.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The committed offsets do not fit the pipeline.
    #[error("{0}")]
    Worker(#[from] WorkerError),
    /// Somebody is in the group.
    #[error("the group {group} is in use by {members}: stop the pipeline everywhere first")]
    Alive {
        /// The group.
        group: String,
        /// Client ids and hosts.
        members: String,
    },
    /// A partition that was named is not one of the pipeline's.
    #[error("topic {topic} partition {partition} is not read by the pipeline{detail}")]
    NotASource {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// More about it, with its comma; may be empty.
        detail: String,
    },
    /// An offset that was named is not there.
    #[error("topic {topic} partition {partition} has the offsets {earliest} to {end}, not {offset}")]
    OutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// What was named.
        offset: Offset,
        /// The oldest record.
        earliest: Offset,
        /// Behind the newest.
        end: Offset,
    },
    /// A changelog is wider than the pipeline.
    #[error(
        "topic {topic} has {found} partitions, and the pipeline needs {needed}: a topic cannot lose partitions. Delete it, \
         remove the state folder of the pipeline on every machine, and reset again"
    )]
    TooWide {
        /// The topic.
        topic: String,
        /// Partitions that it has.
        found: u32,
        /// Partitions that it must have.
        needed: u32,
    },
}

/// The log in which a group is moved.
pub enum GroupLog<'a> {
    /// Brokers; the log is connected in the name of the group.
    Cluster(&'a mut KafkaLog),
    /// A folder, or memory.
    Folder(&'a mut dyn Log),
}

impl GroupLog<'_> {
    fn log(&mut self) -> &mut dyn Log {
        match self {
            GroupLog::Cluster(log) => *log,
            GroupLog::Folder(log) => *log,
        }
    }
}

/// Looks at everything and says what a reset will do, without doing it. `topology` is that for the partitions that the
/// sources have, which are `counts`.
///
/// # Errors
/// If somebody is in the group, if the target does not fit the topics, or if the log cannot be read.
pub fn plan(
    topology: &Topology,
    counts: &PartitionCounts,
    target: &Target,
    state: State,
    place: &mut GroupLog<'_>,
) -> Result<Plan, ResetError> {
    if let GroupLog::Cluster(log) = place {
        refuse_alive(&topology.name, log)?;
    }
    let log = place.log();
    let committed = log.committed(&topology.name)?;
    if state == State::Keep {
        crate::worker::check_committed(topology, &committed)?;
    }
    if let Target::Offsets(offsets) = target {
        refuse_strangers(topology, counts, offsets)?;
    }
    let mut moves = Vec::new();
    for topic in &topology.topics {
        for partition in (0..counts.get(topic).unwrap_or(0)).map(PartitionId) {
            moves.push(one_move(topic, partition, &committed, target, log)?);
        }
    }
    let mut made = PartitionCounts::unknown();
    for exchange in &topology.exchanges {
        made.0.extend(log.partitions(&exchange.topic)?.map(|partitions| (exchange.topic.clone(), partitions)));
    }
    let mut plan = Plan {
        pipeline: topology.name.clone(),
        moves,
        state,
        emptied: made.0.iter().map(|(topic, partitions)| (topic.clone(), *partitions)).collect(),
        grown: Vec::new(),
        made: Vec::new(),
        committed,
        tasks: topology.extent_with(counts, &made),
    };
    match state {
        State::Keep => plan.emptied.clear(),
        State::Clear => plan.look_at_changelogs(topology, log)?,
    }
    Ok(plan)
}

impl Plan {
    fn look_at_changelogs(&mut self, topology: &Topology, log: &dyn Log) -> Result<(), ResetError> {
        for index in 0..topology.subtopologies.len() {
            let Some(topic) = topology.changelog_topic(index) else { continue };
            let needed = self.tasks.tasks[index];
            match log.partitions(&topic)? {
                None => self.made.push((topic, needed)),
                Some(found) if found > needed => return Err(ResetError::TooWide { topic, found, needed }),
                Some(found) => {
                    self.emptied.push((topic.clone(), found));
                    if found < needed {
                        self.grown.push((topic, needed));
                    }
                }
            }
        }
        Ok(())
    }
}

fn refuse_alive(group: &str, log: &KafkaLog) -> Result<(), ResetError> {
    let facts = log.group_facts(group)?;
    if facts.members.is_empty() {
        return Ok(());
    }
    let members = facts.members.iter().map(|(client, host)| format!("{client} at {}", host.trim_start_matches('/')));
    Err(ResetError::Alive { group: group.to_owned(), members: members.collect::<Vec<_>>().join(", ") })
}

fn refuse_strangers(
    topology: &Topology,
    counts: &PartitionCounts,
    offsets: &BTreeMap<TopicPartition, Offset>,
) -> Result<(), ResetError> {
    for (topic, partition) in offsets.keys() {
        let detail = match counts.get(topic).filter(|_| topology.topics.contains(topic)) {
            Some(partitions) if partition.0 < partitions => continue,
            Some(partitions) => format!(": the topic has {partitions} partitions, counted from 0"),
            None => format!(", which reads {}", topology.topics.join(", ")),
        };
        return Err(ResetError::NotASource { topic: topic.clone(), partition: *partition, detail });
    }
    Ok(())
}

fn one_move(
    topic: &str,
    partition: PartitionId,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
    target: &Target,
    log: &mut dyn Log,
) -> Result<Move, ResetError> {
    let place = (topic.to_owned(), partition);
    let extent = log.extent(topic, partition)?;
    let from = committed.get(&place).map(|committed| committed.offset);
    let to = match target {
        Target::Earliest => Some(extent.earliest),
        Target::Latest => Some(extent.end),
        Target::Time(time) => Some(log.offset_at(topic, partition, *time)?),
        Target::Offsets(offsets) => match offsets.get(&place) {
            Some(&offset) if (extent.earliest..=extent.end).contains(&offset) => Some(offset),
            Some(&offset) => {
                return Err(ResetError::OutOfRange {
                    topic: topic.to_owned(),
                    partition,
                    offset,
                    earliest: extent.earliest,
                    end: extent.end,
                });
            }
            None => from,
        },
    };
    Ok(Move { topic: topic.to_owned(), partition, from, to, extent })
}

#[cfg(test)]
mod tests;
