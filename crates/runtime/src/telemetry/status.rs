//! Where everything stands, as `/status` prints it.

use std::time::Duration;

use millstream_engine::ledger::Ledger;
use millstream_engine::time::{Millis, Watermark};
use serde::Serialize;

use super::Shared;
use super::pipeline::{PipelineRecord, Standing};
use super::readiness::{self, NotReady};
use super::snapshot::{LaneKind, LaneSnapshot, SchemaWait, Speech, TaskSnapshot, Traffic, Trouble};
use super::state::{Event, PipelineState};
use crate::utc::rfc3339;

/// Where the process stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: &'static str,
    /// Seconds since the process began to run pipelines.
    pub uptime_seconds: u64,
    /// As `/ready` says.
    pub ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<NotReady>,
    /// The pipelines, by name.
    pub pipelines: Vec<PipelineStatus>,
}

/// Where a pipeline stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineStatus {
    /// Its name.
    pub name: String,
    /// waiting (for a schema registry), starting, running, failed or stopped.
    pub state: &'static str,
    /// How long it has been in that state.
    pub state_seconds: u64,
    /// When a pipeline that failed or waits is tried again, from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_seconds: Option<u64>,
    /// The last failure, also if it runs again.
    pub last_error: Option<ErrorStatus>,
    /// When it committed last: RFC 3339, in UTC.
    pub last_commit: Option<String>,
    /// The least watermark of its tasks: RFC 3339, in UTC.
    pub watermark: Option<String>,
    /// Records of its source partitions in this process that are not read yet; not known while it has no tasks.
    pub lag_records: Option<u64>,
    /// What went in and out since the process began.
    pub traffic: Traffic,
    /// How often what happened since the process began.
    pub events: EventStatus,
    /// Bytes of state in memory and on disk, and of changelogs.
    pub state_bytes: BytesStatus,
    /// Where the rows of each step went since the process began, in the order of the graph.
    pub steps: Vec<StepStatus>,
    /// The worker threads.
    pub workers: Vec<WorkerStatus>,
}

/// A failure and when it came.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorStatus {
    /// When: RFC 3339, in UTC.
    pub at: String,
    /// Its kind, as in the metric `millstream_pipeline_failures_total`.
    pub kind: &'static str,
    /// In words.
    pub message: String,
}

/// How often what happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventStatus {
    /// Epochs committed.
    pub commits: u64,
    /// Epochs aborted.
    pub aborts: u64,
    /// Producers fenced.
    pub fences: u64,
    /// Assignments and revocations.
    pub rebalances: u64,
    /// Tasks restored.
    pub restores: u64,
    /// Producers replaced in doubt.
    pub producers_retired: u64,
    /// Pipelines or workers built again after a failure.
    pub restarts: u64,
}

/// Sizes of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct BytesStatus {
    /// In memory.
    pub memory: u64,
    /// In the store on disk.
    pub disk: u64,
    /// Of the changelog, what a restore needs.
    pub changelog_live: u64,
    /// Of the changelog, what is superfluous and not deleted yet.
    pub changelog_dead: u64,
}

/// A step's ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepStatus {
    /// The step, as the topology names it.
    pub name: String,
    /// Its counts by name, those that are not zero.
    pub rows: serde_json::Map<String, serde_json::Value>,
}

/// A worker thread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerStatus {
    /// Its number.
    pub thread: usize,
    /// connecting, joining, restoring, running or stopped.
    pub state: &'static str,
    /// What went wrong last, and how long ago, as long as it does not process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Its tasks.
    pub tasks: Vec<TaskStatus>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskStatus {
    /// Subtopology and partition.
    pub id: String,
    /// restoring or running.
    pub phase: &'static str,
    /// How far its restore is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreStatus>,
    /// Its watermark: RFC 3339, in UTC.
    pub watermark: Option<String>,
    /// Sizes of its state.
    pub state_bytes: BytesStatus,
    /// The partitions that it reads.
    pub partitions: Vec<PartitionStatus>,
}

/// How far a restore is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreStatus {
    /// Changelog records read.
    pub records: u64,
    /// Changelog records to read in all.
    pub records_total: u64,
    /// Bytes read.
    pub bytes: u64,
    /// How fast.
    pub bytes_per_second: u64,
    /// How long it takes yet, if it goes on so; not known while nothing has been read.
    pub seconds_left: Option<u64>,
}

/// A partition that a task reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// source or repartition.
    pub kind: &'static str,
    /// The offset of the next record to read.
    pub offset: i64,
    /// The committed end.
    pub end: i64,
    /// What lies between.
    pub lag_records: u64,
    /// The greatest event time that was read: RFC 3339, in UTC.
    pub newest_event_time: Option<String>,
    /// Whether event time goes on without it.
    pub idle: bool,
    /// What its records wait for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<SchemaWait>,
}

