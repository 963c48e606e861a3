//! What a sink's format can write: csv no nested columns, raw exactly one column of text or bytes.

use crate::check::words::a;
use crate::codes;
use arrow::datatypes::DataType;

use millstream_engine::text::Cells;
use millstream_formats::avro::AvroWrite;
use millstream_formats::json_schema::JsonSchemaWrite;
use millstream_formats::protobuf::ProtobufWrite;

use super::{Findings, csv_dialect};
use crate::lower::columns::Columns;
use crate::spec::format::{Format, FormatOptions};
use crate::yaml::span::Span;

/// A sink's format with the columns by name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Written {
    /// All columns, as JSON.
    Json,
    /// All columns, as csv.
    Csv(crate::topology::CsvFormat),
    /// This column's bytes.
    Raw(String),
    /// All columns, as Avro.
    Avro(AvroWrite),
    /// All columns, as Protobuf.
    Protobuf(ProtobufWrite),
    /// All columns, as JSON of a schema.
    JsonSchema(JsonSchemaWrite),
}

/// Checks that the format can write the columns. Formats with a schema are checked by [`super::sink_contract`].
pub(crate) fn check(format: Option<&Format>, at: Span, columns: &Columns, findings: &mut Findings) -> Option<Written> {
    let Some(format) = format else {
        have_text(at, columns, findings);
        return Some(Written::Json);
    };
    match format.options() {
        FormatOptions::Json(_) => {
            have_text(at, columns, findings);
            Some(Written::Json)
        }
        FormatOptions::Csv(options) => {
            have_text(at, columns, findings);
            for column in &columns.visible {
                if let Some(data_type) = column.data_type.as_ref().filter(|data_type| data_type.is_nested()) {
                    findings
                        .error(codes::CSV_NESTED, at, format!("csv cannot write `{}`, {}", column.name, a(data_type)))
                        .help("Write `json`, or make columns of its parts by `map` and `drop` it.");
                }
            }
            Some(Written::Csv(csv_dialect::check(&options, findings)))
        }
        FormatOptions::Raw(_) => raw(format.span(), columns, findings),
        FormatOptions::Avro(_) | FormatOptions::Protobuf(_) | FormatOptions::JsonSchema(_) => None,
    }
}

/// Checks that all columns are of types that pipelines can name; expressions make others too.
pub(crate) fn have_text(at: Span, columns: &Columns, findings: &mut Findings) {
    for column in &columns.visible {
        if let Some(data_type) = column.data_type.as_ref().filter(|data_type| !Cells::supports(data_type)) {
            findings
                .error(codes::UNWRITABLE, at, format!("`{}` is {}, which cannot be written", column.name, a(data_type)))
                .help("Cast it to another type, such as string, in a step before, or `drop` it.");
        }
    }
}

fn raw(at: Span, columns: &Columns, findings: &mut Findings) -> Option<Written> {
    let [column] = columns.visible.as_slice() else {
        let names = columns.names().collect::<Vec<_>>().join("`, `");
        findings
            .error(
                codes::RAW_COLUMNS,
                at,
                format!("raw writes one column, but there are {}: `{names}`", columns.visible.len()),
            )
            .help("Choose the one to be written: `- select: [value]`.");
        return None;
    };
    match column.data_type.as_ref()? {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => Some(Written::Raw(column.name.clone())),
        other => {
            findings
                .error(
                    codes::RAW_COLUMNS,
                    at,
                    format!("raw writes text or bytes, but `{}` is {}", column.name, a(other)),
                )
                .help(format!("Cast it: `- cast: {{{}: string}}`.", column.name));
            None
        }
    }
}
