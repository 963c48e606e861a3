//! A log in memory, for `millstream test` and simulation: the same semantics, shared by its handles.
//!
//! The log outlives a driver that crashes: drop the driver's handle, clone another, and the open transaction is gone while
//! everything committed stands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;

use super::{
    Committed, CommittedOffset, Extent, FailureKind, Log, LogError, NewRecord, ReadLimit, Records, TopicInfo,
    TopicPartition, TopicSettings, check_topic,
};

/// A handle of a log in memory. A clone shares the log and has its own transaction, not yet open.
#[derive(Debug, Default)]
pub struct MemoryLog {
    shared: Arc<Mutex<Content>>,
    generation: u32,
    open: BTreeMap<String, BTreeMap<PartitionId, Records>>,
}

#[derive(Debug, Default)]
struct Content {
    topics: BTreeMap<String, Topic>,
    groups: BTreeMap<String, BTreeMap<TopicPartition, CommittedOffset>>,
    generation: u32,
}

#[derive(Debug)]
struct Topic {
    settings: TopicSettings,
    partitions: Vec<Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Everything ever appended since `base`; those before `earliest` are no longer shown.
    records: Records,
    base: i64,
    earliest: i64,
}

impl Partition {
    fn end(&self) -> i64 {
        self.base + self.records.len() as i64
    }

    fn append(&mut self, records: &Records) {
        for mut record in records.iter() {
            record.offset = Offset(self.end());
            self.records.push_view(record);
        }
    }

    /// Hides the records before `before`, and frees them once they are the larger part.
    fn trim(&mut self, before: i64) {
        self.earliest = before.min(self.end()).max(self.earliest);
        let hidden = (self.earliest - self.base) as usize;
        if hidden > 64 && hidden > self.records.len() / 2 {
            let mut kept = Records::new();
            for index in hidden..self.records.len() {
                kept.push_view(self.records.get(index));
            }
            self.records = kept;
            self.base = self.earliest;
        }
    }
}

impl Content {
    fn partition(&self, topic: &str, partition: PartitionId) -> Result<&Partition, LogError> {
        let found = self.topics.get(topic).ok_or_else(|| LogError::UnknownTopic { topic: topic.to_owned() })?;
        found
            .partitions
            .get(partition.0 as usize)
            .ok_or_else(|| LogError::UnknownPartition { topic: topic.to_owned(), partition })
    }

    fn partition_mut(&mut self, topic: &str, partition: PartitionId) -> Result<&mut Partition, LogError> {
        self.partition(topic, partition)?;
        Ok(&mut self.topics.get_mut(topic).expect("found above").partitions[partition.0 as usize])
    }
}

impl Clone for MemoryLog {
    fn clone(&self) -> MemoryLog {
        MemoryLog { shared: Arc::clone(&self.shared), generation: self.generation, open: BTreeMap::new() }
    }
}

impl MemoryLog {
    /// A log without topics.
    pub fn new() -> MemoryLog {
        MemoryLog::default()
    }

    /// The same log, for a member that gets all partitions in this generation of the group, which puts all others out.
    #[must_use]
    pub fn in_generation(&self, generation: u32) -> MemoryLog {
        self.content().generation = generation;
        MemoryLog { generation, ..self.clone() }
    }

