//! Messages of one partition to a batch of columns. A message that does not decode harms only itself.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millstream_engine::error::{RecordError, RecordErrorKind};

use crate::error::FormatError;
use crate::message::Message;

/// The format of a source's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeFormat {
    /// One JSON object a message.
    Json,
    /// One CSV record a message.
    Csv(CsvFormat),
    /// The payload as it is, in the column `value` (string or bytes).
    Raw,
}

/// How CSV records are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFormat {
    /// The names of all fields of a record in their order, those included that are not read.
    pub fields: Vec<String>,
    /// What stands between two fields.
    pub delimiter: u8,
}

/// What became of some messages.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The rows in the order of their messages, with the columns that the decoder was made for.
    pub rows: RecordBatch,
    /// For each row the index of its message; `None` where row i is message i and no message is missing.
    pub messages: Option<Vec<u32>>,
    /// The messages that are not what the format and schema say, by index in ascending order.
    pub faults: Vec<(usize, RecordError)>,
    /// The messages without a payload, by index in ascending order. They have no row.
    pub null_values: Vec<usize>,
}

/// Decodes the messages of one source.
///
/// It may remember the usual shape of the messages to be quick, but what it returns depends on the messages given alone.
#[derive(Debug)]
pub struct Decoder {
    columns: SchemaRef,
}

impl Decoder {
    /// A decoder for `columns`: the columns that are read, in any order, and any of the system columns (`_key`,
    /// `_timestamp`, `_topic`, `_partition`, `_offset`, `_headers`), which it fills from the message.
    ///
    /// # Errors
    /// If the format cannot fill one of the columns.
    pub fn new(_format: DecodeFormat, columns: SchemaRef) -> Result<Decoder, FormatError> {
        Ok(Decoder { columns })
    }

    /// Decodes messages of partition `partition` of `topic`, given in the order of their offsets. The payloads of one
    /// call must stay below 2 GiB together; a message beyond that is a fault.
    pub fn decode(&mut self, _topic: &str, _partition: u32, messages: &[Message<'_>]) -> Decoded {
        let fault = RecordError { kind: RecordErrorKind::Decode, message: "no decoder yet".to_owned() };
        Decoded {
            rows: RecordBatch::new_empty(self.columns.clone()),
            messages: Some(Vec::new()),
            faults: (0..messages.len()).map(|index| (index, fault.clone())).collect(),
            null_values: Vec::new(),
        }
    }
}
