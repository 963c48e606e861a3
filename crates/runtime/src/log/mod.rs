//! Topics with partitions, read in order and written in transactions: the few verbs that every log serves.
//!
//! Three siblings serve them: [`memory::MemoryLog`] for tests and simulation, [`embedded::EmbeddedLog`] over a folder,
//! [`kafka::KafkaLog`] over brokers.
//! A log never shows a record, an offset or a changelog frame of a transaction that has not committed.

pub mod embedded;
mod error;
pub mod kafka;
mod limits;
pub mod memory;
mod records;

use std::collections::BTreeMap;
use std::ops::Range;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_pipeline::topology::{self, CreateDef};

pub use error::{FailureKind, LogError};
pub use limits::{KeyRule, RecordLimits};
pub use records::{Header, Headers, NewRecord, RecordView, Records, UNTIMED};

/// A partition of a topic by name.
pub type TopicPartition = (String, PartitionId);

/// What a topic is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// How many partitions; at least 1.
    pub partitions: u32,
    /// Whose records they are.
    pub kind: TopicKind,
    /// When old records may go.
    pub retention: Retention,
    /// On how many brokers each partition stands; `None` for what the cluster does by default. A folder has one copy.
    pub replication: Option<u16>,
    /// What becomes of old records. A folder only deletes.
    pub cleanup: Cleanup,
}

impl TopicSettings {
    /// A user's topic that keeps everything.
    pub fn user(partitions: u32) -> TopicSettings {
        TopicSettings { kind: TopicKind::User, ..TopicSettings::internal(partitions) }
    }

    /// An output topic as a pipeline's `create:` says, with so many partitions where it does not say.
    pub fn created(create: &CreateDef, partitions: u32) -> TopicSettings {
        TopicSettings {
            partitions: create.partitions.unwrap_or(partitions),
            kind: TopicKind::User,
            retention: Retention { age_ms: create.retention.map(|age| age.0.unsigned_abs()), bytes: None },
            replication: create.replication.map(|brokers| u16::try_from(brokers).unwrap_or(u16::MAX)),
            cleanup: match create.cleanup {
                topology::Cleanup::Delete => Cleanup::Delete,
                topology::Cleanup::Compact => Cleanup::Compact,
                topology::Cleanup::CompactAndDelete => Cleanup::CompactAndDelete,
            },
        }
    }

    /// A topic of the pipeline's own (changelog, repartition), trimmed by the pipeline alone.
    pub fn internal(partitions: u32) -> TopicSettings {
        TopicSettings {
            partitions,
            kind: TopicKind::Internal,
            retention: Retention::default(),
            replication: None,
            cleanup: Cleanup::Delete,
        }
    }
}

/// Whose records a topic holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicKind {
    /// Sources and sinks.
    User,
    /// Changelogs and repartitions: hidden from listings unless asked for.
    Internal,
}

/// What becomes of the old records of a topic (Kafka's `cleanup.policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cleanup {
    /// They go by age and size.
    #[default]
    Delete,
    /// The last record of each key stays.
    Compact,
    /// Both.
    CompactAndDelete,
}

/// When old records may go; whole segments go, and never the newest. The default keeps everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Segments whose newest timestamp is older than this may go.
    pub age_ms: Option<u64>,
    /// The oldest segments of a partition may go while it is larger than this.
    pub bytes: Option<u64>,
}

/// A topic of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// What it was made with.
    pub settings: TopicSettings,
}

/// The committed records that a partition has now: offsets in `earliest..end`. Not every offset need have a record: a
/// broker's transaction markers and aborted records take offsets too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The offset of the oldest record that is left; `end` when there is none.
    pub earliest: Offset,
    /// The offset that the next record will have.
    pub end: Offset,
}

/// How much one read may bring. A read brings at least one record where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// At most so many records.
    pub records: usize,
    /// About so many bytes of keys, values and headers.
    pub bytes: usize,
}

impl Default for ReadLimit {
    fn default() -> ReadLimit {
        ReadLimit { records: 8192, bytes: 4 << 20 }
    }
}

/// How far a group has processed a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommittedOffset {
    /// The offset of the next record to process.
    pub offset: Offset,
    /// What the group wrote beside it.
    pub metadata: String,
}

/// What a transaction's commit made true.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// For every partition that the transaction wrote to: the offset behind its last record of the transaction.
    pub positions: BTreeMap<TopicPartition, Offset>,
}

/// Topics, committed reads, and one open transaction per handle.
///
/// Names and partitions that do not exist are errors, never made in silence.
pub trait Log: Send {
    /// All topics, internal ones too, by name.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn topics(&self) -> Result<Vec<TopicInfo>, LogError>;

    /// How many partitions a topic has; `None` if there is no such topic.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn partitions(&self, topic: &str) -> Result<Option<u32>, LogError>;

    /// Makes a topic, at once and durably (not part of the transaction).
    ///
    /// # Errors
    /// If there is one of that name, or if the name or the settings are not allowed.
    fn create_topic(&mut self, name: &str, settings: TopicSettings) -> Result<(), LogError>;

    /// Gives a topic more partitions, `partitions` in all, at once and durably.
    ///
    /// # Errors
    /// If there is no such topic, if it has more already, or if this log's topics do not grow.
    fn grow_topic(&mut self, name: &str, partitions: u32) -> Result<(), LogError> {
        Err(LogError::PartitionCount { topic: name.to_owned(), partitions })
    }

    /// Which offsets a partition has now, committed records only.
    ///
    /// # Errors
    /// If there is no such partition, or if the log cannot be read.
    fn extent(&self, topic: &str, partition: PartitionId) -> Result<Extent, LogError>;

