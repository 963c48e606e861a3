//! The schemas of sinks against the registry, when a pipeline is deployed: which version each is, or would be, and whom it
//! would break. Registers only where a pipeline says so, and only when it is told to act.

use millstream_formats::WriterSchema;
use millstream_formats::avro::Level;
use millstream_pipeline::codes;
use millstream_pipeline::diagnostic::{Diagnostic, Diagnostics};
use millstream_pipeline::found::{Found, Referred, Registered};
use millstream_pipeline::spec::{Format, Key, Pipeline, Sink};
use millstream_pipeline::topology::{Part, SinkRole, SinkSchema, Topology};
use millstream_pipeline::yaml::source_map::SourceMap;
use millstream_pipeline::yaml::span::Span;

use super::breach::{Breach, Refusal};
use super::own::Own;
use super::{Judged, Subjects, kind, references, refers, versions};
use crate::registry::{
    NewSchema, Reference, RegisteredSchema, RegistryError, ResolvedReference, SchemaKind, Version, Which,
};

/// Whether anything is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing: it is only said what would be.
    Look,
    /// What pipelines want registered is.
    Register,
}

/// What became of the schema of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkReport {
    /// Index of the sink in the topology.
    pub sink: usize,
    /// The topic.
    pub topic: String,
    /// What of its records the schema is of.
    pub part: Part,
    /// Where it is not that schema, but one that it refers to: the name by which it does.
    pub reference: Option<String>,
    /// The subject.
    pub subject: String,
    /// The level of the subject.
    pub level: Level,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Exists(Registered),
    /// It has been registered.
    Registered(Registered),
    /// It would be registered, behind these versions; and who says that it breaks nobody.
    WouldRegister(Vec<u32>, Judge),
    /// It is not there, and the pipeline may not register it. Nothing else speaks against it.
    Missing(Vec<u32>),
    /// It would break somebody.
    Breaks(Vec<Breach>),
}

/// Who has said that a schema breaks nobody by the level of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// The registry.
    Registry,
    /// Our rules alone: the registry does not judge, or cannot yet, as what the schema refers to is not there.
    Rules,
    /// Nobody: our rules do not reach so far, either.
    Nobody,
}

/// Finds out where the schema of each sink stands, and tells `found`, so that topologies made with it have the ids. A schema
/// that breaks a rule is never registered.
///
/// # Errors
/// If the registry does not answer, or not as one.
pub fn settle(
    topology: &Topology,
    registry: &dyn Subjects,
    act: Act,
    found: &mut Found,
) -> Result<Vec<SinkReport>, RegistryError> {
    let mut reports = Vec::new();
    for (index, sink) in topology.sinks.iter().enumerate() {
        for (part, format, schema) in sink.schemas().filter(|(_, _, schema)| schema.is_open()) {
            let mut report = |reference: Option<&str>, subject: &str, (outcome, level): &(Outcome, Level)| {
                let (topic, subject) = (sink.topic.clone(), subject.to_owned());
                let (reference, outcome) = (reference.map(str::to_owned), outcome.clone());
                reports.push(SinkReport { sink: index, topic, part, reference, subject, level: *level, outcome });
            };
            let known = schema.references.iter().map(|other| other.name.as_str()).collect();
            let settling = Settling { registry, act, register: schema.register, kind: kind(format), known };
            let earlier = earlier_references(registry, schema)?;
            let mut placed = Vec::new();
            for (at, other) in schema.references.iter().enumerate() {
                if let Some((subject, version)) = &other.place {
                    placed.push(reference(&other.name, subject, *version));
                    continue;
                }
                let earlier = earlier.iter().find(|earlier| earlier.name == other.name);
                let subject = earlier.map_or(&other.name, |earlier| &earlier.subject);
                let read = read(&settling.kind, other, &schema.references[..at]);
                let own = read.as_ref().map(Own::referred);
                let settled = settling.settle(subject, &other.text, &placed, own)?;
                if let Outcome::Exists(at) | Outcome::Registered(at) = &settled.0 {
                    placed.push(reference(&other.name, &at.subject, at.version));
                }
                report(Some(&other.name), subject, &settled);
            }
            let settled = settling.settle(&schema.subject, &schema.text, &placed, Own::of(format))?;
            if let Outcome::Exists(registered) | Outcome::Registered(registered) = &settled.0 {
                found.settle(&schema.text, registered.clone());
            }
            report(None, &schema.subject, &settled);
        }
    }
    Ok(reports)
}

