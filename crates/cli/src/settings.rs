//! Settings as the command line gives them, over the environment, over a file.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use millstream_runtime::config::{self, ConfigError, Effective, Flag, PLACES, Secret, Sources};
use millstream_runtime::log::kafka;

use crate::exit::Failure;
use crate::load;
use crate::schemas::Schemas;

/// Where the brokers are and how to sign in.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Connection {
    /// The settings file. By default config/millstream.yaml or, without that, /etc/millstream/millstream.yaml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Brokers to begin with; also KAFKA_BROKER_ADDRESS.
    #[arg(long, value_name = "HOST:PORT,..")]
    pub(crate) brokers: Option<String>,
    /// A property of librdkafka; may be repeated. A secret is better given by the environment or by a file.
    #[arg(long, value_name = "KEY=VALUE", value_parser = secret)]
    kafka: Vec<Secret>,
    /// The schema registry; also SCHEMA_REGISTRY_URL.
    #[arg(long, value_name = "URL,..")]
    pub(crate) registry: Option<String>,
}

/// Where schemas are that pipelines name and do not hold.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RegistryArguments {
    /// The schema registry, for pipelines whose schemas stand there; also SCHEMA_REGISTRY_URL.
    #[arg(long, value_name = "URL,..")]
    registry: Option<String>,
    /// The settings file, for the registry and how to sign in there. Without this no file is asked for a registry.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How settings are made from what they are read from.
