//! The schemas that pipelines name and do not hold: files beside them, subjects of the registry if one is named.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use millstream_pipeline::diagnostic::Diagnostics;
use millstream_pipeline::found::{Wanted, wanted};
use millstream_pipeline::spec::Pipeline;
use millstream_pipeline::topology::SinkDef;
use millstream_runtime::config::{Effective, Origin, Settings};
use millstream_runtime::contracts::{self, Act, Judge, Outcome, Searched, SinkReport};
use millstream_runtime::registry::{Registry, RegistryError};

use crate::exit::Failure;
use crate::load::{self, Loaded};

/// What becomes of pipelines whose schemas cannot be had now, as the registry is away or lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// They end the run.
    None,
    /// They are put aside, and the others go on. Where it lets nobody in and there are no others, they end the run too.
    Waits,
}

/// Pipelines whose sinks have been settled.
pub(crate) struct Deployed {
    /// Those that can begin.
    pub(crate) loaded: Vec<Loaded>,
    /// Those that must wait for the registry.
    pub(crate) waiting: Vec<Loaded>,
    /// What became of the schemas of those that can begin.
    pub(crate) sinks: Vec<SinkReport>,
}

/// Where schemas are found.
pub(crate) struct Schemas {
    registry: Option<Registry>,
    /// Where the registry's address is from.
    origin: Origin,
    /// Whether the registry was asked for anything.
    asked: AtomicBool,
}

impl Schemas {
    /// In files alone.
    pub(crate) fn none() -> Schemas {
        Schemas { registry: None, origin: Origin::Default, asked: AtomicBool::new(false) }
    }

    /// In the registry of the settings, if they name one.
    pub(crate) fn of(effective: &Effective) -> Result<Schemas, Failure> {
        let settings = &effective.settings.schema_registry;
        let registry = (!settings.urls.is_empty()).then(|| Registry::new(settings)).transpose();
        let origin = effective.origin(&["schema_registry", "urls"]);
        Ok(Schemas { registry: registry.map_err(wrong)?, origin, ..Schemas::none() })
    }

    /// The same, but each question is asked once.
    pub(crate) fn of_one_try(settings: &Settings) -> Result<Schemas, Failure> {
        let registry = Registry::without_retries(&settings.schema_registry).map_err(wrong)?;
        Ok(Schemas { registry: Some(registry), ..Schemas::none() })
    }

    /// Asks the registry once whether it is there.
    pub(crate) fn ask_once(settings: &Settings) -> Result<(), RegistryError> {
        Registry::without_retries(&settings.schema_registry)?.answers()
    }

    /// The registry.
    pub(crate) fn registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    /// The registry that was asked, with where its address is from; none if nobody was.
    pub(crate) fn asked(&self) -> Option<String> {
        self.registry
            .as_ref()
            .filter(|_| self.asked.load(Ordering::Relaxed))
            .map(|registry| format!("{} ({})", registry.address(), self.origin))
    }

    /// Of these files nothing is known: the registry that has their schemas could not be asked.
    pub(crate) fn not_asked(&self, files: &[PathBuf], error: &RegistryError) -> Failure {
        let are = if files.len() == 1 { "is" } else { "are" };
        let files = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        let registry = self.asked().unwrap_or_default();
        let message = format!(
            "it is not known whether {files} {are} right: the schema registry at {registry} could not be asked"
        );
        Failure::registry(error)
            .with(message)
            .help("Nothing is known to be wrong: try again when it answers and lets us in.")
    }

    /// What is found of what the pipeline wants, which stands in the file at `path`.
    pub(crate) fn find(&self, path: &Path, pipeline: &Pipeline) -> Searched {
        if wanted(pipeline).iter().any(|wanted| matches!(wanted, Wanted::Subject { .. })) {
            self.asked.store(true, Ordering::Relaxed);
        }
        let registry = self.registry.as_ref().map(|registry| registry as &dyn contracts::Subjects);
        contracts::find(pipeline, path.parent().unwrap_or(Path::new("")), registry)
    }

    /// Finds out where the schemas of the sinks stand, and registers those that the pipelines want registered if that is to
    /// be done. Without a registry nothing is asked.
    pub(crate) fn settle(&self, loaded: &mut Loaded, act: Act) -> Result<(Vec<SinkReport>, Diagnostics), Failure> {
        let mut reports = Vec::new();
        if let Some(registry) = &self.registry {
            self.asked.fetch_or(loaded.is_open(), Ordering::Relaxed);
            let settled = contracts::settle(&loaded.topology, registry, act, &mut loaded.found);
            reports = settled.map_err(|error| self.failed(error))?;
            loaded.refresh()?;
        }
        let diagnostics = loaded.diagnose(&reports);
        Ok((reports, diagnostics))
    }

