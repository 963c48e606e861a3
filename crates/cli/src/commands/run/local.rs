//! Pipelines over a folder of topics: one thread each, a line of progress each.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use millstream_pipeline::topology::{PartitionCounts, Topology};
use millstream_runtime::clock;
use millstream_runtime::config::{LogFormat, LogSettings, Settings};
use millstream_runtime::follow::{self, Stop, Until};
use millstream_runtime::log::Log;
use millstream_runtime::log::embedded::{Access, EmbeddedLog};
use millstream_runtime::panics;
use millstream_runtime::registry::SchemaCache;
use millstream_runtime::store::sled::SledStores;
use millstream_runtime::worker::{RestorePace, Worker, WorkerSettings};

use super::{Report, stop_on_signals};
use crate::exit::Failure;
use crate::load::Loaded;
use crate::render::progress::{Line, Progress};
use crate::{folder, logs};

/// Runs until it is told to stop or has come to the end.
pub(super) fn run(
    loaded: Vec<Loaded>,
    dir: &Path,
    settings: &Settings,
    until: Until,
    json: bool,
) -> Result<Vec<Report>, Failure> {
    // Lines of progress are for people anyway.
    let format = if settings.log.format == LogFormat::Auto { LogFormat::Human } else { settings.log.format };
    let _logs = logs::begin(&LogSettings { format, ..settings.log.clone() });
    panics::listen();
    let log = folder::open(dir, Access::Run)?;
    let schemas = SchemaCache::new(&settings.schema_registry).map_err(|error| Failure::run(error.to_string()))?;
    let stop = stop_on_signals(|| {})?;
    let progress = Progress::new(json, loaded.len());
    let going = Arc::new(AtomicUsize::new(loaded.len()));
    let threads: Vec<JoinHandle<Report>> = loaded
        .into_iter()
        .map(|pipeline| {
            let (log, stop, dir, going) = (log.handle(), stop.clone(), dir.to_owned(), Arc::clone(&going));
            let settings = settings.worker(schemas.clone());
            let line = progress.line(&pipeline.topology.name);
            std::thread::spawn(move || {
                let name = pipeline.topology.name.clone();
                let run = || run_one(&pipeline, log, &dir, settings, until, &stop, &line);
                let report = panics::guard(&name, None, run)
                    .unwrap_or_else(|panic| Report { error: Some(panic.to_string()), ..Report::of(name) });
                // While others go on, nobody reads the report; the last one's comes at once.
                let others = going.fetch_sub(1, Ordering::SeqCst) - 1;
                if let Some(error) = &report.error
                    && others > 0
                {
                    line.failed(|| tracing::error!(pipeline = %report.pipeline, others, "it has stopped: {error}"));
                }
                report
            })
        })
        .collect();
    let mut reports = Vec::new();
    for thread in threads {
        reports.push(thread.join().map_err(|_| Failure::run("internal error: a pipeline's thread panicked"))?);
    }
    progress.finish();
    Ok(reports)
}

fn run_one(
    loaded: &Loaded,
    log: EmbeddedLog,
    dir: &Path,
    settings: WorkerSettings,
    until: Until,
    stop: &Stop,
    line: &Line,
) -> Report {
    let pipeline = loaded.topology.name.clone();
    let _span = tracing::error_span!("pipeline", %pipeline).entered();
    let mut report = Report::of(pipeline);
    let mut worker = match start(loaded, log, dir, settings, line) {
        Ok(worker) => worker,
        Err(error) => {
            report.error = Some(error);
            return report;
        }
    };
    if until == Until::Stopped {
        line.say("running; Ctrl-C commits and leaves");
    }
    let outcome = follow::follow(&mut worker, until, stop, &mut |_, standing| line.show(standing));
    report.standing = worker.standing();
    report.ledger = worker.ledger();
    report.error = outcome.err().map(|error| error.to_string());
    report
}

/// Builds the worker of a pipeline over the log in `dir`, with its state under `dir/.state`.
fn start(
    loaded: &Loaded,
    log: EmbeddedLog,
    dir: &Path,
    settings: WorkerSettings,
    line: &Line,
) -> Result<Worker<EmbeddedLog>, String> {
    let topology = lower(loaded, &log, dir)?;
    let (stores, quarantined) =
        SledStores::open(&dir.join(".state").join(&topology.name)).map_err(|error| error.to_string())?;
    if let Some(quarantined) = &quarantined {
        line.say(&format!(
            "stored state could not be trusted ({}): it was moved to {} and is rebuilt from the changelog",
            quarantined.reason,
            quarantined.moved_to.display()
        ));
    }
    let stores = Box::new(stores);
    // Tasks are restored one after the other.
    let mut since = Instant::now();
    Worker::start(Arc::new(topology), log, stores, settings, clock::steady(), &mut |task, progress| {
        line.say(&format!("task {task}: restored {}", RestorePace { progress, took: since.elapsed() }));
        if progress.is_complete() {
            since = Instant::now();
        }
    })
    .map_err(|error| error.to_string())
}

/// The topology for the partitions that the source topics have.
fn lower(loaded: &Loaded, log: &EmbeddedLog, dir: &Path) -> Result<Topology, String> {
    let mut counts = PartitionCounts::unknown();
    for topic in &loaded.topology.topics {
        match log.partitions(topic).map_err(|error| error.to_string())? {
            Some(partitions) => {
                counts.0.insert(topic.clone(), partitions);
            }
            None => {
                return Err(format!(
                    "pipeline {}: there is no topic {topic}: create it with `{}`",
                    loaded.topology.name,
                    folder::command(&format!("create {topic}"), dir)
                ));
            }
        }
    }
    loaded.lower(&counts)
}
