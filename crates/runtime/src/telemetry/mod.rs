//! What the process tells about itself: counters and snapshots from its workers, as metrics, readiness and status.
//!
//! Workers push and readers pull; neither ever waits for the other longer than a copy takes. Nothing here decides
//! anything, and no label, status or reason may hold a key, an offset as a label, or a secret.

pub mod catalogue;
mod exporter;
mod families;
mod pipeline;
mod process;
mod readiness;
mod snapshot;
mod state;
mod status;
mod totals;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millstream_pipeline::spec::Guarantee;
use prometheus::{HistogramOpts, HistogramVec};

use catalogue::MetricDef;

use crate::log::kafka::{BrokerTimes, ClientKind};
use crate::registry::{CacheCounts, SchemaCache};
use crate::worker::RestoreProgress;

pub use readiness::{NotReady, Readiness, Reason};
pub use snapshot::{LaneKind, LaneSnapshot, SchemaWait, Speech, TaskSnapshot, Traffic, Trouble, WorkerSnapshot};
pub use state::{Event, Failure, FailureKind, Phase, PipelineState, TaskPhase, WorkerState};
pub use status::Status;

use pipeline::{About, PipelineRecord};

/// Upper bounds of the durations of an epoch's phases, in seconds.
const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Upper bounds of how old records were when they were committed, in seconds: up to a day's backlog.
const AGES: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0];

/// The telemetry of the process; clones share it.
#[derive(Debug, Clone)]
pub struct Telemetry(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    started: Instant,
    stopping: AtomicBool,
    folders: Mutex<BTreeSet<PathBuf>>,
    schemas: Mutex<SchemaCache>,
    pipelines: Mutex<BTreeMap<String, Arc<PipelineRecord>>>,
    phases: HistogramVec,
    latencies: HistogramVec,
    round_trips: HistogramVec,
}

impl Telemetry {
    /// Telemetry of a process that has no pipelines yet, and is therefore not ready.
    pub fn new() -> Telemetry {
        let histogram = |def: &MetricDef, buckets: &[f64]| {
            let options = HistogramOpts::new(def.name, def.help).buckets(buckets.to_vec());
            HistogramVec::new(options, def.labels).expect("the catalogue's names are valid")
        };
        Telemetry(Arc::new(Shared {
            started: Instant::now(),
            stopping: AtomicBool::new(false),
            folders: Mutex::default(),
            schemas: Mutex::default(),
            pipelines: Mutex::default(),
            phases: histogram(&catalogue::EPOCH_PHASE_SECONDS, &BUCKETS),
            latencies: histogram(&catalogue::RECORD_LATENCY_SECONDS, &AGES),
            round_trips: histogram(&catalogue::ROUND_TRIP_SECONDS, &BUCKETS),
        }))
    }

    /// The telemetry of a pipeline by its name; made, in [`PipelineState::Starting`], when asked for first.
    pub fn pipeline(&self, name: &str) -> PipelineTelemetry {
        let mut pipelines = lock(&self.0.pipelines);
        let made = || Arc::new(PipelineRecord::new(name, &self.0));
        let record = pipelines.entry(name.to_owned()).or_insert_with(made);
        PipelineTelemetry { record: Arc::clone(record) }
    }

    /// Watches the space on the file system of a folder: in metrics, and for readiness.
    pub fn watch_folder(&self, folder: impl Into<PathBuf>) {
        lock(&self.0.folders).insert(folder.into());
    }

    /// Counts the requests of this cache, the process' own.
    pub fn watch_schemas(&self, schemas: SchemaCache) {
        *lock(&self.0.schemas) = schemas;
    }

