//! A record as a line of JSON: `consume --json` prints it, and `produce --json` reads it back, with every byte.
//!
//! Bytes that are UTF-8 are text. Others are base64, in a key and a value under a name of their own (`key_base64`,
//! `value_base64`), in headers as `{"base64": ".."}`. A header's name that comes more than once has a list.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_engine::ids::PartitionId;
use millstream_pipeline::suggest;
use millstream_runtime::log::{Header, RecordView};
use serde_json::{Map, Value};

use crate::exit::Failure;

/// The names that a line may have.
const NAMES: [&str; 8] = ["partition", "offset", "timestamp", "key", "key_base64", "value", "value_base64", "headers"];

/// What a line says of a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The partition in which it stood.
    pub(super) partition: Option<u32>,
    /// Its timestamp.
    pub(super) timestamp: Option<i64>,
    /// Its key.
    pub(super) key: Option<Cow<'a, [u8]>>,
    /// Its value; `None` is a tombstone.
    pub(super) value: Option<Cow<'a, [u8]>>,
    /// Its headers, in order.
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Line<'_> {
    /// The headers as a log takes them.
    pub(super) fn headers(&self) -> Vec<Header<'_>> {
        let headers = self.headers.iter();
        headers.map(|(name, value)| Header { name, value: value.as_deref() }).collect()
    }
}

/// A record as it stands in a partition.
pub(super) fn write(partition: PartitionId, record: &RecordView<'_>) -> Value {
    let mut line = Map::new();
    line.insert("partition".to_owned(), partition.0.into());
    line.insert("offset".to_owned(), record.offset.0.into());
    line.insert("timestamp".to_owned(), record.timestamp.0.into());
    for (name, bytes) in [("key", record.key), ("value", record.value)] {
        match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
            Some(Err(bytes)) => line.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
            text => line.insert(name.to_owned(), text.and_then(Result::ok).into()),
        };
    }
    let mut headers: Map<String, Value> = Map::new();
    for header in record.headers {
        let value = header.value.map_or(Value::Null, |bytes| match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => serde_json::json!({ "base64": STANDARD.encode(bytes) }),
        });
        match headers.get_mut(header.name) {
            None => drop(headers.insert(header.name.to_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    line.insert("headers".to_owned(), headers.into());
    line.into()
}

/// What the line of this number says.
///
/// # Errors
/// If it is no such line.
pub(super) fn read(line: &[u8], number: u64) -> Result<Line<'static>, Failure> {
    let wrong = |why: String| {
        Failure::run(format!("line {number} is no record as `consume --json` prints it: {why}"))
            .help("Without --json each line is the value of a record.")
    };
    let object: Map<String, Value> = serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))?;
    parse(object).map_err(wrong)
}

fn parse(mut object: Map<String, Value>) -> Result<Line<'static>, String> {
    if let Some(unknown) = object.keys().find(|name| !NAMES.contains(&name.as_str())) {
        let meant = suggest::nearest(unknown, NAMES).map(|meant| format!("; `{meant}` perhaps?"));
        return Err(format!("`{unknown}` is nothing that a record has{}", meant.unwrap_or_default()));
    }
    if !object.contains_key("value") && !object.contains_key("value_base64") {
        return Err("it has neither `value` nor `value_base64`; null is a record without a value".to_owned());
    }
    let partition = match number(&object, "partition")? {
        Some(partition) => Some(u32::try_from(partition).map_err(|_| format!("there is no partition {partition}"))?),
        None => None,
    };
    // Where it stood is of no use elsewhere.
    number(&object, "offset")?;
    let timestamp = number(&object, "timestamp")?;
    let (key, value) = (bytes(&mut object, "key")?, bytes(&mut object, "value")?);
    let mut headers = Vec::new();
    match object.remove("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(named)) => {
            for (name, value) in named {
                let values = match value {
                    Value::Array(values) => values,
                    value => vec![value],
                };
                for value in values {
                    headers.push((name.clone(), header(&name, value)?));
                }
            }
        }
        Some(_) => return Err("`headers` is no object".to_owned()),
    }
    Ok(Line { partition, timestamp, key: key.map(Cow::Owned), value: value.map(Cow::Owned), headers })
}

