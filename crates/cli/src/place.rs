//! Where the topics are that a command works on: in a folder (the embedded log), or on brokers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use millstream_runtime::config::Effective;
use millstream_runtime::log::Log;
use millstream_runtime::log::embedded::{Access, EmbeddedLog};
use millstream_runtime::log::kafka::{Guarantee, KafkaLog, KafkaLogSettings};

use crate::exit::Failure;
use crate::folder;
use crate::settings::{self, Connection};

/// Where the topics are: on the brokers of the settings, or in a folder.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The topics in this folder (the embedded log), instead of those on brokers.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["brokers", "kafka", "config"])]
    pub(crate) local: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// An open log.
pub(crate) enum Topics {
    /// A folder.
    Folder(EmbeddedLog),
    /// Brokers.
    Cluster(Box<KafkaLog>),
}

impl Place {
    /// Opens the log for producing and consuming, beside a run that may be going on.
    pub(crate) fn open(&self) -> Result<Topics, Failure> {
        match &self.local {
            Some(dir) => folder::open(dir, Access::Client).map(Topics::Folder),
            None => self.connect(),
        }
    }

    /// As [`open`](Self::open); a folder that is not there is made.
    pub(crate) fn open_or_create(&self) -> Result<Topics, Failure> {
        match &self.local {
            Some(dir) => folder::create(dir).map(Topics::Folder),
            None => self.connect(),
        }
    }

    fn connect(&self) -> Result<Topics, Failure> {
        let effective = self.connection.load()?;
        connect(&effective, "millstream-topic").map(|log| Topics::Cluster(Box::new(log)))
    }

    /// There is no such topic.
    pub(crate) fn no_topic(&self, topic: &str) -> Failure {
        match &self.local {
            Some(dir) => folder::no_topic(topic, dir),
            None => Failure::run(format!("there is no topic {topic}")).help(format!(
                "`millstream topic list` shows those that there are; `millstream topic create {topic}` makes it."
            )),
        }
    }
}

impl Topics {
    /// The log behind its verbs.
    pub(crate) fn log(&mut self) -> &mut dyn Log {
        match self {
            Topics::Folder(log) => log,
            Topics::Cluster(log) => log.as_mut(),
        }
    }
}

/// Connects to the brokers of the settings, as no member of any group. Within 10 seconds, or not.
pub(crate) fn connect(effective: &Effective, group: &str) -> Result<KafkaLog, Failure> {
    connect_for(effective, group, &BTreeMap::new())
}

/// As [`connect`], with the properties of a pipeline over those of the settings.
pub(crate) fn connect_for(
    effective: &Effective,
    group: &str,
    properties: &BTreeMap<String, String>,
) -> Result<KafkaLog, Failure> {
    settings::check_client_of(effective, group, properties, effective.settings.guarantee)?;
    let mut all = effective.settings.client_properties();
    all.extend(properties.iter().map(|(name, value)| (name.clone(), value.clone())));
    let settings = KafkaLogSettings {
        properties: all,
        group: group.to_owned(),
        transactional_id: group.to_owned(),
        client_id: "millstream-cli".to_owned(),
        // Nothing here is written in transactions.
        guarantee: Guarantee::AtLeastOnce,
        output_topics: Vec::new(),
        headerless_topics: Default::default(),
    };
    Ok(KafkaLog::connect(settings)?)
}
