//! `millstream bench`: seeded Nexmark workloads and what they cost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, value_parser};
use millstream_pipeline::topology::PartitionCounts;
use millstream_runtime::bench::kafka::{self, Broker};
use millstream_runtime::bench::{self, EventFormat, EventKeys, Measured, Place, Shape, WORKLOADS, Workload};
use millstream_runtime::daemon::Lower;
use millstream_runtime::log::kafka::Guarantee;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::load;
use crate::schemas::Schemas;
use crate::settings::{self, Connection};

/// Runs seeded Nexmark workloads (bids of 360 bytes as JSON, or the same as Avro) and prints what they cost: records/s,
/// CPU-seconds per million records, peak memory. Decoding and encoding are part of it, the making of the events is not.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Only these workloads; all, if none is named.
    workloads: Vec<String>,
    /// How many input records.
    #[arg(long, short = 'n', default_value_t = 1_000_000, value_parser = at_least_one)]
    records: usize,
    /// The seed of the events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Over the embedded log in this fresh folder, with state in sled, instead of in memory.
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
    /// Reads and writes Avro (without a registry's id) instead of JSON.
    #[arg(long, conflicts_with = "rate")]
    avro: bool,
    /// Over a real broker: bids in 4 partitions by the key that windows group by, written once and kept; librdkafka's part in
    /// the cost is counted.
    #[arg(long, conflicts_with = "local")]
    kafka: bool,
    /// Reads records without keys: windows then go through a repartition, over the broker once more.
    #[arg(long, requires = "kafka")]
    unkeyed: bool,
    /// Brokers to begin with; also KAFKA_BROKER_ADDRESS.
    #[arg(long, value_name = "HOST:PORT,..", requires = "kafka")]
    brokers: Option<String>,
    /// The settings file, for the properties of librdkafka in it.
    #[arg(long, value_name = "FILE", requires = "kafka")]
    config: Option<PathBuf>,
    /// Commits without transactions, to see what exactly-once costs.
    #[arg(long, requires = "kafka")]
    at_least_once: bool,
    /// Instead of cost, the latency from send to readable result at so many records a second, for workloads that answer
    /// each record (same, project), and that of the broker alone.
    #[arg(long, value_name = "RECORDS/S", requires = "kafka", value_parser = value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// How long an open loop runs, in seconds, after 8 s of warming up.
    #[arg(long, default_value_t = 20, requires = "rate")]
    seconds: u64,
    /// Runs each workload so many times and keeps the one of median CPU time.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Of nothing there is no cost by record.
fn at_least_one(written: &str) -> Result<usize, String> {
    match written.parse() {
        Ok(0) => Err("it is at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

impl Bench {
    pub(crate) fn run(self) -> crate::Outcome {
        if let Some(rate) = self.rate {
            return self.latencies(rate);
        }
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
            outln!("{}", serde_json::Value::from(results));
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
        outln!("{table}");
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
        if self.kafka {
            let dir = state_dir()?;
            return kafka::run(workload, &lower, self.records, self.seed, &self.broker(dir.path())?).map_err(failed);
        }
        let load::Checked { diagnostics, right: loaded, .. } =
            load::check_text("bench.yaml".as_ref(), &workload.pipeline(self.format()), &Schemas::none());
        let Some(loaded) = loaded else {
            load::print(&diagnostics);
            return Err(Failure::pipeline_wrong());
        };
        let counts: PartitionCounts = [("events", 1)].into_iter().collect();
        let topology = loaded.lower(&counts).map_err(Failure::run)?;
        let folder = self.local.as_ref().map(|dir| dir.join(format!("run-{run}")));
        let place = folder.as_deref().map_or(Place::Memory, Place::Embedded);
        Ok(bench::run(workload, topology, self.records, self.seed, self.format(), place)?)
    }
}

impl Bench {
    fn format(&self) -> EventFormat {
        if self.avro { EventFormat::Avro } else { EventFormat::Json }
    }

    fn broker<'a>(&self, dir: &'a Path) -> Result<Broker<'a>, Failure> {
        let effective = Connection::at(self.config.clone(), self.brokers.clone()).load()?;
        settings::check_client(&effective)?;
        Ok(Broker {
            properties: effective.settings.client_properties(),
            partitions: 4,
            shape: Shape {
                format: self.format(),
                keys: if self.unkeyed || self.rate.is_some() { EventKeys::None } else { EventKeys::Group },
            },
            guarantee: if self.at_least_once { Guarantee::AtLeastOnce } else { Guarantee::ExactlyOnce },
            dir,
        })
    }

    fn latencies(&self, rate: u64) -> crate::Outcome {
        let span = Duration::from_secs(self.seconds);
        let dir = state_dir()?;
        let broker = self.broker(dir.path())?;
        let alone = kafka::run_broker_alone(rate, span, &broker).map_err(failed)?;
        let mut results = vec![("(broker alone)", alone)];
        for workload in self.chosen()? {
            let seen = kafka::run_open_loop(workload, &lower, rate, span, &broker).map_err(failed)?;
            results.push((workload.name, seen));
        }
        if self.json {
            let results: Vec<_> = results
                .iter()
                .map(|(workload, seen)| {
                    json!({
                        "workload": workload, "rate": seen.rate, "sent": seen.sent, "read": seen.read,
                        "p50_ms": seen.p50_ms, "p90_ms": seen.p90_ms, "p99_ms": seen.p99_ms, "max_ms": seen.max_ms,
                    })
                })
                .collect();
            outln!("{}", serde_json::Value::from(results));
            return Ok(Exit::Well);
        }
        let mut table =
            crate::render::table(["workload", "records/s", "sent", "read", "p50 ms", "p90 ms", "p99 ms", "max ms"]);
        for (workload, seen) in &results {
            let ms = |ms: f64| format!("{ms:.0}");
            table.add_row([
                (*workload).to_owned(),
                seen.rate.to_string(),
                seen.sent.to_string(),
                seen.read.to_string(),
                ms(seen.p50_ms),
                ms(seen.p90_ms),
                ms(seen.p99_ms),
                ms(seen.max_ms),
            ]);
        }
        outln!("{table}");
        Ok(Exit::Well)
    }
}

/// A pipeline of a workload, for the partitions that its topics have.
fn lower(yaml: &str) -> Result<Arc<Lower>, String> {
    let loaded = load::check_text("bench.yaml".as_ref(), yaml, &Schemas::none()).right;
    let loaded = loaded.ok_or("the workload's pipeline is wrong")?;
    Ok(Arc::new(move |counts| Ok(loaded.lower(counts)?)))
}

fn failed(error: kafka::BenchError) -> Failure {
    Failure::run(error.to_string())
}

fn state_dir() -> Result<tempfile::TempDir, Failure> {
    tempfile::tempdir().map_err(|error| Failure::run(format!("cannot make a folder for state: {error}")))
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
