//! Questions and requests to the cluster: topics, their sizes and limits, where partitions begin and end, a group's offsets.
//!
//! Every call waits for an answer, for no longer than it says; none is made for each record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;

use super::defaults::TOPIC_MESSAGE_BYTES;
use super::error::{failed, failed_as, failed_topic};
use super::limits::TopicLimits;
use super::native::{Admin, AdminReply, Client, Code, Entry, List, NativeError, TopicMetadata, TopicRequest};
use super::settings::topic_config;
use crate::log::{
    Cleanup, CommittedOffset, Extent, FailureKind, LogError, Retention, TopicInfo, TopicKind, TopicPartition,
    TopicSettings, check_topic,
};

/// In lists where only the partition matters.
const NO_OFFSET: i64 = -1001;
/// How long a question may take.
const WAIT: Duration = Duration::from_secs(10);
/// How long a call waits for offsets that are still part of an open transaction.
const STABLE_WAIT: Duration = Duration::from_secs(1);
/// How often it asks meanwhile.
const STABLE_PAUSE: Duration = Duration::from_millis(50);
/// How long a deletion of records may take. Nobody waits for it.
const TRIM_WAIT: Duration = Duration::from_secs(30);

/// All topics. How they are kept is not asked: it stands as if it were the default.
pub(super) fn topics(client: &Client) -> Result<Vec<TopicInfo>, LogError> {
    let found = client.topics(WAIT).map_err(|error| failed("list the topics", &error))?;
    let mut topics: Vec<TopicInfo> =
        found.into_iter().filter(|topic| topic.code == Code::NONE).map(|topic| info(&topic)).collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(topics)
}

fn info(topic: &TopicMetadata) -> TopicInfo {
    let is_internal =
        topic.name.starts_with("__") || topic.name.ends_with("-changelog") || topic.name.ends_with("-repartition");
    let settings = TopicSettings {
        partitions: topic.partitions,
        kind: if is_internal { TopicKind::Internal } else { TopicKind::User },
        retention: Retention::default(),
        replication: Some(topic.replicas),
        cleanup: Cleanup::default(),
    };
    TopicInfo { name: topic.name.clone(), settings }
}

/// How many partitions a topic has; `None` if there is no such topic.
pub(super) fn partitions(client: &Client, topic: &str) -> Result<Option<u32>, LogError> {
    let found = match client.topic(topic, WAIT) {
        Ok(found) => found,
        Err(error) if error.code == Code::UNKNOWN_TOPIC_OR_PARTITION => return Ok(None),
        Err(error) => return Err(failed_topic("ask about", topic, &error)),
    };
    match found.code {
        Code::UNKNOWN_TOPIC_OR_PARTITION => Ok(None),
        Code::INVALID_TOPIC => Err(LogError::TopicName { topic: topic.to_owned() }),
        // A partition without a leader is a partition.
        _ if found.partitions > 0 => Ok(Some(found.partitions)),
        code => Err(failed_topic("ask about", topic, &NativeError::new(code, code.text()))),
    }
}

/// Makes a topic, and waits until its partitions have leaders. One that is there already can be asked about then, though
/// somebody may have made it a moment ago.
pub(super) fn create_topic(client: &Client, name: &str, settings: &TopicSettings) -> Result<(), LogError> {
    check_topic(name, settings)?;
    let config = topic_config(settings);
    let request =
        TopicRequest { name, partitions: settings.partitions, replication: settings.replication, config: &config };
    let admin = Admin::new(client);
    let created = admin.create_topic(client, &request, WAIT).and_then(|()| topic_reply(&admin));
    match created {
        Ok(()) => wait_for_leaders(client, name, settings.partitions),
        Err(error) if error.code == Code::TOPIC_ALREADY_EXISTS => {
            // A broker hears of a topic later than the controller that made it.
            wait_for_leaders(client, name, 1)?;
            Err(LogError::TopicExists { topic: name.to_owned() })
        }
        Err(error) => Err(failed(&format!("create topic {name}"), &error)),
    }
}

/// Gives a topic more partitions, and waits until they have leaders.
pub(super) fn grow_topic(client: &Client, name: &str, partitions: u32) -> Result<(), LogError> {
    let admin = Admin::new(client);
    let grown = admin.grow_topic(client, name, partitions, WAIT).and_then(|()| topic_reply(&admin));
    grown.map_err(|error| failed_topic("add partitions to", name, &error))?;
    wait_for_leaders(client, name, partitions)
}

fn topic_reply(admin: &Admin) -> Result<(), NativeError> {
    loop {
        match admin.next_reply(WAIT + Duration::from_secs(1)) {
            Some(AdminReply::Created(created)) => return created,
            Some(_) => {}
            None => return Err(no_answer()),
        }
    }
}

