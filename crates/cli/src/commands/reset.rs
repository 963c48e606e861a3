//! `millstream reset`: a pipeline's group is moved by hand, and its state goes or stays.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use millstream_engine::ids::Offset;
use millstream_pipeline::topology::{PartitionCounts, Topology};
use millstream_runtime::config::Effective;
use millstream_runtime::log::Log;
use millstream_runtime::log::embedded::Access;
use millstream_runtime::reset::{self, GroupLog, Plan, ResetError, State, Target};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::folder;
use crate::load::{self, Loaded};
use crate::place::{self, Place, Topics};
use crate::render::{count, table};
use crate::schemas::Schemas;

/// Moves a pipeline to another place in its sources: to process records again, to pass over some, to begin anew.
///
/// It says what it will do and asks before it does it. By default the pipeline's state goes, so that what is read is counted
/// as if for the first time; what the pipeline has written stays where it is, and results of what is read again are written
/// again. It refuses while the pipeline runs anywhere.
#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// The pipeline file.
    path: PathBuf,
    /// Where to: `earliest`, `latest`, a time (2026-01-01T00:00:00Z), or offsets (trades:0=1200,trades:1=900).
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// The state goes (the default).
    #[arg(long)]
    clear_state: bool,
    /// The state stays: records that are read again are counted again, and may be late for their windows.
    #[arg(long, conflicts_with = "clear_state")]
    keep_state: bool,
    /// Does it without asking.
    #[arg(long, short)]
    yes: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Reset {
    pub(crate) fn run(self) -> crate::Outcome {
        let target: Target = self.to.parse().map_err(|why: String| Failure::usage(format!("--to: {why}")))?;
        let effective = self.place.connection.load()?;
        let loaded = load::load_one(&self.path, &Schemas::of(&effective)?)?;
        let mut opened = self.open(&loaded, &effective)?;
        let counts = self.counts(&loaded.topology, opened.log())?;
        let topology = loaded.lower(&counts).map_err(Failure::run)?;
        let mut group = match &mut opened {
            Topics::Folder(log) => GroupLog::Folder(log),
            Topics::Cluster(log) => GroupLog::Cluster(log),
        };
        let state = if self.keep_state { State::Keep } else { State::Clear };
        let plan = reset::plan(&topology, &counts, &target, state, &mut group).map_err(failure)?;
        if !self.json {
            show(&plan, &target, &topology);
        }
        self.ask(&plan)?;
        reset::apply(&plan, &topology, &mut group).map_err(failure)?;
        match self.json {
            true => outln!("{:#}", as_json(&plan)),
            false => outln!("done: {} begins there when it is started", plan.pipeline),
        }
        Ok(Exit::Well)
    }

    fn open(&self, loaded: &Loaded, effective: &Effective) -> Result<Topics, Failure> {
        match &self.place.local {
            Some(dir) => folder::open(dir, Access::Run).map(Topics::Folder),
            None => {
                let topology = &loaded.topology;
                let log = place::connect_for(effective, &topology.name, &topology.kafka)?;
                Ok(Topics::Cluster(Box::new(log)))
            }
        }
    }

    fn counts(&self, topology: &Topology, log: &dyn Log) -> Result<PartitionCounts, Failure> {
        let mut counts = PartitionCounts::unknown();
        for topic in &topology.topics {
            let partitions = log.partitions(topic)?.ok_or_else(|| self.place.no_topic(topic))?;
            counts.0.insert(topic.clone(), partitions);
        }
        Ok(counts)
    }

    /// Goes on only if somebody says so.
    fn ask(&self, plan: &Plan) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if self.json || !std::io::stdin().is_terminal() {
            return Err(Failure::usage("nothing was changed").help("Say --yes to do it."));
        }
        err!("move {} so? [y/N] ", plan.pipeline);
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::run("nothing was changed")),
        }
    }
}

fn failure(error: ResetError) -> Failure {
    match error {
        ResetError::Log(error) => error.into(),
        ResetError::NotASource { .. } | ResetError::OutOfRange { .. } => Failure::usage(error.to_string()),
        error => Failure::run(error.to_string()),
    }
}

fn show(plan: &Plan, target: &Target, topology: &Topology) {
    outln!("pipeline {} goes to {target}", plan.pipeline);
    let mut rows = table(["topic", "partition", "from", "to", "there are"]);
    let offset = |offset: Option<Offset>| offset.map_or_else(|| "where its start says".to_owned(), |o| o.to_string());
    for one in &plan.moves {
        rows.add_row([
            one.topic.clone(),
            one.partition.to_string(),
            offset(one.from),
            offset(one.to),
            format!("{} to {}", one.extent.earliest, one.extent.end),
        ]);
    }
    outln!("{rows}");
    match plan.state {
        State::Keep => outln!("state is kept: records that are read again are counted again, and may be late"),
        State::Clear => {
            let topics = plan
                .emptied
                .iter()
                .map(|(topic, partitions)| format!("{topic} ({})", count(u64::from(*partitions), "partition")));
            let topics = topics.collect::<Vec<_>>().join(", ");
            outln!(
                "state is cleared{}",
                if topics.is_empty() { topics } else { format!(": all records of {topics} go") }
            );
        }
    }
    // `None` is where the pipeline began, or earlier.
    if plan.moves.iter().any(|one| one.from.is_some_and(|from| one.to.is_none_or(|to| to < from))) {
        let mut topics: Vec<&str> = topology.sinks.iter().map(|sink| sink.topic.as_str()).collect();
        topics.dedup();
        outln!("results of what is read again are written again to {}: what stands there stays", topics.join(", "));
    }
    for (topic, partitions) in &plan.grown {
        outln!("{topic} gets {partitions} partitions");
    }
    for (topic, partitions) in &plan.made {
        outln!("{topic} is made with {}", count(u64::from(*partitions), "partition"));
    }
}

fn as_json(plan: &Plan) -> serde_json::Value {
    let moves: Vec<_> = plan
        .moves
        .iter()
        .map(|one| {
            json!({
                "topic": one.topic,
                "partition": one.partition.0,
                "from": one.from.map(|offset| offset.0),
                "to": one.to.map(|offset| offset.0),
            })
        })
        .collect();
    let state = match plan.state {
        State::Keep => "kept",
        State::Clear => "cleared",
    };
    let emptied: Vec<&String> = plan.emptied.iter().map(|(topic, _)| topic).collect();
    json!({"pipeline": plan.pipeline, "moves": moves, "state": state, "emptied": emptied})
}
