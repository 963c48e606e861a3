//! Reading the places in which settings stand, in order: defaults, file, environment, flags. All mistakes at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_pipeline::codes;
use millstream_pipeline::diagnostic::{Diagnostic, Diagnostics, Style};
use millstream_pipeline::interpolate::Lookup;
use millstream_pipeline::spec;
use millstream_pipeline::structure;
use millstream_pipeline::yaml::de;
use millstream_pipeline::yaml::node::{Kind, Node, Scalar};
use millstream_pipeline::yaml::source_map::SourceMap;
use millstream_pipeline::yaml::span::Span;

use super::environment::{self, Meaning};
use super::file::File;
use super::layers::{self, Key, Layers, Leaf};
use super::origin::Origin;
use super::properties::{self, Properties};
use super::secret::{STARS, Secret};
use super::{PLACES, SCHEMA, Settings, schema_registry, show};

/// What settings are made from, each over those before it.
pub struct Sources<'a> {
    /// The settings file and its text, if there is one.
    pub file: Option<(&'a Path, &'a str)>,
    /// The environment.
    pub environment: &'a [(String, String)],
    /// What the command line says.
    pub flags: &'a [Flag],
    /// How placeholders in the file are looked up.
    pub lookup: Lookup<'a>,
}

/// A setting on the command line.
#[derive(Clone)]
pub struct Flag {
    /// The flag, with its dashes.
    pub name: String,
    /// The keys on the way to the setting: `["http", "listen"]`.
    pub key: Vec<String>,
    /// Its value.
    pub value: String,
}

/// Settings, and where each of them came from.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The settings.
    pub settings: Settings,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Variables that look as if they were settings and are none, nor nearly one.
    pub ignored: Vec<String>,
    pub(super) layers: Layers,
}

/// What is wrong with a setting that has no place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in lower case, without a final stop.
    pub message: String,
    /// What to do, as full sentences.
    pub help: Option<String>,
}

/// Everything that is wrong with the settings. None of it shows a secret.
#[derive(Debug, Clone, Default)]
pub struct ConfigError {
    /// What is wrong in the file, with places.
    pub diagnostics: Option<Diagnostics>,
    /// What is wrong elsewhere.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(diagnostics) = &self.diagnostics {
            f.write_str(&diagnostics.render(Style::Plain))?;
        }
        for problem in &self.problems {
            writeln!(f, "error: {}", problem.message)?;
            if let Some(help) = &problem.help {
                writeln!(f, "help: {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    fn into_result(self) -> Result<(), ConfigError> {
        let wrong = self.diagnostics.as_ref().is_some_and(Diagnostics::has_errors) || !self.problems.is_empty();
        if wrong { Err(self) } else { Ok(()) }
    }
}

/// The settings file: the one that is named, else the first of [`PLACES`] that is there, whether it can be read or not: a run
/// without the settings that somebody wrote down would be another run.
pub fn find(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => PLACES.iter().map(PathBuf::from).find(|path| !is_missing(path)),
    }
}

/// Whether nothing is at a path, not even a link to nowhere. What the system does not tell may well be there.
fn is_missing(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => false,
        // A file where the folder would be has no files in it.
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

/// Reads settings.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load(sources: &Sources<'_>) -> Result<Effective, ConfigError> {
    load_wanted(Wanted::All, sources)
}

/// As [`load`], of one section alone (`http`, say); all others are what they are by default. Placeholders there may stand for
/// nothing here: who asks a service how it is does not have the service's secrets.
///
/// # Errors
/// As [`load`].
pub fn load_section(section: &'static str, sources: &Sources<'_>) -> Result<Effective, ConfigError> {
    load_wanted(Wanted::Section(section), sources)
}

