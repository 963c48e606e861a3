//! Pipelines that cannot be loaded before a schema registry answers: they wait for it, and the others run meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_pipeline::codes;
use millstream_pipeline::diagnostic::{Diagnostics, Severity};
use millstream_pipeline::found::{Wanted, wanted};
use millstream_pipeline::interpolate::Asked;
use millstream_pipeline::spec::Pipeline;
use millstream_pipeline::topology::Guarantee;
use millstream_runtime::config::Settings;
use millstream_runtime::contracts::Act;
use millstream_runtime::daemon::{NotLowered, PipelineUnit};

use crate::exit::Failure;
use crate::load::{self, Loaded};
use crate::schemas::Schemas;

/// A pipeline that needs a registry before its columns are known.
pub(super) struct Deferred {
    path: PathBuf,
    pipeline: Pipeline,
}

impl From<Loaded> for Deferred {
    fn from(loaded: Loaded) -> Deferred {
        Deferred { path: loaded.path, pipeline: loaded.pipeline }
    }
}

/// Loads what can be loaded, and defers what needs a registry that does not answer, answers no more, or refuses access. Prints
/// what is wrong with pipelines, and goes on only if nothing is.
///
/// A refusal is somebody's to mend, so it is said at once where nothing else could run. Pipelines that need no registry do not
/// go down with it.
pub(super) fn load(
    paths: &[PathBuf],
    schemas: &Schemas,
    settings: &Settings,
) -> Result<(Vec<Loaded>, Vec<Deferred>), Failure> {
    if schemas.registry().is_none() {
        return Ok((load::load(paths, schemas)?, Vec::new()));
    }
    // Who may read subjects may still not be let into this: each pipeline finds out for itself.
    let mut away = Schemas::ask_once(settings).is_err_and(|error| error.may_pass());
    let mut deferred = Vec::new();
    let mut refusals = Vec::new();
    let ready = load::load_by(paths, schemas, |path| {
        if away && let Some(pipeline) = needs_registry(path) {
            deferred.push(Deferred { path: path.to_owned(), pipeline });
            return Ok(None);
        }
        let checked = load::check(path, schemas)?;
        if let Some(error) = &checked.away
            && let Some((pipeline, _)) = parsed(path)
        {
            away |= error.may_pass();
            refusals.extend(error.is_refusal().then(|| (path.to_owned(), error.clone(), checked.diagnostics)));
            deferred.push(Deferred { path: path.to_owned(), pipeline });
            return Ok(None);
        }
        Ok(Some(checked))
    })?;
    if ready.is_empty()
        && let Some((_, error, _)) = refusals.first()
    {
        refusals.iter().for_each(|(_, _, diagnostics)| load::print(diagnostics));
        let paths: Vec<PathBuf> = refusals.iter().map(|(path, ..)| path.clone()).collect();
        return Err(schemas.not_asked(&paths, error));
    }
    Ok((ready, deferred))
}

/// The pipeline in a file, with its text.
fn parsed(path: &Path) -> Option<(Pipeline, String)> {
    let text = std::fs::read_to_string(path).ok()?;
    let lookup = |asked: Asked, name: &str| load::look_up(path, asked, name);
    let (pipeline, _) = millstream_pipeline::parse(&path.display().to_string(), &text, &lookup).ok()?;
    Some((pipeline, text))
}

fn needs_registry(path: &Path) -> Option<Pipeline> {
    let (pipeline, text) = parsed(path)?;
    let reads = wanted(&pipeline).iter().any(|wanted| matches!(wanted, Wanted::Subject { .. }));
    (reads || writes(path, &text, &pipeline)).then_some(pipeline)
}

/// Whether the registry must know what is written.
fn writes(path: &Path, text: &str, pipeline: &Pipeline) -> bool {
    let checked = load::check_text(path, text, &Schemas::none());
    let Some(loaded) = checked.right else {
        // A file that is there may refer to what only the registry has.
        let folder = path.parent().unwrap_or(Path::new(""));
        let is_there = |wanted: &Wanted| matches!(wanted, Wanted::File(name) if folder.join(name).is_file());
        let unavailable = checked.diagnostics.iter().any(|diagnostic| diagnostic.code == codes::SCHEMA_UNAVAILABLE);
        return unavailable && wanted(pipeline).iter().all(is_there);
    };
    loaded.is_open()
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

    /// The properties of librdkafka that it sets for itself.
    pub(super) fn kafka(&self) -> BTreeMap<String, String> {
        self.pipeline.kafka.iter().map(|(name, value)| (name.to_string(), value.as_str().to_owned())).collect()
    }

    /// What its commits promise.
    pub(super) fn guarantee(&self, by_default: Guarantee) -> Guarantee {
        self.pipeline.guarantee.as_ref().map_or(by_default, |guarantee| guarantee.value)
    }

    /// The pipeline as the daemon takes it: each attempt asks the registry, until one was answered. From then on the schemas
    /// are those of that answer.
    pub(super) fn unit(self, settings: &Settings) -> Result<PipelineUnit, Failure> {
        let schemas = Schemas::of_one_try(settings)?;
        let loaded: Mutex<Option<Loaded>> = Mutex::new(None);
        let path = self.path.clone();
        Ok(PipelineUnit {
            name: self.name().to_owned(),
            kafka: self.kafka(),
            guarantee: self.guarantee(settings.guarantee),
            lower: Arc::new(move |counts| {
                let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
                if loaded.is_none() {
                    *loaded = Some(deploy(&path, &schemas)?);
                }
                match loaded.as_ref() {
                    Some(loaded) => Ok(loaded.lower(counts)?),
                    None => Err(NotLowered::Pipeline("it is not loaded".to_owned())),
                }
            }),
        })
    }
}

/// Loads one pipeline with its schemas, and settles those of its sinks.
fn deploy(path: &Path, schemas: &Schemas) -> Result<Loaded, NotLowered> {
    let checked = load::check(path, schemas).map_err(|failure| not_lowered(&failure))?;
    if let Some(away) = checked.away {
        let said = first_error(&checked.diagnostics).unwrap_or_else(|| away.to_string());
        return Err(if away.may_pass() { NotLowered::Registry(said) } else { NotLowered::Pipeline(said) });
    }
    let wrong = |diagnostics: &Diagnostics| NotLowered::Pipeline(first_error(diagnostics).unwrap_or_default());
    let mut loaded = checked.right.ok_or_else(|| wrong(&checked.diagnostics))?;
    for act in [Act::Look, Act::Register] {
        let (reports, diagnostics) = schemas.settle(&mut loaded, act).map_err(|failure| not_lowered(&failure))?;
        if diagnostics.has_errors() {
            return Err(wrong(&diagnostics));
        }
        if act == Act::Register {
            reports.iter().for_each(|report| tracing::info!("{}", report.line()));
        }
    }
    Ok(loaded)
}

fn not_lowered(failure: &Failure) -> NotLowered {
    let message = failure.message().to_owned();
    if failure.may_pass() { NotLowered::Registry(message) } else { NotLowered::Pipeline(message) }
}

fn first_error(diagnostics: &Diagnostics) -> Option<String> {
    let error = diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error)?;
    Some(error.message.clone())
}