    /// The end of [`extent`](Self::extent) as it is now: where that may be what was heard last, this is asked for, for a second
    /// at most.
    ///
    /// # Errors
    /// As [`extent`](Self::extent), and if there is no answer.
    fn end_now(&mut self, topic: &str, partition: PartitionId) -> Result<Offset, LogError> {
        Ok(self.extent(topic, partition)?.end)
    }

    /// As [`extent`](Self::extent), to behind the last record that anybody has written, committed or not: a transaction's
    /// offsets can be known as committed before its records can be read, so what ends the state of a task is this.
    ///
    /// # Errors
    /// As [`extent`](Self::extent).
    fn written_extent(&mut self, topic: &str, partition: PartitionId) -> Result<Extent, LogError> {
        self.extent(topic, partition)
    }

    /// The end of [`written_extent`](Self::written_extent).
    ///
    /// # Errors
    /// As [`extent`](Self::extent).
    fn written_end(&mut self, topic: &str, partition: PartitionId) -> Result<Offset, LogError> {
        Ok(self.written_extent(topic, partition)?.end)
    }

    /// How many offsets a commit takes in each partition that it wrote to, besides those of its records: a broker writes a
    /// marker.
    fn offsets_per_commit(&self) -> i64 {
        0
    }

    /// The generation of the group in which this member got its partitions: it grows whenever members come or go. 0 where there are no
    /// groups, and where the group has put the member out.
    fn generation(&self) -> u32 {
        0
    }

    /// Asks whether the group still counts this member in.
    ///
    /// # Errors
    /// If it does not, or if nobody answers.
    fn confirm_membership(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// Whether a commit makes records and offsets visible together. At least once it does not: a crash between the two leaves
    /// records, of changelogs too, without offsets.
    fn is_atomic(&self) -> bool {
        true
    }

    /// What records the topic takes, now.
    fn record_limits(&self, topic: &str) -> RecordLimits {
        let _ = topic;
        RecordLimits::default()
    }

    /// The time of a record that has none: that of its writing, where the log gives it that.
    fn no_time(&self) -> Millis {
        Millis(0)
    }

    /// The least offset whose record has a timestamp of `time` or later; the end if there is none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn offset_at(&mut self, topic: &str, partition: PartitionId, time: Millis) -> Result<Offset, LogError>;

    /// Appends committed records from offset `from` on to `into`, in order and without leaving one out, and says the
    /// offset to go on at (which may lie behind offsets without a record). Nothing is read at the end; a log that fetches
    /// in the background may also have nothing at hand before it. The limit counts the records of this call alone.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] if `from` is before the earliest record (trimmed meanwhile) or behind the end;
    /// [`LogError::Corrupt`] if what was committed cannot be read back as it was written.
    fn read(
        &mut self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
        limit: ReadLimit,
        into: &mut Records,
    ) -> Result<Offset, LogError>;

    /// These partitions are about to be read, each from the one offset to before the other, and nothing else but what is assigned
    /// is. A log that fetches from afar fetches them side by side from now on.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn read_ahead(&mut self, stretches: &BTreeMap<TopicPartition, Range<Offset>>) -> Result<(), LogError> {
        let _ = stretches;
        Ok(())
    }

    /// Whether a read from offset `from` on need not wait: it brings something now, or says why nothing can come.
    fn is_at_hand(&self, topic: &str, partition: PartitionId, from: Offset) -> bool {
        let _ = (topic, partition, from);
        true
    }

    /// How far a group has come, for every partition that it has ever committed.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError>;

    /// Adds a record to the open transaction of this handle (and opens it if there is none). It gets its offset at the
    /// commit; records of one partition keep their order.
    ///
    /// # Errors
    /// If there is no such partition.
    fn append(&mut self, topic: &str, partition: PartitionId, record: NewRecord<'_>) -> Result<(), LogError>;

    /// Where no transaction holds records together (at least once): waits until all that was appended is written, so that what
    /// is appended from now on is never there without it.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    fn write_out(&mut self) -> Result<(), LogError> {
        Ok(())
    }

    /// Makes the open transaction's records and a group's new offsets visible and durable, all or nothing. After any
    /// error the transaction is gone; after [`LogError::OutcomeUnknown`] the log must be opened again to learn whether it
    /// committed.
    ///
    /// # Errors
    /// If the log cannot be written: then nothing is visible, save for `OutcomeUnknown`.
    fn commit(
        &mut self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<Committed, LogError>;

    /// Drops the open transaction; nobody has seen any of it.
    fn abort(&mut self);

    /// Bytes of keys, values and headers in the open transaction.
    fn open_bytes(&self) -> usize;

    /// Appends records to one partition at once, outside the transaction, all or none (their offsets in `records` are
    /// ignored), and says the offset behind the last.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    fn produce(&mut self, topic: &str, partition: PartitionId, records: &Records) -> Result<Offset, LogError>;

    /// Gives up the records before offset `before` (held at the end), at once. Some may stay readable for a while.
    ///
    /// # Errors
    /// If there is no such partition, or if the log cannot be written.
    fn trim(&mut self, topic: &str, partition: PartitionId, before: Offset) -> Result<(), LogError>;
}

/// Whether a topic may have this name: letters, digits, `.`, `_`, `-`, at most 249 bytes, and not `.` or `..`.
pub fn is_topic_name(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Refuses names and settings that no log allows.
fn check_topic(name: &str, settings: &TopicSettings) -> Result<(), LogError> {
    if !is_topic_name(name) {
        return Err(LogError::TopicName { topic: name.to_owned() });
    }
    if !(1..=MAX_PARTITIONS).contains(&settings.partitions) {
        return Err(LogError::PartitionCount { topic: name.to_owned(), partitions: settings.partitions });
    }
    Ok(())
}

/// More than this is taken for a slip of the pen.
const MAX_PARTITIONS: u32 = 10_000;
