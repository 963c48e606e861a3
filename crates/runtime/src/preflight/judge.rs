//! From what the brokers tell to what speaks against a pipeline: each thing in a sentence of its own.

use millstream_pipeline::topology::{CreateDef, Extent, PartitionCounts, SinkKey, Topology};

use super::{ClientNames, Facts, Findings};
use crate::log::TopicSettings;
use crate::log::kafka::{Right, TopicFacts, TopicStanding, topic_config};
use crate::worker::leads::{lead_of, lead_topics};
use crate::worker::{WorkerError, are_of_other_topics, check_committed, lead_beside};

/// How the clients of the daemon begin their names.
const OURS: &str = "millstream-";

/// Everything.
pub(super) fn all(
    topology: &Topology,
    counts: &PartitionCounts,
    extent: &Extent,
    facts: &Facts,
    findings: &mut Findings,
) {
    sources(topology, facts, findings);
    outputs(topology, facts, findings);
    internal(topology, extent, facts, findings);
    group(topology, facts, findings);
    leads(topology, counts, extent, facts, findings);
    offsets(topology, facts, findings);
}

fn sources(topology: &Topology, facts: &Facts, findings: &mut Findings) {
    for source in &topology.sources {
        let (topic, name) = (&source.topic, &source.name);
        match facts.topics.get(topic) {
            Some(TopicStanding::There(found)) => {
                if lacks(found, Right::Read) {
                    findings
                        .error(format!("the user lacks the right READ on topic {topic}, which source {name} reads"));
                }
            }
            Some(TopicStanding::Hidden) => findings.error(format!(
                "topic {topic}, which source {name} reads, is not there, or the user lacks the right DESCRIBE on it"
            )),
            Some(TopicStanding::Missing) | None => findings.error(format!(
                "topic {topic}, which source {name} reads, does not exist: create it with \
                 `millstream topic create {topic}`"
            )),
        }
    }
}

/// A topic that is written: its name, how it is made, and whether its records have keys.
struct Output<'a> {
    topic: &'a str,
    create: Option<CreateDef>,
    has_keys: bool,
}

fn outputs(topology: &Topology, facts: &Facts, findings: &mut Findings) {
    let sinks = topology.sinks.iter().map(|sink| Output {
        topic: &sink.topic,
        create: sink.create,
        has_keys: sink.key != SinkKey::None,
    });
    let dead_letter = topology.on_error.dead_letter.iter().map(|topic| Output {
        topic,
        create: topology.on_error.create,
        has_keys: true,
    });
    let mut seen: Vec<&str> = Vec::new();
    for output in sinks.chain(dead_letter) {
        if !seen.contains(&output.topic) {
            seen.push(output.topic);
            one_output(&output, facts, findings);
        }
    }
}

fn one_output(output: &Output<'_>, facts: &Facts, findings: &mut Findings) {
    let topic = output.topic;
    match (facts.topics.get(topic), output.create) {
        (Some(TopicStanding::There(found)), _) => {
            if lacks(found, Right::Write) {
                findings.error(format!(
                    "the user lacks the right WRITE on topic {topic}, to which the pipeline writes"
                ));
            }
            let is_compacted = setting(facts, topic, "cleanup.policy").is_some_and(|policy| policy.contains("compact"));
            if is_compacted && !output.has_keys {
                findings.error(format!(
                    "topic {topic} is compacted and refuses records without a key, and the sink has `key: none`"
                ));
            }
        }
        (Some(TopicStanding::Hidden), _) => findings.error(format!(
            "topic {topic}, to which the pipeline writes, is not there, or the user lacks the rights DESCRIBE and WRITE \
             on it"
        )),
        (Some(TopicStanding::Missing) | None, Some(create)) => {
            cannot_create(topic, facts, findings);
            let brokers = facts.cluster.brokers;
            if let Some(copies) = create.replication.filter(|&copies| copies as usize > brokers) {
                findings.error(format!(
                    "topic {topic} is to be made with {copies} copies, but there {} only: lower `replication` in its \
                     `create:`",
                    if brokers == 1 { "is 1 broker".to_owned() } else { format!("are {brokers} brokers") }
                ));
            }
        }
        (Some(TopicStanding::Missing) | None, None) => {
            findings.error(WorkerError::MissingOutput { topic: topic.to_owned() }.to_string());
        }
    }
}

