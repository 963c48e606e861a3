//! The demo's trades in their topic.

use std::ops::Range;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::key::partition_for;
use millstream_engine::time::Millis;
use millstream_runtime::log::{Log, LogError, NewRecord, Records, TopicSettings};
use millstream_runtime::sample::Trades;

use super::PARTITIONS;

/// The topic of trades.
pub(super) const TOPIC: &str = "trades";

/// Makes the topic of trades.
pub(super) fn create_topic<L: Log>(log: &mut L) -> Result<(), LogError> {
    log.create_topic(TOPIC, TopicSettings::user(PARTITIONS))
}

/// Writes trades number `range` of a seed, each symbol into the partition of its key.
pub(super) fn produce<L: Log>(log: &mut L, seed: u64, range: Range<usize>) -> Result<(), LogError> {
    let mut partitions = vec![Records::new(); PARTITIONS as usize];
    for trade in Trades::new(seed).skip(range.start).take(range.len()) {
        let key = trade.symbol.as_bytes();
        let partition = partition_for(key, PARTITIONS);
        let record = NewRecord {
            key: Some(key),
            value: Some(trade.value.as_bytes()),
            timestamp: Millis(trade.ts_ms),
            headers: &[],
        };
        partitions[partition.0 as usize].push(Offset(0), record);
    }
    for (partition, records) in partitions.iter().enumerate().filter(|(_, records)| !records.is_empty()) {
        log.produce(TOPIC, PartitionId(partition as u32), records)?;
    }
    Ok(())
}
