//! What is known of one pipeline: events as they are counted, and the last snapshot of each worker.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millstream_engine::time::Millis;
use prometheus::Histogram;

use super::snapshot::{TaskSnapshot, WorkerSnapshot};
use super::state::{Event, Failure, FailureKind, Phase, PipelineState, WorkerState};
use super::totals::{Gone, Totals};
use super::{Shared, lock};
use crate::log::kafka::{BrokerTimes, ClientKind};
use crate::worker::RestoreProgress;

/// So many failures of an attempt are remembered, to count each once.
const MOST_TOLD: usize = 64;

/// One pipeline's telemetry.
#[derive(Debug)]
pub(super) struct PipelineRecord {
    name: String,
    events: [AtomicU64; Event::COUNT],
    restarts: AtomicU64,
    failures: [AtomicU64; FailureKind::ALL.len()],
    phases: [Histogram; Phase::ALL.len()],
    latency: Histogram,
    throttled_ms: [AtomicU64; ClientKind::ALL.len()],
    round_trips: Histogram,
    restores: Mutex<Restores>,
    standing: Mutex<Standing>,
}

/// What the pipeline is, in the version that runs.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) fingerprint: String,
    pub(super) guarantee: &'static str,
}

/// Restores that have ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Restores {
    pub(super) count: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) took: Duration,
}

/// What the supervisor and the workers said last.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) about: Option<About>,
    pub(super) state: PipelineState,
    /// When it was said.
    pub(super) since: Instant,
    pub(super) last_error: Option<LastError>,
    pub(super) last_commit: Option<Millis>,
    /// By thread.
    pub(super) workers: BTreeMap<usize, WorkerRecord>,
    /// The failures of this attempt.
    told: Vec<Failure>,
    gone: Gone,
    generation: u64,
}

/// A failure and when it came, by the wall clock.
#[derive(Debug, Clone)]
pub(super) struct LastError {
    pub(super) at: Millis,
    pub(super) failure: Failure,
}

/// One worker thread.
#[derive(Debug, Clone)]
pub(super) struct WorkerRecord {
    generation: u64,
    pub(super) state: WorkerState,
    pub(super) snapshot: WorkerSnapshot,
    pub(super) heard_at: Instant,
}

