//! The daemon: runs many pipelines over Kafka, each with a group, workers, state and failures of its own.
//!
//! A pipeline that fails is tried again, later and later, while the others go on. Nothing here decides what a result is.

mod failures;
mod instance;
mod member;
mod pace;
mod pipeline;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::ledger::Ledger;
use millstream_pipeline::topology::{PartitionCounts, Topology};

use crate::follow::{Stop, Until};
use crate::log::kafka::Guarantee;
use crate::telemetry::Telemetry;
use crate::worker::{Standing, WorkerSettings};

pub use instance::{Instance, InstanceError};

/// Makes the topology of a pipeline for the numbers of partitions that its source topics have.
pub type Lower = dyn Fn(&PartitionCounts) -> Result<Topology, NotLowered> + Send + Sync;

/// Why a pipeline has no topology now, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLowered {
    /// It is wrong, or does not fit the topics.
    #[error("{0}")]
    Pipeline(String),
    /// A schema registry does not answer, or not as one. It may another time.
    #[error("{0}")]
    Registry(String),
}

impl From<String> for NotLowered {
    fn from(message: String) -> NotLowered {
        NotLowered::Pipeline(message)
    }
}

/// A pipeline to be run.
#[derive(Clone)]
pub struct PipelineUnit {
    /// Its name: the group, and the beginning of its internal topics' names.
    pub name: String,
    /// Makes its topology.
    pub lower: Arc<Lower>,
    /// Properties of librdkafka that the pipeline sets for itself.
    pub kafka: BTreeMap<String, String>,
    /// What its commits promise.
    pub guarantee: Guarantee,
}

/// How the daemon runs pipelines.
#[derive(Clone)]
pub struct DaemonSettings {
    /// Properties of librdkafka.
    pub kafka: BTreeMap<String, String>,
    /// The folder of state: a cache of the changelogs, for this process alone.
    pub state_dir: PathBuf,
    /// Worker threads of each pipeline.
    pub threads: usize,
    /// How each worker runs.
    pub worker: WorkerSettings,
    /// How long a failed pipeline waits before it is tried again: first this long, then twice as long each time,
    pub backoff_min: Duration,
    /// and never longer than this.
    pub backoff_max: Duration,
    /// When it ends by itself.
    pub until: Until,
    /// How long a run to an end goes without any broker: then it ends with an error. One without an end waits for ever.
    pub brokers_within: Duration,
}

/// What became of a pipeline.
#[derive(Debug)]
pub struct Report {
    /// Its name.
    pub pipeline: String,
    /// Where its workers stood at the end, all together.
    pub standing: Standing,
    /// How long the workers were at it, at most: from the first record read to the last commit.
    pub busy: Duration,
    /// The ledger of each step since the start.
    pub ledger: Vec<(String, Ledger)>,
    /// Why it does not run any more, if it should.
    pub error: Option<String>,
}

/// Runs `pipelines` until `stop` is asked for or, if the settings say so, they have come to the end. Returns when each has
/// committed and left its group.
///
/// # Errors
/// If the folder of state cannot be used. What fails later is one pipeline's: it is logged, shown by `telemetry`, and tried
/// again.
pub fn run(
    settings: &DaemonSettings,
    pipelines: Vec<PipelineUnit>,
    stop: &Stop,
    telemetry: &Telemetry,
) -> Result<Vec<Report>, InstanceError> {
    let instance = Arc::new(Instance::open(&settings.state_dir)?);
    let threads: Vec<_> = pipelines
        .into_iter()
        .map(|unit| {
            let name = unit.name.clone();
            let supervisor = pipeline::Supervisor {
                telemetry: telemetry.pipeline(&unit.name),
                unit,
                settings: settings.clone(),
                instance: Arc::clone(&instance),
                stop: stop.clone(),
            };
            (name, std::thread::spawn(move || supervisor.run()))
        })
        .collect();
    let reports = threads.into_iter().map(|(pipeline, thread)| {
        thread.join().unwrap_or_else(|_| Report {
            pipeline,
            standing: Standing::default(),
            busy: Duration::ZERO,
            ledger: Vec::new(),
            error: Some("internal error: the pipeline's thread panicked".to_owned()),
        })
    });
    Ok(reports.collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use millstream_pipeline::interpolate::no_lookup;
    use millstream_pipeline::lower;

    use super::*;

    const COPY: &str = "
version: 1
pipeline: copy
sources: {words: {format: json, schema: {word: string}}}
sink: {topic: copies}
";

    #[test]
    fn a_run_to_the_end_does_not_wait_for_ever_for_brokers_that_are_not_there() {
        let state = tempfile::tempdir().unwrap();
        let (pipeline, map) = millstream_pipeline::parse("copy.yaml", COPY, &no_lookup).unwrap();
        let unit = PipelineUnit {
            name: "copy".to_owned(),
            lower: Arc::new(move |counts| {
                lower::lower(&pipeline, &map, counts).map_err(|_| NotLowered::Pipeline("wrong".to_owned()))
            }),
            kafka: BTreeMap::new(),
            guarantee: Guarantee::ExactlyOnce,
        };
        let settings = DaemonSettings {
            kafka: BTreeMap::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())]),
            state_dir: state.path().to_owned(),
            threads: 1,
            worker: WorkerSettings::default(),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_millis(10),
            brokers_within: Duration::from_secs(1),
            until: Until::End,
        };
        let began = Instant::now();
        let reports = run(&settings, vec![unit], &Stop::new(), &Telemetry::new()).unwrap();
        let error = reports[0].error.clone().unwrap();
        assert!(error.contains("the brokers at 127.0.0.1:1 do not answer"), "{error}");
        assert!(error.contains("waits no longer than 1 s"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
