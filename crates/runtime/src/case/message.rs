//! Rows of a test as messages, and messages as rows.

use millstream_engine::time::Millis;
use millstream_pipeline::case::Row;
use millstream_pipeline::literal::Literal;
use millstream_pipeline::topology::{CsvFormat, SinkDef, SinkFormat, SinkKey, SourceDef, SourceFormat, WindowedBounds};

use super::schemas::{self, Writers};

/// A message that a test puts into a topic, or found there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// Its partition.
    pub partition: u32,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its time.
    pub timestamp: Millis,
    /// In order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The message that `row` describes, as the source's format writes it.
pub(super) fn encode(row: &Row, source: &SourceDef, [values, keys]: &[Writers; 2]) -> Result<Message, String> {
    let value = match row.get("_value").map(|value| &value.value) {
        Some(Literal::Null) => None,
        Some(Literal::Text(text)) => Some(text.clone().into_bytes()),
        Some(other) => return Err(format!("_value must be text or null, not {other}")),
        None => Some(payload(row, source, values)?),
    };
    let bytes = |value: &Literal| (!value.is_null()).then(|| text_of(value).into_bytes());
    let headers = row.get("_headers").and_then(|headers| headers.as_map()).unwrap_or_default();
    let headers = headers.iter().map(|(name, value)| (name.clone(), bytes(value))).collect();
    Ok(Message {
        partition: partition_of(row),
        key: row.get("_key").filter(|key| !key.is_null()).map(|of| key(&of.value, source, keys)).transpose()?,
        value,
        timestamp: row.get("_timestamp").map_or(Ok(Millis(0)), |time| timestamp(&time.value))?,
        headers,
    })
}

/// The partition that a row arrives in.
pub(super) fn partition_of(row: &Row) -> u32 {
    row.get("_partition").and_then(|value| value.as_i64()).and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
}

/// The columns of a message, by name.
pub(super) type Columns = Vec<(String, Literal)>;

/// The columns of a message in a sink's topic; `None` if it is not of the sink's format.
pub(super) fn decode(value: &[u8], sink: Option<&SinkDef>) -> Option<Columns> {
    let Some(sink) = sink else { return object(value) };
    let names = sink.written.iter().map(|&column| sink.columns.field(column).name().clone());
    decode_as(value, &sink.format, names.collect())
}

/// The columns of a key as its sink writes it; `None` if it has no format of its own, or is not of it.
pub(super) fn decode_key(key: &[u8], sink: Option<&SinkDef>) -> Option<Literal> {
    let of_sink = &sink?.key;
    let bounds = match of_sink {
        SinkKey::Windowed { bounds: WindowedBounds::Start { .. }, .. } => 8,
        SinkKey::Windowed { bounds: WindowedBounds::EndStart { .. }, .. } => 16,
        _ => 0,
    };
    let key = key.get(..key.len().checked_sub(bounds)?)?;
    let encoded = of_sink.encoded()?;
    let names = encoded.columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut columns = decode_as(key, &encoded.format, names.clone())?;
    if let ([name], true) = (&names[..], columns.len() == 1) {
        // A value alone has no name.
        columns = columns.into_iter().map(|(_, value)| (name.clone(), value)).collect();
    }
    Some(Literal::Map(columns))
}

/// The entries of a JSON object.
pub(super) fn object(json: &[u8]) -> Option<Columns> {
    match Literal::from_json(json)? {
        Literal::Map(columns) => Some(columns),
        _ => None,
    }
}

fn decode_as(bytes: &[u8], format: &SinkFormat, names: Vec<String>) -> Option<Columns> {
    match format {
        SinkFormat::Json => object(bytes),
        SinkFormat::Avro(_) | SinkFormat::Protobuf(_) | SinkFormat::JsonSchema(_) => schemas::columns(bytes, format),
        SinkFormat::Csv(csv) => {
            let fields = split(bytes, csv)?.into_iter();
            Some(names.into_iter().zip(fields.map(|field| field.map_or(Literal::Null, Literal::Text))).collect())
        }
        SinkFormat::Raw { .. } => {
            let text = Literal::Text(String::from_utf8_lossy(bytes).into_owned());
            Some(names.into_iter().zip([text]).collect())
        }
    }
}

