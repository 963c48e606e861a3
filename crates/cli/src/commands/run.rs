//! `millstream run`: pipelines over Kafka, or over a folder of topics.

mod deferred;
mod kafka;
mod local;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::Args;
use millstream_engine::ledger::Ledger;
use millstream_pipeline::topology::Topology;
use millstream_runtime::config::Effective;
use millstream_runtime::follow::{Stop, Until};
use millstream_runtime::worker::Standing;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::load::{self, Loaded};
use crate::schemas::{Deployed, Patience, Schemas};
use crate::settings::{self, SettingsArguments};
use deferred::Deferred;

/// Runs pipelines over Kafka, exactly once: stop it, kill it, start it again, start more of it on other machines.
///
/// Brokers and everything else come from the settings (`millstream config` shows them). With --local it runs over a folder
/// of topics on this machine instead, with no broker. Source topics must exist; topics of sinks are made where the pipeline
/// says `create:`, over a folder in any case. Ctrl-C or SIGTERM commits and leaves; a second one leaves at once, and nothing
/// is lost by that either.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Pipeline files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Over the topics in this folder (the embedded log), with the pipelines' state beside them.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["brokers", "kafka", "state_dir", "threads", "guarantee", "http"]
    )]
    local: Option<PathBuf>,
    /// Stops when everything that is there has been processed. Open windows stay open. Over Kafka it ends with exit code 1 when
    /// no broker has answered for a minute.
    #[arg(long)]
    until_end: bool,
    /// Closes all open windows at the end. Over a folder only: over Kafka other instances may have a part of the pipeline.
    #[arg(long, requires_all = ["until_end", "local"])]
    close: bool,
    /// The final report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArguments,
}

/// What became of a pipeline.
struct Report {
    pipeline: String,
    standing: Standing,
    ledger: Vec<(String, Ledger)>,
    error: Option<String>,
}

impl Report {
    /// Nothing has become of it yet.
    fn of(pipeline: String) -> Report {
        Report { pipeline, standing: Standing::default(), ledger: Vec::new(), error: None }
    }
}

impl Run {
    pub(crate) fn run(self) -> crate::Outcome {
        let effective = self.settings.load()?;
        if self.local.is_none() {
            settings::check_client(&effective)?;
        }
        let schemas = Schemas::of(&effective)?;
        let until = match (self.until_end, self.close) {
            (false, _) => Until::Stopped,
            (true, false) => Until::End,
            (true, true) => Until::EndAndClose,
        };
        // Who runs for ever can wait for a registry; who runs to an end, or on somebody's terminal, says that there is none.
        let patience = match self.local.is_none() && until == Until::Stopped {
            true => Patience::Waits,
            false => Patience::None,
        };
        let loaded = match patience {
            Patience::Waits => deferred::load(&self.paths, &schemas, &effective.settings),
            Patience::None => load::load(&self.paths, &schemas).map(|loaded| (loaded, Vec::new())),
        };
        let (loaded, mut deferred) = loaded.inspect_err(|failure| {
            if self.json && !failure.wrong().is_empty() {
                outln!("{}", json!({"wrong": failure.wrong()}));
            }
        })?;
        let names = loaded.iter().map(|loaded| (loaded.path.as_path(), loaded.topology.name.as_str()));
        let waiting = deferred.iter().map(|deferred| (deferred.path(), deferred.name()));
        load::refuse_twins(&names.chain(waiting).collect::<Vec<_>>())?;
        if self.local.is_none() {
            check_clients(&loaded, &deferred, &effective)?;
        }
        let Deployed { loaded, waiting, sinks } = schemas.deploy(loaded, patience)?;
        deferred.extend(waiting.into_iter().map(Deferred::from));
        let reports = match &self.local {
            Some(dir) => local::run(loaded, dir, &effective.settings, until, self.json)?,
            None => kafka::run(loaded, deferred, &sinks, &effective, until)?,
        };
        self.print(&reports);
        Ok(if reports.iter().all(|report| report.error.is_none()) { Exit::Well } else { Exit::RunFailed })
    }

    fn print(&self, reports: &[Report]) {
        if self.json {
            let reports: Vec<_> = reports.iter().map(as_json).collect();
            outln!("{}", serde_json::Value::from(reports));
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

/// Whether clients can be made with what pipelines set over the settings.
fn check_clients(loaded: &[Loaded], deferred: &[Deferred], effective: &Effective) -> Result<(), Failure> {
    let by_default = effective.settings.guarantee;
    for Topology { name, kafka, guarantee, .. } in loaded.iter().map(|loaded| &loaded.topology) {
        settings::check_client_of(effective, name, kafka, guarantee.unwrap_or(by_default))?;
    }
    for deferred in deferred {
        settings::check_client_of(effective, deferred.name(), &deferred.kafka(), deferred.guarantee(by_default))?;
    }
    Ok(())
}

/// How a process ends that did not wait until all is committed and left.
const CUT_SHORT: i32 = 130;

/// The first Ctrl-C (or SIGTERM) asks for a commit and an orderly end, and is told to `first` before; the second ends the
/// process at once.
pub(crate) fn stop_on_signals(mut first: impl FnMut() + Send + 'static) -> Result<Stop, Failure> {
    let stop = Stop::new();
    let asked = stop.clone();
    let signals = AtomicU32::new(0);
    ctrlc::set_handler(move || {
        if signals.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(CUT_SHORT);
        }
        first();
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
