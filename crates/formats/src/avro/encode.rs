//! Rows to Avro messages. The same rows give the same bytes; a row with a value that the schema cannot hold harms only
//! itself.

use arrow::array::RecordBatch;
use arrow::datatypes::FieldRef;
use millstream_engine::error::RowFault;

use super::schema::AvroSchema;
use super::write::{self, Write};
use crate::encode::{Encoded, encode_rows};
use crate::error::FormatError;
use crate::framing::SchemaId;

/// How Avro messages are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvroWrite {
    /// The schema of the messages: of a record that has a field for every column.
    pub schema: AvroSchema,
    /// The schema's id in a registry, with which messages begin; `None` for messages without it.
    pub id: Option<SchemaId>,
}

/// Writes rows as records.
#[derive(Debug)]
pub(crate) struct AvroEncoder {
    header: Vec<u8>,
    /// Index of the written columns.
    columns: Vec<usize>,
    record: Write,
}

impl AvroEncoder {
    pub(crate) fn new(fields: &[(usize, FieldRef)], format: &AvroWrite) -> Result<AvroEncoder, FormatError> {
        let columns = fields.iter().map(|(_, field)| field.clone()).collect::<Vec<_>>();
        let record = write::top(&format.schema, &columns)?;
        let header = format.id.map_or_else(Vec::new, |id| id.header().to_vec());
        Ok(AvroEncoder { header, columns: fields.iter().map(|(index, _)| *index).collect(), record })
    }

    pub(crate) fn encode(&self, rows: &RecordBatch, out: &mut Encoded) -> Vec<RowFault> {
        encode_rows(rows, &self.columns, &self.header, out, |cells, row, bytes| self.record.run(cells, row, bytes))
    }
}
