//! Rows to Protobuf messages. The same rows give the same bytes; a row with a value that the schema cannot hold harms only
//! itself.

use arrow::array::RecordBatch;
use arrow::datatypes::FieldRef;
use millstream_engine::error::RowFault;

use super::schema::ProtobufMessage;
use super::write::{self, MessageWrite};
use crate::encode::{Encoded, encode_rows};
use crate::error::FormatError;
use crate::framing::SchemaId;
use crate::wire::put_zigzag;

/// How Protobuf messages are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtobufWrite {
    /// The message type, which has a field for every column.
    pub message: ProtobufMessage,
    /// The id in a registry of the schema that the type is of, with which messages begin, followed by the place of the
    /// type in its file; `None` for messages without either.
    pub id: Option<SchemaId>,
}

/// Writes rows as messages.
#[derive(Debug)]
pub(crate) struct ProtobufEncoder {
    header: Vec<u8>,
    /// Index of the written columns.
    columns: Vec<usize>,
    message: MessageWrite,
}

impl ProtobufEncoder {
    pub(crate) fn new(fields: &[(usize, FieldRef)], format: &ProtobufWrite) -> Result<ProtobufEncoder, FormatError> {
        let columns = fields.iter().map(|(_, field)| field.clone()).collect::<Vec<_>>();
        let message = write::message(&format.message.descriptor, &columns)
            .map_err(|fault| FormatError::Schema(fault.into_error().message))?;
        let header = format.id.map(|id| header(id, &format.message)).transpose()?.unwrap_or_default();
        Ok(ProtobufEncoder { header, columns: fields.iter().map(|(index, _)| *index).collect(), message })
    }

    pub(crate) fn encode(&self, rows: &RecordBatch, out: &mut Encoded) -> Vec<RowFault> {
        encode_rows(rows, &self.columns, &self.header, out, |cells, row, bytes| self.message.run(cells, row, bytes))
    }
}

/// The schema's id and the place of the message type in its file, which is a single zero for the first.
fn header(id: SchemaId, message: &ProtobufMessage) -> Result<Vec<u8>, FormatError> {
    let path = message.path().ok_or_else(|| {
        let text = format!("message {} is of an imported file, and a message names a type of its own", message.name());
        FormatError::Schema(text)
    })?;
    let mut header = id.header().to_vec();
    match path[..] {
        [0] => header.push(0),
        _ => {
            put_zigzag(path.len() as i64, &mut header);
            path.iter().for_each(|&index| put_zigzag(i64::from(index), &mut header));
        }
    }
    Ok(header)
}
