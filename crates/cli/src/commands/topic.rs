//! `millstream topic`: topics of brokers or of the embedded log.

mod consume;
mod line;
mod produce;

use clap::{Args, Subcommand};
use comfy_table::Table;
use millstream_engine::ids::PartitionId;
use millstream_runtime::log::embedded::EmbeddedLog;
use millstream_runtime::log::{Log, Retention, TopicInfo, TopicKind, TopicSettings};
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::place::{Place, Topics};
use crate::render::count;

/// Creates, lists, writes and reads topics: those of the brokers in the settings, or with --local those of a folder.
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
    /// On how many brokers each record is kept; what the cluster does by default, if this is not given.
    #[arg(long, value_name = "BROKERS", conflicts_with = "local")]
    replication: Option<u16>,
    /// Records older than so many hours may go; all are kept if this is not given.
    #[arg(long, value_name = "HOURS")]
    retention_hours: Option<u64>,
    /// The oldest records may go when a partition is larger than so many mebibytes.
    #[arg(long, value_name = "MIB")]
    retention_mib: Option<u64>,
    #[command(flatten)]
    place: Place,
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
    place: Place,
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
    place: Place,
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
        let settings =
            TopicSettings { retention, replication: self.replication, ..TopicSettings::user(self.partitions) };
        self.place.open_or_create()?.log().create_topic(&self.topic, settings)?;
        outln!("created topic {} with {}", self.topic, count(u64::from(self.partitions), "partition"));
        Ok(Exit::Well)
    }
}

impl List {
    fn run(self) -> crate::Outcome {
        let mut opened = self.place.open()?;
        let mut topics = opened.log().topics()?;
        topics.retain(|topic| self.internal || topic.settings.kind == TopicKind::User);
        let mut rows = Vec::new();
        for topic in &topics {
            // Brokers would have to be asked for each partition, and cannot say how many records lie between two offsets.
            let records = match &mut opened {
                Topics::Folder(log) => Some(records(log, topic)?),
                Topics::Cluster(_) => None,
            };
            rows.push((topic, records));
        }
        if self.json {
            let rows: Vec<_> = rows.iter().map(|(topic, records)| list_json(topic, *records)).collect();
            outln!("{}", serde_json::Value::from(rows));
            return Ok(Exit::Well);
        }
        let last = if matches!(opened, Topics::Folder(_)) { "records" } else { "replication" };
        let mut table = crate::render::table(["topic", "partitions", last]);
        for (topic, records) in rows {
            let replication = topic.settings.replication.map_or(String::new(), |brokers| brokers.to_string());
            let last = records.map_or(replication, |records| records.to_string());
            table.add_row([topic.name.clone(), topic.settings.partitions.to_string(), last]);
        }
        outln!("{table}");
        Ok(Exit::Well)
    }
}

fn list_json(topic: &TopicInfo, records: Option<i64>) -> serde_json::Value {
    let mut row = json!({"topic": topic.name, "partitions": topic.settings.partitions});
    match records {
        Some(records) => row["records"] = records.into(),
        None => row["replication"] = topic.settings.replication.into(),
    }
    row
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
        let mut opened = self.place.open()?;
        let topic = opened.log().topics()?.into_iter().find(|topic| topic.name == self.topic);
        let topic = topic.ok_or_else(|| self.place.no_topic(&self.topic))?;
        let mut partitions = Vec::new();
        for partition in (0..topic.settings.partitions).map(PartitionId) {
            partitions.push((partition, opened.log().extent(&topic.name, partition)?));
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
            outln!("{}", json!({"topic": topic.name, "retention": retention, "partitions": extents}));
            return Ok(Exit::Well);
        }
        let kind = match settings.kind {
            TopicKind::User => "user",
            TopicKind::Internal => "internal",
        };
        outln!("topic {} ({kind}), retention {}", topic.name, show_retention(&settings.retention));
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
        outln!("{table}");
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
