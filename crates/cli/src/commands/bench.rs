//! `millstream bench`: seeded Nexmark workloads and what they cost.

use std::path::PathBuf;

use clap::Args;
use millstream_pipeline::topology::PartitionCounts;
use millstream_runtime::bench::{self, Measured, Place, WORKLOADS, Workload};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::load;

/// Runs seeded Nexmark workloads (bids of 360 bytes as JSON) and prints what they cost: records/s, CPU-seconds per million
/// records, peak memory. Decoding and encoding are part of it, the making of the events is not.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Only these workloads; all, if none is named.
    workloads: Vec<String>,
    /// How many input records.
    #[arg(long, short = 'n', default_value_t = 1_000_000)]
    records: usize,
    /// The seed of the events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Over the embedded log in this fresh folder, with state in sled, instead of in memory.
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
    /// Runs each workload so many times and keeps the one of median CPU time.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(crate) fn run(self) -> crate::Outcome {
        let mut results = Vec::new();
        for workload in self.chosen()? {
            let mut runs = Vec::new();
            for run in 0..self.runs.max(1) {
                runs.push(self.measure(workload, run)?);
            }
            runs.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
            results.push((workload, runs.swap_remove(runs.len() / 2)));
        }
        if self.json {
            let results: Vec<_> = results.iter().map(|(workload, measured)| as_json(workload, measured)).collect();
            println!("{}", serde_json::Value::from(results));
            return Ok(Exit::Well);
        }
        let mut table =
            crate::render::table(["workload", "", "records/s", "CPU-s/M", "rows out", "peak MB", "state MB"]);
        for (workload, measured) in &results {
            table.add_row([
                workload.name.to_owned(),
                workload.about.to_owned(),
                format!("{:.0}", measured.records_per_s()),
                format!("{:.3}", measured.cpu_s_per_million()),
                measured.records_out.to_string(),
                format!("{:.0}", measured.peak_bytes as f64 / 1e6),
                format!("{:.1}", measured.state_bytes as f64 / 1e6),
            ]);
        }
        println!("{table}");
        Ok(Exit::Well)
    }

    fn chosen(&self) -> Result<Vec<&'static Workload>, Failure> {
        if self.workloads.is_empty() {
            return Ok(WORKLOADS.iter().collect());
        }
        let find = |name: &String| {
            WORKLOADS.iter().find(|workload| workload.name == name).ok_or_else(|| {
                let names: Vec<_> = WORKLOADS.iter().map(|workload| workload.name).collect();
                Failure::usage(format!("there is no workload {name}")).help(format!("There are: {}.", names.join(", ")))
            })
        };
        self.workloads.iter().map(find).collect()
    }

    fn measure(&self, workload: &Workload, run: usize) -> Result<Measured, Failure> {
        let (diagnostics, loaded) = load::check_text("bench.yaml".as_ref(), &workload.pipeline());
        let Some(loaded) = loaded else {
            load::print(&diagnostics);
            return Err(Failure::pipeline_wrong());
        };
        let counts: PartitionCounts = [("events", 1)].into_iter().collect();
        let topology = loaded.lower(&counts).map_err(Failure::run)?;
        let folder = self.local.as_ref().map(|dir| dir.join(format!("run-{run}")));
        let place = folder.as_deref().map_or(Place::Memory, Place::Embedded);
        Ok(bench::run(workload, topology, self.records, self.seed, place)?)
    }
}

fn as_json(workload: &Workload, measured: &Measured) -> serde_json::Value {
    json!({
        "workload": workload.name,
        "records": measured.records,
        "records_out": measured.records_out,
        "records_per_s": measured.records_per_s(),
        "cpu_s_per_million": measured.cpu_s_per_million(),
        "wall_s": measured.wall_s,
        "peak_bytes": measured.peak_bytes,
        "state_bytes": measured.state_bytes,
    })
}
