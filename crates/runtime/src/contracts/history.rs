//! A pipeline against every version that may still matter: its sources against all schemas by which records may be written that
//! are still retained, its sinks against all by which consumers may still read. Registries judge by the last version, or by
//! their rules; this asks whether this pipeline can read, and be read.

use millstream_formats::avro::NewIs;
use millstream_formats::{SchemaId, WriterSchema};
use millstream_pipeline::topology::{Part, SinkDef, SourceDef, Topology};

use super::judge::{Written, of_sink, reads};
use super::{Subjects, Verdict, versions};
use crate::registry::{RegistryError, Version, Which};

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
    /// Whether it was deleted, and its records may still be in the topic.
    pub is_deleted: bool,
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
    /// Those who move on to what it writes by read what the version wrote. Asked where the subject's level promises it.
    ReadsBack,
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
            let written = Written { format, columns: (part == Part::Value).then(|| columns_of(sink)) };
            let mut ask = |direction, judge: &dyn Fn(SchemaId, &WriterSchema) -> Verdict| {
                of_subject(&name, direction, &schema.subject, registry, &mut entries, judge)
            };
            ask(Direction::Writes, &|_, reader| of_sink(&written, NewIs::Writer, reader))?;
            // Where new versions are to read what earlier ones wrote.
            if registry.level(&schema.subject)?.directions().contains(&NewIs::Reader) {
                ask(Direction::ReadsBack, &|_, writer| of_sink(&written, NewIs::Reader, writer))?;
            }
        }
    }
    Ok(entries)
}

/// The names of the columns that are written.
fn columns_of(sink: &SinkDef) -> Vec<&str> {
    sink.written.iter().map(|&index| sink.columns.field(index).name().as_str()).collect()
}

fn of_subject(
    name: &str,
    direction: Direction,
    subject: &str,
    registry: &dyn Subjects,
    entries: &mut Vec<Entry>,
    judge: &dyn Fn(SchemaId, &WriterSchema) -> Verdict,
) -> Result<(), RegistryError> {
    let present = versions(registry, subject, Which::Present)?;
    let entry = |version: Option<u32>, id, verdict| Entry {
        name: name.to_owned(),
        direction,
        subject: subject.to_owned(),
        version,
        is_deleted: version.is_some_and(|version| !present.contains(&version)),
        id,
        verdict,
    };
    let known = versions(registry, subject, Which::Ever)?;
    if known.is_empty() && direction != Direction::ReadsBack {
        let note = "the registry has no such subject".to_owned();
        entries.push(entry(None, None, Verdict::Note(vec![note])));
    }
    for version in known {
        let answer = match registry.version(subject, Version::Number(version), Which::Ever) {
            // A registry may name what was deleted and not give it.
            Err(error @ RegistryError::NotFound { .. }) if !present.contains(&version) => {
                entries.push(entry(Some(version), None, Verdict::NotJudged(vec![error.to_string()])));
                continue;
            }
            answer => answer?,
        };
        let verdict = match answer.schema.parse() {
            Ok(schema) => judge(answer.id, &schema),
            Err(error) => Verdict::Breaks(vec![error.to_string()]),
        };
        entries.push(entry(Some(version), Some(answer.id), verdict));
    }
    Ok(())
}
