//! A csv dialect: delimiter and quote are single ASCII characters, and differ; the text of null needs no quotes.

use super::Findings;
use crate::codes;
use crate::spec::format::CsvOptions;
use crate::topology::CsvFormat;
use crate::yaml::spanned::Spanned;

/// Checks the options and fills in what they leave out.
pub(crate) fn check(options: &CsvOptions, findings: &mut Findings) -> CsvFormat {
    let delimiter = character(options.delimiter.as_ref(), "delimiter", b',', findings);
    let quote = character(options.quote.as_ref(), "quote", b'"', findings);
    if delimiter == quote
        && let Some(at) = options.quote.as_ref().or(options.delimiter.as_ref())
    {
        findings
            .error(codes::CSV_DIALECT, at.span, "delimiter and quote are the same character")
            .help("Choose another character for one of them.");
    }
    if let Some(nulls) = &options.nulls
        && nulls.value.bytes().any(|byte| [delimiter, quote, b'\n', b'\r'].contains(&byte))
    {
        findings
            .error(
                codes::CSV_DIALECT,
                nulls.span,
                "the text of null holds the delimiter, the quote or the end of a line",
            )
            .help("Null is written without quotes: choose a text that needs none, such as `NULL`.");
    }
    CsvFormat { delimiter, quote, null: options.nulls.as_ref().map(|text| text.value.clone()).unwrap_or_default() }
}

fn character(given: Option<&Spanned<String>>, what: &str, default: u8, findings: &mut Findings) -> u8 {
    let Some(text) = given else { return default };
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => *byte,
        _ => {
            findings
                .error(codes::CSV_DIALECT, text.span, format!("the {what} is not one ASCII character"))
                .help("Write one character, such as \";\" or \"\\t\".");
            default
        }
    }
}