/// Whether a topic may be made is asked of the cluster; a right on a topic that is not there cannot be asked for.
fn cannot_create(topic: &str, facts: &Facts, findings: &mut Findings) {
    if facts.cluster.rights.as_ref().is_some_and(|rights| !rights.contains(&Right::Create)) {
        findings.warning(format!(
            "topic {topic} is to be made, and the user lacks the right CREATE on the cluster: it must have that right on \
             the topic's name, which cannot be asked for"
        ));
    }
}

fn internal(topology: &Topology, extent: &Extent, facts: &Facts, findings: &mut Findings) {
    let exchanges = topology.exchanges.iter().zip(&extent.exchange_partitions);
    for (exchange, &partitions) in exchanges {
        one_internal(&exchange.topic, partitions, facts, findings);
    }
    for (index, &partitions) in extent.tasks.iter().enumerate() {
        let Some(topic) = topology.changelog_topic(index) else { continue };
        let keeps = topology.stores.iter().any(|store| store.subtopology == index);
        match facts.topics.get(&topic) {
            // Nothing but clocks is kept, and such a changelog grows with its source.
            Some(TopicStanding::There(found)) if !keeps && found.partitions < partitions => {}
            Some(TopicStanding::Missing) if reads_committed(topology, index, facts) => {
                findings.error(WorkerError::ChangelogLost { topic, partition: 0 }.to_string());
            }
            _ => one_internal(&topic, partitions, facts, findings),
        }
    }
}

/// Whether offsets of what the subtopology reads from sources are committed, so that there was state.
fn reads_committed(topology: &Topology, subtopology: usize, facts: &Facts) -> bool {
    let mut sources = topology.subtopologies[subtopology].sources.iter().map(|&source| &topology.sources[source].topic);
    sources.any(|topic| facts.committed.keys().any(|(name, _)| name == topic))
}

fn one_internal(topic: &str, needed: u32, facts: &Facts, findings: &mut Findings) {
    let found = match facts.topics.get(topic) {
        Some(TopicStanding::There(found)) => found,
        Some(TopicStanding::Hidden) => {
            return findings.error(format!(
                "the internal topic {topic} is not there, or the user lacks the rights DESCRIBE, READ, WRITE and DELETE \
                 on it"
            ));
        }
        Some(TopicStanding::Missing) | None => return cannot_create(topic, facts, findings),
    };
    if found.partitions != needed {
        let error = WorkerError::PartitionsChanged { topic: topic.to_owned(), found: found.partitions, needed };
        findings.error(error.to_string());
    }
    for (right, name) in [(Right::Read, "READ"), (Right::Write, "WRITE")] {
        if lacks(found, right) {
            findings.error(format!("the user lacks the right {name} on the internal topic {topic}"));
        }
    }
    if lacks(found, Right::Delete) {
        findings.warning(format!(
            "the user lacks the right DELETE on the internal topic {topic}: records that are done with stay, and it only \
             grows"
        ));
    }
    for (name, wanted) in topic_config(&TopicSettings::internal(needed)) {
        // A smaller limit makes smaller records.
        let Some(value) = setting(facts, topic, &name).filter(|_| name != "max.message.bytes") else { continue };
        if value != wanted {
            findings.error(format!(
                "the internal topic {topic} has {name}={value} instead of {wanted}, so that the brokers would delete what \
                 a restart needs: set it back"
            ));
        }
    }
}

