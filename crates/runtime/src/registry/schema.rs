//! Schemas as a registry has them and as it is given them. Never parses one unless it is asked to.

use millstream_formats::avro::AvroSchema;
use millstream_formats::json_schema::JsonSchema;
use millstream_formats::protobuf::ProtobufSchema;
use millstream_formats::{FormatError, WriterSchema};
use serde_json::{Value, json};

/// What a schema is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaKind {
    /// Avro.
    Avro,
    /// Protobuf: the text of a `.proto` file.
    Protobuf,
    /// JSON Schema.
    JsonSchema,
    /// Something else that this registry knows, by its name for it.
    Other(String),
}

impl SchemaKind {
    /// The name in the registry's interface.
    pub fn as_str(&self) -> &str {
        match self {
            SchemaKind::Avro => "AVRO",
            SchemaKind::Protobuf => "PROTOBUF",
            SchemaKind::JsonSchema => "JSON",
            SchemaKind::Other(name) => name,
        }
    }

    /// The kind of a name. Registries leave it out for Avro.
    pub(super) fn named(name: Option<&str>) -> SchemaKind {
        match name {
            None | Some("AVRO") => SchemaKind::Avro,
            Some("PROTOBUF") => SchemaKind::Protobuf,
            Some("JSON") => SchemaKind::JsonSchema,
            Some(other) => SchemaKind::Other(other.to_owned()),
        }
    }
}

/// Another schema that a schema refers to: which version of which subject.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Reference {
    /// What it is called there: a full name in Avro, a file in Protobuf, a `$ref` in JSON Schema.
    pub name: String,
    /// The subject.
    pub subject: String,
    /// The version; -1 is the latest.
    pub version: i32,
}

/// A reference with what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedReference {
    /// The reference.
    pub reference: Reference,
    /// The schema's text.
    pub text: String,
}

/// A schema of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// What it is written in.
    pub kind: SchemaKind,
    /// Its text.
    pub text: String,
    /// All schemas that it refers to, those included that these refer to: each behind what it refers to itself.
    pub references: Vec<ResolvedReference>,
}

impl RegisteredSchema {
    /// The schema as one that messages are written by.
    ///
    /// # Errors
    /// If it cannot be parsed, or is of a kind that cannot be read.
    pub fn parse(&self) -> Result<WriterSchema, FormatError> {
        let named: Vec<(&str, &str)> =
            self.references.iter().map(|found| (found.reference.name.as_str(), found.text.as_str())).collect();
        Ok(match &self.kind {
            SchemaKind::Avro => {
                let texts: Vec<&str> = named.iter().map(|(_, text)| *text).collect();
                WriterSchema::Avro(AvroSchema::parse(&self.text, &texts)?)
            }
            SchemaKind::Protobuf => WriterSchema::Protobuf(ProtobufSchema::compile(&self.text, &named)?),
            SchemaKind::JsonSchema => WriterSchema::Json(JsonSchema::parse(&self.text, &named)?),
            SchemaKind::Other(name) => {
                return Err(FormatError::Schema(format!(
                    "a schema of the kind {name:?}; AVRO, PROTOBUF and JSON can be read"
                )));
            }
        })
    }
}

/// A schema to register, to look up or to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchema {
    /// What it is written in.
    pub kind: SchemaKind,
    /// Its text.
    pub text: String,
    /// What it refers to itself.
    pub references: Vec<Reference>,
}

impl NewSchema {
    /// An Avro schema that refers to no other.
    pub fn avro(text: impl Into<String>) -> NewSchema {
        NewSchema { kind: SchemaKind::Avro, text: text.into(), references: Vec::new() }
    }

    /// The body of a request.
    pub(super) fn body(&self) -> String {
        let mut body = json!({ "schema": self.text });
        // Left out for Avro, as clients do: old registries know no other and not the member.
        if self.kind != SchemaKind::Avro {
            body["schemaType"] = self.kind.as_str().into();
        }
        if !self.references.is_empty() {
            let references = self.references.iter().map(
                |reference| json!({"name": reference.name, "subject": reference.subject, "version": reference.version}),
            );
            body["references"] = Value::Array(references.collect());
        }
        body.to_string()
    }
}
