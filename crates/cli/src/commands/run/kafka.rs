//! Pipelines over Kafka: the daemon with its settings, log lines and HTTP port.

use std::sync::Arc;
use std::time::Duration;

use millstream_runtime::config::{Effective, PLACES, Settings};
use millstream_runtime::contracts::SinkReport;
use millstream_runtime::daemon::{self, PipelineUnit};
use millstream_runtime::follow::Until;
use millstream_runtime::http;
use millstream_runtime::panics;
use millstream_runtime::registry::SchemaCache;
use millstream_runtime::telemetry::Telemetry;

use super::deferred::Deferred;
use super::{CUT_SHORT, Report, stop_on_signals};
use crate::exit::Failure;
use crate::load::Loaded;
use crate::logs;

/// A stop is promised to take less than 5 s.
const STOP_WITHIN: Duration = Duration::from_millis(4_500);

/// Runs until it is told to stop or has come to the end.
pub(super) fn run(
    loaded: Vec<Loaded>,
    deferred: Vec<Deferred>,
    sinks: &[SinkReport],
    effective: &Effective,
    until: Until,
) -> Result<Vec<Report>, Failure> {
    let settings = &effective.settings;
    let _logs = logs::begin(&settings.log);
    panics::listen();
    match &effective.file {
        Some(file) => tracing::info!("settings from {}", file.display()),
        None => tracing::info!("no settings file ({} are not there)", PLACES.join(", ")),
    }
    for variable in &effective.ignored {
        tracing::warn!("the environment variable {variable} is no setting and is not heard");
    }
    for report in sinks {
        tracing::info!("{}", report.line());
    }
    for source in loaded.iter().flat_map(|loaded| &loaded.topology.sources) {
        for origin in source.schema_origins() {
            tracing::info!("source {} reads as {origin}", source.name);
        }
    }
    let telemetry = Telemetry::new();
    telemetry.watch_folder(&settings.state_dir);
    let server = match settings.http.enabled {
        true => Some(http::serve(settings.http.listen, telemetry.clone()).map_err(|error| {
            Failure::run(error.to_string())
                .help("Name another with --http or http.listen, or leave it out with --http off.")
        })?),
        false => None,
    };
    if let Some(server) = &server {
        tracing::info!("metrics, health and status on http://{}", server.address());
    }
    let schemas = SchemaCache::new(&settings.schema_registry).map_err(|error| Failure::run(error.to_string()))?;
    telemetry.watch_schemas(schemas.clone());
    let stopping = telemetry.clone();
    let stop = stop_on_signals(move || {
        tracing::info!("asked to stop: commits and leaves; once more, and it leaves at once");
        stopping.stopping();
        std::thread::spawn(end_in_time);
    })?;
    let mut units: Vec<PipelineUnit> = loaded.into_iter().map(|loaded| unit(loaded, settings)).collect();
    for deferred in deferred {
        tracing::warn!(pipeline = deferred.name(), "it begins when the schema registry has given its schemas");
        units.push(deferred.unit(settings)?);
    }
    let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
    tracing::info!("running {} over {}", names.join(", "), settings.kafka.brokers());
    let reports = daemon::run(&settings.daemon(until, schemas), units, &stop, &telemetry)
        .map_err(|error| Failure::run(error.to_string()).help("Name another folder with --state-dir or state_dir."))?;
    let reports = reports.into_iter().map(|report| Report {
        pipeline: report.pipeline,
        standing: report.standing,
        ledger: report.ledger,
        error: report.error,
    });
    Ok(reports.collect())
}

/// Ends the process if it has not ended by itself when its time is over. Some waits for a broker that does not answer have no end
/// that could be brought forward; and whatever is cut off here is what a crash cuts off, by which nothing is lost.
fn end_in_time() {
    std::thread::sleep(STOP_WITHIN);
    tracing::warn!(
        "not all has been committed and left within {} s, most likely as brokers do not answer: it ends as it is; nothing is \
         lost, and what is not committed is taken again",
        STOP_WITHIN.as_secs_f64()
    );
    std::process::exit(CUT_SHORT);
}

/// A pipeline as the daemon takes it.
fn unit(loaded: Loaded, settings: &Settings) -> PipelineUnit {
    let topology = &loaded.topology;
    PipelineUnit {
        name: topology.name.clone(),
        kafka: topology.kafka.clone(),
        guarantee: topology.guarantee.unwrap_or(settings.guarantee),
        lower: Arc::new(move |counts| Ok(loaded.lower(counts)?)),
    }
}
