//! `millstream topic`: topics of the embedded log.

mod consume;
mod produce;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::Table;
use millstream_engine::ids::PartitionId;
use millstream_runtime::log::embedded::{Access, EmbeddedLog};
use millstream_runtime::log::{Log, Retention, TopicInfo, TopicKind, TopicSettings};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::folder;
use crate::render::count;

/// Creates, lists, writes and reads topics of a folder (the embedded log).
#[derive(Debug, Args)]
pub(crate) struct Topic {
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Debug, Subcommand)]
enum TopicCommand {
    Create(Create),
    List(List),
    Describe(Describe),
    Produce(produce::Produce),
    Consume(consume::Consume),
}

/// The folder of a log.
#[derive(Debug, Args)]
pub(crate) struct Folder {
    /// The folder of topics (the embedded log).
    #[arg(long, value_name = "DIR", default_value = folder::DEFAULT)]
    local: PathBuf,
}

impl Folder {
    /// Opens the log for producing and consuming, beside a run that may be going on.
    fn open(&self) -> Result<EmbeddedLog, Failure> {
        folder::open(&self.local, Access::Client)
    }

    fn no_topic(&self, topic: &str) -> Failure {
        folder::no_topic(topic, &self.local)
    }
}

/// The topic has no such partition.
fn no_partition(topic: &str, asked: u32, partitions: u32) -> Failure {
    Failure::usage(format!("topic {topic} has no partition {asked}"))
        .help(format!("It has {}, counted from 0.", count(u64::from(partitions), "partition")))
}

/// Creates a topic.
#[derive(Debug, Args)]
struct Create {
    /// Its name.
    topic: String,
    /// How many partitions.
    #[arg(long, short, default_value_t = 1)]
    partitions: u32,
    /// Records older than so many hours may go; all are kept if this is not given.
    #[arg(long, value_name = "HOURS")]
    retention_hours: Option<u64>,
    /// The oldest records may go when a partition is larger than so many mebibytes.
    #[arg(long, value_name = "MIB")]
    retention_mib: Option<u64>,
    #[command(flatten)]
    folder: Folder,
}

/// Lists the topics.
#[derive(Debug, Args)]
struct List {
    /// Internal topics (changelogs, repartitions) too.
    #[arg(long)]
    internal: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folder: Folder,
}

/// Shows a topic: its partitions, offsets and settings.
#[derive(Debug, Args)]
struct Describe {
    /// Its name.
    topic: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folder: Folder,
}

impl Topic {
    pub(crate) fn run(self) -> crate::Outcome {
        match self.command {
            TopicCommand::Create(command) => command.run(),
            TopicCommand::List(command) => command.run(),
            TopicCommand::Describe(command) => command.run(),
            TopicCommand::Produce(command) => command.run(),
            TopicCommand::Consume(command) => command.run(),
        }
    }
}

impl Create {
    fn run(self) -> crate::Outcome {
        let retention = Retention {
            age_ms: self.retention_hours.map(|hours| hours.saturating_mul(3_600_000)),
            bytes: self.retention_mib.map(|mib| mib.saturating_mul(1 << 20)),
        };
        let settings = TopicSettings { retention, ..TopicSettings::user(self.partitions) };
        folder::create(&self.folder.local)?.create_topic(&self.topic, settings)?;
        println!("created topic {} with {}", self.topic, count(u64::from(self.partitions), "partition"));
        Ok(Exit::Well)
    }
}

impl List {
    fn run(self) -> crate::Outcome {
        let log = self.folder.open()?;
        let mut topics = log.topics()?;
        topics.retain(|topic| self.internal || topic.settings.kind == TopicKind::User);
        let mut rows = Vec::new();
        for topic in &topics {
            rows.push((topic, records(&log, topic)?));
        }
        if self.json {
            let rows: Vec<_> = rows
                .iter()
                .map(|(topic, records)| {
                    json!({"topic": topic.name, "partitions": topic.settings.partitions, "records": records})
                })
                .collect();
            println!("{}", serde_json::Value::from(rows));
            return Ok(Exit::Well);
        }
        let mut table = crate::render::table(["topic", "partitions", "records"]);
        for (topic, records) in rows {
            table.add_row([topic.name.clone(), topic.settings.partitions.to_string(), records.to_string()]);
        }
        println!("{table}");
        Ok(Exit::Well)
    }
}

fn records(log: &EmbeddedLog, topic: &TopicInfo) -> Result<i64, Failure> {
    let mut records = 0;
    for partition in (0..topic.settings.partitions).map(PartitionId) {
        let extent = log.extent(&topic.name, partition)?;
        records += extent.end.0 - extent.earliest.0;
    }
    Ok(records)
}

impl Describe {
    fn run(self) -> crate::Outcome {
        let log = self.folder.open()?;
        let topic = log.topics()?.into_iter().find(|topic| topic.name == self.topic);
        let topic = topic.ok_or_else(|| self.folder.no_topic(&self.topic))?;
        let mut partitions = Vec::new();
        for partition in (0..topic.settings.partitions).map(PartitionId) {
            partitions.push((partition, log.extent(&topic.name, partition)?));
        }
        let settings = &topic.settings;
        if self.json {
            let extents: Vec<_> = partitions
                .iter()
                .map(|(partition, extent)| {
                    json!({"partition": partition.0, "earliest": extent.earliest.0, "end": extent.end.0})
                })
                .collect();
            let retention = json!({"age_ms": settings.retention.age_ms, "bytes": settings.retention.bytes});
            println!("{}", json!({"topic": topic.name, "retention": retention, "partitions": extents}));
            return Ok(Exit::Well);
        }
        let kind = match settings.kind {
            TopicKind::User => "user",
            TopicKind::Internal => "internal",
        };
        println!("topic {} ({kind}), retention {}", topic.name, show_retention(&settings.retention));
        let mut table: Table = crate::render::table(["partition", "earliest", "end", "records"]);
        for (partition, extent) in partitions {
            let records = extent.end.0 - extent.earliest.0;
            table.add_row([
                partition.to_string(),
                extent.earliest.to_string(),
                extent.end.to_string(),
                records.to_string(),
            ]);
        }
        println!("{table}");
        Ok(Exit::Well)
    }
}

fn show_retention(retention: &Retention) -> String {
    match (retention.age_ms, retention.bytes) {
        (None, None) => "none: everything is kept".to_owned(),
        (Some(age), None) => format!("{age} ms"),
        (None, Some(bytes)) => format!("{bytes} bytes a partition"),
        (Some(age), Some(bytes)) => format!("{age} ms, {bytes} bytes a partition"),
    }
}
