//! A log for measuring: one source topic that stands in memory, and sinks that count and drop.

use std::collections::BTreeMap;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;

use crate::log::{
    Committed, CommittedOffset, Extent, Log, LogError, NewRecord, ReadLimit, Records, TopicInfo, TopicPartition,
    TopicSettings,
};

/// Reads come from what was made before; writes are counted and dropped.
pub(super) struct BenchLog {
    topic: &'static str,
    chunks: Vec<Records>,
    records: i64,
    chunk_len: usize,
    open_bytes: usize,
}

impl BenchLog {
    /// A log whose `topic` holds the records of `chunks`, all but the last of one length, with offsets from 0.
    pub(super) fn new(topic: &'static str, chunks: Vec<Records>) -> BenchLog {
        let records = chunks.iter().map(|chunk| chunk.len() as i64).sum();
        let chunk_len = chunks.first().map_or(1, Records::len).max(1);
        BenchLog { topic, chunks, records, chunk_len, open_bytes: 0 }
    }
}

impl Log for BenchLog {
    fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        Ok(vec![TopicInfo { name: self.topic.to_owned(), settings: TopicSettings::user(1) }])
    }

    fn partitions(&self, _topic: &str) -> Result<Option<u32>, LogError> {
        Ok(Some(1))
    }

    fn create_topic(&mut self, _name: &str, _settings: TopicSettings) -> Result<(), LogError> {
        Ok(())
    }

    fn extent(&self, topic: &str, _partition: PartitionId) -> Result<Extent, LogError> {
        let end = if topic == self.topic { self.records } else { 0 };
        Ok(Extent { earliest: Offset(0), end: Offset(end) })
    }

    fn offset_at(&mut self, _topic: &str, _partition: PartitionId, _time: Millis) -> Result<Offset, LogError> {
        Ok(Offset(0))
    }

    fn read(
        &mut self,
        _topic: &str,
        _partition: PartitionId,
        from: Offset,
        limit: ReadLimit,
        into: &mut Records,
    ) -> Result<Offset, LogError> {
        let first = from.0 as usize;
        let mut next = first;
        while next < self.records as usize && next - first < limit.records && into.byte_len() < limit.bytes {
            into.push_view(self.chunks[next / self.chunk_len].get(next % self.chunk_len));
            next += 1;
        }
        Ok(Offset(next as i64))
    }

    fn committed(&self, _group: &str) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError> {
        Ok(BTreeMap::new())
    }

    fn append(&mut self, _topic: &str, _partition: PartitionId, record: NewRecord<'_>) -> Result<(), LogError> {
        self.open_bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        Ok(())
    }

    fn commit(
        &mut self,
        _group: &str,
        _offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<Committed, LogError> {
        self.open_bytes = 0;
        Ok(Committed::default())
    }

    fn abort(&mut self) {
        self.open_bytes = 0;
    }

    fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    fn produce(&mut self, _topic: &str, _partition: PartitionId, _records: &Records) -> Result<Offset, LogError> {
        Ok(Offset(0))
    }

    fn trim(&mut self, _topic: &str, _partition: PartitionId, _before: Offset) -> Result<(), LogError> {
        Ok(())
    }
}