    /// The process is about to leave: it is not ready from now on.
    pub fn stopping(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether every worker of every pipeline has its partitions and their state, and if not, why.
    pub fn readiness(&self) -> Readiness {
        readiness::of(&self.0)
    }

    /// Where everything stands, for people and tools.
    pub fn status(&self) -> Status {
        status::of(&self.0, crate::clock::wall())
    }

    /// All metrics in Prometheus' text format.
    pub fn metrics_text(&self) -> String {
        exporter::text(&self.0, crate::clock::wall())
    }
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry::new()
    }
}

impl Shared {
    fn pipelines(&self) -> Vec<Arc<PipelineRecord>> {
        lock(&self.pipelines).values().cloned().collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        lock(&self.folders).iter().cloned().collect()
    }

    /// What was asked of the schema registry, if there is one.
    fn schema_requests(&self) -> Option<CacheCounts> {
        let schemas = lock(&self.schemas);
        (!schemas.is_nowhere()).then(|| schemas.counts())
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// The telemetry of one pipeline; clones share it.
#[derive(Debug, Clone)]
pub struct PipelineTelemetry {
    record: Arc<PipelineRecord>,
}

impl PipelineTelemetry {
    /// Says what the pipeline is doing. With [`PipelineState::Failed`] the failure is counted, unless a worker of this
    /// attempt has told the same, and remembered as the last error.
    pub fn set_state(&self, state: PipelineState) {
        self.record.set_state(state);
    }

    /// Says which version of the pipeline runs, by the fingerprint of its state, and with what guarantee.
    pub fn describe(&self, fingerprint: u64, guarantee: Guarantee) {
        self.record.describe(About { fingerprint: format!("{fingerprint:016x}"), guarantee: guarantee.word() });
    }

    /// The pipeline, or one of its workers, is built again after a failure.
    pub fn restarted(&self) {
        self.record.restarted();
    }

    /// The telemetry of a worker thread, by its number, in [`WorkerState::Connecting`]. Call it once for each worker that
    /// is built: what an earlier worker of that number counted is added to what is gone, and its handles fall silent.
    pub fn worker(&self, thread: usize) -> WorkerTelemetry {
        let generation = self.record.begin_worker(thread);
        WorkerTelemetry { record: Arc::clone(&self.record), thread, generation }
    }
}

/// The telemetry of one worker; clones share it.
#[derive(Debug, Clone)]
pub struct WorkerTelemetry {
    record: Arc<PipelineRecord>,
    thread: usize,
    generation: u64,
}

impl WorkerTelemetry {
    /// Counts something that happened.
    pub fn count(&self, event: Event) {
        self.record.count(event);
    }

    /// Observes how long a phase of an epoch took.
    pub fn observe(&self, phase: Phase, duration: Duration) {
        self.record.observe(phase, duration);
    }

    /// Observes how old the oldest source record of an epoch was when that was committed.
    pub fn observe_latency(&self, age: Duration) {
        self.record.observe_latency(age);
    }

    /// Observes how brokers have answered a client since that was told last.
    pub fn observe_brokers(&self, client: ClientKind, times: &BrokerTimes) {
        self.record.observe_brokers(client, times);
    }

    /// Says what the worker is doing. With [`WorkerState::Stopped`] what it published is added to what is gone.
    pub fn set_state(&self, state: WorkerState) {
        self.record.set_worker_state(self.thread, self.generation, state);
    }

    /// The worker has stopped by an error: counted, and remembered as the pipeline's last error.
    pub fn failed(&self, failure: Failure) {
        self.record.worker_failed(self.thread, self.generation, failure);
    }

    /// Replaces the last snapshot. To be called at least every few seconds, also while nothing is there to do and while
    /// state is restored: a worker in silence for long is not ready.
    pub fn publish(&self, snapshot: WorkerSnapshot) {
        self.record.publish(self.thread, self.generation, snapshot);
    }

    /// A restore of a task has ended.
    pub fn restored(&self, progress: RestoreProgress, took: Duration) {
        self.record.restored(progress, took);
    }
}

/// Telemetry must not fail because a thread that held it did: the values are whole after each statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
