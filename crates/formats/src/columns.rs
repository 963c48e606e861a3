//! The columns that a schema in a registry has, whatever its format. What has no column says why.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_engine::types::sql_name;

/// The most columns of a schema, those within others included.
pub(crate) const COLUMNS: usize = 10_000;

/// The columns of a schema's records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SchemaColumns {
    /// In the order of the schema's fields. A schema that is no record is one column, `value`.
    pub fields: Vec<Field>,
    /// The fields that cannot be columns.
    pub unreadable: Vec<Unreadable>,
}

/// A field that cannot be a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The field's name.
    pub field: String,
    /// Why, in lower case, without a final stop.
    pub reason: String,
}

impl SchemaColumns {
    /// The columns as a pipeline has them: each may be null.
    pub fn nullable(self) -> SchemaRef {
        let fields = self.fields.into_iter().map(|field| field.with_nullable(true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    pub(crate) fn add(&mut self, name: &str, column: Result<(DataType, bool), String>) {
        if self.unreadable.iter().any(|unreadable| unreadable.field == name) {
            return;
        }
        let unreadable = |reason| Unreadable { field: name.to_owned(), reason };
        let known = self.fields.iter().position(|field| field.name() == name);
        match (column, known) {
            (Err(reason), known) => {
                known.map(|index| self.fields.remove(index));
                self.unreadable.push(unreadable(reason));
            }
            (Ok((data_type, nullable)), None) => self.fields.push(Field::new(name, data_type, nullable)),
            (Ok((data_type, nullable)), Some(index)) => {
                let other = self.fields[index].data_type();
                if *other == data_type {
                    let nullable = nullable || self.fields[index].is_nullable();
                    self.fields[index].set_nullable(nullable);
                } else {
                    let reason =
                        format!("is {} in one record and {} in another", sql_name(other), sql_name(&data_type));
                    self.fields.remove(index);
                    self.unreadable.push(unreadable(reason));
                }
            }
        }
    }
}

/// `map<string, data_type>`.
pub(crate) fn map_type(data_type: DataType, nullable: bool) -> DataType {
    let entries = vec![Field::new("key", DataType::Utf8, false), Field::new("value", data_type, nullable)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
}