/// Which settings somebody needs.
#[derive(Clone, Copy)]
enum Wanted {
    All,
    Section(&'static str),
}

impl Wanted {
    /// Drops what is wrong with placeholders that nobody needs.
    fn pass_over(self, root: &Node, found: &mut Diagnostics) {
        let Wanted::Section(wanted) = self else { return };
        let Kind::Mapping(entries) = &root.kind else { return };
        let section = entries.iter().find(|(key, _)| key.text() == Some(wanted)).map(|(_, value)| value.span);
        found.retain(|diagnostic| {
            let at = diagnostic.span;
            let is_wanted = section.is_some_and(|section| section.start <= at.start && at.end <= section.end);
            diagnostic.code != codes::PLACEHOLDER_UNRESOLVED || is_wanted
        });
    }
}

fn load_wanted(wanted: Wanted, sources: &Sources<'_>) -> Result<Effective, ConfigError> {
    let mut error = ConfigError::default();
    let mut layers = Layers::default();
    let mut map = None;
    if let Some((path, text)) = sources.file {
        map = read_file(wanted, path, text, sources.lookup, &mut layers, &mut error);
    }
    let mut ignored = Vec::new();
    for (variable, value) in sources.environment {
        match environment::meaning(variable, &SCHEMA) {
            Meaning::Ignored => ignored.push(variable.clone()),
            meaning => read_variable(meaning, variable, value, &mut layers, &mut error),
        }
    }
    for flag in sources.flags {
        let origin = Origin::Flag { name: flag.name.clone() };
        put(flag.key.clone(), layers::text(&flag.value), origin, &mut layers, &mut error);
    }
    if let Wanted::Section(section) = wanted {
        layers.keep(section);
    }
    check_properties(&layers, map.as_ref(), &mut error);
    error.into_result()?;
    let settings = settings(&layers)?;
    Ok(Effective { settings, file: sources.file.map(|(path, _)| path.to_owned()), ignored, layers })
}

fn read_file(
    wanted: Wanted,
    path: &Path,
    text: &str,
    lookup: Lookup<'_>,
    layers: &mut Layers,
    error: &mut ConfigError,
) -> Option<SourceMap> {
    let name = path.display().to_string();
    // A file of comments alone says nothing, which is well here.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return None;
    }
    let (root, map, mut found) = match millstream_pipeline::read_tree(&name, text, lookup) {
        Ok(read) => read,
        Err(diagnostics) => {
            error.diagnostics = Some(diagnostics);
            return None;
        }
    };
    wanted.pass_over(&root, &mut found);
    structure::check(&root, &SCHEMA, &mut found);
    found.reword(|diagnostic| {
        let place = map.file().text().get(diagnostic.span.start..diagnostic.span.end);
        // What a placeholder stands for may be a secret that was meant for another key.
        if map.has_placeholder(diagnostic.span) && diagnostic.code.name() != "placeholder-unresolved" {
            let message = format!("what `{}` stands for does not fit here", place.unwrap_or_default());
            *diagnostic =
                Diagnostic::error(diagnostic.code, diagnostic.span, message).help(diagnostic.code.entry().explanation);
        }
    });
    found.sort();
    if found.has_errors() {
        error.diagnostics = Some(found);
        return None;
    }
    let origin = |span: Span| Origin::File { path: path.to_owned(), line: span.line };
    layers.put_tree(&root, &origin, &|span| map.has_placeholder(span));
    Some(map)
}

fn read_variable(meaning: Meaning, variable: &str, value: &str, layers: &mut Layers, error: &mut ConfigError) {
    match meaning {
        Meaning::Foreign | Meaning::Ignored => {}
        // An empty variable is one that was not set, as compose files have it.
        Meaning::Setting(_) if value.is_empty() => {}
        Meaning::Setting(key) => {
            let origin = Origin::Environment { variable: variable.to_owned() };
            let over = layers.get(&key).is_some_and(|leaf| matches!(leaf.origin, Origin::Environment { .. }));
            // Two variables mean the brokers, and two the registry: ours goes over the conventional one.
            if !(over && environment::is_conventional(variable)) {
                put(key, layers::text(value), origin, layers, error);
            }
        }
        Meaning::Unknown(meant) => error.problems.push(Problem {
            message: format!("the environment variable {variable} is no setting"),
            help: Some(match meant {
                Some(meant) => format!("Did you mean {meant}?"),
                None => format!(
                    "Variables that begin with {} are settings: `millstream config` lists them.",
                    environment::PREFIX
                ),
            }),
        }),
    }
}

/// Lays a setting from outside the file over the others, if it is one.
fn put(key: Key, value: Scalar, origin: Origin, layers: &mut Layers, error: &mut ConfigError) {
    let file = Arc::default();
    let mut found = Diagnostics::new(file);
    structure::check(&layers::single(&key, value.clone()), &SCHEMA, &mut found);
    for diagnostic in found.iter() {
        let meant =
            diagnostic.suggestion.as_ref().map(|suggestion| format!("Did you mean `{}`?", suggestion.replacement));
        error.problems.push(Problem {
            message: format!("{origin}: {}", diagnostic.message),
            help: meant.or(diagnostic.help.clone()),
        });
    }
    if found.is_empty() {
        layers.put(key, Leaf { value, span: Span::default(), key: Span::default(), origin, from_placeholder: false });
    }
}

