//! `millstream run`: pipelines over a folder of topics.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use clap::Args;
use millstream_engine::ledger::Ledger;
use millstream_pipeline::topology::{PartitionCounts, Topology};
use millstream_runtime::follow::{self, Stop, Until};
use millstream_runtime::log::Log;
use millstream_runtime::log::embedded::{Access, EmbeddedLog};
use millstream_runtime::store::sled::SledStores;
use millstream_runtime::worker::{Standing, Worker, WorkerSettings};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::folder;
use crate::load::{self, Loaded};
use crate::render::progress::Progress;

/// Runs pipelines over a folder of topics on this machine, exactly once: stop it, kill it, start it again.
///
/// Source topics must exist (`millstream topic create`); topics of sinks are made where they are missing. Ctrl-C commits
/// and leaves; a second Ctrl-C leaves at once, and nothing is lost by that either.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Pipeline files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The folder of topics (the embedded log), with the pipelines' state beside them.
    #[arg(long, value_name = "DIR", default_value = folder::DEFAULT)]
    local: PathBuf,
    /// Stops when everything that is there has been processed. Open windows stay open.
    #[arg(long)]
    until_end: bool,
    /// Closes all open windows at the end.
    #[arg(long, requires = "until_end")]
    close: bool,
    /// The final report as JSON.
    #[arg(long)]
    json: bool,
}

/// What a pipeline's thread brings home.
struct Report {
    pipeline: String,
    standing: Standing,
    ledger: Vec<(String, Ledger)>,
    error: Option<String>,
}

impl Run {
    pub(crate) fn run(self) -> crate::Outcome {
        let loaded = load::load(&self.paths)?;
        refuse_twins(&loaded)?;
        let log = folder::open(&self.local, Access::Run)?;
        let stop = stop_on_signals()?;
        let until = match (self.until_end, self.close) {
            (false, _) => Until::Stopped,
            (true, false) => Until::End,
            (true, true) => Until::EndAndClose,
        };
        let progress = Progress::new(self.json, loaded.len());
        let threads: Vec<JoinHandle<Report>> = loaded
            .into_iter()
            .map(|pipeline| {
                let (log, stop, dir) = (log.handle(), stop.clone(), self.local.clone());
                let line = progress.line(&pipeline.topology.name);
                std::thread::spawn(move || run_one(&pipeline, log, &dir, until, &stop, line))
            })
            .collect();
        let mut reports = Vec::new();
        for thread in threads {
            reports.push(thread.join().map_err(|_| Failure::run("internal error: a pipeline's thread panicked"))?);
        }
        progress.finish();
        self.print(&reports);
        Ok(if reports.iter().all(|report| report.error.is_none()) { Exit::Well } else { Exit::RunFailed })
    }

    fn print(&self, reports: &[Report]) {
        if self.json {
            let reports: Vec<_> = reports.iter().map(as_json).collect();
            println!("{}", serde_json::Value::from(reports));
            return;
        }
        for report in reports {
            if !report.ledger.is_empty() {
                crate::render::ledger(&report.pipeline, &report.standing, &report.ledger);
            }
            if let Some(error) = &report.error {
                Failure::run(error.clone()).report();
            }
        }
    }
}

fn run_one(
    loaded: &Loaded,
    log: EmbeddedLog,
    dir: &Path,
    until: Until,
    stop: &Stop,
    line: crate::render::progress::Line,
) -> Report {
    let pipeline = loaded.topology.name.clone();
    let mut report = Report { pipeline, standing: Standing::default(), ledger: Vec::new(), error: None };
    let mut worker = match start(loaded, log, dir, &line) {
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
    line: &crate::render::progress::Line,
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
    let settings = WorkerSettings::default();
    Worker::start(Arc::new(topology), log, stores, settings, follow::now(), &mut |task, restore| {
        line.say(&format!(
            "task {task}: restored {} of {} changelog records ({} bytes)",
            restore.records, restore.records_total, restore.bytes
        ));
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

/// Two pipelines of one name would share offsets and state.
fn refuse_twins(loaded: &[Loaded]) -> Result<(), Failure> {
    for (index, one) in loaded.iter().enumerate() {
        if let Some(other) = loaded[..index].iter().find(|other| other.topology.name == one.topology.name) {
            return Err(Failure::usage(format!(
                "{} and {} are both named {}",
                other.path.display(),
                one.path.display(),
                one.topology.name
            ))
            .help("Offsets and state are kept by the pipeline's name, so give each its own."));
        }
    }
    Ok(())
}

/// The first Ctrl-C (or SIGTERM) asks for a commit and an orderly end, the second ends the process at once.
pub(crate) fn stop_on_signals() -> Result<Stop, Failure> {
    let stop = Stop::new();
    let asked = stop.clone();
    let signals = AtomicU32::new(0);
    ctrlc::set_handler(move || {
        if signals.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(130);
        }
        asked.ask();
    })
    .map_err(|error| Failure::run(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(stop)
}

fn as_json(report: &Report) -> serde_json::Value {
    let standing = &report.standing;
    json!({
        "pipeline": report.pipeline,
        "records_in": standing.records_in,
        "records_out": standing.records_out,
        "errors": standing.errors,
        "late": standing.late,
        "lag": standing.lag,
        "commits": standing.commits,
        "watermark": standing.watermark.map(|watermark| watermark.0),
        "ledger": crate::render::ledger_json(&report.ledger),
        "error": report.error,
    })
}
