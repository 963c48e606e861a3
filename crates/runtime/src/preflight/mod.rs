//! What a cluster has against a pipeline, found before the first record: topics, partitions, settings, offsets, rights.
//!
//! It asks and never changes anything. What brokers do not tell (rights on topics that are not there, on transactional ids)
//! it does not guess.

mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use millstream_pipeline::topology::{Extent, PartitionCounts, Topology};

use crate::log::kafka::{ClusterFacts, GroupFacts, KafkaLog, TopicStanding};
use crate::log::{self, CommittedOffset, FailureKind, Log, LogError, TopicPartition};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// The pipeline cannot run.
    Error,
    /// It runs, but not as meant; or what speaks against it cannot be told for sure.
    Warning,
}

/// One thing that speaks against running a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub gravity: Gravity,
    /// What it is and what to do, in lower case, without a final stop.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Examined {
    /// The partitions of the source topics that are there.
    pub counts: PartitionCounts,
    /// Who runs the pipeline already: client ids and hosts.
    pub running: Vec<(String, String)>,
    /// How many offsets of each source topic stand behind what the pipeline has committed, in the partitions that it has begun.
    pub behind: BTreeMap<String, i64>,
    /// What speaks against it, gravest first.
    pub findings: Vec<Finding>,
}

/// How members of the pipeline's group are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientNames {
    /// As the daemon calls them, so that one of another name is another program.
    Ours,
    /// As the user says (`client.id`): a name tells nothing.
    Users,
}

/// What follows the look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Nothing: what cannot be told now is said.
    Nothing,
    /// The pipeline starts. It waits for offsets that are part of an open transaction, most often one that its predecessor has left,
    /// which it ends itself; and it looks at them once more.
    Start,
}

/// What the brokers tell.
#[derive(Debug, Clone)]
struct Facts {
    topics: BTreeMap<String, TopicStanding>,
    /// Settings of topics that are there, where they may be asked for.
    settings: BTreeMap<String, BTreeMap<String, String>>,
    group: GroupFacts,
    clients: ClientNames,
    committed: BTreeMap<TopicPartition, CommittedOffset>,
    /// Of the source partitions that have offsets.
    extents: BTreeMap<TopicPartition, log::Extent>,
    cluster: ClusterFacts,
}

/// Asks the brokers about everything that a pipeline needs. `log` is a connection in the name of the pipeline's group;
/// `lower` makes the topology for the partitions of the source topics.
///
/// # Errors
/// If the brokers do not answer. What they refuse is a finding.
pub fn examine(
    log: &KafkaLog,
    lower: &dyn Fn(&PartitionCounts) -> Result<Topology, String>,
) -> Result<Examined, LogError> {
    let mut findings = Findings::default();
    let mut examined = Examined::default();
    let unknown = match lower(&PartitionCounts::unknown()) {
        Ok(topology) => topology,
        Err(message) => {
            findings.error(message);
            return Ok(Examined { findings: findings.0, ..examined });
        }
    };
    let topics = log.topic_facts(&unknown.topics)?;
    for (name, standing) in &topics {
        if let TopicStanding::There(facts) = standing {
            examined.counts.0.insert(name.clone(), facts.partitions);
        }
    }
    let topology = match lower(&examined.counts) {
        Ok(topology) => topology,
        Err(message) => {
            findings.error(message);
            unknown
        }
    };
    let facts = look(log, &topology, &examined.counts, topics, Then::Nothing, &mut findings)?;
    examined.behind = behind(&facts);
    examined.running = facts.group.members;
    findings.0.sort_by_key(|finding| finding.gravity);
    Ok(Examined { findings: findings.0, ..examined })
}

/// As [`examine`], for a topology that was made for `counts` and is to start: what speaks against it, gravest first.
///
/// # Errors
/// If the brokers do not answer.
pub fn examine_made(log: &KafkaLog, topology: &Topology, counts: &PartitionCounts) -> Result<Vec<Finding>, LogError> {
    let mut findings = Findings::default();
    look(log, topology, counts, log.topic_facts(&topology.topics)?, Then::Start, &mut findings)?;
    findings.0.sort_by_key(|finding| finding.gravity);
    Ok(findings.0)
}