impl PipelineRecord {
    pub(super) fn new(name: &str, shared: &Shared) -> PipelineRecord {
        let Shared { phases, latencies, round_trips, .. } = shared;
        PipelineRecord {
            name: name.to_owned(),
            events: Default::default(),
            restarts: AtomicU64::new(0),
            failures: Default::default(),
            phases: Phase::ALL.map(|phase| phases.with_label_values(&[name, phase.as_str()])),
            latency: latencies.with_label_values(&[name]),
            throttled_ms: Default::default(),
            round_trips: round_trips.with_label_values(&[name]),
            restores: Mutex::default(),
            standing: Mutex::new(Standing {
                about: None,
                state: PipelineState::Starting,
                since: Instant::now(),
                last_error: None,
                last_commit: None,
                workers: BTreeMap::new(),
                told: Vec::new(),
                gone: Gone::default(),
                generation: 0,
            }),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn count(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counted(&self, event: Event) -> u64 {
        self.events[event as usize].load(Ordering::Relaxed)
    }

    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self, kind: FailureKind) -> u64 {
        self.failures[kind as usize].load(Ordering::Relaxed)
    }

    pub(super) fn observe(&self, phase: Phase, duration: Duration) {
        self.phases[phase as usize].observe(duration.as_secs_f64());
    }

    pub(super) fn observe_latency(&self, age: Duration) {
        self.latency.observe(age.as_secs_f64());
    }

    pub(super) fn observe_brokers(&self, client: ClientKind, times: &BrokerTimes) {
        self.throttled_ms[client as usize].fetch_add(times.throttled.as_millis() as u64, Ordering::Relaxed);
        for trip in &times.round_trips {
            self.round_trips.observe(trip.as_secs_f64());
        }
    }

    pub(super) fn throttled(&self, client: ClientKind) -> Duration {
        Duration::from_millis(self.throttled_ms[client as usize].load(Ordering::Relaxed))
    }

    pub(super) fn restored(&self, progress: RestoreProgress, took: Duration) {
        let mut restores = lock(&self.restores);
        restores.count += 1;
        restores.records += progress.records;
        restores.bytes += progress.bytes;
        restores.took += took;
    }

    pub(super) fn restores(&self) -> Restores {
        *lock(&self.restores)
    }

    /// A copy of what was said last, and the sums.
    pub(super) fn standing(&self) -> (Standing, Totals) {
        let standing = lock(&self.standing).clone();
        let totals = standing.gone.with(standing.workers.values().map(|worker| &worker.snapshot));
        (standing, totals)
    }

    pub(super) fn set_state(&self, state: PipelineState) {
        let mut standing = lock(&self.standing);
        if let PipelineState::Failed { failure, .. } = &state {
            self.remember(&mut standing, failure);
            standing.told.clear();
        }
        standing.state = state;
        standing.since = Instant::now();
    }

    pub(super) fn describe(&self, about: About) {
        lock(&self.standing).about = Some(about);
    }

    pub(super) fn begin_worker(&self, thread: usize) -> u64 {
        let mut standing = lock(&self.standing);
        standing.generation += 1;
        let generation = standing.generation;
        let worker = WorkerRecord {
            generation,
            state: WorkerState::Connecting,
            snapshot: WorkerSnapshot::default(),
            heard_at: Instant::now(),
        };
        if let Some(last) = standing.workers.insert(thread, worker) {
            standing.gone.worker(&last.snapshot);
        }
        generation
    }

    pub(super) fn set_worker_state(&self, thread: usize, generation: u64, state: WorkerState) {
        let standing = &mut *lock(&self.standing);
        let Some(worker) = standing.worker(thread, generation) else { return };
        worker.state = state;
        worker.heard_at = Instant::now();
        if state == WorkerState::Stopped {
            let last = std::mem::take(&mut worker.snapshot);
            standing.gone.worker(&last);
        }
    }

    pub(super) fn worker_failed(&self, thread: usize, generation: u64, failure: Failure) {
        self.remember(&mut lock(&self.standing), &failure);
        self.set_worker_state(thread, generation, WorkerState::Stopped);
    }

    pub(super) fn publish(&self, thread: usize, generation: u64, snapshot: WorkerSnapshot) {
        let standing = &mut *lock(&self.standing);
        let Some(worker) = standing.worker(thread, generation) else { return };
        worker.heard_at = Instant::now();
        let last = std::mem::take(&mut worker.snapshot);
        standing.gone.superseded(&last, &snapshot);
        standing.last_commit = standing.last_commit.max(snapshot.last_commit);
        if let Some(worker) = standing.worker(thread, generation) {
            worker.snapshot = snapshot;
        }
    }

    fn remember(&self, standing: &mut Standing, failure: &Failure) {
        // A worker tells, and then its pipeline, which fails for the same reason.
        if standing.told.contains(failure) {
            return;
        }
        if standing.told.len() == MOST_TOLD {
            standing.told.remove(0);
        }
        standing.told.push(failure.clone());
        self.failures[failure.kind as usize].fetch_add(1, Ordering::Relaxed);
        standing.last_error = Some(LastError { at: crate::clock::wall(), failure: failure.clone() });
    }
}

impl Standing {
    /// The worker of that thread, if it is still the one that a handle was made for.
    fn worker(&mut self, thread: usize, generation: u64) -> Option<&mut WorkerRecord> {
        self.workers.get_mut(&thread).filter(|worker| worker.generation == generation)
    }

    /// The tasks that the process owns, with the thread of each.
    pub(super) fn tasks(&self) -> impl Iterator<Item = (usize, &TaskSnapshot)> {
        self.workers.iter().flat_map(|(thread, worker)| worker.snapshot.tasks.iter().map(|task| (*thread, task)))
    }
}
