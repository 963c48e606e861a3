//! CSV: one record of RFC 4180 a message, without a header. An empty field is null; an empty text is written `""`.
//!
//! Records are split here and not by a CSV library, because those are lenient by design: they take an unterminated quote
//! for a field and a second record for the next one, and cannot tell an empty field from an empty text.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef};
use millstream_engine::error::{RecordError, RecordErrorKind, RowFault};
use millstream_engine::text::{Cells, NotJson};
use millstream_engine::types::sql_name;

use crate::column::{Column, Values};
use crate::decode::CsvFormat;
use crate::encode::Encoded;
use crate::error::FormatError;
use crate::fault::{Fallible, Fault, excerpt};
use crate::json::push_base64;
use crate::members::Members;
use crate::{number, temporal};

/// How the fields of a record are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvDialect {
    /// What stands between two fields: one ASCII character.
    pub delimiter: u8,
    /// What stands around a field that holds a delimiter, a quote or a line end: one ASCII character.
    pub quote: u8,
    /// A text that, not quoted, means null as the empty field does. Nulls are written so.
    pub null: String,
}

impl Default for CsvDialect {
    fn default() -> CsvDialect {
        CsvDialect { delimiter: b',', quote: b'"', null: String::new() }
    }
}

/// Appends CSV records to columns.
#[derive(Debug)]
pub(crate) struct CsvDecoder {
    members: Members,
    dialect: CsvDialect,
    /// For each field of a record the column that it fills.
    places: Vec<Option<usize>>,
    /// A field's text where it has doubled quotes.
    scratch: String,
}

/// One field of a record.
enum Field<'a> {
    Plain(&'a str),
    Quoted(&'a str),
}

impl CsvDecoder {
    pub(crate) fn new(format: &CsvFormat, fields: &[FieldRef]) -> Result<CsvDecoder, FormatError> {
        for field in fields {
            check_flat(field.name(), field.data_type())?;
            if !format.fields.contains(field.name()) {
                return Err(FormatError::Column {
                    column: field.name().clone(),
                    message: "is not among the fields of the record".to_owned(),
                });
            }
        }
        let members = Members::new(fields)?;
        let places = format.fields.iter().map(|name| members.find(name, 0)).collect();
        Ok(CsvDecoder { members, dialect: format.dialect.clone(), places, scratch: String::new() })
    }

    pub(crate) fn members(&mut self) -> &mut Members {
        &mut self.members
    }

    /// Appends one row, or nothing and says what is wrong with the message.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Fallible<()> {
        let rows = self.members.rows;
        let pushed = self.push_record(payload);
        if pushed.is_err() {
            self.members.truncate(rows);
        }
        pushed
    }

    fn push_record(&mut self, payload: &[u8]) -> Fallible<()> {
        let text = std::str::from_utf8(payload)
            .map_err(|error| Fault::syntax(format!("not UTF-8 from byte {}", error.valid_up_to())))?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        let mut rest = Some(text);
        let mut count = 0;
        while let Some(from) = rest {
            let (field, after) = split(from, text.len() - from.len(), &self.dialect, &mut self.scratch)?;
            if let Some(Some(place)) = self.places.get(count) {
                let column = &mut self.members.columns[*place];
                read_field(&field, &self.dialect.null, column).map_err(|fault| fault.in_member(column.field.name()))?;
            }
            count += 1;
            rest = after;
        }
        if count != self.places.len() {
            return Err(Fault::syntax(format!("expected {} fields, found {count}", self.places.len())));
        }
        self.members.end_row()
    }
}

/// The first field of `from` and what follows its delimiter; `None` behind the last field.
fn split<'s, 'a: 's>(
    from: &'a str,
    at: usize,
    dialect: &CsvDialect,
    scratch: &'s mut String,
) -> Fallible<(Field<'s>, Option<&'a str>)> {
    let (delimiter, quote) = (char::from(dialect.delimiter), char::from(dialect.quote));
    let Some(quoted) = from.strip_prefix(quote) else {
        let end = from.find(delimiter).unwrap_or(from.len());
        if let Some(line) = from[..end].find(['\n', '\r']) {
            return Err(Fault::syntax(format!("more than one record: a line ends at byte {}", at + line)));
        }
        return Ok((Field::Plain(&from[..end]), from.get(end + 1..)));
    };
    let (mut text, mut rest) = until_quote(quoted, quote, at)?;
    if rest.starts_with(quote) {
        scratch.clear();
        scratch.push_str(text);
        while let Some(after) = rest.strip_prefix(quote) {
            scratch.push(quote);
            (text, rest) = until_quote(after, quote, at)?;
            scratch.push_str(text);
        }
        text = &*scratch;
    }
    match rest.strip_prefix(delimiter) {
        Some(after) => Ok((Field::Quoted(text), Some(after))),
        None if rest.is_empty() => Ok((Field::Quoted(text), None)),
        None => Err(Fault::syntax(format!("something follows the quoted field that begins at byte {at}"))),
    }
}