    /// A test that panicked while it held the lock left whole records behind.
    fn content(&self) -> MutexGuard<'_, Content> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    fn generation(&self) -> u32 {
        self.generation
    }

    fn confirm_membership(&self) -> Result<(), LogError> {
        match self.content().generation {
            now if now == self.generation => Ok(()),
            now => Err(LogError::Kafka {
                kind: FailureKind::Retriable,
                message: format!("generation {} is over: now is {now}", self.generation),
            }),
        }
    }

    fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        let content = self.content();
        let info =
            |(name, topic): (&String, &Topic)| TopicInfo { name: name.clone(), settings: topic.settings.clone() };
        Ok(content.topics.iter().map(info).collect())
    }

    fn partitions(&self, topic: &str) -> Result<Option<u32>, LogError> {
        Ok(self.content().topics.get(topic).map(|topic| topic.settings.partitions))
    }

    fn create_topic(&mut self, name: &str, settings: TopicSettings) -> Result<(), LogError> {
        check_topic(name, &settings)?;
        let mut content = self.content();
        if content.topics.contains_key(name) {
            return Err(LogError::TopicExists { topic: name.to_owned() });
        }
        let partitions = (0..settings.partitions).map(|_| Partition::default()).collect();
        content.topics.insert(name.to_owned(), Topic { settings, partitions });
        Ok(())
    }

    fn grow_topic(&mut self, name: &str, partitions: u32) -> Result<(), LogError> {
        let mut content = self.content();
        let unknown = || LogError::UnknownTopic { topic: name.to_owned() };
        let topic = content.topics.get_mut(name).ok_or_else(unknown)?;
        if topic.settings.partitions > partitions {
            return Err(LogError::PartitionCount { topic: name.to_owned(), partitions });
        }
        let settings = TopicSettings { partitions, ..topic.settings.clone() };
        check_topic(name, &settings)?;
        topic.settings = settings;
        topic.partitions.resize_with(partitions as usize, Partition::default);
        Ok(())
    }

    fn extent(&self, topic: &str, partition: PartitionId) -> Result<Extent, LogError> {
        let content = self.content();
        let partition = content.partition(topic, partition)?;
        Ok(Extent { earliest: Offset(partition.earliest), end: Offset(partition.end()) })
    }

    fn offset_at(&mut self, topic: &str, partition: PartitionId, time: Millis) -> Result<Offset, LogError> {
        let content = self.content();
        let partition = content.partition(topic, partition)?;
        let hidden = (partition.earliest - partition.base) as usize;
        let found = partition.records.iter().skip(hidden).find(|record| record.timestamp >= time);
        Ok(found.map_or(Offset(partition.end()), |record| record.offset))
    }

    fn read(
        &mut self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
        limit: ReadLimit,
        into: &mut Records,
    ) -> Result<Offset, LogError> {
        let content = self.content();
        let found = content.partition(topic, partition)?;
        if from.0 < found.earliest || from.0 > found.end() {
            return Err(LogError::OffsetOutOfRange {
                topic: topic.to_owned(),
                partition,
                offset: from,
                earliest: Offset(found.earliest),
                end: Offset(found.end()),
            });
        }
        let (records_before, bytes_before) = (into.len(), into.byte_len());
        let mut next = from.0;
        while next < found.end() {
            let read = into.len() - records_before;
            if read > 0 && (read >= limit.records || into.byte_len() - bytes_before >= limit.bytes) {
                break;
            }
            into.push_view(found.records.get((next - found.base) as usize));
            next += 1;
        }
        Ok(Offset(next))
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError> {
        Ok(self.content().groups.get(group).cloned().unwrap_or_default())
    }

    fn append(&mut self, topic: &str, partition: PartitionId, record: NewRecord<'_>) -> Result<(), LogError> {
        if let Some(records) = self.open.get_mut(topic).and_then(|topic| topic.get_mut(&partition)) {
            records.push(Offset(0), record);
            return Ok(());
        }
        self.content().partition(topic, partition)?;
        self.open.entry(topic.to_owned()).or_default().entry(partition).or_default().push(Offset(0), record);
        Ok(())
    }

    fn commit(
        &mut self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<Committed, LogError> {
        let open = std::mem::take(&mut self.open);
        let mut content = self.content();
        let mut committed = Committed::default();
        for (topic, partitions) in open {
            for (partition, records) in partitions {
                // Topics are never removed, so what append found is there.
                let found = content.partition_mut(&topic, partition)?;
                found.append(&records);
                committed.positions.insert((topic.clone(), partition), Offset(found.end()));
            }
        }
        if !offsets.is_empty() {
            let group = content.groups.entry(group.to_owned()).or_default();
            group.extend(offsets.iter().map(|(partition, offset)| (partition.clone(), offset.clone())));
        }
        Ok(committed)
    }

    fn abort(&mut self) {
        self.open.clear();
    }

    fn open_bytes(&self) -> usize {
        self.open.values().flat_map(BTreeMap::values).map(Records::byte_len).sum()
    }

    fn produce(&mut self, topic: &str, partition: PartitionId, records: &Records) -> Result<Offset, LogError> {
        let mut content = self.content();
        let found = content.partition_mut(topic, partition)?;
        found.append(records);
        Ok(Offset(found.end()))
    }

    fn trim(&mut self, topic: &str, partition: PartitionId, before: Offset) -> Result<(), LogError> {
        self.content().partition_mut(topic, partition)?.trim(before.0);
        Ok(())
    }
}