/// Adds to the findings, and says what they are made of; `topics` are what is known of the source topics.
fn look(
    log: &KafkaLog,
    topology: &Topology,
    counts: &PartitionCounts,
    mut topics: BTreeMap<String, TopicStanding>,
    then: Then,
    findings: &mut Findings,
) -> Result<Facts, LogError> {
    let others: Vec<String> = names(topology).into_iter().filter(|name| !topics.contains_key(name)).collect();
    topics.extend(log.topic_facts(&others)?);
    let facts = gather(log, topology, topics, then, findings)?;
    judge::all(topology, counts, &extent(topology, counts, &facts), &facts, findings);
    Ok(facts)
}

/// For each source topic of which offsets are committed, how many offsets stand behind those.
fn behind(facts: &Facts) -> BTreeMap<String, i64> {
    let mut behind = BTreeMap::new();
    for (place, extent) in &facts.extents {
        let committed =
            facts.committed.get(place).map_or(extent.end, |committed| committed.offset.max(extent.earliest));
        *behind.entry(place.0.clone()).or_default() += (extent.end.0 - committed.0).max(0);
    }
    behind
}

fn gather(
    log: &KafkaLog,
    topology: &Topology,
    topics: BTreeMap<String, TopicStanding>,
    then: Then,
    findings: &mut Findings,
) -> Result<Facts, LogError> {
    let mut settings = BTreeMap::new();
    for (name, standing) in &topics {
        if matches!(standing, TopicStanding::There(_)) && !topology.topics.contains(name) {
            settings.extend(log.settings_of(name)?.map(|found| (name.clone(), found)));
        }
    }
    // What the group refuses is a finding: the rest can still be looked at.
    let group = log.group_facts(&topology.name).unwrap_or_else(|error| {
        findings.error(error.to_string());
        GroupFacts::default()
    });
    let committed = log.committed(&topology.name).unwrap_or_else(|error| {
        let waits = then == Then::Start && error.kind() == FailureKind::Retriable;
        if findings.0.is_empty() && !waits {
            findings.warning(error.to_string());
        }
        BTreeMap::new()
    });
    let mut extents = BTreeMap::new();
    for (topic, partition) in committed.keys().filter(|(topic, _)| topology.topics.contains(topic)) {
        let exists = matches!(topics.get(topic), Some(TopicStanding::There(facts)) if partition.0 < facts.partitions);
        if exists {
            extents.insert((topic.clone(), *partition), log.extent(topic, *partition)?);
        }
    }
    let is_named = log.own_client_name().is_some() || topology.kafka.contains_key("client.id");
    let clients = if is_named { ClientNames::Users } else { ClientNames::Ours };
    Ok(Facts { topics, settings, group, clients, committed, extents, cluster: log.cluster_facts()? })
}

/// All topics of a pipeline.
fn names(topology: &Topology) -> BTreeSet<String> {
    let sinks = topology.sinks.iter().map(|sink| sink.topic.clone());
    let exchanges = topology.exchanges.iter().map(|exchange| exchange.topic.clone());
    let changelogs = (0..topology.subtopologies.len()).filter_map(|index| topology.changelog_topic(index));
    let dead_letter = topology.on_error.dead_letter.iter().cloned();
    topology.topics.iter().cloned().chain(sinks).chain(dead_letter).chain(exchanges).chain(changelogs).collect()
}

fn extent(topology: &Topology, counts: &PartitionCounts, facts: &Facts) -> Extent {
    let made = topology.exchanges.iter().filter_map(|exchange| match facts.topics.get(&exchange.topic)? {
        TopicStanding::There(found) => Some((exchange.topic.clone(), found.partitions)),
        TopicStanding::Missing | TopicStanding::Hidden => None,
    });
    topology.extent_with(counts, &PartitionCounts(made.collect()))
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, message: impl Into<String>) {
        self.0.push(Finding { gravity: Gravity::Error, message: message.into() });
    }

    fn warning(&mut self, message: impl Into<String>) {
        self.0.push(Finding { gravity: Gravity::Warning, message: message.into() });
    }
}
