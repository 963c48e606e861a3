//! JSON behind a registry's five bytes, or without them; each message held to its schema where that is asked for.

use std::collections::BTreeMap;

use arrow::datatypes::FieldRef;
use jsonschema::Validator;
use serde_json::Value;

use super::schema::JsonSchema;
use crate::decode::Pushed;
use crate::error::FormatError;
use crate::fault::{Fallible, Fault, excerpt};
use crate::framing::{self, SchemaId};
use crate::json::{Betting, JsonDecoder};
use crate::members::Members;

/// How JSON messages with a schema are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonSchemaRead {
    /// What precedes a message.
    pub framing: JsonFraming,
    /// Whether messages are held to a schema.
    pub validation: Validation,
}

/// What precedes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFraming {
    /// A zero and the id of its schema in a registry.
    Registry,
    /// Nothing.
    Bare,
}

/// Whether messages are held to a schema. It costs about as much as a general JSON parser, for each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validation {
    /// To none: values need only be of their column's type.
    Off,
    /// Each to the one that it was written by, as its id says.
    Writer,
    /// All to this one.
    Schema(JsonSchema),
}

/// Appends JSON messages to columns.
#[derive(Debug)]
pub(crate) struct JsonSchemaDecoder {
    json: JsonDecoder,
    framing: JsonFraming,
    check: Check,
}

#[derive(Debug)]
enum Check {
    None,
    Writer(BTreeMap<SchemaId, Result<Validator, String>>),
    Schema(Box<Validator>),
}

impl JsonSchemaDecoder {
    pub(crate) fn new(read: &JsonSchemaRead, columns: &[FieldRef]) -> Result<JsonSchemaDecoder, FormatError> {
        let check = match (&read.validation, read.framing) {
            (Validation::Off, _) => Check::None,
            (Validation::Writer, JsonFraming::Registry) => Check::Writer(BTreeMap::new()),
            (Validation::Writer, JsonFraming::Bare) => {
                return Err(FormatError::Schema("a message without an id does not say its writer's schema".to_owned()));
            }
            (Validation::Schema(schema), _) => Check::Schema(Box::new(schema.validator()?)),
        };
        Ok(JsonSchemaDecoder { json: JsonDecoder::new(columns, Betting::On)?, framing: read.framing, check })
    }

    pub(crate) fn members(&mut self) -> &mut Members {
        self.json.members()
    }

    /// Makes messages with `id` readable, where they are held to their writer's schema.
    ///
    /// # Errors
    /// If the schema is none: each of them will then be a fault that says so.
    pub(crate) fn add_writer(&mut self, id: SchemaId, schema: &JsonSchema) -> Result<(), FormatError> {
        let Check::Writer(writers) = &mut self.check else { return Ok(()) };
        let validator = schema.validator();
        let refused = validator.as_ref().map(|_| ()).map_err(FormatError::clone);
        writers.insert(id, validator.map_err(|error| error.to_string()));
        refused
    }

    /// Makes each message with `id` a fault for `reason`, where it is held to its writer's schema.
    pub(crate) fn refuse_writer(&mut self, id: SchemaId, reason: String) {
        if let Check::Writer(writers) = &mut self.check {
            writers.insert(id, Err(reason));
        }
    }

    /// Appends one row, or nothing and says why.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Fallible<Pushed> {
        let (id, document) = match self.framing {
            JsonFraming::Registry => {
                let (id, document) = framing::split(payload)?;
                (id, document)
            }
            JsonFraming::Bare => (SchemaId(0), payload),
        };
        match &self.check {
            Check::None => {}
            Check::Schema(validator) => validate(validator, document)?,
            Check::Writer(writers) => match writers.get(&id) {
                None => return Ok(Pushed::Unknown(id)),
                Some(Ok(validator)) => validate(validator, document)?,
                Some(Err(reason)) => return Err(Fault::syntax(reason.clone())),
            },
        }
        self.json.push(document)?;
        Ok(Pushed::Row)
    }
}

/// Holds a document to a schema.
pub(super) fn validate(validator: &Validator, document: &[u8]) -> Fallible<()> {
    let value: Value = serde_json::from_slice(document).map_err(|error| Fault::syntax(format!("not JSON: {error}")))?;
    validator.validate(&value).map_err(|error| {
        let path = error.instance_path().to_string();
        let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
        Fault::syntax(format!("{place}breaks its schema: {}", excerpt(&error.to_string())))
    })
}
