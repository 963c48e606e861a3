//! `millstream check`: is a pipeline right?

use std::path::{Path, PathBuf};

use clap::Args;
use millstream_runtime::contracts::{Act, SinkReport};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::load::{self, Checked};
use crate::render::{ERROR, GOOD, RESET};
use crate::schemas::Schemas;
use crate::settings::RegistryArguments;

/// Checks pipelines and their tests: syntax, names, types, windows, keys. Mistakes are named all at once, each with its place; but
/// while the file is no YAML, or a key or value is not one that can stand there, only those are: what it means is checked behind.
///
/// Exit code 3 if a pipeline is wrong; 1 if a schema registry that has its schemas could not be asked, so that it is not known
/// whether it is right.
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

/// What came of a file.
enum Answer {
    Right,
    Wrong,
    /// The registry could not be asked, and why.
    NotKnown(Failure),
}

impl Check {
    pub(crate) fn run(self) -> crate::Outcome {
        let schemas = self.registry.schemas()?;
        let mut exits = Vec::new();
        let mut results = Vec::new();
        let mut names: Vec<(PathBuf, String)> = Vec::new();
        for path in load::files(&self.paths)? {
            let mut checked = match load::check(&path, &schemas) {
                Ok(checked) => checked.with_tests(),
                // The others may have mistakes too.
                Err(failure) => {
                    results.push(unread_json(&path, &failure));
                    exits.push(self.say_unread(&path, failure));
                    continue;
                }
            };
            let (answer, sinks) = settle(&mut checked, &schemas);
            names.extend(checked.right.iter().map(|right| (right.path.clone(), right.topology.name.clone())));
            if self.json {
                results.push(as_json(&checked, &answer, &sinks, &schemas));
            } else {
                say(&checked, &answer, &sinks);
            }
            exits.push(match answer {
                Answer::Right => Exit::Well,
                Answer::Wrong => Exit::PipelineWrong,
                Answer::NotKnown(failure) => failure.report(),
            });
        }
        if self.json {
            outln!("{}", serde_json::Value::from(results));
        } else if let Some(registry) = schemas.asked() {
            outln!("asked the schema registry at {registry}");
        }
        let names: Vec<(&Path, &str)> = names.iter().map(|(path, name)| (path.as_path(), name.as_str())).collect();
        // Each is right by itself, and a run of them together is refused.
        let together = || load::refuse_twins(&names).map_or_else(Failure::report, |()| Exit::Well);
        let gravest = [Exit::Usage, Exit::PipelineWrong, Exit::RunFailed].into_iter().find(|exit| exits.contains(exit));
        Ok(gravest.unwrap_or_else(together))
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

/// Finds out where the schemas of the sinks stand, and what all comes to.
fn settle(checked: &mut Checked, schemas: &Schemas) -> (Answer, Vec<SinkReport>) {
    let Some(loaded) = &mut checked.right else {
        let path = checked.path.clone();
        let not_known = checked.unknown().map(|error| Answer::NotKnown(schemas.not_asked(&[path], error)));
        return (not_known.unwrap_or(Answer::Wrong), Vec::new());
    };
    match schemas.settle(loaded, Act::Look) {
        Ok((sinks, more)) => {
            checked.diagnostics.extend(more.iter().cloned());
            let answer = if more.has_errors() { Answer::Wrong } else { Answer::Right };
            checked.right = checked.right.take().filter(|_| !more.has_errors());
            (answer, sinks)
        }
        Err(failure) => (Answer::NotKnown(failure), Vec::new()),
    }
}

fn say(checked: &Checked, answer: &Answer, sinks: &[SinkReport]) {
    load::print(&checked.diagnostics);
    let path = checked.path.display();
    match (answer, &checked.right) {
        (Answer::Right, Some(right)) => {
            outln!("{GOOD}ok{RESET}    {path} ({})", right.topology.name);
            for source in &right.topology.sources {
                for origin in source.schema_origins() {
                    outln!("      source {}: the schema is {origin}", source.name);
                }
            }
            for report in sinks {
                outln!("      {}", report.line());
            }
        }
        (Answer::NotKnown(_), _) => outln!("{ERROR}not known{RESET} {path}: the schema registry could not be asked"),
        _ => {
            let errors = load::errors(&checked.diagnostics);
            outln!("{ERROR}wrong{RESET} {path}: {}", crate::render::count(errors as u64, "error"));
        }
    }
}

fn as_json(checked: &Checked, answer: &Answer, sinks: &[SinkReport], schemas: &Schemas) -> serde_json::Value {
    let mut value = json!({
        "file": checked.path.display().to_string(),
        "ok": matches!(answer, Answer::Right),
        "diagnostics": checked.diagnostics,
        "schemas": crate::schemas::as_json(sinks),
    });
    if let Some(registry) = schemas.asked() {
        value["registry"] = registry.into();
    }
    if let Answer::NotKnown(failure) = answer {
        value["error"] = failure.message().into();
    }
    value
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