    /// As [`settle`](Self::settle) for a run, which then can begin: prints what speaks against it.
    pub(crate) fn deploy(&self, all: Vec<Loaded>, patience: Patience) -> Result<Deployed, Failure> {
        let mut deployed = Deployed { loaded: all, waiting: Vec::new(), sinks: Vec::new() };
        let mut refused = None;
        // None is registered before all are known to be well.
        for act in [Act::Look, Act::Register] {
            deployed.sinks.clear();
            let mut wrong = false;
            for mut loaded in std::mem::take(&mut deployed.loaded) {
                // Where it was away for one, it is not asked for each of the others.
                if !deployed.waiting.is_empty() && loaded.is_open() {
                    deployed.waiting.push(loaded);
                    continue;
                }
                match self.settle(&mut loaded, act) {
                    Ok((sinks, diagnostics)) => {
                        load::print(&diagnostics);
                        wrong |= diagnostics.has_errors();
                        self.need_registry(&loaded)?;
                        deployed.sinks.extend(sinks);
                        deployed.loaded.push(loaded);
                    }
                    Err(failure) if patience == Patience::Waits && (failure.may_pass() || failure.is_refusal()) => {
                        deployed.waiting.push(loaded);
                        refused = Some(failure).filter(Failure::is_refusal).or(refused);
                    }
                    Err(failure) => return Err(failure),
                }
            }
            if wrong {
                return Err(Failure::pipeline_wrong());
            }
        }
        match refused {
            Some(failure) if deployed.loaded.is_empty() => Err(failure),
            _ => Ok(deployed),
        }
    }

    /// What the registry said, and which it is.
    pub(crate) fn failed(&self, error: RegistryError) -> Failure {
        let failure = wrong(error);
        match self.asked() {
            Some(registry) if failure.may_pass() || failure.is_refusal() => {
                failure.help(format!("Asked was {registry}."))
            }
            _ => failure,
        }
    }

    /// Refuses a pipeline that writes by registered schemas where no registry is named.
    fn need_registry(&self, loaded: &Loaded) -> Result<(), Failure> {
        let mut schemas = loaded.topology.sinks.iter().flat_map(SinkDef::schemas).map(|(_, _, schema)| schema);
        let open = schemas.find(|schema| schema.is_open());
        let (Some(schema), None) = (open, &self.registry) else { return Ok(()) };
        let message = format!(
            "pipeline {}: the schema {} stands in a registry, and none is named",
            loaded.topology.name, schema.subject
        );
        Err(Failure::usage(message).help(
            "Name it with --registry URL, SCHEMA_REGISTRY_URL or `schema_registry.urls`, or write messages without ids: \
             `framing: none`.",
        ))
    }
}

/// What the registry said, or why none can be asked.
fn wrong(error: RegistryError) -> Failure {
    match error {
        RegistryError::Settings { message } => Failure::usage(message),
        error => Failure::registry(&error),
    }
}

/// Sinks as JSON.
pub(crate) fn as_json(reports: &[SinkReport]) -> serde_json::Value {
    let each = reports.iter().map(|report| {
        let (outcome, at) = match &report.outcome {
            Outcome::Exists(at) => ("exists", Some(at)),
            Outcome::Registered(at) => ("registered", Some(at)),
            Outcome::WouldRegister(..) => ("would_register", None),
            Outcome::Missing(_) => ("missing", None),
            Outcome::Breaks(_) => ("breaks", None),
        };
        let breaches = match &report.outcome {
            Outcome::Breaks(breaches) => breaches.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        let judge = match &report.outcome {
            Outcome::WouldRegister(known, judge) if !known.is_empty() => Some(match judge {
                Judge::Registry => "registry",
                Judge::Rules => "rules",
                Judge::Nobody => "nobody",
            }),
            _ => None,
        };
        serde_json::json!({
            "topic": report.topic,
            "part": report.part.to_string(),
            "reference": report.reference,
            "subject": report.subject,
            "outcome": outcome,
            "judge": judge,
            "version": at.map(|at| at.version),
            "id": at.map(|at| at.id.0),
            "findings": breaches,
        })
    });
    each.collect()
}
