//! What the schema of a source gives: columns, and how messages are read. A schema that is not at hand is asked for in words.

use arrow::datatypes::{DataType, Field, Schema};
use millstream_engine::types::sql_name;
use millstream_formats::avro::{self, AvroRead, AvroSchema};
use millstream_formats::json_schema::{JsonFraming, JsonSchema, JsonSchemaRead, Validation};
use millstream_formats::protobuf::{ProtobufFraming, ProtobufMessage, ProtobufRead, ProtobufSchema};
use millstream_formats::{DecodeFormat, Decoder, SchemaColumns, WriterSchema};

use super::Findings;
use super::source_schema::Declared;
use crate::codes;
use crate::found::{Document, Found, NotFound, Part, Reading, Wanted};
use crate::spec::format::FormatOptions;
use crate::spec::names::Name;
use crate::spec::schema::Framing;
use crate::topology::{SchemaDef, SchemaOrigin, SourceFormat, is_hidden};
use crate::yaml::span::Span;

/// A source's format, its columns, and where these come from.
pub(crate) type Contract = (SourceFormat, Declared, SchemaDef);

/// The documents of a source with where each comes from.
type Documents = Vec<(Document, SchemaOrigin)>;

/// What the schema of `reading` gives; `None` where a mistake was found.
pub(crate) fn check(reading: &Reading<'_>, found: &Found, findings: &mut Findings) -> Option<Contract> {
    let at = reading.schema.map_or(reading.name.span, |schema| schema.span);
    options(reading, at, findings)?;
    let documents = documents(reading, found, at, findings)?;
    let origins = documents.iter().map(|(_, origin)| origin.clone()).collect::<Vec<_>>();
    let documents = documents.into_iter().map(|(document, _)| document).collect::<Vec<_>>();
    let (format, of_schema, writers) = match &reading.format {
        FormatOptions::Avro(_) => avro(reading, &documents, at, findings)?,
        FormatOptions::Protobuf(options) => {
            let message = options.message.as_ref().map(|message| (message.value.as_str(), message.span));
            protobuf(reading, message, &documents, at, findings)?
        }
        FormatOptions::JsonSchema(options) => {
            let validate = options.validate.as_ref().is_some_and(|validate| validate.value);
            json(reading, validate, &documents, at, findings)?
        }
        FormatOptions::Json(_) | FormatOptions::Csv(_) | FormatOptions::Raw(_) => return None,
    };
    let declared = match reading.schema.filter(|schema| !schema.columns.is_empty()) {
        Some(schema) => schema.columns.iter().map(|(name, of)| (name.value.clone(), of.data_type().clone())).collect(),
        None => columns(of_schema, at, findings),
    };
    fits(&format, &declared, at, findings)?;
    let known = origins.iter().zip(writers).filter_map(|(origin, writer)| match origin {
        SchemaOrigin::Registry(registered) => Some((registered.id, writer)),
        _ => None,
    });
    let def = SchemaDef { subjects: subjects(reading), writers: known.collect(), origins, framing: reading.framing };
    Some((format, declared, def))
}

/// The subjects under which the schemas of the messages stand, as far as that is known.
fn subjects(reading: &Reading<'_>) -> Vec<String> {
    let wanted = reading.wanted().into_iter().filter_map(|wanted| match wanted {
        Wanted::Subject { subject, .. } => Some(subject),
        Wanted::File(_) => None,
    });
    let wanted = wanted.collect::<Vec<_>>();
    match (&wanted[..], reading.framing) {
        ([], Framing::Confluent) => Reading { schema: None, ..reading.clone() }
            .wanted()
            .into_iter()
            .filter_map(|wanted| match wanted {
                Wanted::Subject { subject, .. } => Some(subject),
                Wanted::File(_) => None,
            })
            .collect(),
        _ => wanted,
    }
}

