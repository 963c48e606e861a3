//! The schema that a sink writes values or keys by: made of its columns, or given; and the subject under which it stands in a registry.

use std::sync::Arc;

use arrow::datatypes::Schema;
use millstream_formats::avro::{AvroSchema, AvroWrite};
use millstream_formats::json_schema::{JsonSchema, JsonSchemaWrite, RowValidation};
use millstream_formats::protobuf::{ProtobufMessage, ProtobufSchema, ProtobufWrite};
use millstream_formats::{EncodeFormat, Encoder, FormatError, KeyColumn, KeyEncoder, SchemaId};

use super::Findings;
use super::sink_columns::Written;
use super::source_contract::{avro_schema, document, json_schema, protobuf_schema};
use crate::codes;
use crate::found::{Document, Found, NotFound, Part, Referred, Writing, named};
use crate::spec::format::FormatOptions;
use crate::spec::schema::{Framing, SchemaSpec, SubjectNaming};
use crate::spec::sink::{KeyColumns, Sink};
use crate::topology::{SchemaOrigin, SinkSchema};
use crate::yaml::span::Span;
use crate::yaml::spanned::Spanned;

/// A schema that is to be written.
enum Made {
    Avro(AvroSchema),
    Protobuf(ProtobufMessage),
    Json(JsonSchema),
}

impl Made {
    fn name(&self) -> &str {
        match self {
            Made::Avro(schema) => schema.name().unwrap_or_default(),
            Made::Protobuf(message) => message.name(),
            Made::Json(schema) => schema.title().unwrap_or_default(),
        }
    }

    fn text(&self) -> &str {
        match self {
            Made::Avro(schema) => schema.text(),
            Made::Protobuf(message) => message.schema().text().unwrap_or_default(),
            Made::Json(schema) => schema.text(),
        }
    }

    fn written(&self, id: Option<SchemaId>, validation: RowValidation) -> Written {
        match self {
            Made::Avro(schema) => Written::Avro(AvroWrite { schema: schema.clone(), id }),
            Made::Protobuf(message) => Written::Protobuf(ProtobufWrite { message: message.clone(), id }),
            Made::Json(schema) => Written::JsonSchema(JsonSchemaWrite { schema: schema.clone(), id, validation }),
        }
    }
}

/// What a schema is made of where none is given.
pub(crate) enum Shape {
    /// A record with a field for each column.
    Record,
    /// The one column alone.
    Alone,
}

/// How `columns` are written by a schema; `None` after a mistake.
pub(crate) fn check(
    writing: &Writing<'_>,
    shape: &Shape,
    columns: &Arc<Schema>,
    found: &Found,
    findings: &mut Findings,
) -> Option<(Written, SinkSchema)> {
    let at = writing.schema.map_or(writing.at, |schema| schema.span);
    let (schema, origin, references) = match writing.schema {
        None => (derived(writing, shape, columns, found, findings)?, SchemaOrigin::Columns, Vec::new()),
        Some(schema) => given(writing, schema, found, findings)?,
    };
    let framing = writing.framing();
    if framing == Framing::None {
        without_registry(writing, findings)?;
    }
    let subject = match &origin {
        SchemaOrigin::Registry(registered) => registered.subject.clone(),
        _ => subject(writing, &schema, findings)?,
    };
    let registered = match &origin {
        SchemaOrigin::Registry(registered) => Some(registered.clone()),
        _ => found.settled(&subject, schema.text()).cloned(),
    };
    let registered = registered.filter(|_| framing == Framing::Confluent);
    let validation = match &writing.format {
        FormatOptions::JsonSchema(options) if options.validate.as_ref().is_some_and(|validate| validate.value) => {
            RowValidation::EachRow
        }
        _ => RowValidation::Off,
    };
    let write = schema.written(registered.as_ref().map(|registered| registered.id), validation);
    if let Err(error) = fits(&write, writing.part, columns) {
        findings
            .error(codes::SCHEMA_MISMATCH, at, format!("the schema cannot take the columns: {error}"))
            .help("Let a step before give what the schema asks for: `map`, `cast`, `rename` or `drop`.");
        return None;
    }
    let of_sink = SinkSchema {
        framing,
        subject,
        text: schema.text().to_owned(),
        references,
        origin,
        register: writing.register.is_some_and(|register| register.value),
        registered,
    };
    Some((write, of_sink))
}

