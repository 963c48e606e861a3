//! Workloads over a real broker: the whole of this process is measured, librdkafka's threads included.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};

use super::events::{self, Events, Shape};
use super::{Measured, Workload, latency, usage};
use crate::clock;
use crate::daemon::{self, DaemonSettings, PipelineUnit};
use crate::follow::{Stop, Until};
use crate::log::kafka::{Guarantee, KafkaLog, KafkaLogSettings};
use crate::log::{FailureKind, Log, LogError, Records, TopicSettings};
use crate::telemetry::Telemetry;
use crate::worker::WorkerSettings;

pub use super::latency::Latencies;

/// A broker to measure over, and how.
#[derive(Clone)]
pub struct Broker<'a> {
    /// Properties of librdkafka.
    pub properties: BTreeMap<String, String>,
    /// Partitions of the input and of the output.
    pub partitions: u32,
    /// How the events stand in the input.
    pub shape: Shape,
    /// What commits promise.
    pub guarantee: Guarantee,
    /// A folder for state, which must be fresh.
    pub dir: &'a Path,
}

/// Why a workload could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The broker failed.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The daemon could not start.
    #[error("{0}")]
    Daemon(#[from] daemon::InstanceError),
    /// The input was not filled to its end.
    #[error("topic {topic} has {there} of {records} events: delete it, if no other bench is filling it")]
    HalfFilled {
        /// The topic.
        topic: String,
        /// How many events it should have.
        records: usize,
        /// How many it has.
        there: i64,
    },
    /// The pipeline stopped.
    #[error("{0}")]
    Pipeline(String),
}

/// A pipeline of a workload, ready to be lowered.
pub type Lower = dyn Fn(&str) -> Result<Arc<daemon::Lower>, String> + Sync;

/// How many records are made at a time.
const CHUNK: usize = 20_000;

/// How long a topic may take to be ready for use.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a workload over `records` events that stand in the broker already (they are written first if they do not) and
/// measures it. `lower` makes a pipeline from YAML.
///
/// # Errors
/// If the broker or the pipeline fails.
pub fn run(
    workload: &Workload,
    lower: &Lower,
    records: usize,
    seed: u64,
    broker: &Broker<'_>,
) -> Result<Measured, BenchError> {
    let run = Names::new(workload.name);
    let shape = broker.shape;
    let input = format!("bench-{:?}s-{}-{seed}-{records}-{}", workload.event, shape.name(), broker.partitions);
    let input = input.to_lowercase();
    let mut log = run.connect(broker)?;
    let mut events = Events::new(workload.event, seed, shape);
    fill(&mut log, &input, &mut events, records, broker.partitions)?;
    log.create_topic(&run.output, TopicSettings::user(broker.partitions))?;
    drop(log);
    usage::reset_peak();
    let cpu_before = usage::cpu();
    let report = run.start(workload, lower, &input, broker, Until::End, &Stop::new())?;
    let cpu_s = (usage::cpu() - cpu_before).as_secs_f64();
    Ok(Measured {
        records: report.standing.records_in,
        records_out: report.standing.records_out,
        wall_s: report.busy.as_secs_f64(),
        cpu_s,
        peak_bytes: usage::peak_bytes(),
        state_bytes: report.standing.state_bytes,
    })
}

/// Runs a workload that writes a record for each record, fed with `rate` records a second for `span`, and says how long it
/// took from a record's send to its result's being readable by a consumer that reads committed records only.
///
/// # Errors
/// If the broker or the pipeline fails.
pub fn run_open_loop(
    workload: &Workload,
    lower: &Lower,
    rate: u64,
    span: Duration,
    broker: &Broker<'_>,
) -> Result<Latencies, BenchError> {
    let run = Names::new(workload.name);
    let input = format!("{}-in", run.pipeline);
    let mut log = run.connect(broker)?;
    log.create_topic(&input, TopicSettings::user(broker.partitions))?;
    log.create_topic(&run.output, TopicSettings::user(broker.partitions))?;
    drop(log);
    let stop = Stop::new();
    std::thread::scope(|threads| {
        let daemon = threads.spawn(|| run.start(workload, lower, &input, broker, Until::Stopped, &stop));
        let measured = latency::measure(&broker.properties, &input, &run.output, broker.partitions, rate, span);
        stop.ask();
        match daemon.join() {
            Ok(ended) => ended?,
            Err(_) => return Err(BenchError::Pipeline("the daemon panicked".to_owned())),
        };
        Ok(measured?)
    })
}

