//! Why a worker stopped, in words for people.

use std::fmt;

use millstream_engine::error::{Rejected, TaskError};
use millstream_engine::ids::{Offset, PartitionId};
use millstream_pipeline::spec::Duration;

use crate::log::LogError;
use crate::store::StoreError;

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPlace {
    /// The topic that it was read from.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// The offset.
    pub offset: Offset,
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} partition {} offset {}", self.topic, self.partition, self.offset)
    }
}

/// What stops a worker. Nothing of the open epoch has become visible; a restart takes its input again.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A task cannot go on.
    #[error("pipeline {pipeline}, task {task}: {source}")]
    Task {
        /// The pipeline.
        pipeline: String,
        /// The task.
        task: String,
        /// Why.
        source: TaskError,
    },
    /// A record failed, and the pipeline says `on_error: fail`.
    #[error(
        "pipeline {pipeline}, task {task}{}: step {}: {}: {}; have it mended where it is written, and to pass over what is there \
         set `on_error: skip` or `on_error: {{dead_letter: TOPIC}}`",
        place.as_ref().map(|place| format!(", {place}")).unwrap_or_default(),
        rejected.step, rejected.error.kind.as_str(), rejected.error.message
    )]
    Record {
        /// The pipeline.
        pipeline: String,
        /// The task.
        task: String,
        /// Where the record is; a result of many records is in no place.
        place: Option<RecordPlace>,
        /// The record, and why it failed.
        rejected: Box<Rejected>,
    },
    /// The log failed.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The state store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A format cannot serve a topic's columns.
    #[error("topic {name}: {message}")]
    Format {
        /// The topic.
        name: String,
        /// Why.
        message: String,
    },
    /// Records name schemas, and nobody can say what they are.
    #[error(
        "topic {topic}: its messages name schemas of a schema registry, and none is known: set `schema_registry.urls` in \
         the settings, or SCHEMA_REGISTRY_URL; messages without such a name are read with `framing: none`"
    )]
    NoRegistry {
        /// The topic.
        topic: String,
    },
    /// A source topic is not there.
    #[error("topic {topic} does not exist: create it with `millstream topic create {topic}`")]
    MissingTopic {
        /// The topic.
        topic: String,
    },
    /// A topic that is written to is not there.
    #[error(
        "topic {topic}, to which the pipeline writes, does not exist: create it, or let the pipeline create it with \
         `create: {{}}` beside its name"
    )]
    MissingOutput {
        /// The topic.
        topic: String,
    },
    /// The changelog does not reach back to where the state must begin.
    #[error(
        "the changelog {topic} partition {partition} is missing or cut off while offsets are committed, so state would \
         be lost in silence: bring the topic back, or start over with \
         `millstream reset FILE --to earliest`"
    )]
    ChangelogLost {
        /// The changelog's topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// State is there, and nobody knows up to where input is in it.
    #[error(
        "pipeline {pipeline} has state, but its group has no offset for topic {topic} partition {partition}, so input would be \
         counted twice or left out: the group was deleted, or stood still for longer than the brokers keep offsets \
         (`offsets.retention.minutes`); start over with `millstream reset FILE --to earliest`, or keep the state and say where \
         it goes on with `millstream reset FILE --to PLACE --keep-state`"
    )]
    OffsetsLost {
        /// The pipeline, and its group.
        pipeline: String,
        /// An input.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// Records of a repartition are gone that were not processed.
    #[error(
        "topic {topic} partition {partition} begins at offset {earliest}, but the pipeline has processed it only up to offset \
         {next}: what is between was deleted by somebody else, and with it rows of the pipeline; start over with \
         `millstream reset FILE --to earliest`, and leave the pipeline's own topics alone"
    )]
    RepartitionLost {
        /// The repartition's topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Up to where it was processed.
        next: i64,
        /// What is left of it.
        earliest: i64,
    },
    /// A topic ends before the offset that was processed last.
    #[error(
        "topic {topic} partition {partition} ends at offset {end}, but records before offset {committed} have been \
         processed: the topic was made anew or lost records; if that was meant, start over with \
         `millstream reset FILE --to earliest`"
    )]
    SourceTruncated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Where the pipeline would go on.
        committed: i64,
        /// The end of the partition.
        end: i64,
    },
    /// An internal topic does not fit the pipeline.
    #[error(
        "topic {topic} has {found} partitions, but the pipeline needs {needed} since a source has another number of them: \
         the state of its keys would have to move. Give the source its partitions back, group behind a `key_by`, or start \
         over with `millstream reset FILE --to earliest`"
    )]
    PartitionsChanged {
        /// The topic.
        topic: String,
        /// Partitions that it has.
        found: u32,
        /// Partitions that it must have.
        needed: u32,
    },
    /// The state was made by steps of another shape.
    #[error(
        "the committed state of pipeline {pipeline} was made by other stateful steps (window, emit, keys or aggregates \
         changed): go back to the earlier file, give the pipeline a new name and a new output topic, or start over with \
         `millstream reset FILE --to earliest`, by which results are written again to the same topics"
    )]
    ShapeChanged {
        /// The pipeline.
        pipeline: String,
    },
    /// A reset was cut off.
    #[error(
        "a reset of pipeline {pipeline} was cut off before its state was gone: run \
         `millstream reset FILE --to earliest --clear-state`, or to another place"
    )]
    ResetUnfinished {
        /// The pipeline.
        pipeline: String,
    },
    /// Something on an internal topic cannot be read back.
    #[error(
        "topic {topic} partition {partition} offset {offset}: {message}; leave the pipeline's own topics alone, or start over with \
         `millstream reset FILE --to earliest`"
    )]
    Frame {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset.
        offset: i64,
        /// What is wrong.
        message: String,
    },
    /// Another version of the pipeline has written a frame without a column that this one needs.
    #[error(
        "topic {topic} partition {partition} offset {offset}: what another version of the pipeline has sent here lacks the column \
         {column}, which this version needs: run that version until it has read all that there is (`millstream run FILE \
         --until-end`), and then this one"
    )]
    FrameLacks {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset.
        offset: i64,
        /// The column and its type.
        column: String,
    },
    /// The group's offsets are not this program's.
    #[error(
        "the group {group} has offsets that another program has committed: give the pipeline another name, or take the \
         group over with `millstream reset FILE --to earliest`"
    )]
    ForeignGroup {
        /// The group: the pipeline's name.
        group: String,
    },
    /// Too many records failed.
    #[error(
        "pipeline {pipeline}: more than {percent}% of the records of the last {span} failed (on_error.fail_above), the last of them \
         at {last}; mend what writes them or the pipeline, or raise the limit"
    )]
    TooManyFailures {
        /// The pipeline.
        pipeline: String,
        /// The limit.
        percent: f64,
        /// Over how long.
        span: Duration,
        /// Which record failed last, and why. Its dead letter may not be there, as the epoch was rolled back.
        last: String,
    },
    /// The program contradicts itself.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What an error says of where it arose, for the fields of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place<'a> {
    pub(crate) task: Option<&'a str>,
    pub(crate) topic: Option<&'a str>,
    pub(crate) partition: Option<u32>,
}