/// What stands before the next quote, and what behind it.
fn until_quote(text: &str, quote: char, field_at: usize) -> Fallible<(&str, &str)> {
    text.split_once(quote)
        .ok_or_else(|| Fault::syntax(format!("the quoted field that begins at byte {field_at} does not end")))
}

fn read_field(field: &Field<'_>, null: &str, column: &mut Column) -> Fallible<()> {
    let text = match field {
        Field::Plain(text) if text.is_empty() || *text == null => return column.push_missing("nothing"),
        Field::Quoted("") if !matches!(column.values, Values::Utf8(_) | Values::Binary(_)) => {
            return column.push_missing("nothing");
        }
        Field::Plain(text) | Field::Quoted(text) => *text,
    };
    let read = match &mut column.values {
        Values::Boolean(values) => push(values, boolean(text)),
        Values::Int32(values) => push(values, number::integer(text).and_then(|value| i32::try_from(value).ok())),
        Values::Int64(values) => push(values, number::integer(text)),
        Values::Float32(values) => push(values, number::float(text).filter(|_| number::is_number(text))),
        Values::Float64(values) => push(values, number::double(text).filter(|_| number::is_number(text))),
        Values::Decimal(values, precision, scale) => push(values, number::decimal(text, *precision, *scale)),
        Values::Date(values) => push(values, temporal::date(text)),
        Values::Timestamp(values, unit) => {
            push(values, temporal::timestamp(text, *unit).or_else(|| number::integer(text)))
        }
        Values::Utf8(values) => {
            values.push(text.as_bytes());
            true
        }
        Values::Binary(values) => push_base64(values, text),
        Values::Struct(_) | Values::List(_, _) | Values::Map(_, _, _) => false,
    };
    if !read {
        return Err(column.mismatch(&format!("\"{}\"", excerpt(text))));
    }
    column.appended();
    Ok(())
}

