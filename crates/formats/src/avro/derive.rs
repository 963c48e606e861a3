//! The schema of a sink's messages, made from its columns. The same columns give the same text.

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use millstream_engine::types::sql_name;
use serde_json::{Value, json};

use super::parse::is_name;
use super::schema::AvroSchema;
use crate::error::FormatError;

impl AvroSchema {
    /// The schema of records named `name` (with its namespace in front, `shop.orders.Order`) that have a field for each
    /// column. A column that may be null is a union of null and its type, with null as default, so that it may be added
    /// to an older schema.
    ///
    /// # Errors
    /// If a name is none in Avro (a letter or `_`, then letters, digits and `_`), or a column's type has no form there.
    pub fn of_columns(name: &str, columns: &Fields) -> Result<AvroSchema, FormatError> {
        if let Some(part) = name.split('.').find(|part| !is_name(part)) {
            return Err(FormatError::Schema(format!("\"{part}\" of {name} is not a name in Avro")));
        }
        let schema = record(name, columns)?;
        let text = serde_json::to_string(&schema).expect("a value of strings and numbers");
        AvroSchema::parse(&text, &[])
    }

    /// The schema of a column's values alone, which are never null: of keys. `name` is that of a record among them.
    ///
    /// # Errors
    /// If the column's type has no form in Avro.
    pub fn of_value(name: &str, column: &Field) -> Result<AvroSchema, FormatError> {
        let (schema, _) = field_type(name, column)?;
        let text = serde_json::to_string(&schema).expect("a value of strings and numbers");
        AvroSchema::parse(&text, &[])
    }
}

/// A record. The names of records within it are made of its own and the field's, so that they differ.
fn record(name: &str, columns: &Fields) -> Result<Value, FormatError> {
    let fields = columns.iter().map(|column| {
        if !is_name(column.name()) {
            let message = "is not a name in Avro: a letter or `_`, then letters, digits and `_`; rename it".to_owned();
            return Err(FormatError::Column { column: column.name().clone(), message });
        }
        let (own, nullable) = field_type(name, column)?;
        Ok(match nullable {
            true => json!({"name": column.name(), "type": ["null", own], "default": null}),
            false => json!({"name": column.name(), "type": own}),
        })
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    Ok(match name.rsplit_once('.') {
        Some((namespace, name)) => json!({"type": "record", "name": name, "namespace": namespace, "fields": fields}),
        None => json!({"type": "record", "name": name, "fields": fields}),
    })
}

/// The type of a column's values and whether they may be null.
fn field_type(parent: &str, column: &Field) -> Result<(Value, bool), FormatError> {
    let logical = |kind: &str, logical: &str| json!({"type": kind, "logicalType": logical});
    let own = match column.data_type() {
        DataType::Boolean => json!("boolean"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => json!("int"),
        DataType::Int64 | DataType::UInt32 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => json!("string"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => json!("bytes"),
        DataType::Date32 => logical("int", "date"),
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, _) => logical("long", "timestamp-millis"),
        DataType::Timestamp(TimeUnit::Microsecond, _) => logical("long", "timestamp-micros"),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => logical("long", "timestamp-nanos"),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
        }
        DataType::Struct(fields) => record(&format!("{parent}_{}", column.name()), fields)?,
        DataType::List(item) => json!({"type": "array", "items": item_type(parent, column, item)?}),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 && *fields[0].data_type() == DataType::Utf8 => {
                json!({"type": "map", "values": item_type(parent, column, &fields[1])?})
            }
            other => return Err(unwritable(column, other)),
        },
        other => return Err(unwritable(column, other)),
    };
    Ok((own, column.is_nullable()))
}

/// The type of an item of a list or a value of a map, which has no name of its own.
fn item_type(parent: &str, column: &Field, item: &FieldRef) -> Result<Value, FormatError> {
    let named = item.as_ref().clone().with_name(column.name());
    let (own, nullable) = field_type(parent, &named)?;
    Ok(if nullable { json!(["null", own]) } else { own })
}

fn unwritable(column: &Field, data_type: &DataType) -> FormatError {
    FormatError::Column {
        column: column.name().clone(),
        message: format!("{} has no form in Avro", sql_name(data_type)),
    }
}
