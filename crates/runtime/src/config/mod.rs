//! Settings: from defaults, a file, the environment and the command line to one typed whole that says where each part came
//! from. What the process is given is passed in: it never reads the environment or the command line itself.

mod brokers;
mod client;
mod environment;
mod file;
mod layers;
mod load;
mod origin;
mod properties;
mod schema_registry;
mod secret;
mod show;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use millstream_engine::time::Millis;
use millstream_pipeline::schema;
use serde_json::Value;

use crate::daemon::DaemonSettings;
use crate::follow::Until;
use crate::log::kafka::Guarantee;
use crate::registry::{RegistrySettings, SchemaCache};
use crate::worker::WorkerSettings;

pub use client::{WrongClient, check as check_client};
pub use file::{LogFormat, LogLevel};
pub use load::{ConfigError, Effective, Flag, Problem, Sources, find, load, load_section};
pub use origin::Origin;
pub use properties::{Properties, Property, WrongProperty, check as check_property};
pub use secret::{STARS, Secret};
pub use show::{Entry, as_json};

/// Where the settings file is looked for if no other is named, in this order.
pub const PLACES: &[&str] = &["config/millstream.yaml", "/etc/millstream/millstream.yaml"];

/// How long a run to an end waits for brokers: long enough for them to be started again, short enough for whoever waits for the
/// run.
const BROKERS_WITHIN: Duration = Duration::from_secs(60);

/// The schema of the settings file.
static SCHEMA: LazyLock<Value> = LazyLock::new(schema::of::<file::File>);

/// The JSON Schema of the settings file, for editors.
pub fn json_schema() -> Value {
    SCHEMA.clone()
}

/// What a daemon runs with.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Properties of librdkafka, `bootstrap.servers` among them.
    pub kafka: Properties,
    /// The folder in which state and the id of this process are kept. One process at a time uses it.
    pub state_dir: PathBuf,
    /// About how many bytes of state a worker keeps in memory; what is over it is read back from the state folder.
    pub state_memory: usize,
    /// How many worker threads a pipeline has; at least 1.
    pub threads: usize,
    /// What a commit promises, where the pipeline does not say.
    pub guarantee: Guarantee,
    /// How long an epoch may last.
    pub commit_interval: Duration,
    /// How often committed state goes to the state folder.
    pub checkpoint_interval: Duration,
    /// How long a transaction may stay open: the broker aborts it then.
    pub transaction_timeout: Duration,
    /// How a pipeline that failed is started again.
    pub restart: RestartSettings,
    /// Metrics, health and status over HTTP.
    pub http: HttpSettings,
    /// Log lines.
    pub log: LogSettings,
    /// Where schemas are registered.
    pub schema_registry: RegistrySettings,
}

/// How a pipeline that failed is started again: the wait doubles from one failure to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartSettings {
    /// The first wait.
    pub backoff: Duration,
    /// The longest wait.
    pub max_backoff: Duration,
}

/// The HTTP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
}

/// Log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// From which level on lines are written.
    pub level: LogLevel,
    /// Levels of single parts, by the start of their name (`librdkafka`, `millstream_runtime::log`).
    pub targets: BTreeMap<String, LogLevel>,
}

impl Default for Settings {
    fn default() -> Settings {
        let mut kafka = Properties::default();
        kafka.set("bootstrap.servers", "localhost:19092");
        Settings {
            kafka,
            state_dir: PathBuf::from("./state"),
            state_memory: 1 << 30,
            threads: 1,
            guarantee: Guarantee::ExactlyOnce,
            commit_interval: Duration::from_millis(100),
            checkpoint_interval: Duration::from_secs(5),
            transaction_timeout: Duration::from_secs(15),
            restart: RestartSettings { backoff: Duration::from_secs(1), max_backoff: Duration::from_secs(60) },
            http: HttpSettings { enabled: true, listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464) },
            log: LogSettings { format: LogFormat::default(), level: LogLevel::default(), targets: Default::default() },
            schema_registry: RegistrySettings::default(),
        }
    }
}

impl Settings {
    /// The settings of a daemon that runs `until` then, and whose records name `schemas`.
    pub fn daemon(&self, until: Until, schemas: SchemaCache) -> DaemonSettings {
        DaemonSettings {
            kafka: self.client_properties(),
            state_dir: self.state_dir.clone(),
            threads: self.threads,
            worker: self.worker(schemas),
            backoff_min: self.restart.backoff,
            backoff_max: self.restart.max_backoff,
            until,
            brokers_within: BROKERS_WITHIN,
        }
    }

    /// The properties of a client, secrets and all: never for a message.
    pub fn client_properties(&self) -> BTreeMap<String, String> {
        let mut properties = self.kafka.expose();
        properties.insert("transaction.timeout.ms".to_owned(), self.transaction_timeout.as_millis().to_string());
        properties
    }

    /// The settings of a worker whose records name `schemas`.
    pub fn worker(&self, schemas: SchemaCache) -> WorkerSettings {
        WorkerSettings {
            commit_interval: millis(self.commit_interval),
            checkpoint_interval: millis(self.checkpoint_interval),
            state_memory: self.state_memory,
            schemas,
            ..WorkerSettings::default()
        }
    }
}

fn millis(duration: Duration) -> Millis {
    Millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