/// As [`run_open_loop`] without a pipeline: from a record's send to its own being readable. What a pipeline adds is above this.
///
/// # Errors
/// If the broker fails.
pub fn run_broker_alone(rate: u64, span: Duration, broker: &Broker<'_>) -> Result<Latencies, BenchError> {
    let run = Names::new("alone");
    let mut log = run.connect(broker)?;
    log.create_topic(&run.output, TopicSettings::user(broker.partitions))?;
    drop(log);
    Ok(latency::measure(&broker.properties, &run.output, &run.output, broker.partitions, rate, span)?)
}

/// The names of one run, which no other has.
struct Names {
    pipeline: String,
    output: String,
}

impl Names {
    fn new(about: &str) -> Names {
        let pipeline = format!("bench-{about}-{}-{}", std::process::id(), clock::wall().0);
        let output = format!("{pipeline}-out");
        Names { pipeline, output }
    }

    fn connect(&self, broker: &Broker<'_>) -> Result<KafkaLog, LogError> {
        KafkaLog::connect(KafkaLogSettings {
            properties: broker.properties.clone(),
            group: format!("{}-fill", self.pipeline),
            transactional_id: format!("{}-fill", self.pipeline),
            client_id: "millstream-bench".to_owned(),
            guarantee: Guarantee::AtLeastOnce,
            output_topics: Vec::new(),
            headerless_topics: Default::default(),
        })
    }

    fn start(
        &self,
        workload: &Workload,
        lower: &Lower,
        input: &str,
        broker: &Broker<'_>,
        until: Until,
        stop: &Stop,
    ) -> Result<daemon::Report, BenchError> {
        let yaml = workload.pipeline_over(&self.pipeline, input, &self.output, broker.shape);
        let unit = PipelineUnit {
            name: self.pipeline.clone(),
            lower: lower(&yaml).map_err(BenchError::Pipeline)?,
            kafka: BTreeMap::new(),
            guarantee: broker.guarantee,
        };
        let settings = DaemonSettings {
            kafka: broker.properties.clone(),
            state_dir: broker.dir.join(&self.pipeline),
            threads: 1,
            worker: WorkerSettings::default(),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(1),
            brokers_within: Duration::from_secs(60),
            until,
        };
        let mut reports = daemon::run(&settings, vec![unit], stop, &Telemetry::new())?;
        let report = reports.pop().ok_or_else(|| BenchError::Pipeline("the pipeline did not report".to_owned()))?;
        match report.error {
            Some(error) => Err(BenchError::Pipeline(error)),
            None => Ok(report),
        }
    }
}

/// Again while a broker says that it may pass: the leaders of a topic that was just created are not known everywhere yet.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(error) if error.kind() == FailureKind::Retriable && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(100));
            }
            answer => return answer,
        }
    }
}

/// Writes the events unless the topic has them already.
fn fill(
    log: &mut KafkaLog,
    topic: &str,
    events: &mut Events,
    records: usize,
    partitions: u32,
) -> Result<(), BenchError> {
    if log.partitions(topic)?.is_none() {
        log.create_topic(topic, TopicSettings::user(partitions))?;
    }
    let mut there = 0;
    for partition in (0..partitions).map(PartitionId) {
        there += patiently(|| log.extent(topic, partition))?.end.0;
    }
    let mut made = Records::new();
    let mut first = there as usize;
    if first > 0 && first < records {
        // Cut off while it was filled, or another bench is filling it: what is there is not known.
        return Err(BenchError::HalfFilled { topic: topic.to_owned(), records, there });
    }
    let began = Instant::now();
    while first < records {
        made.clear();
        events.fill(CHUNK.min(records - first), Offset(0), &mut made);
        for (partition, part) in events::spread(&made, partitions).iter().enumerate() {
            log.produce(topic, PartitionId(partition as u32), part)?;
        }
        first += made.len();
    }
    if there == 0 {
        tracing::info!("wrote {records} records to {topic} in {:.1} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}
