//! The schemas that pipelines name and do not hold: files beside them, subjects of the registry if one is named.

use std::path::Path;

use millstream_pipeline::diagnostic::Diagnostics;
use millstream_pipeline::found::{Found, Wanted};
use millstream_pipeline::topology::SinkDef;
use millstream_runtime::config::Settings;
use millstream_runtime::contracts::{self, Act, Outcome, SinkReport};
use millstream_runtime::registry::{Registry, RegistryError};

use crate::exit::Failure;
use crate::load::{self, Loaded};

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

    /// Whether a registry is named that does not answer now.
    pub(crate) fn is_away(settings: &Settings) -> bool {
        let asked = Registry::without_retries(&settings.schema_registry).and_then(|registry| registry.answers());
        matches!(asked, Err(RegistryError::Unavailable { .. }))
    }

    /// The registry.
    pub(crate) fn registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    /// What is found of what the pipeline in the file at `path` wants.
    pub(crate) fn find(&self, path: &Path, wanted: &[Wanted]) -> Found {
        let registry = self.registry.as_ref().map(|registry| registry as &dyn contracts::Subjects);
        contracts::find(wanted, path.parent().unwrap_or(Path::new("")), registry)
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
    pub(crate) fn deploy(&self, all: &mut [Loaded]) -> Result<Vec<SinkReport>, Failure> {
        let mut reports = Vec::new();
        let mut wrong = false;
        // None is registered before all are known to be well.
        for act in [Act::Look, Act::Register] {
            reports.clear();
            for loaded in all.iter_mut() {
                let (of_this, diagnostics) = self.settle(loaded, act)?;
                load::print(&diagnostics);
                wrong |= diagnostics.has_errors();
                let mut schemas = loaded.topology.sinks.iter().flat_map(SinkDef::schemas).map(|(_, _, schema)| schema);
                let open = schemas.find(|schema| schema.is_open());
                if let (Some(schema), None) = (open, &self.registry) {
                    let message = format!(
                        "pipeline {}: the schema {} stands in a registry, and none is named",
                        loaded.topology.name, schema.subject
                    );
                    return Err(Failure::usage(message).help(
                        "Name it with --registry URL, SCHEMA_REGISTRY_URL or `schema_registry.urls`, or write messages without \
                         ids: `framing: none`.",
                    ));
                }
                reports.extend(of_this);
            }
            if wrong {
                return Err(Failure::pipeline_wrong());
            }
        }
        Ok(reports)
    }
}

/// What the registry said.
pub(crate) fn wrong(error: RegistryError) -> Failure {
    Failure::run(error.to_string())
}

/// Sinks as JSON.
pub(crate) fn as_json(reports: &[SinkReport]) -> serde_json::Value {
    let each = reports.iter().map(|report| {
        let (outcome, at) = match &report.outcome {
            Outcome::Exists(at) => ("exists", Some(at)),
            Outcome::Registered(at) => ("registered", Some(at)),
            Outcome::WouldRegister(_) => ("would_register", None),
            Outcome::Missing(_) => ("missing", None),
            Outcome::Breaks(_) => ("breaks", None),
        };
        let breaches = match &report.outcome {
            Outcome::Breaks(breaches) => breaches.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        serde_json::json!({
            "topic": report.topic,
            "part": report.part.to_string(),
            "reference": report.reference,
            "subject": report.subject,
            "outcome": outcome,
            "version": at.map(|at| at.version),
            "id": at.map(|at| at.id.0),
            "findings": breaches,
        })
    });
    each.collect()
}
