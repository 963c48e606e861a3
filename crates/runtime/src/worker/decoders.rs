//! The decoder of a source. Never asks a registry: it is told what is known before the first message, and by others what is
//! learned later.

use arrow::datatypes::SchemaRef;
use millstream_formats::{CsvFormat, DecodeFormat, Decoder, FormatError, KeyColumn, KeyRead};
use millstream_pipeline::topology::{SourceDef, SourceFormat};

use super::WorkerError;
use super::output::dialect;

/// A decoder of a source's messages, and of their keys where the pipeline reads anything of them.
pub(crate) fn of(source: &SourceDef) -> Result<Decoder, WorkerError> {
    let mut decoder =
        made(source).map_err(|error| WorkerError::Format { name: source.topic.clone(), message: error.to_string() })?;
    let of_key = source.key.iter().flat_map(|key| &key.schema);
    for (id, writer) in source.schema.iter().chain(of_key).flat_map(|schema| &schema.writers) {
        // One that cannot be read makes a fault of each of its messages, which says so.
        let _ = decoder.add_writer(*id, writer);
    }
    Ok(decoder)
}

fn made(source: &SourceDef) -> Result<Decoder, FormatError> {
    let format = format(&source.format, &source.of_values(&source.declared));
    let of_keys = source.of_keys(&source.columns);
    match &source.key {
        Some(key) if !of_keys.fields().is_empty() => {
            let columns = of_keys
                .fields()
                .iter()
                .map(|field| KeyColumn { column: field.name().clone(), field: field.name().clone() });
            let key = KeyRead { format: self::format(&key.format, &key.declared), columns: columns.collect() };
            Decoder::with_key(format, key, source.columns.clone())
        }
        _ => Decoder::new(format, source.columns.clone()),
    }
}

/// The format for a decoder; `fields` are all that a csv record has.
fn format(format: &SourceFormat, fields: &SchemaRef) -> DecodeFormat {
    match format {
        SourceFormat::Json => DecodeFormat::Json,
        SourceFormat::Raw => DecodeFormat::Raw,
        SourceFormat::Csv(csv) => DecodeFormat::Csv(CsvFormat {
            fields: fields.fields().iter().map(|field| field.name().clone()).collect(),
            dialect: dialect(csv),
        }),
        SourceFormat::Avro(read) => DecodeFormat::Avro(read.clone()),
        SourceFormat::Protobuf(read) => DecodeFormat::Protobuf(read.clone()),
        SourceFormat::JsonSchema(read) => DecodeFormat::JsonSchema(read.clone()),
    }
}