fn push<T>(values: &mut Vec<T>, value: Option<T>) -> bool {
    let read = value.is_some();
    values.extend(value);
    read
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn check_flat(name: &str, data_type: &DataType) -> Result<(), FormatError> {
    if data_type.is_nested() {
        let message = format!("{} has no place in a CSV record", sql_name(data_type));
        return Err(FormatError::Column { column: name.to_owned(), message });
    }
    Ok(())
}

/// Writes rows as CSV records without line ends.
#[derive(Debug)]
pub(crate) struct CsvEncoder {
    dialect: CsvDialect,
    /// Index and name of the columns that are written.
    columns: Vec<(usize, String)>,
}

impl CsvEncoder {
    pub(crate) fn new(fields: &[(usize, FieldRef)], dialect: CsvDialect) -> Result<CsvEncoder, FormatError> {
        for (_, field) in fields {
            check_flat(field.name(), field.data_type())?;
        }
        Ok(CsvEncoder {
            dialect,
            columns: fields.iter().map(|(index, field)| (*index, field.name().clone())).collect(),
        })
    }

    pub(crate) fn encode(&self, rows: &RecordBatch, out: &mut Encoded) -> Vec<RowFault> {
        let cells = self.columns.iter().map(|(index, _)| Cells::new(rows.column(*index))).collect::<Vec<_>>();
        let mut faults = Vec::new();
        for row in 0..rows.num_rows() {
            let start = out.bytes.len();
            if let Err((name, NotJson(what))) = self.write_row(&cells, row, &mut out.bytes) {
                out.bytes.truncate(start);
                let message = format!("column {name}: {what} cannot be written as CSV");
                faults.push(RowFault { row, error: RecordError { kind: RecordErrorKind::Encode, message } });
            }
            out.ends.push(out.bytes.len());
        }
        faults
    }

    fn write_row(&self, cells: &[Cells], row: usize, out: &mut Vec<u8>) -> Result<(), (&str, NotJson)> {
        for (place, ((_, name), cells)) in self.columns.iter().zip(cells).enumerate() {
            if place > 0 {
                out.push(self.dialect.delimiter);
            }
            if cells.is_null(row) {
                out.extend_from_slice(self.dialect.null.as_bytes());
            } else {
                self.write_field(cells, row, out).map_err(|what| (name.as_str(), what))?;
            }
        }
        Ok(())
    }

    /// Writes text as it is and any other value as JSON would without its quotes; in quotes where it must be.
    fn write_field(&self, cells: &Cells, row: usize, out: &mut Vec<u8>) -> Result<(), NotJson> {
        let start = out.len();
        if let (Some(text), false) = (cells.bytes(row), cells.is_binary()) {
            out.extend_from_slice(text);
        } else {
            cells.write_json(row, out)?;
            if out[start..].starts_with(b"\"") {
                out.pop();
                out.remove(start);
            }
        }
        let CsvDialect { delimiter, quote, null } = &self.dialect;
        let special = |byte: &u8| byte == delimiter || byte == quote || matches!(byte, b'\n' | b'\r');
        let field = &out[start..];
        if field.is_empty() || field == null.as_bytes() || field.iter().any(special) {
            enclose(start, *quote, out);
        }
        Ok(())
    }
}

/// Puts the end of `out` from `start` on into quotes, in place.
fn enclose(start: usize, quote: u8, out: &mut Vec<u8>) {
    let quotes = out[start..].iter().filter(|&&byte| byte == quote).count();
    let mut from = out.len();
    let mut to = from + quotes + 2;
    out.resize(to, quote);
    to -= 1;
    while from > start {
        from -= 1;
        to -= 1;
        out[to] = out[from];
        if out[from] == quote {
            to -= 1;
            out[to] = quote;
        }
    }
    out[start] = quote;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, StringArray};
    use arrow::datatypes::{Field, Int64Type, Schema};

    use super::*;
    use crate::{DecodeFormat, Decoded, Decoder, Headers, Message};

    fn decode(payloads: &[&[u8]]) -> Decoded {
        let fields = ["id", "unread", "name", "at"].map(str::to_owned).to_vec();
        let columns = Schema::new(vec![
            Field::new("name", DataType::Utf8, true),
            Field::new("id", DataType::Int64, true),
            Field::new("at", DataType::Date32, true),
        ]);
        let format = DecodeFormat::Csv(CsvFormat { fields, dialect: CsvDialect::default() });
        let messages = payloads
            .iter()
            .map(|payload| Message { key: None, value: Some(payload), timestamp: 0, offset: 0, headers: Headers::NONE })
            .collect::<Vec<_>>();
        Decoder::new(format, Arc::new(columns)).unwrap().decode("t", 0, &messages).unwrap()
    }

    #[test]
    fn quotes_and_empty_fields() {
        let decoded = decode(&[
            b"1,x,plain,1970-01-01\n",
            b"2,x,\"with \"\"quotes\"\", comma\",",
            b"3,\"a\nb\",\"\",\"\"\r\n",
            b",,,",
            b"007,,a \"bit\" odd,",
        ]);
        assert_eq!(decoded.faults, []);
        let names = vec![Some("plain"), Some("with \"quotes\", comma"), Some(""), None, Some("a \"bit\" odd")];
        assert_eq!(decoded.rows.column(0).as_string::<i32>(), &StringArray::from(names));
        let ids = decoded.rows.column(1).as_primitive::<Int64Type>();
        assert_eq!(ids.iter().collect::<Vec<_>>(), [Some(1), Some(2), Some(3), None, Some(7)]);
        assert_eq!(decoded.rows.column(2).null_count(), 4);
    }

    #[test]
    fn what_is_not_one_record_is_refused() {
        let cases: [(&[u8], &str); 9] = [
            (b"1,x,a", "expected 4 fields, found 3"),
            (b"1,x,a,,", "expected 4 fields, found 5"),
            (b"", "expected 4 fields, found 1"),
            (b"1,x,a,\n2,x,b,", "more than one record: a line ends at byte 6"),
            (b"1,x,\"a,", "the quoted field that begins at byte 4 does not end"),
            (b"1,x,\"a\"b,", "something follows the quoted field that begins at byte 4"),
            (b"one,x,a,", "column id: expected bigint, found \"one\""),
            (b"1,x,a,1970-02-30", "column at: expected date, found \"1970-02-30\""),
            (b"1,x,\xff,", "not UTF-8 from byte 4"),
        ];
        for (payload, expected) in cases {
            let decoded = decode(&[b"1,x,a,", payload, b"2,x,b,"]);
            assert_eq!(decoded.messages, Some(vec![0, 2]));
            assert_eq!(decoded.faults[0].1.message, expected);
        }
    }
}