fn check_properties(layers: &Layers, map: Option<&SourceMap>, error: &mut ConfigError) {
    for (key, leaf) in layers.iter() {
        let [section, name] = key.as_slice() else { continue };
        if section != "kafka" {
            continue;
        }
        let Err(wrong) = properties::check(name, &leaf.value.value, leaf.from_placeholder) else { continue };
        match (&leaf.origin, map) {
            (Origin::File { .. }, Some(map)) => {
                let at = if wrong.code == codes::BAD_PROPERTY { leaf.span } else { leaf.key };
                let mut diagnostic = Diagnostic::error(wrong.code, at, wrong.message).help(wrong.help);
                if let Some(meant) = wrong.meant {
                    diagnostic = diagnostic.suggest(at, meant);
                }
                error.diagnostics.get_or_insert_with(|| Diagnostics::new(map.file().clone())).push(diagnostic);
            }
            (origin, _) => error.problems.push(Problem {
                message: format!("{origin}: {}", wrong.message),
                help: Some(wrong.meant.map_or(wrong.help, |meant| format!("Did you mean `{meant}`?"))),
            }),
        }
    }
    if let Some(diagnostics) = &mut error.diagnostics {
        diagnostics.sort();
    }
}

/// The typed settings.
fn settings(layers: &Layers) -> Result<Settings, ConfigError> {
    let problem = |message: String, help: Option<&str>| ConfigError {
        problems: vec![Problem { message, help: help.map(str::to_owned) }],
        ..ConfigError::default()
    };
    let file: File = de::from_node(&layers.tree()).map_err(|error| problem(error.message, None))?;
    let defaults = Settings::default();
    let mut settings = Settings {
        kafka: kafka(layers, defaults.kafka),
        state_dir: file.state_dir.map_or(defaults.state_dir, PathBuf::from),
        state_memory: file.state_memory.map_or(defaults.state_memory, |size| size.bytes() as usize),
        threads: file.threads.map_or(defaults.threads, |threads| threads as usize),
        guarantee: file.guarantee.unwrap_or(defaults.guarantee),
        commit_interval: span(file.commit_interval, defaults.commit_interval),
        checkpoint_interval: span(file.checkpoint_interval, defaults.checkpoint_interval),
        transaction_timeout: span(file.transaction_timeout, defaults.transaction_timeout),
        ..defaults
    };
    settings.restart.backoff = span(file.restart.backoff, settings.restart.backoff);
    settings.restart.max_backoff = span(file.restart.max_backoff, settings.restart.max_backoff);
    settings.http.enabled = file.http.enabled.unwrap_or(settings.http.enabled);
    settings.http.listen = file.http.listen.unwrap_or(settings.http.listen);
    settings.log.format = file.log.format.unwrap_or(settings.log.format);
    settings.log.level = file.log.level.unwrap_or(settings.log.level);
    settings.log.targets = file.log.targets;
    let (schema_registry, wrong) = schema_registry::settings(file.schema_registry, layers);
    settings.schema_registry = schema_registry;
    let mut error = ConfigError::default();
    for (key, message, help) in contradictions(&settings, layers).into_iter().chain(wrong) {
        let key: Key = key.iter().map(|&part| part.to_owned()).collect();
        let origin = layers.get(&key).map_or(Origin::Default, |leaf| leaf.origin.clone());
        error.problems.push(Problem { message: format!("{origin}: {message}"), help: Some(help.into_owned()) });
    }
    error.into_result().map(|()| settings)
}

fn kafka(layers: &Layers, defaults: Properties) -> Properties {
    let mut properties = defaults;
    for (key, leaf) in layers.iter() {
        if let [section, name] = key.as_slice()
            && section == "kafka"
        {
            match leaf.from_placeholder {
                true => properties.set_secret(name, Secret::new(&leaf.value.value)),
                false => properties.set(name, &leaf.value.value),
            }
        }
    }
    properties
}

pub(super) fn span(given: Option<spec::Duration>, default: Duration) -> Duration {
    given.map_or(default, |given| Duration::from_millis(given.millis().0.unsigned_abs()))
}

/// A setting that cannot be, or not beside another: the key, why, and what to do.
pub(super) type Contradiction = (&'static [&'static str], String, Cow<'static, str>);

/// The longest timeout of a transaction that the client takes: its milliseconds are a number of 32 bits.
const LONGEST_TRANSACTION: Duration = Duration::from_millis(i32::MAX as u64);
/// A commit that is late by as many intervals is still in time for its transaction.
const INTERVALS_IN_A_TRANSACTION: u32 = 4;

