//! Messages of one partition to a batch of columns. A message that does not decode harms only itself.

use std::collections::BTreeSet;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{FieldRef, SchemaRef};
use millstream_engine::error::RecordError;

use crate::avro::{AvroRead, AvroSchema};
use crate::csv::CsvDialect;
use crate::error::FormatError;
use crate::fault::{Fallible, Fault, KeyIs};
use crate::framing::{SchemaId, UnknownSchemas};
use crate::json::Betting;
use crate::json_schema::{JsonSchema, JsonSchemaRead};
use crate::key::KeyRead;
use crate::message::Message;
use crate::payloads::Payloads;
use crate::protobuf::{ProtobufRead, ProtobufSchema};
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

/// What becomes of the messages of one record type of a writer's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeRead {
    /// They are rows.
    Row,
    /// They have no row: their type is not read.
    Unwanted,
    /// None of them can be read, and why.
    Refused(String),
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
    /// The messages whose value, or key, is of a record type that is not read, by index in ascending order. They have no
    /// row.
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
    values: Payloads,
    keys: Option<Keys>,
}

/// The keys of messages, where they are read.
#[derive(Debug)]
struct Keys {
    payloads: Payloads,
    /// The schemas that keys have named before anybody had told what they are.
    asked: BTreeSet<SchemaId>,
    /// Those that values have named.
    asked_by_values: BTreeSet<SchemaId>,
}

/// What fills a column.
#[derive(Debug)]
enum Place {
    /// The value, as its decoder's column of this index.
    Value(usize),
    /// The key, likewise.
    Key(usize),
    System(SystemColumn),
}

/// The most bytes of messages in one call: offsets within a column are 32-bit.
const BYTES_OF_ONE_CALL: usize = i32::MAX as usize;

impl Decoder {
    /// A decoder for `columns`: the columns that are read, in any order, and any of the system columns (`_key`,
    /// `_timestamp`, `_topic`, `_partition`, `_offset`, `_headers`, `_schema`), which it fills from the message.
    ///
    /// # Errors
    /// If the format cannot fill one of the columns.
    pub fn new(format: DecodeFormat, columns: SchemaRef) -> Result<Decoder, FormatError> {
        Decoder::of(&format, None, columns, Betting::On)
    }

    /// A decoder for `columns`, of which those that `key` names are read from the messages' keys: one batch has the
    /// columns of both. A message whose key is not what `key` says is a fault, as one whose value is not; a message
    /// without a key has null in the key's columns, and is a fault where one of them may not be null.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use arrow::datatypes::{DataType, Field, Schema};
    /// # use millstream_formats::avro::{AvroRead, AvroSchema, Framing};
    /// # use millstream_formats::{DecodeFormat, Decoder, KeyColumn, KeyRead};
    /// let key = KeyRead {
    ///     // A key that is no record fills one column, whatever that is called.
    ///     format: DecodeFormat::Avro(AvroRead { framing: Framing::Registry, readers: Vec::new(), types: None }),
    ///     columns: vec![KeyColumn { column: "customer".to_owned(), field: "id".to_owned() }],
    /// };
    /// let customer = Field::new("customer", DataType::Int64, true);
    /// let columns = Schema::new(vec![customer, Field::new("amount", DataType::Float64, false)]);
    /// let decoder = Decoder::with_key(DecodeFormat::Json, key, Arc::new(columns));
    /// # assert!(decoder.is_ok());
    /// ```
    ///
    /// # Errors
    /// If a format cannot fill one of its columns, or `key` names a column that is not among `columns`.
    pub fn with_key(format: DecodeFormat, key: KeyRead, columns: SchemaRef) -> Result<Decoder, FormatError> {
        Decoder::of(&format, Some(key), columns, Betting::On)
    }