/// Under which subjects the schemas stand to which the version before refers: a name need not be a subject.
fn earlier_references(registry: &dyn Subjects, schema: &SinkSchema) -> Result<Vec<Reference>, RegistryError> {
    match schema.references.iter().any(|other| other.place.is_none()) {
        true => references(&|subject| registry.version(subject, Version::Latest, Which::Present), &schema.subject),
        false => Ok(Vec::new()),
    }
}

fn reference(name: &str, subject: &str, version: u32) -> Reference {
    Reference {
        name: name.to_owned(),
        subject: subject.to_owned(),
        version: i32::try_from(version).unwrap_or(i32::MAX),
    }
}

/// A schema that a sink's schema refers to, with those before it, to which it may refer itself; none if it cannot be read.
fn read(kind: &SchemaKind, referred: &Referred, before: &[Referred]) -> Option<WriterSchema> {
    let resolved = |other: &Referred| ResolvedReference {
        reference: reference(&other.name, &other.name, 1),
        text: other.text.clone(),
    };
    let references = before.iter().map(resolved).collect();
    RegisteredSchema { kind: kind.clone(), text: referred.text.clone(), references }.parse().ok()
}

/// How the schema of a sink and those that it refers to are settled.
struct Settling<'a> {
    registry: &'a dyn Subjects,
    act: Act,
    /// Whether the pipeline may register them.
    register: bool,
    kind: SchemaKind,
    /// The names of all schemas that are referred to.
    known: Vec<&'a str>,
}

impl Settling<'_> {
    /// Settles a schema whose references have been.
    fn settle(
        &self,
        subject: &str,
        text: &str,
        placed: &[Reference],
        own: Option<Own<'_>>,
    ) -> Result<(Outcome, Level), RegistryError> {
        let registry = self.registry;
        let place = |id, version| Registered { subject: subject.to_owned(), version, id };
        let level = registry.level(subject)?;
        let named = refers::names(&self.kind, text);
        let references = placed.iter().filter(|placed| named.contains(&placed.name)).cloned().collect::<Vec<_>>();
        // What refers to something that is not there yet cannot be there, and cannot be judged by the registry.
        let is_placed = |name: &str| references.iter().any(|placed| placed.name == name);
        let is_whole = named.iter().all(|name| is_placed(name) || !self.known.contains(&name.as_str()));
        let new = NewSchema { kind: self.kind.clone(), text: text.to_owned(), references };
        if is_whole && let Some((id, version)) = registry.lookup(subject, &new)? {
            return Ok((Outcome::Exists(place(id, version)), level));
        }
        let known = versions(registry, subject, Which::Present)?;
        let refusal = Refusal { own, subject, level, known: &known, registry };
        let mut breaches = refusal.foreseen()?;
        let mut judge = Judge::Registry;
        if breaches.is_empty() && !known.is_empty() {
            (breaches, judge) = match is_whole.then(|| registry.against_level(subject, level, &new)).transpose()? {
                Some(Judged::Compatible) => (breaches, judge),
                Some(Judged::Incompatible(said)) => (refusal.explained(said)?, judge),
                Some(Judged::Not) => refusal.judged()?,
                // It is asked before anything is registered.
                None => (breaches, refusal.judge_of_foreseen()),
            };
        }
        if !breaches.is_empty() {
            return Ok((Outcome::Breaks(breaches), level));
        }
        match (self.register, self.act) {
            (false, _) => Ok((Outcome::Missing(known), level)),
            (true, Act::Look) => Ok((Outcome::WouldRegister(known, judge), level)),
            (true, Act::Register) => match registry.register(subject, &new) {
                // Somebody else was quicker, or the registry knows a rule that we do not.
                Err(RegistryError::Incompatible { message, .. }) => {
                    Ok((Outcome::Breaks(refusal.explained(vec![message])?), level))
                }
                Err(error) => Err(error),
                Ok(id) => {
                    let version = registry.lookup(subject, &new)?.map_or(0, |(_, version)| version);
                    Ok((Outcome::Registered(place(id, version)), level))
                }
            },
        }
    }
}