/// Takes down where everything stands.
pub(super) fn of(shared: &Shared, _now: Millis) -> Status {
    let readiness = readiness::of(shared);
    Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: shared.started.elapsed().as_secs(),
        ready: readiness.ready,
        not_ready: readiness.reasons,
        pipelines: shared.pipelines().iter().map(|record| pipeline(record)).collect(),
    }
}

fn pipeline(record: &PipelineRecord) -> PipelineStatus {
    let (standing, totals) = record.standing();
    let in_state: Duration = standing.since.elapsed();
    let retry_in = match &standing.state {
        PipelineState::Failed { retry_in, .. } | PipelineState::Waiting { retry_in, .. } => {
            Some(retry_in.saturating_sub(in_state).as_secs())
        }
        PipelineState::Starting | PipelineState::Running | PipelineState::Stopped => None,
    };
    let mut state_bytes = BytesStatus::default();
    let mut lag_records = None;
    for (_, task) in standing.tasks() {
        let bytes = sizes(task);
        state_bytes.memory += bytes.memory;
        state_bytes.disk += bytes.disk;
        state_bytes.changelog_live += bytes.changelog_live;
        state_bytes.changelog_dead += bytes.changelog_dead;
        *lag_records.get_or_insert(0) += task.lag();
    }
    PipelineStatus {
        name: record.name().to_owned(),
        state: standing.state.as_str(),
        state_seconds: in_state.as_secs(),
        retry_in_seconds: retry_in,
        last_error: standing.last_error.as_ref().map(|last| ErrorStatus {
            at: rfc3339(last.at),
            kind: last.failure.kind.as_str(),
            message: last.failure.message.clone(),
        }),
        last_commit: standing.last_commit.map(rfc3339),
        watermark: least_watermark(&standing),
        lag_records,
        traffic: totals.traffic,
        events: events(record),
        state_bytes,
        steps: totals.steps.iter().map(|(name, totals)| step(name, &totals.ledger, totals.released)).collect(),
        workers: workers(&standing),
    }
}

fn events(record: &PipelineRecord) -> EventStatus {
    EventStatus {
        commits: record.counted(Event::Commit),
        aborts: record.counted(Event::Abort),
        fences: record.counted(Event::Fence),
        rebalances: record.counted(Event::Rebalance),
        restores: record.restores().count,
        producers_retired: record.counted(Event::ProducerRetired),
        restarts: record.restarts(),
    }
}

fn step(name: &str, ledger: &Ledger, released: u64) -> StepStatus {
    let counts = ledger.entries().into_iter().chain([("released", released)]);
    let rows = counts.filter(|&(_, count)| count != 0).map(|(class, count)| (class.to_owned(), count.into())).collect();
    StepStatus { name: name.to_owned(), rows }
}

fn workers(standing: &Standing) -> Vec<WorkerStatus> {
    let workers = standing.workers.iter();
    workers
        .map(|(thread, worker)| WorkerStatus {
            thread: *thread,
            state: worker.state.as_str(),
            last_error: worker.snapshot.trouble.as_ref().map(Trouble::to_string),
            tasks: worker.snapshot.tasks.iter().map(task).collect(),
        })
        .collect()
}

fn task(task: &TaskSnapshot) -> TaskStatus {
    let restore = task.restore().map(|pace| RestoreStatus {
        records: pace.progress.records,
        records_total: pace.progress.records_total,
        bytes: pace.progress.bytes,
        bytes_per_second: pace.bytes_per_second() as u64,
        seconds_left: pace.left().map(|left| left.as_secs_f64().ceil() as u64),
    });
    TaskStatus {
        id: task.id.to_string(),
        phase: task.phase.as_str(),
        restore,
        watermark: task.watermark.and_then(point).map(rfc3339),
        state_bytes: sizes(task),
        partitions: task.lanes.iter().map(partition).collect(),
    }
}

fn partition(lane: &LaneSnapshot) -> PartitionStatus {
    PartitionStatus {
        topic: lane.topic.clone(),
        partition: lane.partition.0,
        kind: match lane.kind {
            LaneKind::Source => "source",
            LaneKind::Repartition => "repartition",
        },
        offset: lane.next.0,
        end: lane.end.0,
        lag_records: lane.lag(),
        newest_event_time: lane.newest_event_time.map(rfc3339),
        idle: lane.speech == Speech::Idle,
        waits: lane.waits.clone(),
    }
}

fn sizes(task: &TaskSnapshot) -> BytesStatus {
    BytesStatus {
        memory: task.state_memory_bytes,
        disk: task.state_disk_bytes,
        changelog_live: task.changelog_live_bytes,
        changelog_dead: task.changelog_dead_bytes,
    }
}

fn least_watermark(standing: &Standing) -> Option<String> {
    standing.tasks().filter_map(|(_, task)| task.watermark.and_then(point)).min().map(rfc3339)
}

/// A watermark as a point in time; `None` at the ends of the range, which stand for "unknown" and "closed".
pub(super) fn point(watermark: Watermark) -> Option<Millis> {
    (watermark.is_known() && watermark != Watermark::END).then_some(Millis(watermark.0))
}
