//! What a Kafka log has done and lived through, for metrics. Counters only grow; durations are totals.

use std::time::Duration;

/// What a Kafka log has done since it was connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KafkaCounters {
    /// Transactions (or, without them, offsets) that have committed.
    pub commits: u64,
    /// Transactions that were given up.
    pub aborts: u64,
    /// Times that another producer of the same transactional id had taken over.
    pub fences: u64,
    /// Producers dropped because a request of their transaction had no certain answer.
    pub retirements: u64,
    /// Producers made and initialised.
    pub producers: u64,
    /// Times that the group gave or took partitions.
    pub rebalances: u64,
    /// Times that partitions were lost without being asked for.
    pub losses: u64,
    /// Records handed over by `read`.
    pub records_read: u64,
    /// Bytes of keys, values and headers handed over by `read`.
    pub bytes_read: u64,
    /// Records given to the producer.
    pub records_written: u64,
    /// Bytes of keys, values and headers given to the producer.
    pub bytes_written: u64,
    /// Trims that the broker refused for want of the right to delete records.
    pub trims_refused: u64,
    /// Trims that failed in another way.
    pub trims_failed: u64,
    /// Bytes that are fetched and not read yet (not a counter: as it is now).
    pub buffered_bytes: u64,
    /// Time spent in commits, by phase.
    pub commit_time: CommitTime,
}

/// Time spent in commits so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitTime {
    /// Waiting until the brokers had all records.
    pub drain: Duration,
    /// Handing the offsets to the transaction.
    pub send_offsets: Duration,
    /// Ending the transaction.
    pub end_txn: Duration,
}