impl WorkerError {
    /// Where it arose, as far as it knows.
    pub(crate) fn place(&self) -> Place<'_> {
        let at = |topic, partition| Place { task: None, topic: Some(topic), partition: Some(partition) };
        match self {
            WorkerError::Task { task, .. } | WorkerError::Record { task, place: None, .. } => {
                Place { task: Some(task), ..Place::default() }
            }
            WorkerError::Record { task, place: Some(place), .. } => {
                Place { task: Some(task), ..at(&place.topic, place.partition.0) }
            }
            WorkerError::ChangelogLost { topic, partition }
            | WorkerError::OffsetsLost { topic, partition, .. }
            | WorkerError::RepartitionLost { topic, partition, .. }
            | WorkerError::SourceTruncated { topic, partition, .. }
            | WorkerError::Frame { topic, partition, .. }
            | WorkerError::FrameLacks { topic, partition, .. } => at(topic, *partition),
            WorkerError::Log(LogError::UnknownPartition { topic, partition })
            | WorkerError::Log(LogError::OffsetOutOfRange { topic, partition, .. }) => at(topic, partition.0),
            WorkerError::Format { name: topic, .. }
            | WorkerError::NoRegistry { topic }
            | WorkerError::MissingTopic { topic }
            | WorkerError::MissingOutput { topic }
            | WorkerError::PartitionsChanged { topic, .. }
            | WorkerError::Log(LogError::UnknownTopic { topic }) => Place { topic: Some(topic), ..Place::default() },
            _ => Place::default(),
        }
    }

    pub(super) fn internal(error: &dyn std::fmt::Display) -> WorkerError {
        WorkerError::Internal(error.to_string())
    }
}
