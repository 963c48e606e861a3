//! Raw values: the payload as it is, in one column of strings or bytes.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef};
use millstream_engine::error::{RecordError, RecordErrorKind, RowFault};
use millstream_engine::text::Cells;
use millstream_engine::types::sql_name;

use crate::column::Values;
use crate::encode::Encoded;
use crate::error::FormatError;
use crate::fault::{Fallible, Fault};
use crate::members::Members;

/// Appends payloads to their one column, if it is read.
#[derive(Debug)]
pub(crate) struct RawDecoder {
    members: Members,
}

impl RawDecoder {
    pub(crate) fn new(fields: &[FieldRef]) -> Result<RawDecoder, FormatError> {
        if fields.len() > 1 {
            return Err(FormatError::Columns(format!("a raw payload fills one column, not {}", fields.len())));
        }
        for field in fields {
            if !matches!(field.data_type(), DataType::Utf8 | DataType::Binary) {
                let message = format!("a raw payload is string or bytes, not {}", sql_name(field.data_type()));
                return Err(FormatError::Column { column: field.name().clone(), message });
            }
        }
        Ok(RawDecoder { members: Members::new(fields)? })
    }

    pub(crate) fn members(&mut self) -> &mut Members {
        &mut self.members
    }

    /// Appends one row, or nothing and says what is wrong with the message.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Fallible<()> {
        if let Some(column) = self.members.columns.first_mut() {
            match &mut column.values {
                Values::Utf8(values) => match std::str::from_utf8(payload) {
                    Ok(text) => values.push(text.as_bytes()),
                    Err(error) => {
                        return Err(Fault::syntax(format!("not UTF-8 from byte {}", error.valid_up_to())));
                    }
                },
                Values::Binary(values) => values.push(payload),
                _ => unreachable!("a raw column is string or bytes"),
            }
            column.appended();
        }
        self.members.end_row()
    }
}

/// Writes one column as it is.
#[derive(Debug)]
pub(crate) struct RawEncoder {
    column: usize,
}

impl RawEncoder {
    pub(crate) fn new(fields: &[(usize, FieldRef)]) -> Result<RawEncoder, FormatError> {
        let [(column, field)] = fields else {
            let names = fields.iter().map(|(_, field)| field.name().as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("a raw payload is one column, string or bytes; there are {}: {names}", fields.len());
            return Err(FormatError::Columns(message));
        };
        match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {}
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {}
            other => {
                let message = format!("a raw payload is string or bytes, not {}", sql_name(other));
                return Err(FormatError::Column { column: field.name().clone(), message });
            }
        }
        Ok(RawEncoder { column: *column })
    }

    pub(crate) fn encode(&self, rows: &RecordBatch, out: &mut Encoded) -> Vec<RowFault> {
        let cells = Cells::new(rows.column(self.column));
        let mut faults = Vec::new();
        for row in 0..rows.num_rows() {
            match cells.bytes(row).filter(|_| !cells.is_null(row)) {
                Some(bytes) => out.bytes.extend_from_slice(bytes),
                None => {
                    let name = rows.schema_ref().field(self.column).name();
                    let message = format!("column {name}: null cannot be a raw payload");
                    faults.push(RowFault { row, error: RecordError { kind: RecordErrorKind::Encode, message } });
                }
            }
            out.ends.push(out.bytes.len());
        }
        faults
    }
}
