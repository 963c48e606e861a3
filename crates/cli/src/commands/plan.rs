//! `millstream plan`: what a pipeline comes to, and what a cluster has against it.

use std::path::{Path, PathBuf};

use clap::Args;
use millstream_pipeline::explain::{self, Created, Plan, PlanKafka};
use millstream_pipeline::topology::{CreateDef, Guarantee, PartitionCounts, Topology};
use millstream_runtime::config::{Effective, Settings};
use millstream_runtime::contracts::{Act, SinkReport};
use millstream_runtime::daemon::Instance;
use millstream_runtime::log::TopicSettings;
use millstream_runtime::log::kafka::topic_config;
use millstream_runtime::preflight::{self, Examined, Finding, Gravity};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::folder;
use crate::load::{self, Loaded};
use crate::place::{self, Place};
use crate::render::{ERROR, GOOD, RESET, WARNING};
use crate::schemas::Schemas;

/// Shows what a pipeline comes to: the graph with columns and types after each step, tasks, topics, state, group.
///
/// With --brokers, --config or --kafka it also asks the brokers: whether topics exist and fit, whether the group is free,
/// whether the user has the rights that are needed; with --local, whether the folder has the source topics. It changes
/// nothing. Exit code 1 if something speaks against a run.
#[derive(Debug, Args)]
pub(crate) struct PlanCommand {
    /// The pipeline file.
    path: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl PlanCommand {
    pub(crate) fn run(self) -> crate::Outcome {
        let effective = self.place.connection.load()?;
        let schemas = Schemas::of(&effective)?;
        let mut loaded = load::load_one(&self.path, &schemas)?;
        let (sinks, breaches) = schemas.settle(&mut loaded, Act::Look)?;
        load::print(&breaches);
        let over_kafka = Some(&effective).filter(|_| self.place.local.is_none());
        let asked = over_kafka.filter(|_| self.place.connection.is_named());
        let examined = match (&self.place.local, asked) {
            (Some(dir), _) => Some(self.examine_folder(dir, &loaded)?),
            (None, Some(effective)) => Some(examine(&loaded, effective)?),
            (None, None) => None,
        };
        let counts = examined.as_ref().map_or_else(PartitionCounts::unknown, |examined| examined.counts.clone());
        // What does not fit the partitions is a finding already.
        let topology = match (loaded.lower(&counts), &examined) {
            (Ok(topology), _) => topology,
            (Err(_), Some(_)) => loaded.topology.clone(),
            (Err(message), None) => return Err(Failure::run(message)),
        };
        let mut plan = explain::plan(&topology, &counts);
        fill_in_topics(&mut plan, &topology);
        plan.kafka = over_kafka.map(|effective| kafka(&topology, &effective.settings));
        self.print(&plan, examined.as_ref(), asked, &sinks)?;
        if breaches.has_errors() {
            return Ok(Exit::RunFailed);
        }
        let wrong = examined.iter().flat_map(|examined| &examined.findings);
        let is_wrong = wrong.into_iter().any(|finding| finding.gravity == Gravity::Error);
        Ok(if is_wrong { Exit::RunFailed } else { Exit::Well })
    }

    /// What a folder has against the pipeline. A run makes all other topics there by itself.
    fn examine_folder(&self, dir: &Path, loaded: &Loaded) -> Result<Examined, Failure> {
        let mut opened = self.place.open()?;
        let mut examined = Examined::default();
        let mut error = |message| examined.findings.push(Finding { gravity: Gravity::Error, message });
        for source in &loaded.topology.sources {
            match opened.log().partitions(&source.topic)? {
                Some(partitions) => {
                    examined.counts.0.insert(source.topic.clone(), partitions);
                }
                None => error(format!(
                    "topic {}, which source {} reads, does not exist: create it with `{}`",
                    source.topic,
                    source.name,
                    folder::command(&format!("create {}", source.topic), dir)
                )),
            }
        }
        if let Err(message) = loaded.lower(&examined.counts) {
            error(message);
        }
        Ok(examined)
    }

    fn print(
        &self,
        plan: &Plan,
        examined: Option<&Examined>,
        asked: Option<&Effective>,
        sinks: &[SinkReport],
    ) -> Result<(), Failure> {
        if self.json {
            let mut value = serde_json::to_value(plan).map_err(|error| Failure::run(error.to_string()))?;
            if let Some(examined) = examined {
                let place = if self.place.local.is_some() { "folder" } else { "cluster" };
                value[place] = as_json(examined);
            }
            if !sinks.is_empty() {
                value["registry"] = crate::schemas::as_json(sinks);
            }
            outln!("{value:#}");
            return Ok(());
        }
        out!("{plan}");
        if !sinks.is_empty() {
            outln!("\nregistry");
            sinks.iter().for_each(|report| outln!("  {}", report.line()));
        }
        let place = match (&self.place.local, asked) {
            (Some(dir), _) => format!("topics in {}", dir.display()),
            (None, Some(effective)) => format!("brokers at {}", effective.settings.kafka.brokers()),
            (None, None) => return Ok(()),
        };
        if let Some(examined) = examined {
            show(examined, &place);
        }
        Ok(())
    }
}

fn examine(loaded: &Loaded, effective: &Effective) -> Result<Examined, Failure> {
    let topology = &loaded.topology;
    let log = place::connect_for(effective, &topology.name, &topology.kafka)?;
    Ok(preflight::examine(&log, &|counts| loaded.lower(counts))?)
}

/// The settings with which the pipeline creates topics.
fn fill_in_topics(plan: &mut Plan, topology: &Topology) {
    for topic in &mut plan.topics {
        let partitions = topic.partitions.unwrap_or(1);
        let settings = match topic.created {
            Created::ByPipeline => TopicSettings::internal(partitions),
            Created::WhenMissing => match create_of(topology, &topic.name) {
                Some(create) => TopicSettings::created(&create, partitions),
                None => continue,
            },
            Created::Outside => continue,
        };
        topic.settings.extend(topic_config(&settings));
        if let Some(copies) = settings.replication {
            topic.settings.insert("replication.factor".to_owned(), copies.to_string());
        }
    }
}

fn create_of(topology: &Topology, topic: &str) -> Option<CreateDef> {
    let sink = topology.sinks.iter().find(|sink| sink.topic == topic);
    sink.map_or(topology.on_error.create, |sink| sink.create)
}

fn kafka(topology: &Topology, settings: &Settings) -> PlanKafka {
    let guarantee = topology.guarantee.unwrap_or(settings.guarantee);
    let transactional_ids = match guarantee {
        Guarantee::AtLeastOnce => Vec::new(),
        Guarantee::ExactlyOnce => {
            let id = Instance::id_of(&settings.state_dir);
            let id = id.unwrap_or_else(|| "<id made at the first start>".to_owned());
            (0..settings.threads).map(|thread| format!("{}-{id}-{thread}", topology.name)).collect()
        }
    };
    PlanKafka {
        group: topology.name.clone(),
        guarantee: guarantee.word(),
        transactional_ids,
        properties: topology.kafka.clone(),
    }
}

fn show(examined: &Examined, place: &str) {
    outln!("\n{place}");
    for (client, host) in &examined.running {
        outln!("  running: {client} at {}", host.trim_start_matches('/'));
    }
    for (topic, offsets) in &examined.behind {
        outln!("  behind: {offsets} offsets of {topic}");
    }
    for finding in &examined.findings {
        match finding.gravity {
            Gravity::Error => outln!("  {ERROR}error:{RESET} {finding}"),
            Gravity::Warning => outln!("  {WARNING}warning:{RESET} {finding}"),
        }
    }
    if examined.findings.is_empty() {
        outln!("  {GOOD}nothing speaks against a run{RESET}");
    }
}

fn as_json(examined: &Examined) -> serde_json::Value {
    let members: Vec<_> =
        examined.running.iter().map(|(client, host)| json!({"client_id": client, "host": host})).collect();
    let findings: Vec<_> = examined
        .findings
        .iter()
        .map(|finding| {
            let gravity = match finding.gravity {
                Gravity::Error => "error",
                Gravity::Warning => "warning",
            };
            json!({"severity": gravity, "message": finding.message})
        })
        .collect();
    json!({
        "partitions": examined.counts.0, "members": members, "behind": examined.behind, "findings": findings,
    })
}
