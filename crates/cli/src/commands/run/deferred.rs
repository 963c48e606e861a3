//! Pipelines that cannot be loaded before a schema registry answers: they wait for it, and the others run meanwhile.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_pipeline::codes;
use millstream_pipeline::diagnostic::{Diagnostics, Severity};
use millstream_pipeline::found::{Wanted, wanted};
use millstream_pipeline::interpolate::Asked;
use millstream_pipeline::spec::Pipeline;
use millstream_pipeline::topology::SinkDef;
use millstream_runtime::config::Settings;
use millstream_runtime::contracts::Act;
use millstream_runtime::daemon::PipelineUnit;

use crate::exit::Failure;
use crate::load::{self, Loaded};
use crate::schemas::Schemas;

/// A pipeline that needs a registry before its columns are known.
pub(super) struct Deferred {
    path: PathBuf,
    pipeline: Pipeline,
}

/// The files under `paths`: those that can be loaded without a registry, and those that cannot. What is no pipeline at all is
/// among the first, where it will be said.
pub(super) fn split(paths: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<Deferred>), Failure> {
    let (mut ready, mut deferred) = (Vec::new(), Vec::new());
    for path in load::files(paths)? {
        match needs_registry(&path) {
            Some(pipeline) => deferred.push(Deferred { path, pipeline }),
            None => ready.push(path),
        }
    }
    Ok((ready, deferred))
}

fn needs_registry(path: &Path) -> Option<Pipeline> {
    let text = std::fs::read_to_string(path).ok()?;
    let lookup = |asked: Asked, name: &str| load::look_up(path, asked, name);
    let (pipeline, _) = millstream_pipeline::parse(&path.display().to_string(), &text, &lookup).ok()?;
    let reads = wanted(&pipeline).iter().any(|wanted| matches!(wanted, Wanted::Subject { .. }));
    (reads || writes(path, &text, &pipeline)).then_some(pipeline)
}

/// Whether the registry must know what is written.
fn writes(path: &Path, text: &str, pipeline: &Pipeline) -> bool {
    match load::check_text(path, text, &Schemas::none()) {
        (_, Some(loaded)) => {
            let mut schemas = loaded.topology.sinks.iter().flat_map(SinkDef::schemas);
            schemas.any(|(_, _, schema)| schema.is_open())
        }
        // A file that is there may refer to what only the registry has.
        (diagnostics, None) => {
            let folder = path.parent().unwrap_or(Path::new(""));
            let is_there = |wanted: &Wanted| matches!(wanted, Wanted::File(name) if folder.join(name).is_file());
            let unavailable = diagnostics.iter().any(|diagnostic| diagnostic.code == codes::SCHEMA_UNAVAILABLE);
            unavailable && wanted(pipeline).iter().all(is_there)
        }
    }
}

impl Deferred {
    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The pipeline's name.
    pub(super) fn name(&self) -> &str {
        self.pipeline.pipeline.as_str()
    }

    /// The pipeline as the daemon takes it: each attempt asks the registry, until one was answered. From then on the schemas
    /// are those of that answer.
    pub(super) fn unit(self, settings: &Settings) -> Result<PipelineUnit, Failure> {
        let schemas = Schemas::of_one_try(settings)?;
        let Deferred { path, pipeline } = self;
        let loaded: Mutex<Option<Loaded>> = Mutex::new(None);
        let kafka = pipeline.kafka.iter();
        Ok(PipelineUnit {
            name: pipeline.pipeline.to_string(),
            kafka: kafka.map(|(name, value)| (name.to_string(), value.as_str().to_owned())).collect(),
            guarantee: pipeline.guarantee.as_ref().map_or(settings.guarantee, |guarantee| guarantee.value),
            lower: Arc::new(move |counts| {
                let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
                if loaded.is_none() {
                    *loaded = Some(deploy(&path, &schemas)?);
                }
                loaded.as_ref().map_or_else(|| Err("it is not loaded".to_owned()), |loaded| loaded.lower(counts))
            }),
        })
    }
}

/// Loads one pipeline with its schemas, and settles those of its sinks.
fn deploy(path: &Path, schemas: &Schemas) -> Result<Loaded, String> {
    let checked = load::check(path, schemas).map_err(|failure| failure.message().to_owned())?;
    let mut loaded = checked.right.ok_or_else(|| first_error(&checked.diagnostics))?;
    for act in [Act::Look, Act::Register] {
        let (reports, diagnostics) =
            schemas.settle(&mut loaded, act).map_err(|failure| failure.message().to_owned())?;
        if diagnostics.has_errors() {
            return Err(first_error(&diagnostics));
        }
        if act == Act::Register {
            reports.iter().for_each(|report| tracing::info!("{}", report.line()));
        }
    }
    Ok(loaded)
}

fn first_error(diagnostics: &Diagnostics) -> String {
    let error = diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
    error.map_or_else(String::new, |diagnostic| diagnostic.message.clone())
}