fn number(object: &Map<String, Value>, name: &str) -> Result<Option<i64>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| format!("`{name}` is no whole number")),
    }
}

/// Key or value, as text or as base64.
fn bytes(object: &mut Map<String, Value>, name: &str) -> Result<Option<Vec<u8>>, String> {
    let encoded_name = format!("{name}_base64");
    match (object.remove(name), object.remove(&encoded_name)) {
        (Some(_), Some(_)) => Err(format!("it has both `{name}` and `{encoded_name}`")),
        (None | Some(Value::Null), None | Some(Value::Null)) => Ok(None),
        (Some(Value::String(text)), None) => Ok(Some(text.into_bytes())),
        (None, Some(Value::String(encoded))) => decode(&encoded_name, &encoded).map(Some),
        (Some(_), None) => Err(format!("`{name}` is no text: JSON within a record is written as a string")),
        (None, Some(_)) => Err(format!("`{encoded_name}` is no text")),
    }
}

fn header(name: &str, value: Value) -> Result<Option<Vec<u8>>, String> {
    let wrong = || format!("header `{name}` is neither text, nor null, nor {{\"base64\": \"..\"}}");
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into_bytes())),
        Value::Object(object) if object.len() == 1 => {
            let encoded = object.get("base64").and_then(Value::as_str).ok_or_else(wrong)?;
            decode(name, encoded).map(Some)
        }
        _ => Err(wrong()),
    }
}

fn decode(name: &str, encoded: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(encoded).map_err(|error| format!("`{name}` is no base64: {error}"))
}

#[cfg(test)]
mod tests {
    use millstream_engine::ids::Offset;
    use millstream_engine::time::Millis;
    use millstream_runtime::log::{NewRecord, Records};

    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let binary: Vec<u8> = (0..=255).collect();
        let header = |name, value| Header { name, value };
        let none: &[Header<'_>] = &[];
        let many = &[
            header("b", Some(&b"text"[..])),
            header("a", None),
            header("b", Some(&binary)),
            header("c", Some(&b""[..])),
            header("b", None),
        ];
        for (key, value, headers) in [
            (None, None, none),
            (Some(&b""[..]), Some(&b""[..]), none),
            (Some("Zürich".as_bytes()), Some(br#"{"a":"\u0000\"x"}"#), none),
            (Some(&binary), Some(&binary), many),
        ] {
            let mut records = Records::new();
            records.push(Offset(7), NewRecord { key, value, timestamp: Millis(5), headers });
            let line = write(PartitionId(3), &records.get(0)).to_string();
            let read = super::read(line.as_bytes(), 1).map_err(|failure| failure.message().to_owned()).unwrap();
            assert_eq!((read.partition, read.timestamp), (Some(3), Some(5)), "{line}");
            assert_eq!((read.key.as_deref(), read.value.as_deref()), (key, value), "{line}");
            // Those of one name stand together.
            let mut expected = headers.to_vec();
            let first = |name: &str| headers.iter().position(|header| header.name == name);
            expected.sort_by_key(|header| first(header.name));
            assert_eq!(read.headers(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_such_line_is_refused_with_the_reason() {
        for (line, why) in [
            ("{", "EOF"),
            ("[]", "invalid type"),
            (r#"{"key":"a"}"#, "neither `value` nor `value_base64`"),
            (r#"{"value":"a","keys":"a"}"#, "`key` perhaps?"),
            (r#"{"value":{"a":1}}"#, "`value` is no text"),
            (r#"{"value":"a","value_base64":"YQ=="}"#, "both `value` and `value_base64`"),
            (r#"{"value_base64":"?"}"#, "no base64"),
            (r#"{"value":null,"partition":-1}"#, "no partition -1"),
            (r#"{"value":null,"timestamp":"now"}"#, "`timestamp` is no whole number"),
            (r#"{"value":null,"headers":[]}"#, "`headers` is no object"),
            (r#"{"value":null,"headers":{"h":1}}"#, "header `h`"),
        ] {
            let failure = read(line.as_bytes(), 4).unwrap_err();
            assert!(
                failure.message().contains(why) && failure.message().starts_with("line 4 "),
                "{}",
                failure.message()
            );
        }
    }
}
