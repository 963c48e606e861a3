//! What a Kafka log has done and lived through, for metrics. Counters only grow; durations are totals.

use std::time::Duration;

use super::native::Code;

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
    pub trims_failed: TrimFailures,
    /// Bytes that are fetched and not read yet (not a counter: as it is now).
    pub buffered_bytes: u64,
    /// Time spent in commits, by phase.
    pub commit_time: CommitTime,
}

/// Trims that failed, by why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrimFailures {
    /// The partition had no leader, or another than was asked.
    pub leader: u64,
    /// The broker did not answer in time.
    pub timeout: u64,
    /// The topic's settings do not allow it (`cleanup.policy` without `delete`).
    pub policy: u64,
    /// Anything else.
    pub other: u64,
}

impl TrimFailures {
    /// The count that a broker's answer, or the library's, belongs to.
    pub(super) fn of(&mut self, code: Code) -> &mut u64 {
        match code {
            Code::LEADER_NOT_AVAILABLE | Code::NOT_LEADER_FOR_PARTITION => &mut self.leader,
            Code::REQUEST_TIMED_OUT | Code::TIMED_OUT | Code::TRANSPORT => &mut self.timeout,
            Code::POLICY_VIOLATION => &mut self.policy,
            _ => &mut self.other,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.leader + self.timeout + self.policy + self.other
    }
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
