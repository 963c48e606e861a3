//! Rows as JSON objects of a schema. The same rows give the same bytes; a row that breaks the schema harms only itself.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::FieldRef;
use jsonschema::Validator;
use millstream_engine::error::{RecordError, RecordErrorKind, RowFault};
use serde_json::Value;

use super::decode::validate;
use super::schema::JsonSchema;
use crate::encode::Encoded;
use crate::error::FormatError;
use crate::framing::SchemaId;
use crate::json::JsonEncoder;

/// How JSON objects of a schema are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonSchemaWrite {
    /// The schema of the objects.
    pub schema: JsonSchema,
    /// The schema's id in a registry, with which messages begin; `None` for messages without it.
    pub id: Option<SchemaId>,
    /// Whether each row is held to the schema.
    pub validation: RowValidation,
}

/// Whether each row that is written is held to its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowValidation {
    /// No: the schema was made from the columns, or is taken at its word.
    Off,
    /// Yes, and a row that breaks it is not written. It costs about as much as reading the row back.
    EachRow,
}

/// Checks what holds of every row: that each property that is required has a column, and that each column has a property
/// where there may be no others.
fn check_names(schema: &JsonSchema, columns: &[(usize, FieldRef)]) -> Result<(), FormatError> {
    let (mut object, mut document) = (schema.root(), schema.root());
    for _ in 0..100 {
        match object.get("$ref").and_then(Value::as_str) {
            None => break,
            Some(reference) => match schema.resolve(document, reference) {
                Some(found) => (object, document) = found,
                None => return Err(FormatError::Schema(format!("{reference} of the schema points at nothing"))),
            },
        }
    }
    let of_column = |column: &str, message: &str| {
        Err(FormatError::Column { column: column.to_owned(), message: message.to_owned() })
    };
    let is_column = |name: &str| columns.iter().any(|(_, column)| column.name() == name);
    let required = object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !is_column(name)) {
        return of_column(missing, "the schema requires this property, and there is no such column");
    }
    let is_closed = object.get("additionalProperties") == Some(&Value::Bool(false));
    if let (true, None, Some(known)) =
        (is_closed, object.get("patternProperties"), object.get("properties").and_then(Value::as_object))
        && let Some((_, column)) = columns.iter().find(|(_, column)| !known.contains_key(column.name()))
    {
        return of_column(column.name(), "the schema has no such property, and allows no others");
    }
    Ok(())
}

/// Writes rows as JSON objects.
#[derive(Debug)]
pub(crate) struct JsonSchemaEncoder {
    json: JsonEncoder,
    header: usize,
    validator: Option<Box<Validator>>,
}

impl JsonSchemaEncoder {
    pub(crate) fn new(
        fields: &[(usize, FieldRef)],
        format: &JsonSchemaWrite,
    ) -> Result<JsonSchemaEncoder, FormatError> {
        check_names(&format.schema, fields)?;
        let header = format.id.map_or_else(Vec::new, |id| id.header().to_vec());
        let validator = match format.validation {
            RowValidation::Off => None,
            RowValidation::EachRow => Some(Box::new(format.schema.validator()?)),
        };
        Ok(JsonSchemaEncoder { header: header.len(), json: JsonEncoder::behind(header, fields), validator })
    }

    pub(crate) fn encode(&self, rows: &RecordBatch, out: &mut Encoded) -> Vec<RowFault> {
        let faults = self.json.encode(rows, out);
        match &self.validator {
            Some(validator) => self.hold(validator, faults, out),
            None => faults,
        }
    }

    /// Adds the rows that break the schema to `faults`, and empties their payloads.
    fn hold(&self, validator: &Validator, faults: Vec<RowFault>, out: &mut Encoded) -> Vec<RowFault> {
        let mut faults = faults.into_iter().map(|fault| (fault.row, fault)).collect::<BTreeMap<_, _>>();
        let written = std::mem::take(out);
        for row in 0..written.len() {
            let payload = written.payload(row);
            if let Some(document) = payload.get(self.header..).filter(|_| !faults.contains_key(&row)) {
                match validate(validator, document) {
                    Ok(()) => out.bytes.extend_from_slice(payload),
                    Err(fault) => {
                        let message = fault.into_error().message;
                        let error = RecordError { kind: RecordErrorKind::Encode, message };
                        faults.insert(row, RowFault { row, error });
                    }
                }
            }
            out.ends.push(out.bytes.len());
        }
        faults.into_values().collect()
    }
}
