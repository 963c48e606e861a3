//! `millstream contract`: a pipeline against every version of its subjects that may still matter.

use std::path::PathBuf;

use clap::Args;
use millstream_runtime::contracts::{self, Direction, Entry, Verdict};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::load;
use crate::render::{count, table};
use crate::schemas::Schemas;
use crate::settings::Connection;

/// Holds a pipeline against every version of its subjects: its sources against all schemas by which records may have been
/// written that are still in the topic, its sinks against all by which consumers may still read.
///
/// A registry compares a new version with the last one, or by its rules; this asks whether this pipeline can read each of
/// them, and be read by each, and where the subject's level promises it, whether who moves on to the new schema can read what
/// the old ones wrote ("reads back"). Exit code 3 if something breaks.
#[derive(Debug, Args)]
pub(crate) struct Contract {
    /// The pipeline file.
    path: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Contract {
    pub(crate) fn run(self) -> crate::Outcome {
        let schemas = Schemas::of(&self.connection.load()?)?;
        let Some(registry) = schemas.registry() else {
            return Err(Failure::usage("a contract is held against a registry, and none is named")
                .help("Name it with --registry URL, SCHEMA_REGISTRY_URL or `schema_registry.urls` in the settings."));
        };
        let loaded = load::load_one(&self.path, &schemas)?;
        let entries = contracts::history(&loaded.topology, registry).map_err(|error| schemas.failed(error))?;
        let breaks = entries.iter().filter(|entry| matches!(entry.verdict, Verdict::Breaks(_))).count();
        let not_judged = entries.iter().filter(|entry| matches!(entry.verdict, Verdict::NotJudged(_))).count();
        if self.json {
            let rows: Vec<_> = entries.iter().map(as_json).collect();
            let pipeline = &loaded.topology.name;
            outln!("{:#}", json!({"pipeline": pipeline, "breaks": breaks, "not_judged": not_judged, "versions": rows}));
        } else {
            print(&entries, breaks, not_judged);
        }
        Ok(if breaks == 0 { Exit::Well } else { Exit::PipelineWrong })
    }
}

fn print(entries: &[Entry], breaks: usize, not_judged: usize) {
    if entries.is_empty() {
        outln!("the pipeline has no schema in a registry");
        return;
    }
    let mut table = table(["source or sink", "", "subject", "version", "id", "verdict", "finding"]);
    let shown = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for entry in entries {
        table.add_row([
            entry.name.clone(),
            side(entry.direction).to_owned(),
            entry.subject.clone(),
            shown(entry.version) + if entry.is_deleted { " (deleted)" } else { "" },
            shown(entry.id.map(|id| id.0)),
            entry.verdict.word().to_owned(),
            entry.verdict.findings().join("\n"),
        ]);
    }
    outln!("{table}");
    match breaks {
        0 if not_judged == 0 => outln!("nothing breaks"),
        0 => outln!("nothing breaks of what was judged"),
        _ => outln!("{} break", count(breaks as u64, "version")),
    }
    if not_judged > 0 {
        outln!("{} not judged as a whole: look at them yourself", count(not_judged as u64, "version"));
    }
}

fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::Reads => "reads",
        Direction::Writes => "is read by",
        Direction::ReadsBack => "reads back",
    }
}

fn as_json(entry: &Entry) -> serde_json::Value {
    json!({
        "name": entry.name,
        "direction": match entry.direction {
            Direction::Reads => "reads",
            Direction::Writes => "writes",
            Direction::ReadsBack => "reads_back",
        },
        "subject": entry.subject,
        "version": entry.version,
        "deleted": entry.is_deleted,
        "id": entry.id.map(|id| id.0),
        "verdict": entry.verdict.word(),
        "findings": entry.verdict.findings(),
    })
}
