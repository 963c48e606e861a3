//! The schema that a sink writes: made of its columns, or given; and the subject under which it stands in a registry.

use std::sync::Arc;

use arrow::datatypes::Schema;
use millstream_formats::avro::{AvroSchema, AvroWrite};
use millstream_formats::{EncodeFormat, Encoder};

use super::source_contract::{avro_schema, document};
use super::{Findings, words};
use crate::codes;
use crate::found::{Document, Found, named};
use crate::lower::columns::Columns;
use crate::spec::format::FormatOptions;
use crate::spec::schema::{Framing, SchemaSpec};
use crate::spec::sink::Sink;
use crate::topology::{SchemaOrigin, SinkSchema};
use crate::yaml::span::Span;
use crate::yaml::spanned::Spanned;

/// How a sink of `avro` writes `columns`; `None` where a mistake was found, or hides the type of a column.
pub(crate) fn check(
    sink: &Spanned<Sink>,
    at: Span,
    columns: &Columns,
    found: &Found,
    findings: &mut Findings,
) -> Option<(AvroWrite, SinkSchema)> {
    let at = sink.schema.as_ref().map_or(at, |schema| schema.span);
    if columns.visible.iter().any(|column| column.data_type.is_none()) {
        return None;
    }
    let visible = columns.names().collect::<Vec<_>>();
    let columns = columns.project(visible);
    let (schema, origin) = match &sink.schema {
        None => (derived(sink, at, &columns, findings)?, SchemaOrigin::Columns),
        Some(schema) => given(sink, schema, found, findings)?,
    };
    let framing = sink.framing.as_ref().map(|framing| framing.value).unwrap_or_default();
    if framing == Framing::None {
        without_registry(sink, findings)?;
    }
    let naming = sink.subject.as_ref().map(|naming| naming.value).unwrap_or_default();
    let subject = match &origin {
        SchemaOrigin::Registry(registered) => registered.subject.clone(),
        _ => naming.subject(&sink.topic, schema.name().unwrap_or_default()),
    };
    let registered = match &origin {
        SchemaOrigin::Registry(registered) => Some(registered.clone()),
        _ => found.settled(&subject, schema.text()).cloned(),
    };
    let is_framed = framing == Framing::Confluent;
    let id = registered.as_ref().filter(|_| is_framed).map(|registered| registered.id);
    let write = AvroWrite { schema: schema.clone(), id };
    if let Err(error) = Encoder::new(EncodeFormat::Avro(write.clone()), &columns) {
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
        registered: registered.filter(|_| is_framed),
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
                    format!("`{key}` is for sinks of `avro`, and this one writes {}", format.name()),
                )
                .help("Leave it out, or write `format: avro`.");
        }
    }
}

fn derived(sink: &Spanned<Sink>, at: Span, columns: &Arc<Schema>, findings: &mut Findings) -> Option<AvroSchema> {
    let name = sink.name.as_ref().map_or_else(|| words::as_name(&sink.topic), |name| name.value.clone());
    let full = match &sink.namespace {
        Some(namespace) => format!("{}.{name}", namespace.value),
        None => name,
    };
    match AvroSchema::of_columns(&full, columns.fields()) {
        Ok(schema) => Some(schema),
        Err(error) => {
            findings.error(codes::SCHEMA_MISMATCH, at, format!("the columns make no Avro schema: {error}"));
            None
        }
    }
}

fn given(
    sink: &Sink,
    schema: &Spanned<SchemaSpec>,
    found: &Found,
    findings: &mut Findings,
) -> Option<(AvroSchema, SchemaOrigin)> {
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
    Some((avro_schema(&document, schema.span, findings)?, origin))
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
