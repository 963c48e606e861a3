//! `millstream plan`: what a pipeline comes to.

use std::path::PathBuf;

use clap::Args;
use millstream_pipeline::explain;
use millstream_pipeline::topology::PartitionCounts;
use millstream_runtime::log::Log;
use millstream_runtime::log::embedded::Access;

use crate::exit::{Exit, Failure};
use crate::load;

/// Shows what a pipeline comes to: the graph with columns and types after each step, tasks, topics, state.
#[derive(Debug, Args)]
pub(crate) struct PlanCommand {
    /// The pipeline file.
    path: PathBuf,
    /// Looks up the partitions of the source topics in this folder of topics.
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl PlanCommand {
    pub(crate) fn run(self) -> crate::Outcome {
        let loaded = load::load_one(&self.path)?;
        let mut counts = PartitionCounts::unknown();
        if let Some(dir) = &self.local {
            let log = crate::folder::open(dir, Access::Client)?;
            for topic in &loaded.topology.topics {
                if let Some(partitions) = log.partitions(topic)? {
                    counts.0.insert(topic.clone(), partitions);
                }
            }
        }
        let topology = loaded.lower(&counts).map_err(Failure::run)?;
        let plan = explain::plan(&topology, &counts);
        if self.json {
            let text = serde_json::to_string_pretty(&plan).map_err(|error| Failure::run(error.to_string()))?;
            println!("{text}");
        } else {
            print!("{plan}");
        }
        Ok(Exit::Well)
    }
}
