//! The schema of a sink's JSON objects, made from its columns. The same columns give the same text.

use arrow::datatypes::{DataType, Field, Fields};
use millstream_engine::types::sql_name;
use serde_json::{Value, json};

use super::schema::JsonSchema;
use crate::error::FormatError;

/// The version of JSON Schema that derived schemas are of.
const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

impl JsonSchema {
    /// The schema, of title `title`, of objects that have a property for each column, as the JSON format writes them:
    /// bytes in base64, dates and times as text in RFC 3339, decimals as numbers. A column that may not be null is
    /// required. Other properties are not allowed, so that a column may be added to an older schema: a registry takes
    /// a new property for a break where readers were told that it could have been there before, as anything.
    ///
    /// # Errors
    /// If a column's type has no form in JSON.
    pub fn of_columns(title: &str, columns: &Fields) -> Result<JsonSchema, FormatError> {
        let mut schema = object(columns)?;
        if let Value::Object(members) = &mut schema {
            members.insert("$schema".to_owned(), json!(DRAFT));
            members.insert("title".to_owned(), json!(title));
        }
        let text = serde_json::to_string(&schema).expect("a value of strings and numbers");
        JsonSchema::parse(&text, &[])
    }
}

fn object(columns: &Fields) -> Result<Value, FormatError> {
    let mut properties = serde_json::Map::new();
    for column in columns {
        properties.insert(column.name().clone(), property(column)?);
    }
    let required = columns.iter().filter(|column| !column.is_nullable());
    let required = required.map(|column| column.name().as_str()).collect::<Vec<_>>();
    Ok(match required.is_empty() {
        true => json!({"type": "object", "properties": properties, "additionalProperties": false}),
        false => {
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        }
    })
}

/// The schema of a column's values, null among them where the column may be null.
fn property(column: &Field) -> Result<Value, FormatError> {
    let own = present(column)?;
    Ok(match column.is_nullable() && *column.data_type() != DataType::Null {
        true => json!({"oneOf": [{"type": "null"}, own]}),
        false => own,
    })
}

fn present(column: &Field) -> Result<Value, FormatError> {
    Ok(match column.data_type() {
        DataType::Null => json!({"type": "null"}),
        DataType::Boolean => json!({"type": "boolean"}),
        DataType::Int8 | DataType::UInt8 | DataType::Int16 | DataType::UInt16 | DataType::Int32 => {
            json!({"type": "integer", "connect.type": "int32"})
        }
        DataType::UInt32 | DataType::Int64 => json!({"type": "integer", "connect.type": "int64"}),
        DataType::UInt64 => json!({"type": "integer"}),
        DataType::Float32 => json!({"type": "number", "connect.type": "float32"}),
        DataType::Float64 => json!({"type": "number", "connect.type": "float64"}),
        DataType::Decimal128(_, scale) if *scale >= 0 => json!({"type": "number"}),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => json!({"type": "string"}),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            json!({"type": "string", "contentEncoding": "base64"})
        }
        DataType::Date32 => json!({"type": "string", "format": "date"}),
        DataType::Timestamp(_, _) => json!({"type": "string", "format": "date-time"}),
        DataType::Struct(fields) => object(fields)?,
        DataType::List(item) | DataType::LargeList(item) => json!({"type": "array", "items": property(item)?}),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                json!({"type": "object", "additionalProperties": property(&fields[1])?})
            }
            other => return Err(unwritable(column, other)),
        },
        other => return Err(unwritable(column, other)),
    })
}

fn unwritable(column: &Field, data_type: &DataType) -> FormatError {
    let message = format!("{} has no form in JSON", sql_name(data_type));
    FormatError::Column { column: column.name().clone(), message }
}
