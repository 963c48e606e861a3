//! What a source declares: columns for json and csv, at most one for raw.

use crate::check::words::a;
use crate::codes;
use arrow::datatypes::DataType;
use millstream_engine::types::sql_name;

use super::{Findings, column_names, csv_dialect};
use crate::spec::format::FormatOptions;
use crate::spec::names::Name;
use crate::spec::source::Source;
use crate::topology::SourceFormat;
use crate::yaml::spanned::Spanned;

/// The columns that a source declares, in their order.
pub(crate) type Declared = Vec<(String, DataType)>;

/// The format and the declared columns of a source.
pub(crate) fn check(
    name: &Name,
    source: &Spanned<Source>,
    findings: &mut Findings,
) -> Option<(SourceFormat, Declared)> {
    let at = source.schema.as_ref().map_or(name.span, |schema| schema.span);
    let declared = source.schema.as_ref().map(|schema| &schema.value);
    let columns = declared.into_iter().flat_map(|entries| entries.iter());
    let columns = columns.map(|(name, of)| (name, of.data_type().clone(), of.span)).collect::<Vec<_>>();
    for (column, ..) in &columns {
        column_names::check(column, findings);
    }
    let format = match source.format.options() {
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
            SourceFormat::Csv(csv_dialect::check(&options, findings))
        }
        FormatOptions::Raw(_) => SourceFormat::Raw,
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
            None
        }
        (SourceFormat::Raw, many) => {
            findings
                .error(codes::RAW_COLUMNS, at, format!("raw reads one column, but {} are declared", many.len()))
                .help("Declare one column of type `string` or `bytes`.");
            None
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
