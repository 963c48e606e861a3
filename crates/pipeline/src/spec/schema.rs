//! Where the columns of messages are said: in the pipeline, in a file, or in a schema registry.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema as Json, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::entries::Entries;
use super::names::Name;
use super::types::ColumnType;
use crate::found::Part;
use crate::yaml::spanned::Spanned;

const ABOUT: &str = r#"What messages hold: columns with their types, or where a schema is that says so.

```yaml
schema: {symbol: string, price: double}              # columns, in order
schema: {file: trades.avsc}                          # a file beside the pipeline: .avsc, .proto, .json
schema: {subject: trades-value}                      # the latest version in the registry
schema: {subject: trades-value, version: 3}          # that version
schema: {text: "{\"type\": \"record\", ..}"}         # the schema itself
```

For `avro`, `protobuf` and `json_schema`. The latest version is looked up once, when the pipeline starts, and kept:
`millstream plan FILE --registry URL` shows which one. It is the reader's schema: messages of other versions are read as if
they had been written by it, as far as the format allows. Of a schema only the fields that the pipeline reads are
decoded.

What a file refers to (an import, a `$ref`, a name of Avro such as `shop.Money`) is looked for beside it and beside the
pipeline (`shop.Money.avsc`), then as the latest version of the subject of that name.

Where columns are declared, each is read from the field of its name, whatever version a message has; it is null where
a version has no such field.

Without `schema`, an `avro`, `protobuf` or `json_schema` source reads the latest version of the subject
`<topic>-value`. A sink of these formats makes its schema of its columns."#;

/// What messages hold: columns with their types, or where a schema is that says so.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SchemaSpec {
    /// Columns in their order.
    pub columns: Entries<Spanned<ColumnType>>,
    /// A file, from the folder of the pipeline.
    pub file: Option<Spanned<String>>,
    /// The schema itself.
    pub text: Option<Spanned<String>>,
    /// A subject of the registry.
    pub subject: Option<Spanned<String>>,
    /// A version of the subject.
    pub version: Option<Spanned<Version>>,
}

/// A version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// The last one there is when the pipeline starts.
    #[default]
    Latest,
    /// This one.
    Number(u32),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Latest => f.write_str("latest"),
            Version::Number(number) => number.fmt(f),
        }
    }
}

/// What precedes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// A zero and the id of its schema in the registry, as the clients of Confluent and others write it.
    #[default]
    Confluent,
    /// Nothing: all messages are of the one schema in `schema`.
    None,
}

/// How the subject of a schema is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectNaming {
    /// `<topic>-value` (of keys `<topic>-key`): one schema a topic.
    #[default]
    TopicName,
    /// The full name of the record: one schema a record type, in whatever topic.
    RecordName,
    /// `<topic>-<full name of the record>`: one schema a record type in this topic.
    TopicRecordName,
}

impl SubjectNaming {
    /// The subject of this part of a topic's records.
    pub fn subject(self, part: Part, topic: &str, record: &str) -> String {
        match self {
            SubjectNaming::TopicName => format!("{topic}-{part}"),
            SubjectNaming::RecordName => record.to_owned(),
            SubjectNaming::TopicRecordName => format!("{topic}-{record}"),
        }
    }
}

impl SchemaSpec {
    /// Whether it says where a schema is, rather than naming columns.
    pub fn is_elsewhere(&self) -> bool {
        self.file.is_some() || self.text.is_some() || self.subject.is_some() || self.version.is_some()
    }

    /// Takes `key: value` for a place of a schema, if it is one: a type behind such a key is a column that is named so.
    fn take(&mut self, key: &Name, value: &Spanned<String>) -> Result<bool, String> {
        // `"string"` in quotes is a schema of Avro.
        let is_text = key.as_str() == "text" && value.trim_start().starts_with('"');
        if !is_text && value.value.parse::<ColumnType>().is_ok() {
            return Ok(false);
        }
        let place = match key.as_str() {
            "file" => &mut self.file,
            "text" => &mut self.text,
            "subject" => &mut self.subject,
            "version" => {
                let version = match value.as_str() {
                    "latest" => Version::Latest,
                    number => match number.parse::<u32>() {
                        Ok(number) if number > 0 => Version::Number(number),
                        _ => return Err(format!("a version is `latest` or a number from 1 on, not `{number}`")),
                    },
                };
                self.version = Some(Spanned { value: version, span: value.span });
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *place = Some(value.clone());
        Ok(true)
    }
}

impl<'de> Deserialize<'de> for SchemaSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SchemaVisitor)
    }
}

struct SchemaVisitor;

impl<'de> Visitor<'de> for SchemaVisitor {
    type Value = SchemaSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("columns with their types, or where the schema is")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SchemaSpec, A::Error> {
        let mut schema = SchemaSpec::default();
        while let Some((key, value)) = map.next_entry::<Name, Spanned<String>>()? {
            if schema.take(&key, &value).map_err(A::Error::custom)? {
                continue;
            }
            let column = value.value.parse::<ColumnType>().map_err(A::Error::custom)?;
            schema.columns.0.push((key, Spanned { value: column, span: value.span }));
        }
        Ok(schema)
    }
}

impl JsonSchema for SchemaSpec {
    fn schema_name() -> Cow<'static, str> {
        "Schema".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Json {
        let columns = generator.subschema_for::<ColumnType>();
        json_schema!({
            "description": ABOUT,
            "type": "object",
            "properties": {
                "file": { "type": "string", "description": "A file, from the folder of the pipeline." },
                "text": { "type": "string", "description": "The schema itself." },
                "subject": { "type": "string", "description": "A subject of the registry." },
                "version": {
                    "type": ["string", "integer"],
                    "description": "A version of the subject: `latest` (the default) or a number."
                }
            },
            "additionalProperties": columns
        })
    }
}
