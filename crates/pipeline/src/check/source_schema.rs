//! What a source declares: columns for json and csv, at most one for raw.

use crate::check::words::a;
use crate::codes;
use arrow::datatypes::DataType;
use millstream_engine::types::sql_name;

use super::{Findings, column_names, csv_dialect, source_contract};
use crate::found::{Found, Reading};
use crate::spec::format::FormatOptions;
use crate::spec::names::Name;
use crate::spec::schema::SchemaSpec;
use crate::spec::source::{KeyFormat, Source, SourceKey};
use crate::topology::{SchemaDef, SourceFormat, is_hidden};
use crate::yaml::span::Span;
use crate::yaml::spanned::Spanned;

/// The columns that a source declares, in their order.
pub(crate) type Declared = Vec<(String, DataType)>;

/// What a source gives.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// How its messages are written.
    pub(crate) format: SourceFormat,
    /// The columns of values, then those of keys.
    pub(crate) declared: Declared,
    /// The schema of its messages, where they have one outside the pipeline.
    pub(crate) schema: Option<SchemaDef>,
    /// What its keys give.
    pub(crate) key: Option<GivenKey>,
}

/// What the keys of a source give.
#[derive(Debug, Clone)]
pub(crate) struct GivenKey {
    /// How they are written.
    pub(crate) format: SourceFormat,
    /// Their schema.
    pub(crate) schema: Option<SchemaDef>,
    /// Their columns, but those that values have.
    pub(crate) declared: Declared,
}

/// What a source gives; `None` where a mistake hides its columns.
pub(crate) fn check(name: &Name, source: &Spanned<Source>, found: &Found, findings: &mut Findings) -> Option<Given> {
    let value = value(name, source, found, findings);
    let key = match &source.key {
        Some(SourceKey::Format(key)) => Some(self::key(name, source, key, found, findings)),
        _ => None,
    };
    let ((format, mut declared, schema), key) = (value?, key.map_or(Some(None), |key| key.map(Some))?);
    let key = key.map(|mut key| {
        key.declared.retain(|(column, _)| !declared.iter().any(|(of_value, _)| of_value == column));
        declared.extend(key.declared.iter().cloned());
        key
    });
    Some(Given { format, declared, schema, key })
}

type Value = (SourceFormat, Declared, Option<SchemaDef>);

fn value(name: &Name, source: &Source, found: &Found, findings: &mut Findings) -> Option<Value> {
    if let Some(reading) = Reading::of_value(name, source) {
        if let Some(schema) = &source.schema {
            schema.columns.names().for_each(|column| column_names::check(column, findings));
        }
        if let (Some(naming), None) = (&source.subject, &source.types)
            && naming.value != Default::default()
        {
            findings
                .error(codes::SCHEMA_OPTIONS, naming.span, "subjects named by records need to know which records")
                .help("Name them: `types: [shop.OrderPlaced, shop.OrderCancelled]`.");
            return None;
        }
        let (format, declared, schema) = source_contract::check(&reading, found, findings)?;
        return Some((format, declared, Some(schema)));
    }
    let format = source.format.options();
    let keys = [
        ("framing", source.framing.as_ref().map(|key| key.span)),
        ("types", source.types.as_ref().map(|key| key.span)),
        ("subject", source.subject.as_ref().map(|key| key.span)),
    ];
    for (key, span) in keys {
        only_with_schema(key, span, &format, findings);
    }
    let (format, declared) = columns(name, &format, source.schema.as_ref(), findings)?;
    Some((format, declared, None))
}

fn key(name: &Name, source: &Source, key: &KeyFormat, found: &Found, findings: &mut Findings) -> Option<GivenKey> {
    let (format, mut declared, schema) = match Reading::of_key(name, source) {
        Some(reading) => {
            let (format, declared, schema) = source_contract::check(&reading, found, findings)?;
            (format, declared, Some(schema))
        }
        None => {
            let format = key.format.options();
            only_with_schema("framing", key.framing.as_ref().map(|key| key.span), &format, findings);
            let (format, declared) = columns(name, &format, key.schema.as_ref(), findings)?;
            (format, declared, None)
        }
    };
    declared.retain(|(column, _)| !is_hidden(column));
    Some(GivenKey { format, schema, declared })
}

/// A key that only a format with a schema has.
fn only_with_schema(key: &str, span: Option<Span>, format: &FormatOptions, findings: &mut Findings) {
    let Some(span) = span else { return };
    findings
        .error(
            codes::SCHEMA_OPTIONS,
            span,
            format!("`{key}` is for `avro`, `protobuf` and `json_schema`, and this is {}", format.name()),
        )
        .help("Leave it out, or choose another format.");
}

/// The format and the declared columns of messages whose schema is the pipeline's own: where they cannot be read so, too, as
/// what follows may have mistakes of its own.
fn columns(
    name: &Name,
    format: &FormatOptions,
    schema: Option<&Spanned<SchemaSpec>>,
    findings: &mut Findings,
) -> Option<(SourceFormat, Declared)> {
    let at = schema.map_or(name.span, |schema| schema.span);
    if schema.is_some_and(|schema| schema.is_elsewhere()) {
        findings.error(codes::SCHEMA_OPTIONS, at, format!("{} has no schema but its columns", format.name())).help(
            "Name them with their types, as in `schema: {symbol: string, price: double}`, or read `json_schema`.",
        );
        return None;
    }
    let columns = schema.into_iter().flat_map(|schema| schema.value.columns.iter());
    let columns = columns.map(|(name, of)| (name, of.data_type().clone(), of.span)).collect::<Vec<_>>();
    for (column, ..) in &columns {
        column_names::check(column, findings);
    }
    let format = match format {
        FormatOptions::Json(_) => SourceFormat::Json,
        FormatOptions::Csv(options) => {
            for (column, data_type, span) in columns.iter().filter(|(_, data_type, _)| data_type.is_nested()) {
                findings
                    .error(
                        codes::CSV_NESTED,
                        *span,
                        format!("csv has no {}, as `{column}` would be", sql_name(data_type)),
                    )
                    .help("Declare it as `string`, or read `json`.");
            }
            SourceFormat::Csv(csv_dialect::check(options, findings))
        }
        FormatOptions::Raw(_) => SourceFormat::Raw,
        FormatOptions::Avro(_) | FormatOptions::Protobuf(_) | FormatOptions::JsonSchema(_) => return None,
    };
    let named = || columns.iter().map(|(name, data_type, _)| (name.value.clone(), data_type.clone())).collect();
    match (&format, columns.as_slice()) {
        (SourceFormat::Raw, []) => Some((format, vec![("value".to_owned(), DataType::Binary)])),
        (SourceFormat::Raw, [(_, DataType::Utf8 | DataType::Binary, _)]) => Some((format, named())),
        (SourceFormat::Raw, [(column, data_type, span)]) => {
            findings
                .error(
                    codes::RAW_COLUMNS,
                    *span,
                    format!("raw reads `string` or `bytes`, but `{column}` is {}", a(data_type)),
                )
                .help("Declare it as `string`, and cast it in a step.");
            Some((format, named()))
        }
        (SourceFormat::Raw, many) => {
            findings
                .error(codes::RAW_COLUMNS, at, format!("raw reads one column, but {} are declared", many.len()))
                .help("Declare one column of type `string` or `bytes`.");
            Some((format, named()))
        }
        (_, []) => {
            findings
                .error(codes::NO_SCHEMA, at, format!("the source `{name}` declares no columns"))
                .help("Name them with their types, as in `schema: {symbol: string, price: double}`.");
            None
        }
        _ => Some((format, named())),
    }
}