/// Whether the columns can be written so.
fn fits(write: &Written, part: Part, columns: &Arc<Schema>) -> Result<(), FormatError> {
    let encode = match write {
        Written::Avro(write) => EncodeFormat::Avro(write.clone()),
        Written::Protobuf(write) => EncodeFormat::Protobuf(write.clone()),
        Written::JsonSchema(write) => EncodeFormat::JsonSchema(write.clone()),
        Written::Json => EncodeFormat::Json,
        // Their columns are checked by name.
        Written::Csv(_) | Written::Raw(_) => return Ok(()),
    };
    match part {
        Part::Value => Encoder::new(encode, columns).map(drop),
        Part::Key => KeyEncoder::new(encode, &key_columns(columns), columns).map(drop),
    }
}

/// The columns of a key under their own names.
fn key_columns(columns: &Schema) -> Vec<KeyColumn> {
    let names = columns.fields().iter().map(|field| field.name());
    names.map(|name| KeyColumn { column: name.clone(), field: name.clone() }).collect()
}

/// The subject under which the schema is to stand.
fn subject(writing: &Writing<'_>, schema: &Made, findings: &mut Findings) -> Option<String> {
    let naming = writing.naming();
    if let (true, Some(named)) = (naming != SubjectNaming::TopicName && schema.name().is_empty(), writing.subject) {
        findings
            .error(codes::SCHEMA_OPTIONS, named.span, "a schema without a name gives none to its subject")
            .help("Leave `subject` out, or write a record: `columns: [..]`.");
        return None;
    }
    Some(naming.subject(writing.part, writing.topic, schema.name()))
}

/// Keys of a sink that only a format with a schema has.
pub(crate) fn only_with_schema(sink: &Sink, format: &FormatOptions, findings: &mut Findings) {
    let keys = [
        ("schema", sink.schema.as_ref().map(|key| key.span)),
        ("name", sink.name.as_ref().map(|key| key.span)),
        ("namespace", sink.namespace.as_ref().map(|key| key.span)),
        ("register", sink.register.as_ref().map(|key| key.span).filter(|_| Writing::of_key(sink).is_none())),
        ("subject", sink.subject.as_ref().map(|key| key.span)),
        ("framing", sink.framing.as_ref().map(|key| key.span)),
    ];
    has_no_schema(&keys, &format!("this sink writes {}", format.name()), findings);
}

/// Keys of a sink's key that only a format with a schema has.
pub(crate) fn only_with_schema_of_key(key: &KeyColumns, format: Option<&FormatOptions>, findings: &mut Findings) {
    let keys = [
        ("schema", key.schema.as_ref().map(|key| key.span)),
        ("name", key.name.as_ref().map(|key| key.span)),
        ("namespace", key.namespace.as_ref().map(|key| key.span)),
        ("subject", key.subject.as_ref().map(|key| key.span)),
        ("framing", key.framing.as_ref().map(|key| key.span)),
    ];
    let what =
        format.map_or_else(|| "this key has no `format`".to_owned(), |format| format!("this key is {}", format.name()));
    has_no_schema(&keys, &what, findings);
}

fn has_no_schema(keys: &[(&str, Option<Span>)], what: &str, findings: &mut Findings) {
    for (key, span) in keys {
        if let Some(span) = span {
            findings
                .error(
                    codes::SCHEMA_OPTIONS,
                    *span,
                    format!("`{key}` is for `avro`, `protobuf` and `json_schema`, and {what}"),
                )
                .help("Leave it out, or choose another format.");
        }
    }
}

fn derived(
    writing: &Writing<'_>,
    shape: &Shape,
    columns: &Arc<Schema>,
    found: &Found,
    findings: &mut Findings,
) -> Option<Made> {
    let name = writing.record_name();
    let made = match (&writing.format, shape) {
        (FormatOptions::Avro(_), Shape::Alone) => AvroSchema::of_value(&name, columns.field(0)).map(Made::Avro),
        (format, Shape::Alone) => {
            alone(format, writing.at, findings);
            return None;
        }
        (FormatOptions::Protobuf(_), _) => {
            let previous = previous(writing, found, findings)?;
            ProtobufSchema::of_columns(&name, columns.fields(), previous.as_ref())
                .and_then(|schema| schema.message(Some(&name)))
                .map(Made::Protobuf)
        }
        (FormatOptions::JsonSchema(_), _) => JsonSchema::of_columns(&name, columns.fields()).map(Made::Json),
        _ => AvroSchema::of_columns(&name, columns.fields()).map(Made::Avro),
    };
    match made {
        Ok(made) => Some(made),
        Err(error) => {
            let message = format!("the columns make no {} schema: {error}", writing.format.name());
            findings.error(codes::SCHEMA_MISMATCH, writing.at, message);
            None
        }
    }
}

