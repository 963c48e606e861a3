//! Keys in a format of their own: which columns they are, and how they are written. How a format's bytes look is no
//! business of this module.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{FieldRef, SchemaRef};
use millstream_engine::error::RowFault;

use crate::decode::DecodeFormat;
use crate::encode::{EncodeFormat, Encoded, Encoder};
use crate::error::FormatError;

/// How the keys of messages are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRead {
    /// Their format, which need not be that of the values.
    pub format: DecodeFormat,
    /// The columns that are read from keys. All others are read from values.
    pub columns: Vec<KeyColumn>,
}

/// A column that is part of a record's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    /// The column's name.
    pub column: String,
    /// The field of the key, which may be called like one of the value's. Where a key is a single value and no record,
    /// it has one column, and this name is not looked at.
    pub field: String,
}

impl KeyRead {
    /// The field of the key that becomes `column`, if one does.
    pub(crate) fn field_of(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|key| key.column == column).map(|key| key.field.as_str())
    }

    /// Checks that each column of the key is one of `columns`.
    pub(crate) fn check(&self, columns: &SchemaRef) -> Result<(), FormatError> {
        let known = |key: &KeyColumn| columns.column_with_name(&key.column).is_some();
        match self.columns.iter().find(|key| !known(key)) {
            Some(key) => Err(unknown(key, "read from")),
            None => Ok(()),
        }
    }

    /// The error, said of the key.
    pub(crate) fn error(error: FormatError) -> FormatError {
        FormatError::Schema(format!("the key: {error}"))
    }
}

fn unknown(key: &KeyColumn, how: &str) -> FormatError {
    let message = format!("is to be {how} the key, and is not among the columns");
    FormatError::Column { column: key.column.clone(), message }
}

/// Writes the keys of a sink's rows.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{Int64Array, RecordBatch};
/// # use millstream_formats::avro::{AvroSchema, AvroWrite};
/// # use millstream_formats::{EncodeFormat, Encoded, KeyColumn, KeyEncoder};
/// let rows = RecordBatch::try_from_iter([("customer", Arc::new(Int64Array::from(vec![7])) as _)])?;
/// let schema = AvroSchema::parse("\"long\"", &[])?;
/// let format = EncodeFormat::Avro(AvroWrite { schema, id: None });
/// let key = [KeyColumn { column: "customer".to_owned(), field: "id".to_owned() }];
/// let mut encoded = Encoded::default();
/// KeyEncoder::new(format, &key, &rows.schema())?.encode(&rows, &mut encoded);
/// assert_eq!(encoded.payload(0), [14]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct KeyEncoder {
    encoder: Encoder,
    /// The index of each column of the key.
    columns: Vec<usize>,
}

/// What became of the keys of some rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedKeys {
    /// The rows whose key could not be written, in order.
    pub faults: Vec<RowFault>,
    /// The rows that have no key, in order: the key is made of one column, and that is null. What is encoded for them
    /// means nothing. A key of several columns is always there, as it is in the other styles of a sink's key.
    pub none: Vec<usize>,
}

impl KeyEncoder {
    /// An encoder for keys made of the columns that `key` names, out of rows of `columns`. A key that is no record is
    /// made of one column.
    ///
    /// # Errors
    /// If the format cannot write one of the columns, or one is not among `columns`.
    pub fn new(format: EncodeFormat, key: &[KeyColumn], columns: &SchemaRef) -> Result<KeyEncoder, FormatError> {
        let fields = key.iter().map(|key| {
            let (index, field) = columns.column_with_name(&key.column).ok_or_else(|| unknown(key, "written to"))?;
            Ok((index, FieldRef::new(field.clone().with_name(&key.field))))
        });
        let fields = fields.collect::<Result<Vec<_>, FormatError>>()?;
        let encoder = Encoder::of_fields(format, &fields).map_err(KeyRead::error)?;
        Ok(KeyEncoder { encoder, columns: fields.into_iter().map(|(index, _)| index).collect() })
    }

    /// Writes one key for each row of `rows`, which have the encoder's columns, into `out`, which is cleared first.
    pub fn encode(&mut self, rows: &RecordBatch, out: &mut Encoded) -> EncodedKeys {
        let mut faults = self.encoder.encode(rows, out);
        let nulls = match self.columns[..] {
            [column] => rows.column(column).logical_nulls(),
            _ => None,
        };
        let none = match nulls {
            Some(nulls) => (0..rows.num_rows()).filter(|&row| nulls.is_null(row)).collect::<Vec<_>>(),
            None => Vec::new(),
        };
        faults.retain(|fault| none.binary_search(&fault.row).is_err());
        EncodedKeys { faults, none }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