/// Whether the settings go together.
fn options(reading: &Reading<'_>, at: Span, findings: &mut Findings) -> Option<()> {
    let schema = reading.schema.map(|schema| &schema.value);
    if let Some(schema) = schema {
        let places =
            [schema.file.is_some(), schema.text.is_some(), schema.subject.is_some(), !schema.columns.is_empty()];
        if places.into_iter().filter(|&place| place).count() > 1 {
            findings
                .error(codes::SCHEMA_OPTIONS, at, "the schema is said in two ways")
                .help("Write columns, or one of `file`, `text` and `subject`.");
            return None;
        }
    }
    let is_one = schema.is_some_and(|schema| schema.file.is_some() || schema.text.is_some());
    if reading.framing == Framing::None && !is_one && !is_plain_json(reading) {
        let what = match reading.part {
            Part::Value => "messages",
            Part::Key => "keys",
        };
        findings
            .error(
                codes::SCHEMA_OPTIONS,
                at,
                format!("{what} without the id of a schema are read by a schema that is at hand"),
            )
            .help("Name the schema that they are written by: `schema: {file: trades.avsc}`.");
        return None;
    }
    Some(())
}

/// JSON can be read without a schema.
fn is_plain_json(reading: &Reading<'_>) -> bool {
    let columns = reading.schema.is_some_and(|schema| !schema.columns.is_empty());
    matches!(reading.format, FormatOptions::JsonSchema(_)) && columns
}

/// The documents by which `reading` is read: none where columns are declared.
fn documents(reading: &Reading<'_>, found: &Found, at: Span, findings: &mut Findings) -> Option<Documents> {
    if let Some(text) = reading.schema.and_then(|schema| schema.text.as_ref()) {
        let document = Document { text: text.value.clone(), references: Vec::new(), registered: None };
        return Some(vec![(document, SchemaOrigin::Text)]);
    }
    let mut documents = Vec::new();
    for wanted in reading.wanted() {
        documents.push(document(&wanted, found, at, findings)?);
    }
    Some(documents)
}

/// The document that was found for `wanted`; if none was, says what to do.
pub(crate) fn document(
    wanted: &Wanted,
    found: &Found,
    at: Span,
    findings: &mut Findings,
) -> Option<(Document, SchemaOrigin)> {
    match (found.get(wanted), wanted) {
        (Some(Ok(document)), wanted) => {
            let origin = match (&document.registered, wanted) {
                (Some(registered), _) => SchemaOrigin::Registry(registered.clone()),
                (None, Wanted::File(path)) => SchemaOrigin::File(path.clone()),
                (None, Wanted::Subject { .. }) => SchemaOrigin::Text,
            };
            return Some((document.clone(), origin));
        }
        (Some(Err(reason)), Wanted::File(_)) => {
            findings
                .error(codes::SCHEMA_UNAVAILABLE, at, format!("{wanted} cannot be read: {reason}"))
                .help("Name a file by its path from the folder of the pipeline.");
        }
        (Some(Err(reason)), Wanted::Subject { .. }) => {
            let help = match reason {
                NotFound::Absent(_) => {
                    "Name a subject and a version that the registry has, or a file: `schema: {file: ..}`."
                }
                NotFound::Unknown(_) => "Try again when the registry gives it, or name a file: `schema: {file: ..}`.",
            };
            findings.error(codes::SCHEMA_UNAVAILABLE, at, format!("{wanted} cannot be had: {reason}")).help(help);
        }
        (None, Wanted::File(path)) => {
            findings
                .error(
                    codes::SCHEMA_UNKNOWN,
                    at,
                    format!("the schema stands in the file {path}, which nobody has read"),
                )
                .help("Load the pipeline from its folder.");
        }
        (None, Wanted::Subject { .. }) => {
            findings
                .error(codes::SCHEMA_UNKNOWN, at, format!("the schema is {wanted}, which only a registry knows"))
                .help("Name the registry: `--registry URL`; or a file beside the pipeline: `schema: {file: ..}`.");
        }
    }
    None
}

type Read = (SourceFormat, SchemaColumns, Vec<WriterSchema>);

