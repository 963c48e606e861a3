//! By which topic's partitions tasks are given out.

use millstream_pipeline::topology::{Extent, PartitionCounts, Topology};

/// For each subtopology an input topic that has a partition for each of its tasks. Who is given such a partition has the task;
/// what else the task reads comes along, so topics with other numbers of partitions need no assignor of their own.
pub(crate) fn lead_topics<'t>(topology: &'t Topology, counts: &PartitionCounts, extent: &Extent) -> Vec<&'t str> {
    let mut topics = Vec::with_capacity(topology.subtopologies.len());
    for (index, subtopology) in topology.subtopologies.iter().enumerate() {
        let sources = subtopology.sources.iter().map(|&source| topology.sources[source].topic.as_str());
        let sources = sources.map(|topic| (topic, counts.get(topic).unwrap_or(1)));
        let exchanges = subtopology
            .exchanges_in
            .iter()
            .map(|id| (topology.exchanges[id.0].topic.as_str(), extent.exchange_partitions[id.0]));
        let lead = sources.chain(exchanges).find(|(_, partitions)| *partitions == extent.tasks[index]);
        topics.extend(lead.map(|(topic, _)| topic));
    }
    debug_assert_eq!(topics.len(), extent.tasks.len(), "a subtopology is as wide as its widest input");
    topics
}

/// By which of `leads` the tasks that read `topic` are given out; `None` where it is no input.
pub(crate) fn lead_of<'t>(topology: &Topology, leads: &[&'t str], topic: &str) -> Option<&'t str> {
    let reads = |index: &usize| {
        let subtopology = &topology.subtopologies[*index];
        subtopology.sources.iter().any(|&source| topology.sources[source].topic == topic)
            || subtopology.exchanges_in.iter().any(|id| topology.exchanges[id.0].topic == topic)
    };
    (0..leads.len()).find(reads).map(|index| leads[index])
}