fn wait_for_leaders(client: &Client, name: &str, partitions: u32) -> Result<(), LogError> {
    let until = Instant::now() + WAIT;
    while Instant::now() < until {
        if client.topic(name, WAIT).is_ok_and(|topic| topic.led >= partitions) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(failed_as(FailureKind::Retriable, &format!("see all partitions of topic {name}"), &no_answer()))
}

fn no_answer() -> NativeError {
    NativeError::new(Code::TIMED_OUT, "no broker has answered in time")
}

/// The settings of a topic, by name and value.
pub(super) fn settings(client: &Client, topic: &str) -> Result<Vec<(String, String)>, NativeError> {
    let admin = Admin::new(client);
    admin.describe_topic(client, topic, WAIT)?;
    loop {
        match admin.next_reply(WAIT + Duration::from_secs(1)) {
            Some(AdminReply::Config(config)) => return config,
            Some(_) => {}
            None => return Err(no_answer()),
        }
    }
}

/// What records a topic takes; `None` if it is not there, or if that may not be asked.
///
/// # Errors
/// If nobody answers.
pub(super) fn limits(client: &Client, topic: &str) -> Result<Option<TopicLimits>, NativeError> {
    match settings(client, topic) {
        Ok(config) => Ok(Some(TopicLimits::of(&config))),
        Err(error) if error.code == Code::UNKNOWN_TOPIC_OR_PARTITION => Ok(None),
        Err(error) if error.code == Code::TOPIC_AUTHORIZATION_FAILED => {
            tracing::warn!(
                topic, %error,
                "cannot ask what records the topic takes, so {TOPIC_MESSAGE_BYTES} bytes are taken for the limit: the right \
                 DESCRIBE_CONFIGS on the topic would tell"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Where a partition begins and ends, as far as the client may see.
pub(super) fn extent(client: &Client, topic: &str, partition: PartitionId) -> Result<Extent, LogError> {
    extent_within(client, topic, partition, WAIT)
}

/// The same, from a broker that answers within `time`.
pub(super) fn extent_within(
    client: &Client,
    topic: &str,
    partition: PartitionId,
    time: Duration,
) -> Result<Extent, LogError> {
    match client.query_watermarks(topic, partition.0 as i32, time) {
        Ok((low, high)) => Ok(Extent { earliest: Offset(low), end: Offset(high) }),
        // The library says this of topics too.
        Err(error) if error.code == Code::UNKNOWN_PARTITION && partitions(client, topic)?.is_none() => {
            Err(LogError::UnknownTopic { topic: topic.to_owned() })
        }
        Err(error) => Err(failed_partition("ask for the extent of", topic, partition, &error)),
    }
}

/// The least offset whose record has a timestamp of `time` or later, if there is one.
pub(super) fn offset_at(
    client: &Client,
    topic: &str,
    partition: PartitionId,
    time: Millis,
) -> Result<Option<Offset>, LogError> {
    let doing = "look for a time in";
    let mut list = List::new();
    list.add(topic, partition.0 as i32, time.0.max(0))
        .and_then(|()| client.offsets_for_times(&list, WAIT))
        .map_err(|error| failed_partition(doing, topic, partition, &error))?;
    let found = list.entries().into_iter().next();
    let Some(entry) = found else { return Ok(None) };
    match entry.code {
        Code::NONE => Ok((entry.offset >= 0).then_some(Offset(entry.offset))),
        code => Err(failed_partition(doing, topic, partition, &NativeError::new(code, code.text()))),
    }
}

/// An error about one partition.
pub(super) fn failed_partition(doing: &str, topic: &str, partition: PartitionId, error: &NativeError) -> LogError {
    match error.code {
        Code::UNKNOWN_PARTITION => LogError::UnknownPartition { topic: topic.to_owned(), partition },
        Code::UNKNOWN_TOPIC_OR_PARTITION | Code::UNKNOWN_TOPIC => LogError::UnknownTopic { topic: topic.to_owned() },
        _ => failed(&format!("{doing} topic {topic} partition {partition}"), error),
    }
}

/// The offsets that a group has committed. The client must have a group.
///
/// Brokers are asked twice, for the offsets of the partitions of `topics` and for all: an offset that is the first of its
/// partition and part of an open transaction is left out of the second answer, and only the first says that it is there.
///
/// Members of a group that lives commit all the time, and there may be no moment in which no offset is part of an open
/// transaction. It is enough that each was seen to be in none: offsets of partitions that the caller has been given are
/// nobody else's to change any more, and for others it does not matter from when they are.
///
/// # Errors
/// Retriable if some are still part of an open transaction after a second.
pub(super) fn committed(
    client: &Client,
    group: &str,
    topics: &BTreeMap<String, u32>,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError> {
    let until = Instant::now() + STABLE_WAIT;
    let doing = format!("fetch the offsets of group {group}");
    let mut list = List::new();
    for (topic, &partitions) in topics {
        for partition in 0..partitions {
            list.add(topic, partition as i32, NO_OFFSET).map_err(|error| failed(&doing, &error))?;
        }
    }
    let is_named = topics.values().any(|&partitions| partitions > 0);
    let mut stable = BTreeMap::new();
    loop {
        let named = if is_named { group_offsets(client, group, Some(&list)) } else { Ok(Vec::new()) };
        let entries = named.and_then(|mut named| {
            named.extend(group_offsets(client, group, None)?);
            Ok(named)
        });
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) if error.code == Code::GROUP_ID_NOT_FOUND => return Ok(BTreeMap::new()),
            Err(error) => return Err(failed(&doing, &error)),
        };
        let open = |entry: &Entry| entry.code == Code::UNSTABLE_OFFSET_COMMIT;
        let unstable: BTreeSet<_> = entries.iter().filter(|entry| open(entry)).map(Entry::place).collect();
        stable.extend(entries.into_iter().map(|entry| (entry.place(), entry)).filter(|(at, _)| !unstable.contains(at)));
        let Some((topic, partition)) = unstable.into_iter().find(|place| !stable.contains_key(place)) else {
            return offsets_of(stable.into_values(), &doing);
        };
        if Instant::now() >= until {
            let place = format!("topic {topic} partition {partition}");
            let text = format!("the offset of {place} is part of a transaction that has not ended");
            let error = NativeError::new(Code::UNSTABLE_OFFSET_COMMIT, text);
            return Err(failed_as(FailureKind::Retriable, &doing, &error));
        }
        std::thread::sleep(STABLE_PAUSE);
    }
}

fn group_offsets(client: &Client, group: &str, partitions: Option<&List>) -> Result<Vec<Entry>, NativeError> {
    let admin = Admin::new(client);
    admin.group_offsets(client, group, partitions, WAIT)?;
    loop {
        match admin.next_reply(WAIT + Duration::from_secs(1)) {
            Some(AdminReply::Offsets(offsets)) => return offsets,
            Some(_) => {}
            None => return Err(no_answer()),
        }
    }
}

fn offsets_of(
    entries: impl IntoIterator<Item = Entry>,
    doing: &str,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError> {
    let mut offsets = BTreeMap::new();
    for entry in entries {
        if entry.code != Code::NONE {
            return Err(failed(doing, &NativeError::new(entry.code, entry.code.text())));
        }
        if entry.offset >= 0 {
            let committed = CommittedOffset { offset: Offset(entry.offset), metadata: entry.metadata };
            offsets.insert((entry.topic, PartitionId(entry.partition as u32)), committed);
        }
    }
    Ok(offsets)
}

/// Asks for records before an offset to be deleted. The answer comes to `replies`.
pub(super) fn delete_records(
    client: &Client,
    replies: &Admin,
    topic: &str,
    partition: PartitionId,
    before: Offset,
) -> Result<(), LogError> {
    let mut list = List::new();
    list.add(topic, partition.0 as i32, before.0)
        .map_err(|error| failed_partition("trim", topic, partition, &error))?;
    replies.delete_records(client, &list, TRIM_WAIT);
    Ok(())
}

/// As [`delete_records`], for several partitions, and waits until it is done.
pub(super) fn trim_and_wait(client: &Client, before: &BTreeMap<TopicPartition, Offset>) -> Result<(), LogError> {
    if before.is_empty() {
        return Ok(());
    }
    let doing = "delete records";
    let mut list = List::new();
    for ((topic, partition), offset) in before {
        list.add(topic, partition.0 as i32, offset.0)
            .map_err(|error| failed_partition(doing, topic, *partition, &error))?;
    }
    let admin = Admin::new(client);
    admin.delete_records(client, &list, TRIM_WAIT);
    loop {
        match admin.next_reply(TRIM_WAIT + Duration::from_secs(1)) {
            Some(AdminReply::Deleted(entries)) => {
                return match entries.into_iter().find(|entry| entry.code != Code::NONE) {
                    None => Ok(()),
                    Some(entry) => {
                        let text = match entry.code {
                            Code::TOPIC_AUTHORIZATION_FAILED => {
                                "the user lacks the right DELETE on the topic".to_owned()
                            }
                            code => code.text(),
                        };
                        let partition = PartitionId(entry.partition.max(0) as u32);
                        let doing = format!("delete records of topic {} partition {partition}", entry.topic);
                        Err(failed(&doing, &NativeError::new(entry.code, text)))
                    }
                };
            }
            Some(_) => {}
            None => return Err(failed(doing, &no_answer())),
        }
    }
}
