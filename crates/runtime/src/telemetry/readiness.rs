//! Whether the process does its work, and if not, why: the truth behind `/ready`.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::Shared;
use super::pipeline::{PipelineRecord, Standing, WorkerRecord};
use super::process;
use super::snapshot::{LaneSnapshot, TaskSnapshot};
use super::state::{Failure, FailureKind, PipelineState, TaskPhase, WorkerState};

/// A worker that has said nothing for so long does not do its work.
const SILENCE: Duration = Duration::from_secs(30);
/// With less than this left, state cannot be written.
const LEAST_FREE_BYTES: u64 = 8 << 20;

/// The answer to whether the process is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether every worker of every pipeline has its partitions and their state, and processes.
    pub ready: bool,
    /// Why not; empty if ready.
    pub reasons: Vec<NotReady>,
}

/// One reason for not being ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotReady {
    /// What kind of reason it is.
    pub reason: Reason,
    /// The pipeline that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The worker thread that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
    /// The task that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// In words.
    pub detail: String,
}

/// The kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No pipeline has been loaded yet.
    NoPipelines,
    /// The process is about to leave.
    Stopping,
    /// The pipeline or its workers are being built.
    Starting,
    /// A worker looks for the broker.
    Connecting,
    /// A worker waits for its partitions.
    Joining,
    /// A task rebuilds its state.
    Restoring,
    /// The pipeline has failed, with all its tasks, and will be tried again.
    Failed,
    /// A pipeline or worker has stopped.
    Stopped,
    /// A worker says nothing any more.
    Silent,
    /// No space is left for state.
    DiskFull,
    /// Records, or the whole pipeline, wait for schemas that the registry does not give.
    Schema,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pipeline) = &self.pipeline {
            write!(f, "pipeline {pipeline}")?;
            if let Some(worker) = self.worker {
                write!(f, ", worker {worker}")?;
            }
            if let Some(task) = &self.task {
                write!(f, ", task {task}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.detail)
    }
}

/// Judges the whole process.
pub(super) fn of(shared: &Shared) -> Readiness {
    let mut reasons = Vec::new();
    let mut say = |reason, detail: &str| {
        reasons.push(NotReady { reason, pipeline: None, worker: None, task: None, detail: detail.to_owned() });
    };
    if shared.is_stopping() {
        say(Reason::Stopping, "the process was asked to stop");
    }
    let pipelines = shared.pipelines();
    if pipelines.is_empty() {
        say(Reason::NoPipelines, "no pipeline has been loaded yet");
    }
    for folder in shared.folders() {
        if let Some(detail) = lacks_space(&folder) {
            say(Reason::DiskFull, &detail);
        }
    }
    for record in pipelines {
        let (standing, _) = record.standing();
        reasons.extend(of_pipeline(&record, &standing));
    }
    Readiness { ready: reasons.is_empty(), reasons }
}

fn lacks_space(folder: &Path) -> Option<String> {
    let space = process::space(folder).filter(|space| space.free_bytes < LEAST_FREE_BYTES)?;
    Some(format!(
        "only {} of {} bytes are free on the disk of {}",
        space.free_bytes,
        space.size_bytes,
        folder.display()
    ))
}

/// Judges one pipeline: nothing if it is ready.
pub(super) fn of_pipeline(record: &PipelineRecord, standing: &Standing) -> Vec<NotReady> {
    let about = |worker, reason, detail: String| NotReady {
        reason,
        pipeline: Some(record.name().to_owned()),
        worker,
        task: None,
        detail,
    };
    match &standing.state {
        PipelineState::Starting => {
            let detail = match &standing.last_error {
                None => "it is being built".to_owned(),
                Some(last) => format!("it is being built again, as it failed: {}", last.failure.message),
            };
            return vec![about(None, Reason::Starting, detail)];
        }
        PipelineState::Stopped => return vec![about(None, Reason::Stopped, "it has stopped".to_owned())],
        PipelineState::Failed { failure, retry_in } => {
            let detail = format!("{} (tried again in {} s)", failure.message, left(*retry_in, standing));
            return vec![about(None, kind(failure), detail)];
        }
        PipelineState::Waiting { why, retry_in } => {
            let detail = format!("it waits for its schemas: {why} (asked again in {} s)", left(*retry_in, standing));
            return vec![about(None, Reason::Schema, detail)];
        }
        PipelineState::Running => {}
    }
    if standing.workers.is_empty() {
        return vec![about(None, Reason::Starting, "it has no workers yet".to_owned())];
    }
    let mut reasons = Vec::new();
    for (thread, worker) in &standing.workers {
        let of_tasks: Vec<NotReady> = worker
            .snapshot
            .tasks
            .iter()
            .filter_map(|task| {
                let (reason, detail) = of_task(task)?;
                let detail = if reason == Reason::Restoring { with_trouble(detail, worker) } else { detail };
                Some(NotReady { task: Some(task.id.to_string()), ..about(Some(*thread), reason, detail) })
            })
            .collect();
        // The tasks say it better than their worker.
        let of_worker = of_worker(worker).filter(|_| of_tasks.is_empty());
        reasons.extend(of_worker.map(|(reason, detail)| about(Some(*thread), reason, detail)));
        reasons.extend(of_tasks);
    }
    reasons
}

/// Seconds, rounded up.
fn left(retry_in: Duration, standing: &Standing) -> f64 {
    retry_in.saturating_sub(standing.since.elapsed()).as_secs_f64().ceil()
}

fn of_worker(worker: &WorkerRecord) -> Option<(Reason, String)> {
    let silence = worker.heard_at.elapsed();
    Some(match worker.state {
        WorkerState::Connecting => (Reason::Connecting, with_trouble("it looks for the broker".to_owned(), worker)),
        WorkerState::Joining => (Reason::Joining, with_trouble("it waits for its partitions".to_owned(), worker)),
        WorkerState::Restoring => (Reason::Restoring, with_trouble("it restores state".to_owned(), worker)),
        WorkerState::Stopped => (Reason::Stopped, "it has stopped".to_owned()),
        WorkerState::Running if silence > SILENCE => {
            (Reason::Silent, format!("it has said nothing for {} s", silence.as_secs()))
        }
        WorkerState::Running => return None,
    })
}

/// What a worker waits for, and what may be why.
fn with_trouble(detail: String, worker: &WorkerRecord) -> String {
    match &worker.snapshot.trouble {
        Some(trouble) => format!("{detail}; last error: {trouble}"),
        None => detail,
    }
}

fn of_task(task: &TaskSnapshot) -> Option<(Reason, String)> {
    match &task.phase {
        TaskPhase::Running => {
            let waits = |lane: &LaneSnapshot| Some((lane.place(), lane.waits.clone()?));
            let (place, wait) = task.lanes.iter().filter_map(waits).find(|(_, wait)| wait.is_trouble())?;
            Some((Reason::Schema, format!("{place} {wait}")))
        }
        TaskPhase::Restoring(_) => Some((Reason::Restoring, format!("restored {}", task.restore()?))),
    }
}

fn kind(failure: &Failure) -> Reason {
    match failure.kind {
        FailureKind::DiskFull => Reason::DiskFull,
        _ => Reason::Failed,
    }
}