type Load<'a> = &'a dyn Fn(&Sources<'_>) -> Result<Effective, ConfigError>;

/// What names a registry in the environment.
const REGISTRY_VARIABLES: [&str; 2] = ["SCHEMA_REGISTRY_URL", "MILLSTREAM_SCHEMA_REGISTRY__URLS"];

impl RegistryArguments {
    /// The registry, if the command line or the environment names one, or a file that does: commands that need no broker ask
    /// nobody else.
    pub(crate) fn schemas(&self) -> Result<Schemas, Failure> {
        let in_environment = || REGISTRY_VARIABLES.into_iter().any(|name| std::env::var_os(name).is_some());
        if self.registry.is_none() && self.config.is_none() && !in_environment() {
            return Ok(Schemas::none());
        }
        let connection =
            Connection { config: self.config.clone(), registry: self.registry.clone(), ..Connection::default() };
        Schemas::of(&connection.load()?)
    }
}

/// Everything that a run can be told on the command line instead of in the settings file.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingsArguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// The folder for state.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<String>,
    /// Worker threads of each pipeline.
    #[arg(long, value_name = "N")]
    threads: Option<String>,
    /// What a commit promises, where the pipeline does not say.
    #[arg(long)]
    guarantee: Option<Guarantee>,
    /// Where metrics, health and status are served, or `off`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<String>,
    /// How log lines look.
    #[arg(long)]
    log_format: Option<LogFormat>,
    /// From which level on log lines are written.
    #[arg(long)]
    log_level: Option<LogLevel>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Guarantee {
    ExactlyOnce,
    AtLeastOnce,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Auto,
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Taken as it is, so that no message of the command line's parser shows it.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

impl Connection {
    /// By this file and to these brokers, where they are given.
    pub(crate) fn at(config: Option<PathBuf>, brokers: Option<String>) -> Connection {
        Connection { config, brokers, ..Connection::default() }
    }

    /// Reads the settings.
    pub(crate) fn load(&self) -> Result<Effective, Failure> {
        let flags = self.flags()?;
        self.load_with(flags)
    }

    /// Whether the command line names brokers or settings, which a command that can do without them takes for a wish.
    pub(crate) fn is_named(&self) -> bool {
        self.config.is_some() || self.brokers.is_some() || !self.kafka.is_empty()
    }

    fn flags(&self) -> Result<Vec<Flag>, Failure> {
        let mut flags = Vec::new();
        for property in &self.kafka {
            let Some((name, value)) = property.expose().split_once('=').filter(|(name, _)| !name.is_empty()) else {
                return Err(Failure::usage("--kafka takes a property and its value: KEY=VALUE"));
            };
            flags.push(flag("--kafka", &["kafka", name], value));
        }
        let registry = self.registry.iter().map(|urls| flag("--registry", &["schema_registry", "urls"], urls));
        flags.extend(registry);
        flags.extend(self.brokers.iter().map(|brokers| flag("--brokers", &["kafka", "bootstrap.servers"], brokers)));
        Ok(flags)
    }

    /// Reads the settings of one section, whatever the others hold.
    pub(crate) fn load_section(&self, section: &'static str) -> Result<Effective, Failure> {
        self.read(self.flags()?, &|sources| config::load_section(section, sources))
    }

    fn load_with(&self, flags: Vec<Flag>) -> Result<Effective, Failure> {
        self.read(flags, &config::load)
    }

    fn read(&self, flags: Vec<Flag>, load: Load<'_>) -> Result<Effective, Failure> {
        let file = config::find(self.config.as_deref());
        let text = file.as_deref().map(|file| read(file, self.config.is_some())).transpose()?;
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let folder = file.clone().unwrap_or_default();
        let lookup = |asked, name: &str| load::look_up(&folder, asked, name);
        let sources = Sources {
            file: file.as_deref().zip(text.as_deref()),
            environment: &environment,
            flags: &flags,
            lookup: &lookup,
        };
        load(&sources).map_err(|error| wrong(&error))
    }
}

impl SettingsArguments {
    /// Reads the settings.
    pub(crate) fn load(&self) -> Result<Effective, Failure> {
        let mut flags = self.connection.flags()?;
        let mut put = |name: &str, key: &[&str], value: Option<&str>| {
            flags.extend(value.map(|value| flag(name, key, value)));
        };
        put("--state-dir", &["state_dir"], self.state_dir.as_deref());
        put("--threads", &["threads"], self.threads.as_deref());
        put("--guarantee", &["guarantee"], word(&self.guarantee).as_deref());
        match self.http.as_deref() {
            Some("off") => put("--http", &["http", "enabled"], Some("false")),
            Some(address) => {
                put("--http", &["http", "enabled"], Some("true"));
                put("--http", &["http", "listen"], Some(address));
            }
            None => {}
        }
        put("--log-format", &["log", "format"], word(&self.log_format).as_deref());
        put("--log-level", &["log", "level"], word(&self.log_level).as_deref());
        self.connection.load_with(flags)
    }
}

fn flag(name: &str, key: &[&str], value: &str) -> Flag {
    Flag { name: name.to_owned(), key: key.iter().map(|&part| part.to_owned()).collect(), value: value.to_owned() }
}

/// The word of a choice, as it stands in a settings file.
fn word<T: ValueEnum>(choice: &Option<T>) -> Option<String> {
    Some(choice.as_ref()?.to_possible_value()?.get_name().to_owned())
}

/// The text of the settings file, which the command line named or which stands where it is looked for.
fn read(path: &Path, is_named: bool) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let failure = Failure::usage(format!("cannot read the settings in {}: {error}", path.display()));
        failure.help(match is_named {
            true => format!(
                "Name another file with --config, or leave that out: then {} are looked for.",
                PLACES.join(" and ")
            ),
            false => "Settings that stand there are never passed over: make the file readable, move it away, or name \
                      another with --config."
                .to_owned(),
        })
    })
}

/// Refuses settings with which no client of Kafka can be made: before one waits for what will not come.
pub(crate) fn check_client(effective: &Effective) -> Result<(), Failure> {
    effective.check_client().map_err(|error| wrong(&error))
}

/// As [`check_client`], for a pipeline that has properties of its own.
pub(crate) fn check_client_of(
    effective: &Effective,
    pipeline: &str,
    own: &BTreeMap<String, String>,
    guarantee: kafka::Guarantee,
) -> Result<(), Failure> {
    effective.check_client_of(pipeline, own, guarantee).map_err(|error| wrong(&error))
}

/// Prints what is wrong with the settings.
fn wrong(error: &ConfigError) -> Failure {
    if let Some(diagnostics) = &error.diagnostics {
        load::print(diagnostics);
    }
    for problem in &error.problems {
        let failure = Failure::usage(problem.message.clone());
        match &problem.help {
            Some(help) => failure.help(help.clone()).report(),
            None => failure.report(),
        };
    }
    Failure::settings_wrong()
}