fn contradictions(settings: &Settings, layers: &Layers) -> Vec<Contradiction> {
    let mut wrong: Vec<Contradiction> = Vec::new();
    if settings.threads == 0 || settings.threads > 1024 {
        let message = format!("`threads` cannot be {}", settings.threads);
        wrong.push((&["threads"], message, "It is at least 1; more than there are cores do not help.".into()));
    }
    if settings.commit_interval.is_zero() {
        wrong.push((
            &["commit_interval"],
            "`commit_interval` cannot be 0".into(),
            "Leave it at 100ms, or say `1ms`.".into(),
        ));
    }
    if settings.transaction_timeout < Duration::from_secs(2) {
        let message = "`transaction_timeout` is less than 2s".into();
        wrong.push((
            &["transaction_timeout"],
            message,
            "A broker that is slow once would abort what it holds up.".into(),
        ));
    } else if settings.transaction_timeout > LONGEST_TRANSACTION {
        let message = format!("`transaction_timeout` is more than {}", show::span(LONGEST_TRANSACTION));
        let help =
            "The Kafka client takes no more, and brokers take 15m unless their transaction.max.timeout.ms says more.";
        wrong.push((&["transaction_timeout"], message, help.into()));
    } else if settings.transaction_timeout < settings.commit_interval * INTERVALS_IN_A_TRANSACTION {
        wrong.push(too_short(settings, layers));
    }
    if settings.restart.backoff > settings.restart.max_backoff {
        let message = "`restart.backoff` is longer than `restart.max_backoff`".into();
        wrong.push((&["restart", "backoff"], message, "The first wait is the shortest.".into()));
    }
    if settings.state_memory < 1 << 20 {
        let message = "`state_memory` is less than 1MiB".into();
        wrong.push((&["state_memory"], message, "What is not in memory is read from disk for every row.".into()));
    }
    if settings.state_dir.as_os_str().is_empty() {
        wrong.push((&["state_dir"], "`state_dir` is empty".into(), "Name a folder, or leave it at ./state.".into()));
    }
    wrong
}

/// The transaction's timeout does not fit the interval of commits. Whichever was not given is there by default, so the place of
/// the other is named first.
fn too_short(settings: &Settings, layers: &Layers) -> Contradiction {
    let (commit, timeout) = (settings.commit_interval, settings.transaction_timeout);
    let leaf = |key: &str| layers.get(&[key.to_owned()]);
    let is_hidden = |key: &str| leaf(key).is_some_and(|leaf| leaf.from_placeholder);
    let shown = |key: &str, value: Duration| {
        let value = if is_hidden(key) { STARS.to_owned() } else { show::span(value) };
        format!("{value} ({})", leaf(key).map_or(Origin::Default, |leaf| leaf.origin.clone()))
    };
    let first: &'static [&'static str] = match leaf("transaction_timeout") {
        Some(_) => &["transaction_timeout"],
        None => &["commit_interval"],
    };
    let message = format!(
        "`transaction_timeout` is {}, less than four times `commit_interval`, which is {}",
        shown("transaction_timeout", timeout),
        shown("commit_interval", commit)
    );
    let longer = commit * INTERVALS_IN_A_TRANSACTION;
    let shorter = timeout / INTERVALS_IN_A_TRANSACTION;
    let mut ways = Vec::new();
    // What a placeholder stands for would be told by its quarter, too.
    if !is_hidden("transaction_timeout") && !is_hidden("commit_interval") {
        if longer <= LONGEST_TRANSACTION {
            ways.push(format!("`transaction_timeout` {} or more", show::span(longer)));
        }
        ways.push(format!("`commit_interval` {} or less", show::span(shorter)));
    }
    let why = "A transaction must outlive the epoch that it carries";
    let help = if ways.is_empty() { format!("{why}.") } else { format!("{why}: make {}.", ways.join(", or ")) };
    (first, message, help.into())
}

impl Effective {
    /// Where a setting came from. `key` is the way to it: `["http", "listen"]`.
    pub fn origin(&self, key: &[&str]) -> Origin {
        let key: Key = key.iter().map(|&part| part.to_owned()).collect();
        self.layers.get(&key).map_or(Origin::Default, |leaf| leaf.origin.clone())
    }

    /// Defaults only: nothing was given.
    pub fn defaults() -> Effective {
        Effective { settings: Settings::default(), file: None, ignored: Vec::new(), layers: Layers::default() }
    }

    /// The settings that were given, and where, without their values.
    pub fn given(&self) -> BTreeMap<String, Origin> {
        self.layers.iter().map(|(key, leaf)| (key.join("."), leaf.origin.clone())).collect()
    }
}
