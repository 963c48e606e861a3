//! Where a worker and its tasks stand: plain values that the worker fills in and hands over whole.

use std::fmt;
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId, TaskId};
use millstream_engine::ledger::Ledger;
use millstream_engine::time::{Millis, Watermark};
use serde::Serialize;

use super::state::TaskPhase;
use crate::worker::RestorePace;

/// Where a worker stands. Counts begin at 0 when the worker is built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerSnapshot {
    /// The tasks that it owns now.
    pub tasks: Vec<TaskSnapshot>,
    /// Tasks that were asked back and that it keeps in memory, as they may be given to it again: they count, and are no gauge's.
    pub parked: Vec<TaskSnapshot>,
    /// Records and bytes since the worker was built.
    pub traffic: Traffic,
    /// When it committed last, by the wall clock.
    pub last_commit: Option<Millis>,
    /// What went wrong last, as long as it does not process.
    pub trouble: Option<Trouble>,
}

/// Something that went wrong and that the worker goes on behind: it may explain why nothing moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// When.
    pub at: Instant,
    /// In words.
    pub message: String,
}

impl Trouble {
    /// It has just come.
    pub fn now(message: String) -> Trouble {
        Trouble { at: Instant::now(), message }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} s ago)", self.message, self.at.elapsed().as_secs())
    }
}

impl WorkerSnapshot {
    /// The tasks whose counts stand in no other snapshot: those that it owns, and those that it has parked.
    pub(super) fn counted(&self) -> impl Iterator<Item = &TaskSnapshot> {
        self.tasks.iter().chain(&self.parked)
    }
}

/// What has gone through a worker. Aborted epochs count: it is what was done, not what became visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Traffic {
    /// Records read from source topics.
    pub records_in: u64,
    /// Records written to the topics of sinks and of late rows; dead letters are not among them.
    pub records_out: u64,
    /// Records written to the dead-letter topic.
    pub dead_letters: u64,
    /// Records of source topics that the log had deleted before they were read.
    pub records_deleted: u64,
    /// Bytes of key, value and headers of `records_in`.
    pub bytes_in: u64,
    /// Bytes of key, value and headers of `records_out`.
    pub bytes_out: u64,
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSnapshot {
    /// Which task.
    pub id: TaskId,
    /// What it is doing.
    pub phase: TaskPhase,
    /// For how long it has been restored, if it is: all tasks of its worker side by side.
    pub restoring_for: Option<Duration>,
    /// The partitions that it reads.
    pub lanes: Vec<LaneSnapshot>,
    /// How far event time has come in it, where that is known.
    pub watermark: Option<Watermark>,
    /// Behind a repartition: how far the furthest sender is ahead of the slowest, where that is known.
    pub held_back: Option<Millis>,
    /// The ledger of each step since the task was built, in the order of the graph.
    pub ledgers: Vec<(String, Ledger)>,
    /// Bytes of state in memory.
    pub state_memory_bytes: u64,
    /// Bytes of state in the state store on disk.
    pub state_disk_bytes: u64,
    /// Bytes that a restore without a state store needs of the changelog, about.
    pub changelog_live_bytes: u64,
    /// Bytes of the changelog that newer records have made superfluous and that are not deleted yet, about.
    pub changelog_dead_bytes: u64,
    /// Bytes written to the changelog since the task was built.
    pub changelog_written_bytes: u64,
    /// Bytes of the largest row of state that was written since the task was built, where it is more than half of what a record of
    /// the changelog may have.
    pub changelog_largest_row_bytes: u64,
}

impl TaskSnapshot {
    /// A task in `phase` of which nothing else is known yet.
    pub fn new(id: TaskId, phase: TaskPhase) -> TaskSnapshot {
        TaskSnapshot {
            id,
            phase,
            restoring_for: None,
            lanes: Vec::new(),
            watermark: None,
            held_back: None,
            ledgers: Vec::new(),
            state_memory_bytes: 0,
            state_disk_bytes: 0,
            changelog_live_bytes: 0,
            changelog_dead_bytes: 0,
            changelog_written_bytes: 0,
            changelog_largest_row_bytes: 0,
        }
    }

    /// How its restore goes, if it is being restored.
    pub(super) fn restore(&self) -> Option<RestorePace> {
        match self.phase {
            TaskPhase::Restoring(progress) => {
                Some(RestorePace { progress, took: self.restoring_for.unwrap_or_default() })
            }
            TaskPhase::Running => None,
        }
    }

    /// Records of source topics that the task has not read yet.
    pub fn lag(&self) -> u64 {
        self.lanes.iter().filter(|lane| lane.kind == LaneKind::Source).map(LaneSnapshot::lag).sum()
    }
}

/// Where a task stands in a partition that it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneSnapshot {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionId,
    /// What the topic is to the pipeline.
    pub kind: LaneKind,
    /// The offset of the next record to read.
    pub next: Offset,
    /// The committed end, as last seen.
    pub end: Offset,
    /// The greatest event time that was read.
    pub newest_event_time: Option<Millis>,
    /// How the partition takes part in event time.
    pub speech: Speech,
    /// What its records wait for, if they do.
    pub waits: Option<SchemaWait>,
}

/// Records that wait for their schemas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaWait {
    /// The ids of the schemas, of many the first.
    pub schemas: Vec<u32>,
    /// How many there are.
    pub count: usize,
    /// How long the records have waited.
    pub seconds: u64,
    /// What the registry said last, if it fails.
    pub error: Option<String>,
}

impl SchemaWait {
    /// So many ids are named.
    pub(crate) const MOST_NAMED: usize = 5;

    /// Whether it is worth telling: a schema that is new takes a moment, which is no trouble.
    pub fn is_trouble(&self) -> bool {
        self.error.is_some() || self.seconds > 0
    }
}

impl fmt::Display for SchemaWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.schemas.iter().map(u32::to_string).collect();
        write!(f, "waits for {} {}", if self.count == 1 { "schema" } else { "schemas" }, ids.join(", "))?;
        if self.count > self.schemas.len() {
            write!(f, " and {} more", self.count - self.schemas.len())?;
        }
        write!(f, " for {} s", self.seconds)?;
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl LaneSnapshot {
    /// The partition in words.
    pub(super) fn place(&self) -> String {
        format!("topic {} partition {}", self.topic, self.partition)
    }

    /// Offsets between what was read and the end (a few more than records, where transactions leave markers).
    pub fn lag(&self) -> u64 {
        u64::try_from(self.end.0.saturating_sub(self.next.0)).unwrap_or(0)
    }
}

/// What a lane's topic is to its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneKind {
    /// A source, named in the pipeline.
    Source,
    /// A repartition of the pipeline's own.
    Repartition,
}

/// Whether a lane holds event time back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// It counts for the watermark.
    Speaking,
    /// It has been silent for so long (`idle`) that event time goes on without it.
    Idle,
}