    /// A decoder that bets on the shape of JSON messages or does not, for benchmarks and for tests of the bet.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_betting(format: DecodeFormat, columns: SchemaRef, betting: Betting) -> Result<Decoder, FormatError> {
        Decoder::of(&format, None, columns, betting)
    }

    fn of(
        format: &DecodeFormat,
        key: Option<KeyRead>,
        columns: SchemaRef,
        betting: Betting,
    ) -> Result<Decoder, FormatError> {
        let mut places = Vec::with_capacity(columns.fields().len());
        let (mut fields, mut key_fields) = (Vec::new(), Vec::new());
        if let Some(key) = &key {
            key.check(&columns)?;
        }
        for field in columns.fields() {
            if let Some(system) = SystemColumn::named(field.name()) {
                system.check(field)?;
                places.push(Place::System(system));
            } else if let Some(name) = key.as_ref().and_then(|key| key.field_of(field.name())) {
                places.push(Place::Key(key_fields.len()));
                key_fields.push(FieldRef::new(field.as_ref().clone().with_name(name)));
            } else {
                places.push(Place::Value(fields.len()));
                fields.push(field.clone());
            }
        }
        let mut values = Payloads::new(format, &fields, betting)?;
        if let Some(names) = values.names() {
            names.wanted = columns.fields().iter().any(|field| field.name() == SystemColumn::Schema.name());
        }
        let keys =
            key.map(|key| Payloads::new(&key.format, &key_fields, betting)).transpose().map_err(KeyRead::error)?;
        let keys = keys.map(|payloads| Keys { payloads, asked: BTreeSet::new(), asked_by_values: BTreeSet::new() });
        Ok(Decoder { columns, places, values, keys })
    }

    /// Makes messages with `id` in a registry readable. A schema stays known for good. Where keys are read too, it is
    /// known to both: an id means one schema, whoever names it.
    ///
    /// # Errors
    /// If messages of this schema cannot be read as the columns: each of them will then be a fault that says so. Where
    /// keys are read too, an error of the part (key or value) that has named the schema; if none has, of both.
    pub fn add_writer(&mut self, id: SchemaId, schema: &WriterSchema) -> Result<(), FormatError> {
        let of_values = self.values.add_writer(id, schema);
        let Some(keys) = &mut self.keys else { return of_values };
        let of_keys = keys.payloads.add_writer(id, schema).map_err(KeyRead::error);
        match (keys.asked.contains(&id), keys.asked_by_values.contains(&id)) {
            (true, true) => of_values.and(of_keys),
            (true, false) => of_keys,
            (false, true) => of_values,
            (false, false) => of_values.or(of_keys),
        }
    }

    /// What becomes of the values of messages of `schema`, by the full name of their type; a value that is no record has an
    /// empty one. Types that are declared within others, or that nobody asks for, are left out.
    pub fn judge(&mut self, schema: &WriterSchema) -> Vec<(String, TypeRead)> {
        self.values.judge(schema)
    }

    /// Makes each message with `id` in a registry a fault for `reason`: the registry has no such schema, or none that
    /// can be read.
    pub fn refuse_writer(&mut self, id: SchemaId, reason: String) {
        if let Some(keys) = &mut self.keys {
            keys.payloads.refuse_writer(id, reason.clone());
        }
        self.values.refuse_writer(id, reason);
    }

    /// Decodes messages of partition `partition` of `topic`, given in the order of their offsets. The messages of one
    /// call must stay below 2 GiB together; a message beyond that is a fault.
    ///
    /// # Errors
    /// If messages (their values or, where these are read, their keys) name schemas that the decoder does not know: then
    /// none was decoded. Whoever calls gives it each of them by [`add_writer`](Self::add_writer) or
    /// [`refuse_writer`](Self::refuse_writer), and calls again with the same messages.
    pub fn decode(&mut self, topic: &str, partition: u32, messages: &[Message<'_>]) -> Result<Decoded, UnknownSchemas> {
        let mut kept = Vec::with_capacity(messages.len());
        let (mut faults, mut null_values, mut unwanted) = (Vec::new(), Vec::new(), Vec::new());
        let mut unknown = BTreeSet::new();
        let mut bytes = 0_usize;
        self.values.reserve(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let Some(payload) = message.value else {
                null_values.push(index);
                continue;
            };
            bytes = bytes.saturating_add(size(message) + topic.len());
            let pushed = match BYTES_OF_ONE_CALL.checked_sub(bytes) {
                None => Err(Fault::syntax("more than 2 GiB of messages in one batch")),
                Some(room) => self.values.push(payload, room, &mut bytes),
            };
            let pushed = match &mut self.keys {
                Some(keys) => keys.push(message.key, pushed, &mut self.values, &mut bytes, &mut unknown),
                None => pushed,
            };
            match pushed {
                Ok(Pushed::Row) => kept.push(index as u32),
                Ok(Pushed::Unwanted) => unwanted.push(index),
                Ok(Pushed::Unknown(id)) => unknown.extend([id]),
                Err(fault) => faults.push((index, fault.into_error())),
            }
        }
        if !unknown.is_empty() {
            self.values.truncate(0);
            self.keys.iter_mut().for_each(|keys| keys.payloads.truncate(0));
            return Err(UnknownSchemas(unknown.into_iter().collect()));
        }
        let rows = self.finish(&Source { topic, partition, messages }, &kept);
        let messages = (kept.len() < messages.len()).then_some(kept);
        Ok(Decoded { rows, messages, faults, null_values, unwanted })
    }

    fn finish(&mut self, source: &Source<'_>, kept: &[u32]) -> RecordBatch {
        let values = self.values.finish();
        let keys = self.keys.as_mut().map_or_else(Vec::new, |keys| keys.payloads.finish());
        let names = match self.values.names() {
            Some(names) if names.wanted => Some(names.finish(kept.len())),
            _ => None,
        };
        let fields = self.columns.fields().iter();
        let columns = self.places.iter().zip(fields).map(|(place, field)| match place {
            Place::Value(index) => values[*index].clone(),
            Place::Key(index) => keys[*index].clone(),
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

impl Keys {
    /// Appends the key of the message whose value has become `pushed`, so that either both have a row or none.
    fn push(
        &mut self,
        key: Option<&[u8]>,
        pushed: Fallible<Pushed>,
        values: &mut Payloads,
        bytes: &mut usize,
        unknown: &mut BTreeSet<SchemaId>,
    ) -> Fallible<Pushed> {
        match &pushed {
            Ok(Pushed::Row) => {}
            Ok(Pushed::Unknown(id)) => {
                self.asked_by_values.insert(*id);
                unknown.insert(*id);
            }
            Ok(Pushed::Unwanted) | Err(_) => return pushed,
        }
        let room = BYTES_OF_ONE_CALL.saturating_sub(*bytes);
        let of_key = match key {
            Some(key) => self.payloads.push(key, room, bytes),
            None => self.payloads.push_none(),
        };
        if let Ok(Pushed::Unknown(id)) = &of_key {
            self.asked.insert(*id);
        }
        match (&pushed, &of_key) {
            (Ok(Pushed::Row), Ok(Pushed::Row)) => {}
            (Ok(Pushed::Row), _) => values.take_back(),
            (_, Ok(Pushed::Row)) => {
                self.payloads.take_back();
                return pushed;
            }
            // Both schemas are asked for at once.
            (_, Ok(Pushed::Unknown(id))) => {
                unknown.insert(*id);
                return pushed;
            }
            _ => {}
        }
        of_key.map_err(|fault| fault.in_key(key.map_or(KeyIs::Missing, |_| KeyIs::There)))
    }
}

/// Bytes of a message that may end up in columns.
fn size(message: &Message<'_>) -> usize {
    let headers = message.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum::<usize>();
    message.key.map_or(0, <[u8]>::len) + message.value.map_or(0, <[u8]>::len) + headers
}
