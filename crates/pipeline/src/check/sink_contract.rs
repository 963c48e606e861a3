//! The schema that a sink writes: made of its columns, or given; and the subject under which it stands in a registry.

use std::sync::Arc;

use arrow::datatypes::Schema;
use millstream_formats::avro::{AvroSchema, AvroWrite};
use millstream_formats::json_schema::{JsonSchema, JsonSchemaWrite, RowValidation};
use millstream_formats::protobuf::{ProtobufMessage, ProtobufSchema, ProtobufWrite};
use millstream_formats::{EncodeFormat, Encoder, SchemaId};

use super::Findings;
use super::sink_columns::Written;
use super::source_contract::{avro_schema, document, json_schema, protobuf_schema};
use crate::codes;
use crate::found::{Document, Found, named};
use crate::lower::columns::Columns;
use crate::spec::format::FormatOptions;
use crate::spec::schema::{Framing, SchemaSpec};
use crate::spec::sink::Sink;
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

/// How a sink with a schema writes `columns`; `None` where a mistake was found, or hides the type of a column.
pub(crate) fn check(
    sink: &Spanned<Sink>,
    options: &FormatOptions,
    at: Span,
    columns: &Columns,
    found: &Found,
    findings: &mut Findings,
) -> Option<(Written, SinkSchema)> {
    let at = sink.schema.as_ref().map_or(at, |schema| schema.span);
    if columns.visible.iter().any(|column| column.data_type.is_none()) {
        return None;
    }
    let columns = columns.project(columns.names());
    let (schema, origin) = match &sink.schema {
        None => (derived(sink, options, at, &columns, found, findings)?, SchemaOrigin::Columns),
        Some(schema) => given(sink, options, schema, found, findings)?,
    };
    let framing = sink.framing.as_ref().map(|framing| framing.value).unwrap_or_default();
    if framing == Framing::None {
        without_registry(sink, findings)?;
    }
    let subject = match &origin {
        SchemaOrigin::Registry(registered) => registered.subject.clone(),
        _ => sink.naming().subject(&sink.topic, schema.name()),
    };
    let registered = match &origin {
        SchemaOrigin::Registry(registered) => Some(registered.clone()),
        _ => found.settled(&subject, schema.text()).cloned(),
    };
    let registered = registered.filter(|_| framing == Framing::Confluent);
    let validation = match options {
        FormatOptions::JsonSchema(options) if options.validate.as_ref().is_some_and(|validate| validate.value) => {
            RowValidation::EachRow
        }
        _ => RowValidation::Off,
    };
    let write = schema.written(registered.as_ref().map(|registered| registered.id), validation);
    let encode = match &write {
        Written::Avro(write) => EncodeFormat::Avro(write.clone()),
        Written::Protobuf(write) => EncodeFormat::Protobuf(write.clone()),
        Written::JsonSchema(write) => EncodeFormat::JsonSchema(write.clone()),
        Written::Json | Written::Csv(_) | Written::Raw(_) => return None,
    };
    if let Err(error) = Encoder::new(encode, &columns) {
        findings
            .error(codes::SCHEMA_MISMATCH, at, format!("the schema cannot take the columns: {error}"))
            .help("Let a step before give what the schema asks for: `map`, `cast`, `rename` or `drop`.");
        return None;
    }
    let of_sink = SinkSchema {
        framing,
        subject,
        text: schema.text().to_owned(),
        origin,
        register: sink.register.as_ref().is_some_and(|register| register.value),
        registered,
    };
    Some((write, of_sink))
}

/// Keys of a sink that only a format with a schema has.
pub(crate) fn only_with_schema(sink: &Sink, format: &FormatOptions, findings: &mut Findings) {
    let keys = [
        ("schema", sink.schema.as_ref().map(|key| key.span)),
        ("name", sink.name.as_ref().map(|key| key.span)),
        ("namespace", sink.namespace.as_ref().map(|key| key.span)),
        ("register", sink.register.as_ref().map(|key| key.span)),
        ("subject", sink.subject.as_ref().map(|key| key.span)),
        ("framing", sink.framing.as_ref().map(|key| key.span)),
    ];
    for (key, span) in keys {
        if let Some(span) = span {
            findings
                .error(
                    codes::SCHEMA_OPTIONS,
                    span,
                    format!(
                        "`{key}` is for `avro`, `protobuf` and `json_schema`, and this sink writes {}",
                        format.name()
                    ),
                )
                .help("Leave it out, or choose another format.");
        }
    }
}

fn derived(
    sink: &Spanned<Sink>,
    options: &FormatOptions,
    at: Span,
    columns: &Arc<Schema>,
    found: &Found,
    findings: &mut Findings,
) -> Option<Made> {
    let name = sink.record_name();
    let made = match options {
        FormatOptions::Protobuf(_) => {
            let previous = previous(sink, found, findings)?;
            ProtobufSchema::of_columns(&name, columns.fields(), previous.as_ref())
                .and_then(|schema| schema.message(Some(&name)))
                .map(Made::Protobuf)
        }
        FormatOptions::JsonSchema(_) => JsonSchema::of_columns(&name, columns.fields()).map(Made::Json),
        _ => AvroSchema::of_columns(&name, columns.fields()).map(Made::Avro),
    };
    match made {
        Ok(made) => Some(made),
        Err(error) => {
            findings.error(
                codes::SCHEMA_MISMATCH,
                at,
                format!("the columns make no {} schema: {error}", options.name()),
            );
            None
        }
    }
}

/// The message of the version before, whose fields keep their numbers; the outer `None` after a mistake.
fn previous(sink: &Spanned<Sink>, found: &Found, findings: &mut Findings) -> Option<Option<ProtobufMessage>> {
    let Some(Ok(document)) = sink.previous().and_then(|wanted| found.get(&wanted)) else { return Some(None) };
    let schema = protobuf_schema(document, sink.topic.span, findings)?;
    let name = sink.record_name();
    Some(schema.message(Some(&name)).or_else(|_| schema.message(None)).ok())
}

fn given(
    sink: &Sink,
    options: &FormatOptions,
    schema: &Spanned<SchemaSpec>,
    found: &Found,
    findings: &mut Findings,
) -> Option<(Made, SchemaOrigin)> {
    let own = [&sink.name, &sink.namespace].into_iter().flatten().next();
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
    let made = match options {
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
    Some((made, origin))
}

/// Without ids there is nothing to register.
fn without_registry(sink: &Sink, findings: &mut Findings) -> Option<()> {
    let keys = [sink.register.as_ref().map(|key| key.span), sink.subject.as_ref().map(|key| key.span)];
    let Some(span) = keys.into_iter().flatten().next() else { return Some(()) };
    findings
        .error(codes::SCHEMA_OPTIONS, span, "messages without the id of a schema have none in a registry")
        .help("Leave `framing: none` out, or this.");
    None
}