fn group(topology: &Topology, facts: &Facts, findings: &mut Findings) {
    let name = &topology.name;
    if facts.group.rights.as_ref().is_some_and(|rights| !rights.contains(&Right::Read)) {
        findings.error(format!("the user lacks the right READ on group {name}, the pipeline's name"));
    }
    let strangers: Vec<String> = facts
        .group
        .members
        .iter()
        .filter(|(client, _)| !client.starts_with(OURS) && facts.clients == ClientNames::Ours)
        .map(|(client, host)| format!("{client} at {}", host.trim_start_matches('/')))
        .collect();
    if !strangers.is_empty() {
        findings.error(format!(
            "group {name} is in use by another program ({}): stop that, or give the pipeline another name",
            strangers.join(", ")
        ));
    } else if let Some((client, host)) = facts.group.members.first()
        && are_of_other_topics(topology, &facts.committed)
    {
        findings.warning(format!(
            "{client} at {} runs a pipeline {name} that reads or writes other topics than this one, and the two share the \
             partitions: if they are not two versions of one pipeline, give one of them another name",
            host.trim_start_matches('/')
        ));
    }
}

/// The partitions of one topic are given out once, but those of two are given out twice: two versions that give the same tasks out
/// by different topics would both have them, and process everything twice.
fn leads(topology: &Topology, counts: &PartitionCounts, extent: &Extent, facts: &Facts, findings: &mut Findings) {
    let Some((client, host)) = facts.group.members.first() else { return };
    let leads = lead_topics(topology, counts, extent);
    let differs = facts.committed.iter().find_map(|((topic, _), committed)| {
        let ours = lead_of(topology, &leads, topic)?;
        lead_beside(topic, committed).filter(|theirs| theirs != ours).map(|theirs| (topic, ours, theirs))
    });
    if let Some((topic, ours, theirs)) = differs {
        findings.error(format!(
            "{client} at {} runs another version of pipeline {}, which gives out the tasks that read {topic} by the partitions of \
             {theirs}, and this one does by those of {ours}: side by side both would process the same records; stop that version \
             everywhere, then start this one",
            host.trim_start_matches('/'),
            topology.name
        ));
    }
}

fn offsets(topology: &Topology, facts: &Facts, findings: &mut Findings) {
    if let Err(error) = check_committed(topology, &facts.committed) {
        findings.error(error.to_string());
    }
    for (place, committed) in &facts.committed {
        let (topic, partition) = place;
        let Some(extent) = facts.extents.get(place) else {
            if topology.topics.contains(topic) && matches!(facts.topics.get(topic), Some(TopicStanding::There(_))) {
                findings.error(format!(
                    "topic {topic} has no partition {partition} any more, and records of it have been processed: the \
                     topic was made anew; if that was meant, start over with `millstream reset FILE --to earliest`"
                ));
            }
            continue;
        };
        let offset = committed.offset;
        if offset > extent.end {
            let error = WorkerError::SourceTruncated {
                topic: topic.clone(),
                partition: partition.0,
                committed: offset.0,
                end: extent.end.0,
            };
            findings.error(error.to_string());
        } else if offset < extent.earliest {
            findings.warning(format!(
                "topic {topic} partition {partition}: the records from offset {offset} to {} were deleted before they \
                 were read, and are passed over",
                extent.earliest.0 - 1
            ));
        }
    }
}

fn lacks(topic: &TopicFacts, right: Right) -> bool {
    topic.rights.as_ref().is_some_and(|rights| !rights.contains(&right))
}

fn setting<'a>(facts: &'a Facts, topic: &str, name: &str) -> Option<&'a str> {
    facts.settings.get(topic)?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use millstream_engine::ids::{Offset, PartitionId};
    use millstream_pipeline::interpolate::no_lookup;

    use super::*;
    use crate::log::kafka::{ClusterFacts, GroupFacts};
    use crate::log::{CommittedOffset, Extent as LogExtent};
    use crate::preflight::Gravity;

    const PIPELINE: &str = "
