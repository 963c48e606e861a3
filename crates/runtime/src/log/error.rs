//! What can go wrong with a log, in words for people.

use std::io;
use std::path::{Path, PathBuf};

use millstream_engine::ids::{Offset, PartitionId};

/// An error of a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No such topic.
    #[error(
        "there is no topic {topic}: create it with `millstream topic create {topic}`, or mend its name in the pipeline"
    )]
    UnknownTopic {
        /// The name asked for.
        topic: String,
    },
    /// The topic has fewer partitions.
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: PartitionId,
    },
    /// A topic of that name exists.
    #[error("topic {topic} exists already")]
    TopicExists {
        /// The name.
        topic: String,
    },
    /// The name is not allowed.
    #[error("{topic:?} is no name for a topic: letters, digits, '.', '_' and '-' are allowed, at most 249 of them")]
    TopicName {
        /// The name.
        topic: String,
    },
    /// No or far too many partitions.
    #[error("topic {topic} cannot have {partitions} partitions")]
    PartitionCount {
        /// The topic.
        topic: String,
        /// The number asked for.
        partitions: u32,
    },
    /// A read before the earliest record or behind the end.
    #[error(
        "topic {topic} partition {partition} has no offset {offset}: its records are {earliest} to {end} (exclusive); \
         they were deleted, or the topic was made anew: a pipeline that was there begins anew with \
         `millstream reset FILE --to earliest`"
    )]
    OffsetOutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The offset asked for.
        offset: Offset,
        /// The earliest record's offset.
        earliest: Offset,
        /// The offset behind the last record.
        end: Offset,
    },
    /// Another process runs pipelines over the folder.
    #[error("{} is in use by another run{}", path.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process, where it could be read.
        pid: Option<u32>,
    },
    /// The handle was opened for producing and consuming only.
    #[error("{} was opened without the right to run transactions", path.display())]
    NotTheRun {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is not a log, or one of another version.
    #[error("{} is not a log that this version can read: {message}", path.display())]
    NotALog {
        /// The folder.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Something that was committed cannot be read back.
    #[error("{} is damaged at byte {position}: {message}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        position: u64,
        /// What is wrong there.
        message: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The commit record may or may not have reached the disk.
    #[error("the outcome of a commit is unknown ({reason}): open the log again to learn it")]
    OutcomeUnknown {
        /// What failed.
        reason: String,
    },
    /// A record is larger than its topic takes. The transaction is as it was before.
    #[error(
        "a record of {bytes} bytes does not fit topic {topic}, which takes {limit}: raise its max.message.bytes, or write less"
    )]
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// How large it is.
        bytes: usize,
        /// How many the topic takes.
        limit: usize,
    },
    /// A broker, or the way to it, failed.
    #[error("{message}")]
    Kafka {
        /// What can be done about it.
        kind: FailureKind,
        /// What was tried, what came of it, and what to do.
        message: String,
    },
    /// A test stopped the log at a crash point.
    #[error("stopped at crash point {point}")]
    CrashPoint {
        /// Which one.
        point: &'static str,
    },
}

/// What can be done about a failure of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The same call may succeed later; nothing is lost.
    Retriable,
    /// The transaction is gone, nothing of it is visible: go on from the committed offsets with the same log.
    Aborted,
    /// Another producer has this one's place: what it did is in the committed offsets. Take up the place anew, or leave.
    Fenced,
    /// The log must be connected again; the committed offsets say what was done.
    Fatal,
    /// What was asked is not allowed or not there: somebody must change a setting, a right or a topic.
    Refused,
}

impl LogError {
    /// What can be done about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            LogError::Kafka { kind, .. } => *kind,
            LogError::OutcomeUnknown { .. }
            | LogError::Corrupt { .. }
            | LogError::Io { .. }
            | LogError::CrashPoint { .. } => FailureKind::Fatal,
            LogError::UnknownTopic { .. }
            | LogError::UnknownPartition { .. }
            | LogError::TopicExists { .. }
            | LogError::TopicName { .. }
            | LogError::PartitionCount { .. }
            | LogError::OffsetOutOfRange { .. }
            | LogError::InUse { .. }
            | LogError::NotTheRun { .. }
            | LogError::NotALog { .. }
            | LogError::RecordTooLarge { .. } => FailureKind::Refused,
        }
    }

    /// Wraps an error of the system.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> LogError {
        LogError::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, position: u64, message: impl Into<String>) -> LogError {
        LogError::Corrupt { path: path.to_owned(), position, message: message.into() }
    }
}