/// What speaks against a run, each at its sink.
pub fn diagnostics(reports: &[SinkReport], topology: &Topology, pipeline: &Pipeline, map: &SourceMap) -> Diagnostics {
    let mut diagnostics = Diagnostics::new(map.file().clone());
    for report in reports {
        let user = topology.sinks.get(report.sink).is_some_and(|sink| sink.role == SinkRole::User);
        let sink = pipeline.sink.iter().chain(pipeline.sinks.iter()).nth(report.sink).filter(|_| user);
        let at = sink.map_or(pipeline.pipeline.span, |sink| place_of(report.part, sink));
        let subject = &report.subject;
        match &report.outcome {
            Outcome::Exists(_) | Outcome::Registered(_) | Outcome::WouldRegister(..) => {}
            Outcome::Missing(known) => {
                let message = match known.last() {
                    None => format!("the registry has no subject {subject}"),
                    Some(last) => {
                        format!("the schema is none of the versions of {subject}, of which {last} is the last")
                    }
                };
                diagnostics.push(Diagnostic::error(codes::NOT_REGISTERED, at, message).help(
                    "Register it by your build (`millstream plan FILE --json` shows it), or let the pipeline do it when it \
                     starts: `register: true`.",
                ));
            }
            Outcome::Breaks(breaches) => {
                for breach in breaches {
                    let level = level_name(report.level);
                    let message = format!("{subject} is kept {level}: {breach}");
                    diagnostics.push(
                        Diagnostic::error(codes::INCOMPATIBLE_SCHEMA, at, message)
                            .help("Keep the field as it was, give a new one a default, or write to another subject."),
                    );
                }
            }
        }
    }
    diagnostics
}

/// Where a sink says what schema it has.
fn place_of(part: Part, sink: &Sink) -> Span {
    let (schema, format) = match (part, &sink.key) {
        (Part::Key, Some(Key::Options(key))) => (&key.schema, &key.format),
        _ => (&sink.schema, &None),
    };
    let of_format = || format.as_ref().map_or(sink.topic.span, Format::span);
    schema.as_ref().map_or_else(of_format, |schema| schema.span)
}

/// A level as registries call it.
pub(super) fn level_name(level: Level) -> &'static str {
    match level {
        Level::None => "NONE",
        Level::Backward => "BACKWARD",
        Level::BackwardTransitive => "BACKWARD_TRANSITIVE",
        Level::Forward => "FORWARD",
        Level::ForwardTransitive => "FORWARD_TRANSITIVE",
        Level::Full => "FULL",
        Level::FullTransitive => "FULL_TRANSITIVE",
    }
}

impl SinkReport {
    /// What became of it, in a line.
    pub fn line(&self) -> String {
        let behind = |known: &[u32], judge: Judge| match known {
            [] => "as its first version".to_owned(),
            [.., last] => format!("as version {}, {}", last + 1, self.compared(known, judge)),
        };
        let SinkReport { topic, subject, .. } = self;
        let level = level_name(self.level);
        let of = match (self.part, &self.reference) {
            (Part::Value, None) => "the schema",
            (Part::Key, None) => "the schema of keys",
            (_, Some(_)) => "a schema that it refers to",
        };
        let what = match &self.outcome {
            Outcome::Exists(at) => format!("is version {} (id {})", at.version, at.id),
            Outcome::Registered(at) => format!("was registered as version {} (id {})", at.version, at.id),
            Outcome::WouldRegister(known, judge) => format!("would be registered {}", behind(known, *judge)),
            Outcome::Missing(_) => "is not registered".to_owned(),
            Outcome::Breaks(breaches) => format!("would break somebody: {} finding(s)", breaches.len()),
        };
        format!("{topic}: {of} {what}; subject {subject}, {level}")
    }

    /// What was found of the versions that there are, and by whom.
    fn compared(&self, known: &[u32], judge: Judge) -> String {
        let versions = match (self.level, known) {
            (Level::None, _) | (_, []) => return "not compared with what is there".to_owned(),
            (Level::Backward | Level::Forward | Level::Full, [.., last]) => format!("version {last}"),
            (_, [only]) => format!("version {only}"),
            (_, [first, .., last]) => format!("all from version {first} to {last}"),
        };
        match judge {
            Judge::Registry => format!("compatible with {versions}"),
            Judge::Rules => format!("by our rules compatible with {versions} (the registry has not judged)"),
            Judge::Nobody => format!("not judged against {versions}"),
        }
    }
}
