//! Records on their way into partitions: encoded, without their offsets, which they get under the writers' lock.

use std::collections::BTreeMap;

use millstream_engine::ids::PartitionId;

use super::line;
use crate::log::{NewRecord, Records};

/// The records of a transaction, by topic and partition.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) topics: BTreeMap<String, BTreeMap<PartitionId, Bodies>>,
    bytes: usize,
}

/// Bodies of records of one partition, in order.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    text: Vec<u8>,
    ends: Vec<(usize, i64)>,
}

impl Pending {
    /// Whether there are no records.
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Bytes of the encoded records.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The partition's records, if there are any yet.
    pub(super) fn has(&self, topic: &str, partition: PartitionId) -> bool {
        self.topics.get(topic).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// Adds a record.
    pub(super) fn push(&mut self, topic: &str, partition: PartitionId, record: NewRecord<'_>) {
        if let Some(bodies) = self.topics.get_mut(topic).and_then(|partitions| partitions.get_mut(&partition)) {
            self.bytes += bodies.push(record);
        } else {
            let mut bodies = Bodies::default();
            self.bytes += bodies.push(record);
            self.topics.entry(topic.to_owned()).or_default().insert(partition, bodies);
        }
    }

    /// Records of one partition.
    pub(super) fn of(topic: &str, partition: PartitionId, records: &Records) -> Pending {
        let mut pending = Pending::default();
        let mut headers = Vec::new();
        for record in records.iter() {
            headers.clear();
            headers.extend(record.headers);
            let (key, value, timestamp) = (record.key, record.value, record.timestamp);
            pending.push(topic, partition, NewRecord { key, value, timestamp, headers: &headers });
        }
        pending
    }
}

impl Bodies {
    /// The bodies with their records' timestamps.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], i64)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, timestamp)| {
            let body = &self.text[start..*end];
            start = *end;
            (body, *timestamp)
        })
    }

    fn push(&mut self, record: NewRecord<'_>) -> usize {
        let before = self.text.len();
        line::push_body(record, &mut self.text);
        self.ends.push((self.text.len(), record.timestamp.0));
        self.text.len() - before
    }
}