/// Milliseconds since 1970 of a number or of a time written as text.
pub(super) fn timestamp(value: &Literal) -> Result<Millis, String> {
    if let Some(ms) = value.as_i64() {
        return Ok(Millis(ms));
    }
    value.as_str().and_then(time_of).map(Millis).ok_or_else(|| format!("{value} is not a time"))
}

/// The time that a text names, in milliseconds since 1970.
pub(super) fn time_of(text: &str) -> Option<i64> {
    let looks_like_one = text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    let nanos =
        looks_like_one.then(|| arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text).ok()).flatten()?;
    Some(nanos.div_euclid(1_000_000))
}

/// A scalar as plain text.
pub(super) fn text_of(value: &Literal) -> String {
    match value {
        Literal::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The key as the source's keys are written, or as plain text where they have no format.
fn key(value: &Literal, source: &SourceDef, writers: &Writers) -> Result<Vec<u8>, String> {
    match (&source.key, value) {
        (Some(key), Literal::Map(columns)) if key.schema.is_some() => writers.payload(None, columns),
        _ => Ok(text_of(value).into_bytes()),
    }
}

fn payload(row: &Row, source: &SourceDef, writers: &Writers) -> Result<Vec<u8>, String> {
    let object = || row.columns().map(|(name, value)| (name.value.clone(), value.value.clone())).collect::<Columns>();
    match &source.format {
        SourceFormat::Json => Ok(Literal::Map(object()).to_string().into_bytes()),
        SourceFormat::Avro(_) | SourceFormat::Protobuf(_) | SourceFormat::JsonSchema(_) => {
            writers.payload(row.get("_schema").and_then(|name| name.as_str()), &object())
        }
        SourceFormat::Csv(csv) => Ok(csv_line(row, source, csv)),
        SourceFormat::Raw => {
            let column = source.declared.fields().first().map_or("value", |field| field.name().as_str());
            Ok(row.get(column).map(|value| text_of(&value.value)).unwrap_or_default().into_bytes())
        }
    }
}

fn csv_line(row: &Row, source: &SourceDef, csv: &CsvFormat) -> Vec<u8> {
    let mut line = Vec::new();
    for (index, field) in source.declared.fields().iter().enumerate() {
        if index > 0 {
            line.push(csv.delimiter);
        }
        let text = match row.get(field.name()).map(|value| &value.value) {
            None | Some(Literal::Null) => csv.null.clone(),
            Some(value) => text_of(value),
        };
        let must_quote = text.bytes().any(|byte| byte == csv.delimiter || byte == csv.quote || byte == b'\n');
        if must_quote {
            line.push(csv.quote);
            for byte in text.bytes() {
                line.extend(std::iter::repeat_n(byte, if byte == csv.quote { 2 } else { 1 }));
            }
            line.push(csv.quote);
        } else {
            line.extend(text.bytes());
        }
    }
    line
}

/// The fields of a line, read without the library that wrote it: a test must not judge a writer by its own reader.
fn split(line: &[u8], csv: &CsvFormat) -> Option<Vec<Option<String>>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, quoted, after) = match rest.split_first() {
            Some((first, inside)) if *first == csv.quote => {
                let (field, after) = quoted_field(inside, csv.quote)?;
                (field, true, after)
            }
            _ => {
                let end = rest.iter().position(|byte| *byte == csv.delimiter).unwrap_or(rest.len());
                (rest[..end].to_vec(), false, &rest[end..])
            }
        };
        let text = String::from_utf8(field).ok()?;
        fields.push((quoted || text != csv.null).then_some(text));
        match after.split_first() {
            None => return Some(fields),
            Some((next, after)) if *next == csv.delimiter => rest = after,
            Some(_) => return None,
        }
    }
}

/// The content of a field behind its opening quote, and what follows its closing quote.
fn quoted_field(bytes: &[u8], quote: u8) -> Option<(Vec<u8>, &[u8])> {
    let mut field = Vec::new();
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|byte| *byte == quote)?;
        field.extend(&rest[..end]);
        match rest.get(end + 1) {
            Some(next) if *next == quote => {
                field.push(quote);
                rest = &rest[end + 2..];
            }
            _ => return Some((field, &rest[end + 1..])),
        }
    }
}
