//! `millstream check`: is a pipeline right?

use std::path::{Path, PathBuf};

use clap::Args;
use millstream_runtime::contracts::Act;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::load;
use crate::render::{ERROR, GOOD, RESET};
use crate::settings::RegistryArguments;

/// Checks pipelines: syntax, names, types, windows, keys. Every mistake is named at once, with its place.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Pipeline files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: RegistryArguments,
}

impl Check {
    pub(crate) fn run(self) -> crate::Outcome {
        let schemas = self.registry.schemas()?;
        let mut right = true;
        let mut unread = None;
        let mut results = Vec::new();
        let mut names: Vec<(PathBuf, String)> = Vec::new();
        for path in load::files(&self.paths)? {
            let mut checked = match load::check(&path, &schemas) {
                Ok(checked) => checked,
                // The others may have mistakes too.
                Err(failure) => {
                    results.push(unread_json(&path, &failure));
                    unread = Some(self.say_unread(&path, failure));
                    continue;
                }
            };
            let mut sinks = Vec::new();
            if let Some(loaded) = &mut checked.right {
                let (reports, more) = schemas.settle(loaded, Act::Look)?;
                sinks = reports;
                let breaks = more.has_errors();
                checked.diagnostics.extend(more.iter().cloned());
                checked.right = checked.right.filter(|_| !breaks);
            }
            right &= checked.right.is_some();
            names.extend(checked.right.iter().map(|right| (right.path.clone(), right.topology.name.clone())));
            if self.json {
                results.push(json!({
                    "file": checked.path.display().to_string(),
                    "ok": checked.right.is_some(),
                    "diagnostics": checked.diagnostics,
                    "schemas": crate::schemas::as_json(&sinks),
                }));
                continue;
            }
            load::print(&checked.diagnostics);
            match &checked.right {
                Some(right) => {
                    outln!("{GOOD}ok{RESET}    {} ({})", checked.path.display(), right.topology.name);
                    for source in &right.topology.sources {
                        for origin in source.schema_origins() {
                            outln!("      source {}: the schema is {origin}", source.name);
                        }
                    }
                    for report in &sinks {
                        outln!("      {}", report.line());
                    }
                }
                None => {
                    let errors = load::errors(&checked.diagnostics);
                    outln!(
                        "{ERROR}wrong{RESET} {}: {}",
                        checked.path.display(),
                        crate::render::count(errors as u64, "error")
                    );
                }
            }
        }
        if self.json {
            outln!("{}", serde_json::Value::from(results));
        }
        let names: Vec<(&Path, &str)> = names.iter().map(|(path, name)| (path.as_path(), name.as_str())).collect();
        // Each is right by itself, and a run of them together is refused.
        let together = load::refuse_twins(&names).map_or_else(Failure::report, |()| Exit::Well);
        Ok(unread.unwrap_or(if right { together } else { Exit::PipelineWrong }))
    }

    /// Tells of a file that cannot be read, and gives the exit code of that.
    fn say_unread(&self, path: &Path, failure: Failure) -> Exit {
        let exit = failure.report();
        if !self.json {
            outln!("{ERROR}wrong{RESET} {}: it cannot be read", path.display());
        }
        exit
    }
}

/// There is no text that a diagnostic could point into.
fn unread_json(path: &Path, failure: &Failure) -> serde_json::Value {
    json!({
        "file": path.display().to_string(),
        "ok": false,
        "diagnostics": [],
        "schemas": [],
        "error": failure.message(),
    })
}
