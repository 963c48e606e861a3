//! Messages of one partition to a batch of columns. A message that does not decode harms only itself.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use millstream_engine::error::RecordError;

use crate::column::Column;
use crate::csv::{CsvDecoder, CsvDialect};
use crate::error::FormatError;
use crate::fault::{Fallible, Fault};
use crate::json::{Betting, JsonDecoder};
use crate::members::Members;
use crate::message::Message;
use crate::raw::RawDecoder;
use crate::system::{Source, SystemColumn};

/// The format of a source's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeFormat {
    /// One JSON object a message.
    Json,
    /// One CSV record a message.
    Csv(CsvFormat),
    /// The payload as it is, in one column of strings or bytes.
    Raw,
}

/// How CSV records are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFormat {
    /// The names of all fields of a record in their order, those included that are not read.
    pub fields: Vec<String>,
    /// How fields are told apart.
    pub dialect: CsvDialect,
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
    /// For each column what fills it.
    places: Vec<Place>,
    payloads: Payloads,
}

#[derive(Debug)]
enum Payloads {
    Json(JsonDecoder),
    Csv(CsvDecoder),
    Raw(RawDecoder),
}

/// What fills a column.
#[derive(Debug)]
enum Place {
    /// The payload, as its decoder's column of this index.
    Payload(usize),
    System(SystemColumn),
}

/// The most bytes of messages in one call: offsets within a column are 32-bit.
const BYTES_OF_ONE_CALL: usize = i32::MAX as usize;

impl Decoder {
    /// A decoder for `columns`: the columns that are read, in any order, and any of the system columns (`_key`,
    /// `_timestamp`, `_topic`, `_partition`, `_offset`, `_headers`), which it fills from the message.
    ///
    /// # Errors
    /// If the format cannot fill one of the columns.
    pub fn new(format: DecodeFormat, columns: SchemaRef) -> Result<Decoder, FormatError> {
        Decoder::with_betting(format, columns, Betting::On)
    }

    /// A decoder that bets on the shape of JSON messages or does not, for benchmarks and for tests of the bet.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_betting(format: DecodeFormat, columns: SchemaRef, betting: Betting) -> Result<Decoder, FormatError> {
        let mut places = Vec::with_capacity(columns.fields().len());
        let mut fields = Vec::with_capacity(columns.fields().len());
        for field in columns.fields() {
            if let Some(system) = SystemColumn::named(field.name()) {
                system.check(field)?;
                places.push(Place::System(system));
            } else {
                places.push(Place::Payload(fields.len()));
                fields.push(field.clone());
            }
        }
        let payloads = match &format {
            DecodeFormat::Json => Payloads::Json(JsonDecoder::new(&fields, betting)?),
            DecodeFormat::Csv(format) => Payloads::Csv(CsvDecoder::new(format, &fields)?),
            DecodeFormat::Raw => Payloads::Raw(RawDecoder::new(&fields)?),
        };
        Ok(Decoder { columns, places, payloads })
    }

    /// Decodes messages of partition `partition` of `topic`, given in the order of their offsets. The messages of one
    /// call must stay below 2 GiB together; a message beyond that is a fault.
    pub fn decode(&mut self, topic: &str, partition: u32, messages: &[Message<'_>]) -> Decoded {
        let mut kept = Vec::with_capacity(messages.len());
        let mut faults = Vec::new();
        let mut null_values = Vec::new();
        let mut bytes = 0_usize;
        self.payloads.members().reserve(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let Some(payload) = message.value else {
                null_values.push(index);
                continue;
            };
            bytes = bytes.saturating_add(size(message) + topic.len());
            let pushed = if bytes > BYTES_OF_ONE_CALL {
                Err(Fault::syntax("more than 2 GiB of messages in one batch"))
            } else {
                self.payloads.push(payload)
            };
            match pushed {
                Ok(()) => kept.push(index as u32),
                Err(fault) => faults.push((index, fault.into_error())),
            }
        }
        let rows = self.finish(&Source { topic, partition, messages }, &kept);
        let messages = (kept.len() < messages.len()).then_some(kept);
        Decoded { rows, messages, faults, null_values }
    }

    fn finish(&mut self, source: &Source<'_>, kept: &[u32]) -> RecordBatch {
        let members = self.payloads.members();
        members.rows = 0;
        let payload = members.columns.iter_mut().map(Column::finish).collect::<Vec<_>>();
        let fields = self.columns.fields().iter();
        let columns = self.places.iter().zip(fields).map(|(place, field)| match place {
            Place::Payload(index) => payload[*index].clone(),
            Place::System(system) => system.fill(field, source, kept),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        RecordBatch::try_new_with_options(self.columns.clone(), columns.collect(), &options)
            .expect("every column was made for its field and has a value for each row")
    }
}

impl Payloads {
    #[inline]
    fn push(&mut self, payload: &[u8]) -> Fallible<()> {
        match self {
            Payloads::Json(json) => json.push(payload),
            Payloads::Csv(csv) => csv.push(payload),
            Payloads::Raw(raw) => raw.push(payload),
        }
    }

    fn members(&mut self) -> &mut Members {
        match self {
            Payloads::Json(json) => json.members(),
            Payloads::Csv(csv) => csv.members(),
            Payloads::Raw(raw) => raw.members(),
        }
    }
}

/// Bytes of a message that may end up in columns.
fn size(message: &Message<'_>) -> usize {
    let headers = message.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum::<usize>();
    message.key.map_or(0, <[u8]>::len) + message.value.map_or(0, <[u8]>::len) + headers
}
