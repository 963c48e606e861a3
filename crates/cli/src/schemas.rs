//! The schemas that pipelines name and do not hold: files beside them, subjects of the registry if one is named.

use std::path::Path;

use millstream_pipeline::diagnostic::Diagnostics;
use millstream_pipeline::spec::Pipeline;
use millstream_pipeline::topology::SinkDef;
use millstream_runtime::config::Settings;
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
}

impl Schemas {
    /// In files alone.
    pub(crate) fn none() -> Schemas {
        Schemas { registry: None }
    }

    /// In the registry of the settings, if they name one.
    pub(crate) fn of(settings: &Settings) -> Result<Schemas, Failure> {
        let settings = &settings.schema_registry;
        let registry = (!settings.urls.is_empty()).then(|| Registry::new(settings)).transpose();
        Ok(Schemas { registry: registry.map_err(wrong)? })
    }

    /// The same, but each question is asked once.
    pub(crate) fn of_one_try(settings: &Settings) -> Result<Schemas, Failure> {
        let registry = Registry::without_retries(&settings.schema_registry).map_err(wrong)?;
        Ok(Schemas { registry: Some(registry) })
    }

    /// Asks the registry once whether it is there.
    pub(crate) fn ask_once(settings: &Settings) -> Result<(), RegistryError> {
        Registry::without_retries(&settings.schema_registry)?.answers()
    }

    /// The registry.
    pub(crate) fn registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    /// What is found of what the pipeline wants, which stands in the file at `path`.
    pub(crate) fn find(&self, path: &Path, pipeline: &Pipeline) -> Searched {
        let registry = self.registry.as_ref().map(|registry| registry as &dyn contracts::Subjects);
        contracts::find(pipeline, path.parent().unwrap_or(Path::new("")), registry)
    }

    /// Finds out where the schemas of the sinks stand, and registers those that the pipelines want registered if that is to
    /// be done. Without a registry nothing is asked.
    pub(crate) fn settle(&self, loaded: &mut Loaded, act: Act) -> Result<(Vec<SinkReport>, Diagnostics), Failure> {
        let mut reports = Vec::new();
        if let Some(registry) = &self.registry {
            reports = contracts::settle(&loaded.topology, registry, act, &mut loaded.found).map_err(wrong)?;
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

/// What the registry said.
pub(crate) fn wrong(error: RegistryError) -> Failure {
    Failure::registry(&error)
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