version: 1
pipeline: totals
sources:
  sales: {format: json, schema: {shop: string, amount: double}}
steps:
  - aggregate: {id: by_shop, by: shop, aggregates: {total: sum(amount)}, emit: changes}
sink: {topic: totals-out, key: none, create: {replication: 3}}
on_error: {dead_letter: totals-dlq}
";

    const ALL: [Right; 5] = [Right::Read, Right::Write, Right::Create, Right::Delete, Right::Describe];

    fn topology() -> Topology {
        let counts = PartitionCounts::from_iter([("sales", 4)]);
        millstream_pipeline::check("p.yaml", PIPELINE, &no_lookup, &counts).unwrap().topology
    }

    fn there(partitions: u32, rights: &[Right]) -> TopicStanding {
        TopicStanding::There(TopicFacts { partitions, rights: Some(rights.to_vec()) })
    }

    /// A cluster that has nothing against the pipeline.
    fn well() -> Facts {
        let topics = [
            ("sales", 4),
            ("totals-out", 1),
            ("totals-dlq", 1),
            ("totals-by_shop-repartition", 4),
            ("totals-by_shop-repartition-changelog", 4),
            ("totals-by_shop-changelog", 4),
        ];
        let internal: BTreeMap<String, String> = topic_config(&TopicSettings::internal(4)).into_iter().collect();
        Facts {
            topics: topics.into_iter().map(|(name, count)| (name.to_owned(), there(count, &ALL))).collect(),
            settings: topics[3..].iter().map(|(name, _)| ((*name).to_owned(), internal.clone())).collect(),
            group: GroupFacts {
                state: "Empty".to_owned(),
                members: Vec::new(),
                member_ids: Vec::new(),
                rights: Some(ALL.to_vec()),
            },
            clients: ClientNames::Ours,
            committed: BTreeMap::new(),
            extents: BTreeMap::new(),
            cluster: ClusterFacts { brokers: 1, rights: Some(ALL.to_vec()) },
        }
    }

    fn judged(facts: &Facts) -> Vec<(Gravity, String)> {
        let topology = topology();
        let counts = match facts.topics.get("sales") {
            Some(TopicStanding::There(found)) => PartitionCounts::from_iter([("sales", found.partitions)]),
            _ => PartitionCounts::unknown(),
        };
        let extent = crate::preflight::extent(&topology, &counts, facts);
        let mut findings = Findings::default();
        all(&topology, &counts, &extent, facts, &mut findings);
        findings.0.into_iter().map(|finding| (finding.gravity, finding.message)).collect()
    }

    /// The only finding, which must be that grave and have these words.
    fn assert_finds(facts: &Facts, gravity: Gravity, words: &[&str]) {
        let found = judged(facts);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].0, gravity, "{found:#?}");
        for word in words {
            assert!(found[0].1.contains(word), "{word}: {found:#?}");
        }
    }

    fn with(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = well();
        change(&mut facts);
        facts
    }

    fn committed(facts: &mut Facts, offset: i64, metadata: &str, extent: (i64, i64)) {
        let place = ("sales".to_owned(), PartitionId(0));
        let metadata = metadata.replace("FINGERPRINT", &topology().fingerprint.to_string());
        facts.committed.insert(place.clone(), CommittedOffset { offset: Offset(offset), metadata });
        facts.extents.insert(place, LogExtent { earliest: Offset(extent.0), end: Offset(extent.1) });
    }

    const BESIDE: &str = r#"{"fingerprint":FINGERPRINT}"#;

    #[test]
    fn nothing_speaks_against_what_fits() {
        assert_eq!(judged(&well()), []);
        assert_eq!(judged(&with(|facts| committed(facts, 5, BESIDE, (0, 9)))), []);
        let first_start = with(|facts| {
            for name in [
                "totals-out",
                "totals-by_shop-repartition",
                "totals-by_shop-repartition-changelog",
                "totals-by_shop-changelog",
            ] {
                facts.topics.insert(name.to_owned(), TopicStanding::Missing);
            }
            facts.cluster.brokers = 3;
        });
        assert_eq!(judged(&first_start), []);
    }

    #[test]
    fn topics_that_are_not_there_are_named_with_what_they_are_for() {
        let missing = |name: &str| with(|facts| drop(facts.topics.insert(name.to_owned(), TopicStanding::Missing)));
        let words = ["topic sales, which source sales reads", "millstream topic create sales"];
        let found = judged(&missing("sales"));
        assert!(words.iter().all(|word| found[0].1.contains(word)), "{found:#?}");
        assert_finds(&missing("totals-dlq"), Gravity::Error, &["totals-dlq", "`create: {}`"]);
        assert_finds(&missing("totals-out"), Gravity::Error, &["totals-out", "3 copies", "is 1 broker only"]);
        let lost = with(|facts| {
            committed(facts, 5, BESIDE, (0, 9));
            facts.topics.insert("totals-by_shop-repartition-changelog".to_owned(), TopicStanding::Missing);
        });
        assert_finds(&lost, Gravity::Error, &["changelog totals-by_shop-repartition-changelog", "lost in silence"]);
    }

    #[test]
    fn partitions_and_settings_that_do_not_fit_are_named() {
        let grown = with(|facts| drop(facts.topics.insert("totals-by_shop-changelog".to_owned(), there(3, &ALL))));
        assert_finds(
            &grown,
            Gravity::Error,
            &["totals-by_shop-changelog has 3 partitions", "needs 4", "`millstream reset FILE --to earliest`"],
        );
        let compacted = with(|facts| {
            let settings = facts.settings.get_mut("totals-by_shop-changelog").unwrap();
            settings.insert("cleanup.policy".to_owned(), "compact".to_owned());
        });
        assert_finds(
            &compacted,
            Gravity::Error,
            &["totals-by_shop-changelog has cleanup.policy=compact instead of delete"],
        );
        let keyless = with(|facts| {
            let settings = BTreeMap::from([("cleanup.policy".to_owned(), "compact,delete".to_owned())]);
            facts.settings.insert("totals-out".to_owned(), settings);
        });
        assert_finds(&keyless, Gravity::Error, &["totals-out is compacted", "key: none"]);
    }

    #[test]
    fn rights_that_are_missing_are_named() {
        let without = |name: &str, right: Right| {
            let rights: Vec<Right> = ALL.into_iter().filter(|known| *known != right).collect();
            with(|facts| {
                let Some(TopicStanding::There(found)) = facts.topics.get_mut(name) else { panic!("no topic {name}") };
                found.rights = Some(rights);
            })
        };
        assert_finds(&without("sales", Right::Read), Gravity::Error, &["READ on topic sales", "source sales"]);
        assert_finds(&without("totals-out", Right::Write), Gravity::Error, &["WRITE on topic totals-out"]);
        let internal = without("totals-by_shop-repartition-changelog", Right::Delete);
        assert_finds(&internal, Gravity::Warning, &["DELETE on the internal topic", "only grows"]);
        let hidden = with(|facts| drop(facts.topics.insert("totals-out".to_owned(), TopicStanding::Hidden)));
        assert_finds(&hidden, Gravity::Error, &["totals-out", "DESCRIBE and WRITE"]);
        let group = with(|facts| facts.group.rights = Some(vec![Right::Describe]));
        assert_finds(&group, Gravity::Error, &["READ on group totals"]);
        let create = with(|facts| {
            facts.cluster = ClusterFacts { brokers: 3, rights: Some(vec![]) };
            facts.topics.insert("totals-out".to_owned(), TopicStanding::Missing);
        });
        assert_finds(&create, Gravity::Warning, &["totals-out is to be made", "CREATE on the cluster"]);
        let silent = with(|facts| {
            facts.cluster.rights = None;
            facts.group.rights = None;
            facts.topics.insert("sales".to_owned(), TopicStanding::There(TopicFacts { partitions: 4, rights: None }));
        });
        assert_eq!(judged(&silent), [], "brokers that do not tell of rights are not taken to refuse them");
    }

    #[test]
    fn a_group_of_others_is_told_from_our_own() {
        let member =
            |client: &str| with(|facts| facts.group.members = vec![(client.to_owned(), "/10.0.0.7".to_owned())]);
        assert_eq!(judged(&member("millstream-totals-0")), []);
        let words = ["group totals is in use by another program", "billing-app at 10.0.0.7"];
        assert_finds(&member("billing-app"), Gravity::Error, &words);
        let named = Facts { clients: ClientNames::Users, ..member("billing-app") };
        assert_eq!(judged(&named), []);
        let foreign = with(|facts| committed(facts, 5, "", (0, 9)));
        assert_finds(&foreign, Gravity::Error, &["offsets that another program has committed"]);
        let changed = with(|facts| committed(facts, 5, r#"{"fingerprint":1}"#, (0, 9)));
        assert_finds(&changed, Gravity::Error, &["made by other stateful steps"]);
    }

    /// A new version of a pipeline may be on its way through the machines, so that it is no more than a warning.
    #[test]
    fn a_namesake_over_other_topics_is_told_of_while_it_runs() {
        let namesake = |ends: u64, members: &[&str]| {
            with(|facts| {
                let beside = BESIDE.replace('}', &format!(r#","ends":{ends}}}"#));
                committed(facts, 5, &beside, (0, 9));
                facts.group.members =
                    members.iter().map(|client| ((*client).to_owned(), "/10.0.0.7".to_owned())).collect();
            })
        };
        let words = ["millstream-totals-0 at 10.0.0.7 runs a pipeline totals", "give one of them another name"];
        assert_finds(&namesake(1, &["millstream-totals-0"]), Gravity::Warning, &words);
        assert_eq!(judged(&namesake(1, &[])), []);
        assert_eq!(judged(&namesake(topology().ends, &["millstream-totals-0"])), []);
    }

    /// They would share neither the one topic's partitions nor the other's, and nobody would fence either of them.
    #[test]
    fn a_version_that_gives_tasks_out_by_another_topic_does_not_run_beside() {
        let beside = |lead: &str, members: &[&str]| {
            with(|facts| {
                committed(facts, 5, &BESIDE.replace('}', &format!(r#"{lead}}}"#)), (0, 9));
                facts.group.members =
                    members.iter().map(|client| ((*client).to_owned(), "/10.0.0.7".to_owned())).collect();
            })
        };
        let words =
            ["millstream-totals-0 at 10.0.0.7", "by the partitions of wider", "by those of sales", "stop that version"];
        assert_finds(&beside(r#","lead":"wider""#, &["millstream-totals-0"]), Gravity::Error, &words);
        assert_eq!(judged(&beside(r#","lead":"wider""#, &[])), [], "nobody runs it");
        assert_eq!(judged(&beside("", &["millstream-totals-0"])), []);
        assert_eq!(judged(&beside(r#","lead":"""#, &["millstream-totals-0"])), [], "set by hand");
    }

    #[test]
    fn offsets_outside_of_their_topic_are_named() {
        let truncated = with(|facts| committed(facts, 10, BESIDE, (0, 9)));
        assert_finds(
            &truncated,
            Gravity::Error,
            &["sales partition 0 ends at offset 9", "`millstream reset FILE --to earliest`"],
        );
        let deleted = with(|facts| committed(facts, 3, BESIDE, (7, 9)));
        assert_finds(&deleted, Gravity::Warning, &["from offset 3 to 6 were deleted"]);
        let shrunk = with(|facts| {
            committed(facts, 3, BESIDE, (0, 9));
            facts.extents.clear();
        });
        assert_finds(&shrunk, Gravity::Error, &["has no partition 0 any more"]);
    }
}
