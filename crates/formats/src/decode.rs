//! Messages of one partition to a batch of columns. A message that does not decode harms only itself.

use std::collections::BTreeSet;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;
use millstream_engine::error::RecordError;

use crate::avro::{AvroDecoder, AvroRead, AvroSchema};
use crate::column::Column;
use crate::csv::{CsvDecoder, CsvDialect};
use crate::error::FormatError;
use crate::fault::{Fallible, Fault};
use crate::framing::{SchemaId, UnknownSchemas};
use crate::json::{Betting, JsonDecoder};
use crate::json_schema::{JsonSchema, JsonSchemaDecoder, JsonSchemaRead};
use crate::members::Members;
use crate::message::Message;
use crate::names::Names;
use crate::protobuf::{ProtobufDecoder, ProtobufRead, ProtobufSchema};
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
    /// One Avro value a message.
    Avro(AvroRead),
    /// One Protobuf message a message.
    Protobuf(ProtobufRead),
    /// One JSON object a message, behind the id of a schema or held to one.
    JsonSchema(JsonSchemaRead),
}

/// How CSV records are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFormat {
    /// The names of all fields of a record in their order, those included that are not read.
    pub fields: Vec<String>,
    /// How fields are told apart.
    pub dialect: CsvDialect,
}

/// A schema that messages were written by, as a registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriterSchema {
    /// An Avro schema.
    Avro(AvroSchema),
    /// A Protobuf file with its imports.
    Protobuf(ProtobufSchema),
    /// A JSON Schema.
    Json(JsonSchema),
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
    /// The messages of a record type that is not read, by index in ascending order. They have no row.
    pub unwanted: Vec<usize>,
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is a row.
    Row,
    /// It is of a type that is not read.
    Unwanted,
    /// Nobody has said what this schema is.
    Unknown(SchemaId),
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
    Avro(AvroDecoder),
    Protobuf(ProtobufDecoder),
    JsonSchema(JsonSchemaDecoder),
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
        let mut payloads = match &format {
            DecodeFormat::Json => Payloads::Json(JsonDecoder::new(&fields, betting)?),
            DecodeFormat::Csv(format) => Payloads::Csv(CsvDecoder::new(format, &fields)?),
            DecodeFormat::Raw => Payloads::Raw(RawDecoder::new(&fields)?),
            DecodeFormat::Avro(read) => Payloads::Avro(AvroDecoder::new(read, &fields)?),
            DecodeFormat::Protobuf(read) => Payloads::Protobuf(ProtobufDecoder::new(read, &fields)?),
            DecodeFormat::JsonSchema(read) => Payloads::JsonSchema(JsonSchemaDecoder::new(read, &fields)?),
        };
        if let Some(names) = payloads.names() {
            names.wanted = columns.fields().iter().any(|field| field.name() == SystemColumn::Schema.name());
        }
        Ok(Decoder { columns, places, payloads })
    }

    /// Makes messages with `id` in a registry readable. A schema stays known for good.
    ///
    /// # Errors
    /// If messages of this schema cannot be read as the columns: each of them will then be a fault that says so.
    pub fn add_writer(&mut self, id: SchemaId, schema: &WriterSchema) -> Result<(), FormatError> {
        match (&mut self.payloads, schema) {
            (Payloads::Avro(avro), WriterSchema::Avro(schema)) => avro.add_writer(id, schema),
            (Payloads::Protobuf(protobuf), WriterSchema::Protobuf(schema)) => {
                protobuf.add_writer(id, schema);
                Ok(())
            }
            (Payloads::JsonSchema(json), WriterSchema::Json(schema)) => json.add_writer(id, schema),
            _ => {
                let reason = format!("schema {id} is of another format than the source");
                self.refuse_writer(id, reason.clone());
                Err(FormatError::Schema(reason))
            }
        }
    }

    /// Makes each message with `id` in a registry a fault for `reason`: the registry has no such schema, or none that
    /// can be read.
    pub fn refuse_writer(&mut self, id: SchemaId, reason: String) {
        match &mut self.payloads {
            Payloads::Avro(avro) => avro.refuse_writer(id, reason),
            Payloads::Protobuf(protobuf) => protobuf.refuse_writer(id, reason),
            Payloads::JsonSchema(json) => json.refuse_writer(id, reason),
            Payloads::Json(_) | Payloads::Csv(_) | Payloads::Raw(_) => {}
        }
    }

    /// Decodes messages of partition `partition` of `topic`, given in the order of their offsets. The messages of one
    /// call must stay below 2 GiB together; a message beyond that is a fault.
    ///
    /// # Errors
    /// If messages name schemas that the decoder does not know: then none was decoded. Whoever calls gives it each of
    /// them by [`add_writer`](Self::add_writer) or [`refuse_writer`](Self::refuse_writer), and calls again with the same
    /// messages.
    pub fn decode(&mut self, topic: &str, partition: u32, messages: &[Message<'_>]) -> Result<Decoded, UnknownSchemas> {
        let mut kept = Vec::with_capacity(messages.len());
        let (mut faults, mut null_values, mut unwanted) = (Vec::new(), Vec::new(), Vec::new());
        let mut unknown = BTreeSet::new();
        let mut bytes = 0_usize;
        self.payloads.members().reserve(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let Some(payload) = message.value else {
                null_values.push(index);
                continue;
            };
            bytes = bytes.saturating_add(size(message) + topic.len());
            let pushed = match BYTES_OF_ONE_CALL.checked_sub(bytes) {
                None => Err(Fault::syntax("more than 2 GiB of messages in one batch")),
                Some(room) => self.payloads.push(payload, room, &mut bytes),
            };
            match pushed {
                Ok(Pushed::Row) => kept.push(index as u32),
                Ok(Pushed::Unwanted) => unwanted.push(index),
                Ok(Pushed::Unknown(id)) => unknown.extend([id]),
                Err(fault) => faults.push((index, fault.into_error())),
            }
        }
        if !unknown.is_empty() {
            self.payloads.members().truncate(0);
            self.payloads.names().into_iter().for_each(|names| names.truncate(0));
            return Err(UnknownSchemas(unknown.into_iter().collect()));
        }
        let rows = self.finish(&Source { topic, partition, messages }, &kept);
        let messages = (kept.len() < messages.len()).then_some(kept);
        Ok(Decoded { rows, messages, faults, null_values, unwanted })
    }

    fn finish(&mut self, source: &Source<'_>, kept: &[u32]) -> RecordBatch {
        let members = self.payloads.members();
        members.rows = 0;
        let payload = members.columns.iter_mut().map(Column::finish).collect::<Vec<_>>();
        let names = match self.payloads.names() {
            Some(names) if names.wanted => Some(names.finish(kept.len())),
            _ => None,
        };
        let fields = self.columns.fields().iter();
        let columns = self.places.iter().zip(fields).map(|(place, field)| match place {
            Place::Payload(index) => payload[*index].clone(),
            Place::System(SystemColumn::Schema) => {
                names.clone().unwrap_or_else(|| new_null_array(field.data_type(), kept.len()))
            }
            Place::System(system) => system.fill(field, source, kept),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        RecordBatch::try_new_with_options(self.columns.clone(), columns.collect(), &options)
            .expect("every column was made for its field and has a value for each row")
    }
}

impl Payloads {
    /// Appends one row, or nothing and says why. A payload of a binary format may take up to `room` bytes in columns
    /// beyond its own length; what it does take is added to `grown`.
    #[inline]
    fn push(&mut self, payload: &[u8], room: usize, grown: &mut usize) -> Fallible<Pushed> {
        match self {
            Payloads::Json(json) => json.push(payload)?,
            Payloads::Csv(csv) => csv.push(payload)?,
            Payloads::Raw(raw) => raw.push(payload)?,
            Payloads::Avro(avro) => return avro.push(payload, room, grown),
            Payloads::Protobuf(protobuf) => return protobuf.push(payload, room, grown),
            Payloads::JsonSchema(json) => return json.push(payload),
        }
        Ok(Pushed::Row)
    }

    fn members(&mut self) -> &mut Members {
        match self {
            Payloads::Json(json) => json.members(),
            Payloads::Csv(csv) => csv.members(),
            Payloads::Raw(raw) => raw.members(),
            Payloads::Avro(avro) => avro.members(),
            Payloads::Protobuf(protobuf) => protobuf.members(),
            Payloads::JsonSchema(json) => json.members(),
        }
    }

    /// The names of the rows' schemas, if the format has any.
    fn names(&mut self) -> Option<&mut Names> {
        match self {
            Payloads::Avro(avro) => Some(avro.names()),
            Payloads::Protobuf(protobuf) => Some(protobuf.names()),
            Payloads::Json(_) | Payloads::Csv(_) | Payloads::Raw(_) | Payloads::JsonSchema(_) => None,
        }
    }
}

/// Bytes of a message that may end up in columns.
fn size(message: &Message<'_>) -> usize {
    let headers = message.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum::<usize>();
    message.key.map_or(0, <[u8]>::len) + message.value.map_or(0, <[u8]>::len) + headers
}