/// Says that the format writes no value alone.
pub(crate) fn alone(format: &FormatOptions, at: Span, findings: &mut Findings) {
    findings
        .error(codes::KEY_OPTIONS, at, format!("{} writes objects, and this key is one column alone", format.name()))
        .help("Write a list, `columns: [..]`; or leave `format` out for the column's plain text.");
}

/// The message of the version before, whose fields keep their numbers; the outer `None` after a mistake.
fn previous(writing: &Writing<'_>, found: &Found, findings: &mut Findings) -> Option<Option<ProtobufMessage>> {
    let Some(wanted) = writing.previous() else { return Some(None) };
    let document = match found.get(&wanted) {
        Some(Ok(document)) => document,
        None | Some(Err(NotFound::Absent(_))) => return Some(None),
        // To number the fields anew would make old records mean something else.
        Some(Err(NotFound::Unknown(reason))) => {
            let message = format!("{wanted}, whose fields keep their numbers, cannot be had: {reason}");
            findings
                .error(codes::SCHEMA_UNAVAILABLE, writing.topic.span, message)
                .help("Try again when the registry answers, or give the schema: `schema: {file: ..}`.");
            return None;
        }
    };
    let schema = protobuf_schema(document, writing.topic.span, findings)?;
    let name = writing.record_name();
    Some(schema.message(Some(&name)).or_else(|_| schema.message(None)).ok())
}

fn given(
    writing: &Writing<'_>,
    schema: &Spanned<SchemaSpec>,
    found: &Found,
    findings: &mut Findings,
) -> Option<(Made, SchemaOrigin, Vec<Referred>)> {
    let own = [writing.name, writing.namespace].into_iter().flatten().next();
    if let Some(key) = own {
        findings
            .error(codes::SCHEMA_OPTIONS, key.span, "a schema that is given has a name already")
            .help("Leave `name` and `namespace` out, or the schema: then it is made of the columns.");
        return None;
    }
    let (document, origin) = match (&schema.text, named(schema)) {
        (Some(text), _) => {
            let document = Document { text: text.value.clone(), references: Vec::new(), registered: None };
            (document, SchemaOrigin::Text)
        }
        (None, Some(wanted)) => document(&wanted, found, schema.span, findings)?,
        (None, None) => {
            findings
                .error(codes::SCHEMA_OPTIONS, schema.span, "the columns of a sink are those of its stream")
                .help("Leave `schema` out, or say where one is: `schema: {file: candles.avsc}`.");
            return None;
        }
    };
    let made = match &writing.format {
        FormatOptions::Protobuf(options) => {
            let compiled = protobuf_schema(&document, schema.span, findings)?;
            let name = options.message.as_ref().map(|message| message.value.as_str());
            match compiled.message(name) {
                Ok(message) => Made::Protobuf(message),
                Err(error) => {
                    let at = options.message.as_ref().map_or(schema.span, |message| message.span);
                    findings.error(codes::UNKNOWN_TYPE, at, error.to_string());
                    return None;
                }
            }
        }
        FormatOptions::JsonSchema(_) => Made::Json(json_schema(&document, schema.span, findings)?),
        _ => Made::Avro(avro_schema(&document, schema.span, findings)?),
    };
    Some((made, origin, document.references))
}

/// Without ids there is nothing to register.
fn without_registry(writing: &Writing<'_>, findings: &mut Findings) -> Option<()> {
    let keys = [writing.register.map(|key| key.span), writing.subject.map(|key| key.span)];
    let Some(span) = keys.into_iter().flatten().next() else { return Some(()) };
    findings
        .error(codes::SCHEMA_OPTIONS, span, "messages without the id of a schema have none in a registry")
        .help("Leave `framing: none` out, or this.");
    None
}
