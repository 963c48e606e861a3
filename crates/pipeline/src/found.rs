//! The schemas that a pipeline needs from outside its text: which they are, and what was found of them. Reads no file and
//! asks no registry: whoever loads a pipeline does both, between [`wanted`] and [`crate::check_with`].

use std::collections::BTreeMap;
use std::fmt;

use millstream_formats::SchemaId;

use crate::check::words;
use crate::spec::format::FormatOptions;
use crate::spec::names::Name;
use crate::spec::pipeline::Pipeline;
use crate::spec::schema::{Framing, SchemaSpec, SubjectNaming, Version};
use crate::spec::sink::{Key, Sink};
use crate::spec::source::{Source, SourceKey};
use crate::yaml::span::Span;
use crate::yaml::spanned::Spanned;

/// A schema outside a pipeline's text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// A file, by its path from the folder of the pipeline.
    File(String),
    /// A version of a subject of the registry.
    Subject {
        /// The subject.
        subject: String,
        /// The version.
        version: Version,
    },
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::File(path) => write!(f, "the file {path}"),
            Wanted::Subject { subject, version: Version::Latest } => write!(f, "the latest version of {subject}"),
            Wanted::Subject { subject, version } => write!(f, "version {version} of {subject}"),
        }
    }
}

/// The text of a schema with what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The text.
    pub text: String,
    /// Other schemas to which this one, or one of them, refers; each behind those that it refers to itself.
    pub references: Vec<Referred>,
    /// Where it stands in a registry, if it comes from one.
    pub registered: Option<Registered>,
}

/// A schema to which another refers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referred {
    /// What it is called there: a full name in Avro, a file in Protobuf, a `$ref` in JSON Schema.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The subject and version where it was found, if that was in a registry.
    pub place: Option<(String, u32)>,
}

/// A schema's place in a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registered {
    /// The subject.
    pub subject: String,
    /// The version in the subject.
    pub version: u32,
    /// The id, with which messages of the schema begin.
    pub id: SchemaId,
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} version {} (id {})", self.subject, self.version, self.id)
    }
}

/// Why a schema was not found: in lower case, without a final stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// There is none.
    Absent(String),
    /// Nobody knows whether there is one: it could not be asked for, or could not be had.
    Unknown(String),
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (NotFound::Absent(reason) | NotFound::Unknown(reason)) = self;
        f.write_str(reason)
    }
}

/// What was found of the schemas that a pipeline wants. What is not in it was not looked for.
#[derive(Debug, Clone, Default)]
pub struct Found {
    documents: BTreeMap<Wanted, Result<Document, NotFound>>,
    /// The places of sinks' schemas, by subject and text.
    settled: BTreeMap<(String, String), Registered>,
}

impl Found {
    /// Nothing was looked for.
    pub fn nothing() -> Found {
        Found::default()
    }

    /// Adds what was found, or why nothing was.
    pub fn add(&mut self, wanted: Wanted, document: Result<Document, NotFound>) {
        self.documents.insert(wanted, document);
    }

    /// What was found; `None` if it was not looked for.
    pub fn get(&self, wanted: &Wanted) -> Option<&Result<Document, NotFound>> {
        self.documents.get(wanted)
    }

    /// Says where the schema `text` of a sink stands in the registry: every topology made with this has its id.
    pub fn settle(&mut self, text: &str, registered: Registered) {
        self.settled.insert((registered.subject.clone(), text.to_owned()), registered);
    }

    /// Where the schema `text` stands in `subject`, if that was said.
    pub fn settled(&self, subject: &str, text: &str) -> Option<&Registered> {
        self.settled.get(&(subject.to_owned(), text.to_owned()))
    }
}

