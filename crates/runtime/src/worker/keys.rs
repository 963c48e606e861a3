//! The keys of a sink's records, and what their partitions are chosen by.

use arrow::array::{AsArray, BinaryArray, BinaryBuilder, RecordBatch};
use arrow::datatypes::SchemaRef;
use millstream_engine::error::RowFault;
use millstream_engine::key::{self, KeyStyle};
use millstream_formats::{Encoded, EncodedKeys, FormatError, KeyColumn, KeyEncoder};
use millstream_pipeline::topology::{SinkKey, WindowedBounds};

use super::WorkerError;
use super::output::encode_format;

/// Makes the keys of one sink.
pub(super) struct KeyWriter {
    how: How,
}

enum How {
    /// There is none.
    None,
    /// The bytes of this column.
    Bytes(usize),
    /// Text of these columns.
    Text(Vec<usize>, KeyStyle),
    /// A format of its own.
    Encoded(Box<(KeyEncoder, Encoded)>),
    /// With the bounds of the window behind it.
    Windowed(Box<KeyWriter>, Vec<usize>),
}

/// The keys of some rows.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The keys; `None` if no row has one.
    pub(super) keys: Option<BinaryArray>,
    /// What partitions are chosen by, where that is not the key.
    pub(super) places: Option<BinaryArray>,
    /// The rows whose key could not be written, in order.
    pub(super) faults: Vec<RowFault>,
}

impl KeyWriter {
    /// For rows of `columns`.
    pub(super) fn new(key: &SinkKey, columns: &SchemaRef) -> Result<KeyWriter, FormatError> {
        let how = match key {
            SinkKey::None => How::None,
            SinkKey::SourceKey(column) => How::Bytes(*column),
            SinkKey::Column(column) => How::Text(vec![*column], KeyStyle::Plain),
            SinkKey::Object(columns) => {
                let names = columns.iter().map(|(name, _)| name.clone()).collect();
                How::Text(columns.iter().map(|(_, column)| *column).collect(), KeyStyle::Object(names))
            }
            SinkKey::Joined { columns, separator } => How::Text(columns.clone(), KeyStyle::Joined(separator.clone())),
            SinkKey::Encoded(key) => {
                let named = key.columns.iter().map(|(field, column)| KeyColumn {
                    column: columns.field(*column).name().clone(),
                    field: field.clone(),
                });
                let encoder = KeyEncoder::new(encode_format(&key.format), &named.collect::<Vec<_>>(), columns)?;
                How::Encoded(Box::new((encoder, Encoded::default())))
            }
            SinkKey::Windowed { key, bounds } => {
                How::Windowed(Box::new(KeyWriter::new(key, columns)?), columns_of(*bounds))
            }
        };
        Ok(KeyWriter { how })
    }

    /// The keys of `rows`.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<Keys, WorkerError> {
        let pick = |columns: &[usize]| columns.iter().map(|&column| rows.column(column).clone()).collect::<Vec<_>>();
        let keys = match &mut self.how {
            How::None => None,
            How::Bytes(column) => rows.column(*column).as_binary_opt::<i32>().cloned(),
            How::Text(columns, style) => Some(key::render(&pick(columns), style)),
            How::Encoded(encoder) => {
                let (encoder, encoded) = &mut **encoder;
                let found = encoder.encode(rows, encoded);
                return Ok(Keys { keys: Some(encoded_keys(&found, encoded)), places: None, faults: found.faults });
            }
            How::Windowed(inner, bounds) => {
                let inner = inner.write(rows)?;
                let keys = inner.keys.as_ref().map(|keys| key::windowed(keys, &pick(bounds)));
                return Ok(Keys { keys, places: inner.keys, faults: inner.faults });
            }
        };
        Ok(Keys { keys, ..Keys::default() })
    }
}

/// The keys as a column; null where there is none, or none that could be written.
fn encoded_keys(found: &EncodedKeys, encoded: &Encoded) -> BinaryArray {
    let mut keys = BinaryBuilder::with_capacity(encoded.len(), encoded.bytes.len());
    let mut none = found.none.iter().peekable();
    let mut failed = found.faults.iter().map(|fault| fault.row).peekable();
    for row in 0..encoded.len() {
        match none.next_if(|none| **none == row).is_some() || failed.next_if_eq(&row).is_some() {
            true => keys.append_null(),
            false => keys.append_value(encoded.payload(row)),
        }
    }
    keys.finish()
}

/// The columns of bounds in the order of the bytes.
fn columns_of(bounds: WindowedBounds) -> Vec<usize> {
    match bounds {
        WindowedBounds::Start { start } => vec![start],
        WindowedBounds::EndStart { end, start } => vec![end, start],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_windowed_keys_are_in_the_order_of_the_bytes() {
        assert_eq!(columns_of(WindowedBounds::Start { start: 1 }), [1]);
        assert_eq!(columns_of(WindowedBounds::EndStart { end: 2, start: 1 }), [2, 1]);
    }
}
