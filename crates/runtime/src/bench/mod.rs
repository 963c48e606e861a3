//! Whole pipelines under load: seeded Nexmark events through a worker, measured from outside.

mod events;
pub mod kafka;
mod latency;
mod log;
mod usage;
mod workloads;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_pipeline::topology::Topology;

use crate::clock;
use crate::log::embedded::{Access, EmbeddedLog, Options};
use crate::log::{Log, LogError, Records, TopicSettings};
use crate::nexmark::Event;
use crate::store::StateStores;
use crate::store::memory::MemoryStores;
use crate::store::sled::SledStores;
use crate::worker::{Progress, Worker, WorkerError, WorkerSettings};

pub use events::{EventFormat, EventKeys, Shape};
pub use workloads::{WORKLOADS, Workload};

use self::events::Events;
use self::log::BenchLog;

/// What one workload cost.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Input records.
    pub records: u64,
    /// Messages written to sinks.
    pub records_out: u64,
    /// Seconds on the wall.
    pub wall_s: f64,
    /// CPU-seconds of this process (user and system) while the pipeline ran.
    pub cpu_s: f64,
    /// The greatest resident size while the pipeline ran, in bytes: over Kafka that of the whole process, else less what was
    /// resident before it started (the input).
    pub peak_bytes: u64,
    /// Bytes of state in memory at the end.
    pub state_bytes: u64,
}

impl Measured {
    /// CPU-seconds per million input records.
    pub fn cpu_s_per_million(&self) -> f64 {
        self.cpu_s * 1e6 / self.records as f64
    }

    /// Input records a second.
    pub fn records_per_s(&self) -> f64 {
        self.records as f64 / self.wall_s
    }
}

/// Where the records are.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In memory; outputs are encoded, counted and dropped, and state goes to no disk.
    Memory,
    /// In topics of a folder, which must be fresh; state in sled.
    Embedded(&'a Path),
}

/// How many records are made at a time.
const CHUNK: usize = 100_000;
/// The topic of events.
const TOPIC: &str = "events";

/// Runs `topology` over `records` events of the workload's kind and measures it, the making of the events left out.
///
/// # Errors
/// If the pipeline stops, or the folder cannot be used.
pub fn run(
    workload: &Workload,
    topology: Topology,
    records: usize,
    seed: u64,
    format: EventFormat,
    place: Place<'_>,
) -> Result<Measured, WorkerError> {
    let chunks = generate(workload.event, records, seed, format);
    match place {
        Place::Memory => {
            let log = BenchLog::new(TOPIC, chunks);
            measure(topology, log, Box::new(MemoryStores::new()), records)
        }
        Place::Embedded(dir) => {
            let mut log = EmbeddedLog::open_or_create(&dir.join(workload.name), Options::new(Access::Run))?;
            fill(&mut log, &chunks)?;
            drop(chunks);
            let (stores, _) = SledStores::open(&dir.join(workload.name).join(".state"))?;
            measure(topology, log, Box::new(stores), records)
        }
    }
}

fn generate(event: Event, records: usize, seed: u64, format: EventFormat) -> Vec<Records> {
    let mut events = Events::new(event, seed, Shape { format, keys: EventKeys::None });
    (0..records)
        .step_by(CHUNK)
        .map(|first| {
            let mut chunk = Records::new();
            events.fill(CHUNK.min(records - first), Offset(first as i64), &mut chunk);
            chunk
        })
        .collect()
}

fn fill(log: &mut EmbeddedLog, chunks: &[Records]) -> Result<(), LogError> {
    log.create_topic(TOPIC, TopicSettings::user(1))?;
    for chunk in chunks {
        log.produce(TOPIC, PartitionId(0), chunk)?;
    }
    Ok(())
}

fn measure<L: Log>(
    topology: Topology,
    log: L,
    stores: Box<dyn StateStores>,
    records: usize,
) -> Result<Measured, WorkerError> {
    let settings = WorkerSettings::default();
    let mut worker = Worker::start(Arc::new(topology), log, stores, settings, clock::steady(), &mut |_, _| {})?;
    usage::reset_peak();
    let before = usage::resident_bytes();
    let (began, cpu_before) = (Instant::now(), usage::cpu());
    while worker.step(clock::steady())? == Progress::Made {}
    worker.commit(clock::steady())?;
    let cpu_s = (usage::cpu() - cpu_before).as_secs_f64();
    let wall_s = began.elapsed().as_secs_f64();
    let standing = worker.standing();
    Ok(Measured {
        records: records as u64,
        records_out: standing.records_out,
        wall_s,
        cpu_s,
        peak_bytes: usage::peak_bytes().saturating_sub(before),
        state_bytes: standing.state_bytes,
    })
}
