//! One version of a subject against one source or sink: what the decoder says that the pipeline runs with, and what the rules of
//! the format say.

use arrow::datatypes::DataType;
use millstream_engine::types::sql_name;
use millstream_formats::avro::{Finding, NewIs, compatibility, compatibility_of_type};
use millstream_formats::{Decoder, Difference, Gravity, SchemaColumns, SchemaId, TypeRead, WriterSchema, protobuf};
use millstream_pipeline::topology::{SinkFormat, SourceDef, SourceFormat};

use super::Verdict;
use super::own::{Compared, Own};
use crate::worker;

/// Findings, each with what it does.
type Found = Vec<(Gravity, String)>;

/// Whether the pipeline reads what `writer` wrote: the decoder that it runs with decides for each type of record, and what a
/// decoder does not notice the rules say.
pub(super) fn reads(source: &SourceDef, id: SchemaId, writer: &WriterSchema) -> Verdict {
    let decoder: Result<Decoder, String> = worker::decoder(source).map_err(|error| error.to_string());
    let added = decoder.and_then(|mut decoder| {
        decoder.add_writer(id, writer).map_err(|error| error.to_string())?;
        Ok(decoder)
    });
    let mut decoder = match added {
        Ok(decoder) => decoder,
        Err(reason) => return Verdict::Breaks(vec![reason]),
    };
    let types = decoder.judge(writer);
    if types.iter().all(|(_, read)| *read == TypeRead::Unwanted) {
        return Verdict::Note(vec!["its records have no row: it has no type that is read".to_owned()]);
    }
    // Where no type is asked for by its name, a type that cannot be read may be one that no record is of.
    let refused = types.iter().filter(|(_, read)| matches!(read, TypeRead::Refused(_))).count();
    let gravity = if is_named(source) || refused == types.len() { Gravity::Breaks } else { Gravity::Note };
    let mut found = Found::new();
    for (name, read) in &types {
        let of_type = match read {
            TypeRead::Unwanted => continue,
            TypeRead::Refused(reason) => vec![(gravity, reason.clone())],
            TypeRead::Row => by_rules(source, writer, name),
        };
        let several = types.len() > 1 && !name.is_empty();
        let prefix = if several { format!("{name}: ") } else { String::new() };
        found.extend(of_type.into_iter().map(|(gravity, finding)| (gravity, format!("{prefix}{finding}"))));
    }
    Verdict::of(found)
}

/// Whether the source names the types that it reads, or has readers for them.
fn is_named(source: &SourceDef) -> bool {
    match &source.format {
        SourceFormat::Avro(read) => read.types.is_some() || !read.readers.is_empty(),
        SourceFormat::Protobuf(read) => read.types.is_some() || !read.readers.is_empty(),
        _ => true,
    }
}

/// What the rules say of records of one type.
fn by_rules(source: &SourceDef, writer: &WriterSchema, name: &str) -> Found {
    // A rule that is broken beside what is read does no harm.
    let is_read = |path: &str| {
        let field = path.split(['.', '[', '{', ' ']).next().unwrap_or_default();
        field.is_empty() || source.columns.index_of(field).is_ok()
    };
    let found: Vec<(String, (Gravity, String))> = match (&source.format, writer) {
        (SourceFormat::Avro(read), WriterSchema::Avro(writer)) => {
            let findings = match (&read.readers[..], name) {
                ([reader], "") => compatibility(reader, writer),
                (readers, name) => compatibility_of_type(readers, writer, name),
            };
            findings.into_iter().map(|finding| (finding.path.clone(), of_avro(&finding))).collect()
        }
        (SourceFormat::Protobuf(read), WriterSchema::Protobuf(writer)) => {
            let reader = read.readers.iter().find(|reader| reader.name() == name);
            let differences = reader.map(|reader| protobuf::reads(reader, writer)).unwrap_or_default();
            differences.into_iter().map(|difference| (difference.path.clone(), of(&difference))).collect()
        }
        (SourceFormat::JsonSchema(_), WriterSchema::Json(writer)) => of_columns(source, &writer.columns()),
        _ => Vec::new(),
    };
    let judged = found.into_iter().map(|(path, (gravity, finding))| match is_read(&path) {
        true => (gravity, finding),
        false => (Gravity::Note, format!("{finding} (not read)")),
    });
    judged.collect()
}

/// JSON is read value by value, whatever its schema says. Where a property is not of its column's type, it depends on the
/// values.
fn of_columns(source: &SourceDef, written: &SchemaColumns) -> Vec<(String, (Gravity, String))> {
    let mut found = Vec::new();
    for column in source.columns.fields() {
        let name = column.name();
        let unreadable = written.unreadable.iter().find(|other| other.field == *name);
        let writer = match (written.fields.iter().find(|field| field.name() == name), unreadable) {
            (Some(field), _) if is_as_good(field.data_type(), column.data_type()) => continue,
            (Some(field), _) => sql_name(field.data_type()),
            (None, Some(unreadable)) => format!("what {}", unreadable.reason),
            (None, None) => continue,
        };
        let reader = sql_name(column.data_type());
        let difference = Difference { path: name.clone(), rule: "type", writer, reader, gravity: Gravity::NotJudged };
        found.push((name.clone(), of(&difference)));
    }
    found
}

/// Whether every value of the one type is one of the other.
fn is_as_good(from: &DataType, to: &DataType) -> bool {
    use DataType::{Float32, Float64, Int32, Int64};
    from == to || matches!((from, to), (Int32, Int64) | (Int32 | Int64 | Float32, Float64) | (Int32, Float32))
}

/// What a sink writes: its values, or its keys.
pub(super) struct Written<'a> {
    /// How, and by which schema.
    pub(super) format: &'a SinkFormat,
    /// The names of its columns, where they are known: nothing else is written.
    pub(super) columns: Option<Vec<&'a str>>,
}

/// Whether who reads by a version can read what the sink writes, or who reads by the sink's schema what the version wrote.
pub(super) fn of_sink(written: &Written<'_>, new_is: NewIs, version: &WriterSchema) -> Verdict {
    let compared = Own::of(written.format).and_then(|own| own.against(version, new_is));
    let Some(compared) = compared else {
        return Verdict::Breaks(vec!["the version is of another format".to_owned()]);
    };
    let found = compared.into_iter().map(|Compared { difference, said }| match new_is {
        NewIs::Writer if is_unwritten(written, &difference) => (Gravity::Note, format!("{said} (not written)")),
        _ => (difference.gravity, said),
    });
    Verdict::of(found.collect())
}

fn of(difference: &Difference) -> (Gravity, String) {
    (difference.gravity, difference.to_string())
}

fn of_avro(finding: &Finding) -> (Gravity, String) {
    (finding.rule.gravity(), format!("{finding} (rule {})", finding.rule.as_str()))
}

/// A schema may allow properties that the sink never writes, as it has no such column.
fn is_unwritten(written: &Written<'_>, difference: &Difference) -> bool {
    let is_column = |columns: &Vec<&str>| columns.contains(&difference.path.as_str());
    let is_nested = difference.path.contains(['.', '[', '{']);
    difference.rule == "open" && !is_nested && !written.columns.as_ref().is_none_or(is_column)
}