fn avro(reading: &Reading<'_>, documents: &[Document], at: Span, findings: &mut Findings) -> Option<Read> {
    let mut schemas = Vec::new();
    for document in documents {
        schemas.push(avro_schema(document, at, findings)?);
    }
    let mut columns = SchemaColumns::default();
    let names = schemas.iter().flat_map(AvroSchema::record_names).map(str::to_owned).collect::<Vec<_>>();
    let types = types(reading, &names, findings)?;
    for schema in &schemas {
        merge(&mut columns, schema.columns());
    }
    let framing = match (reading.framing, &schemas[..]) {
        (Framing::None, [schema, ..]) => avro::Framing::Bare(schema.clone()),
        _ => avro::Framing::Registry,
    };
    let writers = schemas.iter().cloned().map(WriterSchema::Avro).collect();
    Some((SourceFormat::Avro(AvroRead { framing, readers: schemas, types }), columns, writers))
}

/// Parses the Avro schema of a document.
pub(crate) fn avro_schema(document: &Document, at: Span, findings: &mut Findings) -> Option<AvroSchema> {
    let references = document.references.iter().map(|other| other.text.as_str()).collect::<Vec<_>>();
    match AvroSchema::parse(&document.text, &references) {
        Ok(schema) => Some(schema),
        Err(error) => {
            findings.error(codes::SCHEMA_INVALID, at, format!("this is no Avro schema: {error}"));
            None
        }
    }
}

/// Compiles the Protobuf schema of a document.
pub(crate) fn protobuf_schema(document: &Document, at: Span, findings: &mut Findings) -> Option<ProtobufSchema> {
    let compiled = ProtobufSchema::compile(&document.text, &references(document));
    let wrong = |error| {
        findings.error(codes::SCHEMA_INVALID, at, format!("this is no Protobuf schema: {error}"));
    };
    compiled.map_err(wrong).ok()
}

/// Parses the JSON Schema of a document.
pub(crate) fn json_schema(document: &Document, at: Span, findings: &mut Findings) -> Option<JsonSchema> {
    let parsed = JsonSchema::parse(&document.text, &references(document));
    let wrong = |error| {
        findings.error(codes::SCHEMA_INVALID, at, format!("this is no JSON Schema: {error}"));
    };
    parsed.map_err(wrong).ok()
}

fn references(document: &Document) -> Vec<(&str, &str)> {
    document.references.iter().map(|other| (other.name.as_str(), other.text.as_str())).collect()
}

/// The types that are wanted, if they are among `names`; names are not known where columns are declared.
fn types(reading: &Reading<'_>, names: &[String], findings: &mut Findings) -> Option<Option<Vec<String>>> {
    let Some(types) = reading.types else { return Some(None) };
    let unknown = types.iter().filter(|name| !names.is_empty() && !names.contains(&name.value)).collect::<Vec<_>>();
    for name in &unknown {
        findings.error(codes::UNKNOWN_TYPE, name.span, format!("the schema has no record type {name}")).help_nearest(
            name,
            names.iter().map(String::as_str),
            "It has",
        );
    }
    if !unknown.is_empty() {
        return None;
    }
    Some(Some(types.iter().map(|name: &Name| name.value.clone()).collect()))
}

fn protobuf(
    reading: &Reading<'_>,
    named: Option<(&str, Span)>,
    documents: &[Document],
    at: Span,
    findings: &mut Findings,
) -> Option<Read> {
    let mut schemas = Vec::new();
    for document in documents {
        schemas.push(protobuf_schema(document, at, findings)?);
    }
    let names = schemas.iter().flat_map(ProtobufSchema::message_names).collect::<Vec<_>>();
    let types = types(reading, &names, findings)?;
    let wanted = match (&types, named) {
        (Some(types), _) => types.iter().map(|name| (Some(name.as_str()), at)).collect::<Vec<_>>(),
        (None, Some((name, at))) => vec![(Some(name), at)],
        (None, None) => vec![(None, at)],
    };
    let mut readers = Vec::<ProtobufMessage>::new();
    let mut columns = SchemaColumns::default();
    for (name, at) in wanted.into_iter().filter(|_| !schemas.is_empty()) {
        let holds = |schema: &&ProtobufSchema| name.is_none_or(|name| schema.message(Some(name)).is_ok());
        let schema = schemas.iter().find(holds).or(schemas.first())?;
        match schema.message(name) {
            Ok(message) => {
                merge(&mut columns, message.columns());
                readers.push(message);
            }
            Err(error) => {
                let names = names.iter().map(String::as_str);
                let name = name.unwrap_or_default();
                findings.error(codes::UNKNOWN_TYPE, at, error.to_string()).help_nearest(name, names, "It has");
                return None;
            }
        }
    }
    let framing = match (reading.framing, &readers[..]) {
        (Framing::None, [message, ..]) => ProtobufFraming::Bare(message.clone()),
        _ => ProtobufFraming::Registry,
    };
    // Whoever names one message wants no other.
    let types = types.or_else(|| named.map(|(name, _)| vec![name.to_owned()]));
    let writers = schemas.into_iter().map(WriterSchema::Protobuf).collect();
    Some((SourceFormat::Protobuf(ProtobufRead { framing, readers, types }), columns, writers))
}

