//! A pipeline against every version that may still matter: its sources against all schemas by which records may be written that
//! are still retained, its sinks against all by which consumers may still read. Registries judge by the last version, or by
//! their rules; this asks whether this pipeline can read, and be read.

use millstream_formats::avro::{Finding, compatibility};
use millstream_formats::{Decoder, SchemaId, WriterSchema};
use millstream_pipeline::topology::{Part, SinkFormat, SourceDef, SourceFormat, Topology};

use super::{Subjects, versions};
use crate::registry::{RegistryError, Version};
use crate::worker;

/// One version of one subject, as one source or sink meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The source or sink.
    pub name: String,
    /// On which side the pipeline stands.
    pub direction: Direction,
    /// The subject.
    pub subject: String,
    /// The version; none where the subject has no versions.
    pub version: Option<u32>,
    /// Its id.
    pub id: Option<SchemaId>,
    /// What comes of it.
    pub verdict: Verdict,
}

/// On which side a pipeline stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It reads what the version wrote.
    Reads,
    /// The version reads what it writes.
    Writes,
}

/// What comes of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is read.
    Good,
    /// Something is not as it was written, or records of some values fail; none of it is read by the pipeline, or not
    /// always.
    Note(Vec<String>),
    /// Records of the version cannot be read.
    Breaks(Vec<String>),
}

impl Verdict {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Note(_) => "note",
            Verdict::Breaks(_) => "breaks",
        }
    }

    /// What was found.
    pub fn findings(&self) -> &[String] {
        match self {
            Verdict::Good => &[],
            Verdict::Note(findings) | Verdict::Breaks(findings) => findings,
        }
    }
}

/// The sources and sinks of a pipeline against all versions of their subjects.
///
/// # Errors
/// If the registry does not answer, or not as one.
pub fn history(topology: &Topology, registry: &dyn Subjects) -> Result<Vec<Entry>, RegistryError> {
    let mut entries = Vec::new();
    for source in &topology.sources {
        let keys = source.keys_alone().map(|keys| SourceDef { name: format!("{} (key)", keys.name), ..keys });
        for part in [Some(source.values_alone()), keys].iter().flatten() {
            for subject in part.schema.iter().flat_map(|schema| &schema.subjects) {
                of_subject(&part.name, Direction::Reads, subject, registry, &mut entries, &|id, writer| {
                    reads(part, id, writer)
                })?;
            }
        }
    }
    for sink in &topology.sinks {
        for (part, format, schema) in sink.schemas() {
            let name = match part {
                Part::Value => sink.name.clone(),
                Part::Key => format!("{} (key)", sink.name),
            };
            of_subject(&name, Direction::Writes, &schema.subject, registry, &mut entries, &|_, reader| {
                is_read(format, reader)
            })?;
        }
    }
    Ok(entries)
}

fn of_subject(
    name: &str,
    direction: Direction,
    subject: &str,
    registry: &dyn Subjects,
    entries: &mut Vec<Entry>,
    judge: &dyn Fn(SchemaId, &WriterSchema) -> Verdict,
) -> Result<(), RegistryError> {
    let entry = |version, id, verdict| Entry {
        name: name.to_owned(),
        direction,
        subject: subject.to_owned(),
        version,
        id,
        verdict,
    };
    let known = versions(registry, subject)?;
    if known.is_empty() {
        let note = "the registry has no such subject".to_owned();
        entries.push(entry(None, None, Verdict::Note(vec![note])));
    }
    for version in known {
        let answer = registry.version(subject, Version::Number(version))?;
        let verdict = match answer.schema.parse() {
            Ok(schema) => judge(answer.id, &schema),
            Err(error) => Verdict::Breaks(vec![error.to_string()]),
        };
        entries.push(entry(Some(version), Some(answer.id), verdict));
    }
    Ok(())
}

/// Whether the pipeline reads what `writer` wrote: the decoder that it runs with decides.
fn reads(source: &SourceDef, id: SchemaId, writer: &WriterSchema) -> Verdict {
    let decoder: Result<Decoder, String> = worker::decoder(source).map_err(|error| error.to_string());
    let added = decoder.and_then(|mut decoder| decoder.add_writer(id, writer).map_err(|error| error.to_string()));
    if let Err(reason) = added {
        return Verdict::Breaks(vec![reason]);
    }
    let (SourceFormat::Avro(read), WriterSchema::Avro(writer)) = (&source.format, writer) else { return Verdict::Good };
    let [reader] = &read.readers[..] else { return Verdict::Good };
    // A rule that is broken beside what is read does no harm.
    let is_read = |finding: &Finding| {
        let field = finding.path.split(['.', '[', '{']).next().unwrap_or_default();
        field.is_empty() || source.columns.index_of(field).is_ok()
    };
    let (read, beside): (Vec<_>, Vec<_>) = compatibility(reader, writer).into_iter().partition(is_read);
    let breaks = read.iter().any(|finding| finding.rule.is_of_registries());
    let read = read.iter().map(Finding::to_string);
    let shown = read.chain(beside.iter().map(|finding| format!("{finding} (not read)"))).collect::<Vec<_>>();
    match (breaks, shown.is_empty()) {
        (true, _) => Verdict::Breaks(shown),
        (false, false) => Verdict::Note(shown),
        (false, true) => Verdict::Good,
    }
}

/// Whether who reads by `reader` can read what the sink writes.
fn is_read(format: &SinkFormat, reader: &WriterSchema) -> Verdict {
    match (format, reader) {
        (SinkFormat::Avro(write), WriterSchema::Avro(reader)) => {
            let findings = compatibility(reader, &write.schema);
            let (broken, wrong): (Vec<_>, Vec<_>) =
                findings.into_iter().partition(|finding| finding.rule.is_of_registries());
            match (broken.is_empty(), wrong.is_empty()) {
                (true, true) => Verdict::Good,
                (true, false) => Verdict::Note(wrong.iter().map(Finding::to_string).collect()),
                (false, _) => Verdict::Breaks(broken.iter().chain(&wrong).map(Finding::to_string).collect()),
            }
        }
        (SinkFormat::Protobuf(_), WriterSchema::Protobuf(_)) | (SinkFormat::JsonSchema(_), WriterSchema::Json(_)) => {
            Verdict::Note(vec!["not compared: only Avro is, beyond what the registry says".to_owned()])
        }
        _ => Verdict::Breaks(vec!["the version is of another format".to_owned()]),
    }
}
