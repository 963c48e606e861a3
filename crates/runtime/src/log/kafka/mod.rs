//! The Kafka log: one consumer of a group and one transactional producer, for one worker thread.
//!
//! It says when the group gives and takes partitions and never answers by itself: what is fetched is what
//! [`KafkaLog::assign`] says. Nothing of a transaction that did not commit is ever handed over.

mod counters;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;

use crate::log::{
    Committed, CommittedOffset, Extent, FailureKind, Log, LogError, NewRecord, ReadLimit, Records, TopicInfo,
    TopicPartition, TopicSettings,
};

pub use counters::{CommitTime, KafkaCounters};
pub use settings::{Guarantee, KafkaLogSettings, topic_config};

/// What the group wants of this member. It waits for the answer: [`KafkaLog::assign`] or [`KafkaLog::release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// These partitions are this member's now, all of them (the protocol is eager). To be answered with `assign`.
    Assigned(Vec<TopicPartition>),
    /// All partitions are asked back: commit what is done, then `release`.
    Revoked(Vec<TopicPartition>),
    /// All partitions are another's already: commit nothing, then `release`.
    Lost(Vec<TopicPartition>),
}

/// A log of Kafka topics, for one worker thread.
#[derive(Debug)]
pub struct KafkaLog {
    counters: KafkaCounters,
}

impl KafkaLog {
    /// Connects: makes the consumer, finds a broker, asks how large records of the output topics may be.
    ///
    /// # Errors
    /// Within 10 seconds if no broker answers, or if one refuses who we are.
    pub fn connect(settings: KafkaLogSettings) -> Result<KafkaLog, LogError> {
        let _ = settings;
        Err(unfinished())
    }

    /// Joins the group for these topics. What it gives comes from [`poll`](Self::poll).
    ///
    /// # Errors
    /// If the library refuses the names.
    pub fn subscribe(&mut self, topics: &[String]) -> Result<(), LogError> {
        let _ = topics;
        Err(unfinished())
    }

    /// Takes what the consumer has, waiting for the first of it no longer than `wait`; [`read`](Log::read) then serves it. What the
    /// group wants is said as soon as it is seen. To be called often, also when nothing is to be read: a member that does
    /// not poll for five minutes is put out of its group.
    ///
    /// # Errors
    /// If a partition cannot be read on, or if the group cannot be joined.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<GroupEvent>, LogError> {
        let _ = wait;
        Err(unfinished())
    }

    /// Fetches exactly these partitions, each from its offset, from now on. Answers [`GroupEvent::Assigned`]; may also be
    /// called later, and may name partitions that the group did not give.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn assign(&mut self, at: &BTreeMap<TopicPartition, Offset>) -> Result<(), LogError> {
        let _ = at;
        Err(unfinished())
    }

    /// Fetches nothing any more and forgets what was fetched. Answers [`GroupEvent::Revoked`] and [`GroupEvent::Lost`].
    ///
    /// # Errors
    /// If the library refuses.
    pub fn release(&mut self) -> Result<(), LogError> {
        Err(unfinished())
    }

    /// Whether there is a producer that can begin a transaction.
    pub fn is_producer_ready(&self) -> bool {
        false
    }

    /// Makes a producer and initialises it, if there is none: whatever an earlier one of the same transactional id left
    /// open is aborted, and that one is fenced.
    ///
    /// # Errors
    /// Retriable if it takes longer than `wait`: call again, it goes on where it was.
    pub fn init_producer(&mut self, wait: Duration) -> Result<(), LogError> {
        let _ = wait;
        Err(unfinished())
    }

    /// Drops the connection over which partitions that are not assigned were read.
    pub fn end_restore(&mut self) {}

    /// What has been done so far.
    pub fn counters(&self) -> KafkaCounters {
        self.counters
    }

    /// Aborts what is open and leaves the group, so that others take over at once.
    ///
    /// # Errors
    /// If the group could not be told; the log is closed all the same.
    pub fn leave(&mut self) -> Result<(), LogError> {
        Err(unfinished())
    }
}

impl Log for KafkaLog {
    fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        Err(unfinished())
    }

    fn partitions(&self, _topic: &str) -> Result<Option<u32>, LogError> {
        Err(unfinished())
    }

    fn create_topic(&mut self, _name: &str, _settings: TopicSettings) -> Result<(), LogError> {
        Err(unfinished())
    }

    fn extent(&self, _topic: &str, _partition: PartitionId) -> Result<Extent, LogError> {
        Err(unfinished())
    }

    fn offset_at(&mut self, _topic: &str, _partition: PartitionId, _time: Millis) -> Result<Offset, LogError> {
        Err(unfinished())
    }

    fn read(
        &mut self,
        _topic: &str,
        _partition: PartitionId,
        _from: Offset,
        _limit: ReadLimit,
        _into: &mut Records,
    ) -> Result<Offset, LogError> {
        Err(unfinished())
    }

    fn committed(&self, _group: &str) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError> {
        Err(unfinished())
    }

    fn append(&mut self, _topic: &str, _partition: PartitionId, _record: NewRecord<'_>) -> Result<(), LogError> {
        Err(unfinished())
    }

    fn commit(
        &mut self,
        _group: &str,
        _offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<Committed, LogError> {
        Err(unfinished())
    }

    fn abort(&mut self) {}

    fn open_bytes(&self) -> usize {
        0
    }

    fn produce(&mut self, _topic: &str, _partition: PartitionId, _records: &Records) -> Result<Offset, LogError> {
        Err(unfinished())
    }

    fn trim(&mut self, _topic: &str, _partition: PartitionId, _before: Offset) -> Result<(), LogError> {
        Err(unfinished())
    }
}

/// For verbs whose other half is being written.
fn unfinished() -> LogError {
    LogError::Kafka { kind: FailureKind::Fatal, message: "this verb of the Kafka log is not there yet".to_owned() }
}