fn json(
    reading: &Reading<'_>,
    validate: bool,
    documents: &[Document],
    at: Span,
    findings: &mut Findings,
) -> Option<Read> {
    let mut schemas = Vec::new();
    let mut columns = SchemaColumns::default();
    for document in documents {
        let schema = json_schema(document, at, findings)?;
        merge(&mut columns, schema.columns());
        schemas.push(schema);
    }
    let framing = match reading.framing {
        Framing::Confluent => JsonFraming::Registry,
        Framing::None => JsonFraming::Bare,
    };
    let validation = match (validate, reading.framing, schemas.first()) {
        (false, ..) => Validation::Off,
        (true, Framing::Confluent, _) => Validation::Writer,
        (true, Framing::None, Some(schema)) => Validation::Schema(schema.clone()),
        (true, Framing::None, None) => {
            findings
                .error(codes::SCHEMA_OPTIONS, at, "there is no schema that messages could be held to")
                .help("Name it: `schema: {file: orders.json}`.");
            return None;
        }
    };
    let writers = schemas.into_iter().map(WriterSchema::Json).collect();
    Some((SourceFormat::JsonSchema(JsonSchemaRead { framing, validation }), columns, writers))
}

/// Adds the columns of one more schema. A column that two of them have with different types is none.
fn merge(columns: &mut SchemaColumns, more: SchemaColumns) {
    columns.unreadable.extend(more.unreadable);
    for field in more.fields {
        match columns.fields.iter().position(|known| known.name() == field.name()) {
            None => columns.fields.push(field),
            Some(index) if columns.fields[index].data_type() == field.data_type() => {}
            Some(index) => {
                let known = columns.fields.remove(index);
                let (one, other) = (sql_name(known.data_type()), sql_name(field.data_type()));
                let reason = format!("is {one} in one record and {other} in another");
                columns.unreadable.push(millstream_formats::Unreadable { field: known.name().clone(), reason });
            }
        }
    }
    let unreadable = &columns.unreadable;
    columns.fields.retain(|field| !unreadable.iter().any(|other| other.field == *field.name()));
}

/// The columns of a schema; those that cannot be read are told of.
fn columns(of_schema: SchemaColumns, at: Span, findings: &mut Findings) -> Declared {
    for unreadable in &of_schema.unreadable {
        findings
            .warning(
                codes::UNREADABLE_FIELD,
                at,
                format!("the field `{}` cannot be read: {}", unreadable.field, unreadable.reason),
            )
            .help("The other fields can. Declare columns instead if that is what you want.");
    }
    let fields = of_schema.fields.into_iter().filter(|field| !is_hidden(field.name()));
    fields.map(|field| (field.name().clone(), field.data_type().clone())).collect()
}

/// Whether messages of the format can fill the columns.
fn fits(format: &SourceFormat, declared: &[(String, DataType)], at: Span, findings: &mut Findings) -> Option<()> {
    let decode = match format {
        SourceFormat::Avro(read) => DecodeFormat::Avro(read.clone()),
        SourceFormat::Protobuf(read) => DecodeFormat::Protobuf(read.clone()),
        SourceFormat::JsonSchema(read) => DecodeFormat::JsonSchema(read.clone()),
        SourceFormat::Json | SourceFormat::Csv(_) | SourceFormat::Raw => return Some(()),
    };
    let fields = declared.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true));
    let columns = std::sync::Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    match Decoder::new(decode, columns) {
        Ok(_) => Some(()),
        Err(error) => {
            findings.error(codes::SCHEMA_MISMATCH, at, error.to_string());
            None
        }
    }
}