/// Everything that a pipeline cannot be checked without, each once.
pub fn wanted(pipeline: &Pipeline) -> Vec<Wanted> {
    let mut all = Vec::new();
    for (name, source) in pipeline.sources.iter() {
        all.extend(Reading::of_value(name, source).into_iter().flat_map(|reading| reading.wanted()));
        all.extend(Reading::of_key(name, source).into_iter().flat_map(|reading| reading.wanted()));
    }
    for sink in pipeline.sink.iter().chain(pipeline.sinks.iter()) {
        let parts = [Writing::of_value(sink), Writing::of_key(sink)];
        for writing in parts.iter().flatten() {
            all.extend(writing.schema.and_then(|schema| named(schema)));
            all.extend(writing.previous());
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The subjects of a registry under which a schema stands that is in the file at `path`, as far as that is known before it is
/// read: those that are named after a topic.
pub fn subjects_of_file(pipeline: &Pipeline, path: &str) -> Vec<String> {
    let is_there = |schema: Option<&Spanned<SchemaSpec>>| {
        schema.and_then(|schema| schema.file.as_ref()).is_some_and(|file| file.value == path)
    };
    let mut subjects = Vec::new();
    for (name, source) in pipeline.sources.iter() {
        for reading in [Reading::of_value(name, source), Reading::of_key(name, source)].iter().flatten() {
            if is_there(reading.schema) && reading.framing == Framing::Confluent {
                subjects.push(SubjectNaming::TopicName.subject(reading.part, reading.topic, ""));
            }
        }
    }
    for sink in pipeline.sink.iter().chain(pipeline.sinks.iter()) {
        for writing in [Writing::of_value(sink), Writing::of_key(sink)].iter().flatten() {
            let is_named = writing.naming() == SubjectNaming::TopicName && writing.framing() == Framing::Confluent;
            if is_there(writing.schema) && is_named {
                subjects.push(SubjectNaming::TopicName.subject(writing.part, writing.topic, ""));
            }
        }
    }
    subjects
}

/// What a schema is named by, unless it stands there itself.
pub(crate) fn named(schema: &SchemaSpec) -> Option<Wanted> {
    if let Some(file) = &schema.file {
        return Some(Wanted::File(file.value.clone()));
    }
    let subject = schema.subject.as_ref()?.value.clone();
    let version = schema.version.as_ref().map(|version| version.value).unwrap_or_default();
    Some(Wanted::Subject { subject, version })
}

/// A part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The value.
    Value,
    /// The key.
    Key,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Value => "value",
            Part::Key => "key",
        })
    }
}

/// Messages, or their keys, whose schema stands outside of them.
#[derive(Debug, Clone)]
pub(crate) struct Reading<'a> {
    pub(crate) name: &'a Name,
    pub(crate) topic: &'a str,
    pub(crate) part: Part,
    pub(crate) format: FormatOptions,
    pub(crate) schema: Option<&'a Spanned<SchemaSpec>>,
    pub(crate) framing: Framing,
    pub(crate) types: Option<&'a Spanned<Vec<Name>>>,
    pub(crate) naming: SubjectNaming,
}

impl<'a> Reading<'a> {
    /// The values of a source, if they have a schema.
    pub(crate) fn of_value(name: &'a Name, source: &'a Source) -> Option<Reading<'a>> {
        let reading = Reading {
            name,
            topic: source.topic.as_ref().unwrap_or(name),
            part: Part::Value,
            format: source.format.options(),
            schema: source.schema.as_ref(),
            framing: source.framing.as_ref().map(|framing| framing.value).unwrap_or_default(),
            types: source.types.as_ref(),
            naming: source.subject.as_ref().map(|naming| naming.value).unwrap_or_default(),
        };
        reading.format.has_schema().then_some(reading)
    }

    /// The keys of a source, if they have a schema.
    pub(crate) fn of_key(name: &'a Name, source: &'a Source) -> Option<Reading<'a>> {
        let Some(SourceKey::Format(key)) = &source.key else { return None };
        let reading = Reading {
            name,
            topic: source.topic.as_ref().unwrap_or(name),
            part: Part::Key,
            format: key.format.options(),
            schema: key.schema.as_ref(),
            framing: key.framing.as_ref().map(|framing| framing.value).unwrap_or_default(),
            types: None,
            naming: SubjectNaming::TopicName,
        };
        reading.format.has_schema().then_some(reading)
    }

    /// The schemas by which it is read, where they are not in the pipeline's text.
    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let schema = self.schema.map(|schema| &schema.value);
        if let Some(named) = schema.and_then(named) {
            return vec![named];
        }
        if schema.is_some_and(|schema| schema.text.is_some() || !schema.columns.is_empty()) {
            return Vec::new();
        }
        if self.framing == Framing::None {
            return Vec::new();
        }
        let version = schema.and_then(|schema| schema.version.as_ref()).map(|version| version.value);
        let version = version.unwrap_or_default();
        let subjects = match (self.part, self.naming, self.types) {
            (Part::Value, SubjectNaming::RecordName | SubjectNaming::TopicRecordName, Some(types)) => {
                types.iter().map(|record| self.naming.subject(self.part, self.topic, record)).collect()
            }
            _ => vec![SubjectNaming::TopicName.subject(self.part, self.topic, "")],
        };
        subjects.into_iter().map(|subject| Wanted::Subject { subject, version }).collect()
    }
}

