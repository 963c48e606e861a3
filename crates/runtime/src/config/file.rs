//! The settings file as it is written. Doc comments are what `config/millstream.yaml` says of each key.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use millstream_pipeline::spec::{Duration, Entries, Size, Text};
use millstream_pipeline::topology::Guarantee;
use schemars::JsonSchema;
use serde::Deserialize;

/// Every setting, each of which may be left out.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    /// Properties of librdkafka, by their own names.
    pub(super) kafka: Entries<Text>,
    /// The folder in which state is kept.
    pub(super) state_dir: Option<String>,
    /// How much state a worker keeps in memory.
    pub(super) state_memory: Option<Size>,
    /// How many worker threads a pipeline has.
    pub(super) threads: Option<u32>,
    /// What a commit promises.
    pub(super) guarantee: Option<Guarantee>,
    /// How long an epoch may last.
    pub(super) commit_interval: Option<Duration>,
    /// How often committed state is written to the state folder.
    pub(super) checkpoint_interval: Option<Duration>,
    /// How long a transaction may stay open.
    pub(super) transaction_timeout: Option<Duration>,
    /// What happens when a pipeline fails.
    pub(super) restart: Restart,
    /// Metrics, health and status over HTTP.
    pub(super) http: Http,
    /// Log lines.
    pub(super) log: Log,
    /// Where schemas are registered.
    pub(super) schema_registry: SchemaRegistry,
}

/// How a pipeline that failed is started again.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Restart {
    /// How long the first wait is.
    pub(super) backoff: Option<Duration>,
    /// How long a wait is at most.
    pub(super) max_backoff: Option<Duration>,
}

/// The HTTP port.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    /// Whether there is one.
    pub(super) enabled: Option<bool>,
    /// Where it listens.
    #[schemars(with = "Option<Address>")]
    pub(super) listen: Option<SocketAddr>,
}

/// An address and a port as text.
#[derive(JsonSchema)]
#[schemars(extend("format" = "socket-address"))]
struct Address(#[expect(dead_code, reason = "only its schema is used")] String);

/// Log lines.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    /// How lines look.
    pub(super) format: Option<LogFormat>,
    /// From which level on lines are written.
    pub(super) level: Option<LogLevel>,
    /// Levels of single parts.
    pub(super) targets: BTreeMap<String, LogLevel>,
}

/// Where schemas are registered.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SchemaRegistry {
    /// Its addresses, with commas between.
    pub(super) urls: Option<Text>,
    /// The user of basic authentication.
    pub(super) username: Option<Text>,
    /// The password.
    pub(super) password: Option<Text>,
    /// The token of bearer authentication.
    pub(super) token: Option<Text>,
    /// A file of certificates that is trusted instead of the system's.
    pub(super) ca_file: Option<String>,
    /// How long connecting may take.
    pub(super) connect_timeout: Option<Duration>,
    /// How long one request may take.
    pub(super) request_timeout: Option<Duration>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Human,
    /// A JSON object a line.
    Json,
}

/// How grave a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something may fail.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogFormat {
    /// The word for it in the file.
    pub fn word(self) -> &'static str {
        match self {
            LogFormat::Auto => "auto",
            LogFormat::Human => "human",
            LogFormat::Json => "json",
        }
    }
}

impl LogLevel {
    /// The word for it in the file.
    pub fn word(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}