/// Messages, or their keys, that are written by a schema which others read them by.
#[derive(Debug, Clone)]
pub(crate) struct Writing<'a> {
    pub(crate) topic: &'a Name,
    pub(crate) part: Part,
    pub(crate) format: FormatOptions,
    /// Where the format is named.
    pub(crate) at: Span,
    pub(crate) schema: Option<&'a Spanned<SchemaSpec>>,
    pub(crate) name: Option<&'a Name>,
    pub(crate) namespace: Option<&'a Name>,
    /// Whether it may be registered. What one part of a sink cannot mean, as it has no ids, is meant for the other.
    pub(crate) register: Option<&'a Spanned<bool>>,
    pub(crate) subject: Option<&'a Spanned<SubjectNaming>>,
    pub(crate) framing: Option<&'a Spanned<Framing>>,
}

impl<'a> Writing<'a> {
    /// The values of a sink, if they have a schema.
    pub(crate) fn of_value(sink: &'a Sink) -> Option<Writing<'a>> {
        let format = sink.format.as_ref()?;
        let registers_keys = || {
            Writing::of_key(sink).is_some_and(|keys| keys.framing() == Framing::Confluent && !is_framed(&sink.framing))
        };
        let writing = Writing {
            topic: &sink.topic,
            part: Part::Value,
            format: format.options(),
            at: format.span(),
            schema: sink.schema.as_ref(),
            name: sink.name.as_ref(),
            namespace: sink.namespace.as_ref(),
            register: sink.register.as_ref().filter(|_| !registers_keys()),
            subject: sink.subject.as_ref(),
            framing: sink.framing.as_ref(),
        };
        writing.format.has_schema().then_some(writing)
    }

    /// The keys of a sink, if they have a schema.
    pub(crate) fn of_key(sink: &'a Sink) -> Option<Writing<'a>> {
        let Some(Key::Options(key)) = &sink.key else { return None };
        let format = key.format.as_ref()?;
        let has_value = sink.format.as_ref().is_some_and(|format| format.options().has_schema());
        let writing = Writing {
            topic: &sink.topic,
            part: Part::Key,
            format: format.options(),
            at: format.span(),
            schema: key.schema.as_ref(),
            name: key.name.as_ref(),
            namespace: key.namespace.as_ref(),
            register: sink.register.as_ref().filter(|_| is_framed(&key.framing) || !has_value),
            subject: key.subject.as_ref(),
            framing: key.framing.as_ref(),
        };
        writing.format.has_schema().then_some(writing)
    }

    /// How its subject is named.
    pub(crate) fn naming(&self) -> SubjectNaming {
        self.subject.map(|naming| naming.value).unwrap_or_default()
    }

    /// What precedes each of them.
    pub(crate) fn framing(&self) -> Framing {
        self.framing.map(|framing| framing.value).unwrap_or_default()
    }

    /// The full name of the record in a schema that is made of the columns.
    pub(crate) fn record_name(&self) -> String {
        let name = match (self.name, self.part) {
            (Some(name), _) => name.value.clone(),
            (None, Part::Value) => words::as_name(self.topic),
            (None, Part::Key) => format!("{}_key", words::as_name(self.topic)),
        };
        match self.namespace {
            Some(namespace) => format!("{}.{name}", namespace.value),
            None => name,
        }
    }

    /// The version before a schema that is made of the columns, where it decides what the next one is: Protobuf's fields keep
    /// their numbers.
    pub(crate) fn previous(&self) -> Option<Wanted> {
        let is_protobuf = matches!(self.format, FormatOptions::Protobuf(_));
        (is_protobuf && self.framing() == Framing::Confluent && self.schema.is_none()).then(|| {
            let subject = self.naming().subject(self.part, self.topic, &self.record_name());
            Wanted::Subject { subject, version: Version::Latest }
        })
    }
}

fn is_framed(framing: &Option<Spanned<Framing>>) -> bool {
    framing.as_ref().is_none_or(|framing| framing.value == Framing::Confluent)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::interpolate::no_lookup;

    /// What a pipeline wants whose source and sink are these.
    fn wants(source: &str, sink: &str) -> Vec<String> {
        let text = format!("version: 1\npipeline: p\nsources:\n  trades: {source}\nsink: {sink}\n");
        let (pipeline, _) = crate::parse("p.yaml", &text, &no_lookup).unwrap();
        wanted(&pipeline).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sources_want_what_says_their_columns() {
        let of = |source: &str| wants(source, "{topic: out}");
        assert_eq!(of("{format: avro}"), ["the latest version of trades-value"]);
        assert_eq!(of("{topic: t, format: json_schema}"), ["the latest version of t-value"]);
        assert_eq!(of("{format: avro, schema: {version: 2}}"), ["version 2 of trades-value"]);
        assert_eq!(of("{format: avro, schema: {subject: s, version: latest}}"), ["the latest version of s"]);
        assert_eq!(of("{format: protobuf, schema: {file: a/b.proto}}"), ["the file a/b.proto"]);
        let types = "types: [x.A, x.B]";
        assert_eq!(of(&format!("{{format: avro, {types}}}")), ["the latest version of trades-value"]);
        assert_eq!(
            of(&format!("{{format: avro, {types}, subject: record_name}}")),
            ["the latest version of x.A", "the latest version of x.B"]
        );
        assert_eq!(
            of(&format!("{{format: avro, {types}, subject: topic_record_name}}")),
            ["the latest version of trades-x.A", "the latest version of trades-x.B"]
        );
    }

    #[test]
    fn what_stands_in_the_pipeline_is_not_wanted() {
        for source in [
            "{format: json, schema: {a: int}}",
            "{format: avro, schema: {a: int}}",
            "{format: avro, schema: {text: '\"int\"'}}",
            "{format: avro, schema: {file: string, subject: string, version: int, text: bytes}}",
        ] {
            assert_eq!(wants(source, "{topic: out}"), Vec::<String>::new(), "{source}");
        }
    }

    #[test]
    fn a_file_is_of_the_subjects_that_are_named_after_its_topics() {
        let text = "version: 1\npipeline: p\nsources:\n  trades: {format: avro, schema: {file: a.avsc}}\n  \
                    bare: {format: avro, framing: none, schema: {file: a.avsc}}\nsinks:\n  - {topic: out, format: avro, \
                    schema: {file: a.avsc}, key: {columns: [b], format: avro, schema: {file: a.avsc}}}\n  - {topic: named, \
                    format: avro, subject: record_name, schema: {file: a.avsc}}\n  - {topic: other, format: avro, schema: \
                    {file: b.avsc}}\n";
        let (pipeline, _) = crate::parse("p.yaml", text, &no_lookup).unwrap();
        assert_eq!(subjects_of_file(&pipeline, "a.avsc"), ["trades-value", "out-value", "out-key"]);
    }

    #[test]
    fn keys_and_sinks_want_theirs() {
        let source = "{format: json, schema: {a: int}, key: {format: avro}}";
        assert_eq!(wants(source, "{topic: out}"), ["the latest version of trades-key"]);
        let source = "{format: json, schema: {a: int}}";
        assert_eq!(wants(source, "{topic: out, format: avro, register: true}"), Vec::<String>::new());
        assert_eq!(wants(source, "{topic: out, format: avro, schema: {file: a.avsc}}"), ["the file a.avsc"]);
        // The numbers of its fields go on from there.
        assert_eq!(wants(source, "{topic: out, format: protobuf}"), ["the latest version of out-value"]);
        assert_eq!(wants(source, "{topic: out, format: protobuf, framing: none}"), Vec::<String>::new());
        let key = |key: &str| wants(source, &format!("{{topic: out, key: {{columns: [a], {key}}}}}"));
        assert_eq!(key("format: avro"), Vec::<String>::new());
        assert_eq!(key("format: avro, schema: {subject: a-key, version: 2}"), ["version 2 of a-key"]);
        assert_eq!(key("format: protobuf"), ["the latest version of out-key"]);
        assert_eq!(key("format: protobuf, name: K, subject: record_name"), ["the latest version of K"]);
    }
}
