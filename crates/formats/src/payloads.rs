//! One part of a message, its value or its key, to columns, whatever its format is. Knows nothing of the other part.

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;

use crate::avro::AvroDecoder;
use crate::column::Column;
use crate::csv::CsvDecoder;
use crate::decode::{DecodeFormat, Pushed, TypeRead, WriterSchema};
use crate::error::FormatError;
use crate::fault::Fallible;
use crate::framing::SchemaId;
use crate::json::{Betting, JsonDecoder};
use crate::json_schema::JsonSchemaDecoder;
use crate::members::Members;
use crate::names::Names;
use crate::protobuf::ProtobufDecoder;
use crate::raw::RawDecoder;

/// Appends payloads of one format to columns.
#[derive(Debug)]
pub(crate) enum Payloads {
    Json(JsonDecoder),
    Csv(CsvDecoder),
    Raw(RawDecoder),
    Avro(AvroDecoder),
    Protobuf(ProtobufDecoder),
    JsonSchema(JsonSchemaDecoder),
}

impl Payloads {
    pub(crate) fn new(format: &DecodeFormat, fields: &[FieldRef], betting: Betting) -> Result<Payloads, FormatError> {
        Ok(match format {
            DecodeFormat::Json => Payloads::Json(JsonDecoder::new(fields, betting)?),
            DecodeFormat::Csv(format) => Payloads::Csv(CsvDecoder::new(format, fields)?),
            DecodeFormat::Raw => Payloads::Raw(RawDecoder::new(fields)?),
            DecodeFormat::Avro(read) => Payloads::Avro(AvroDecoder::new(read, fields)?),
            DecodeFormat::Protobuf(read) => Payloads::Protobuf(ProtobufDecoder::new(read, fields)?),
            DecodeFormat::JsonSchema(read) => Payloads::JsonSchema(JsonSchemaDecoder::new(read, fields)?),
        })
    }

    /// Makes payloads with `id` readable.
    ///
    /// # Errors
    /// If they cannot be read as the columns: each of them will then be a fault that says so.
    pub(crate) fn add_writer(&mut self, id: SchemaId, schema: &WriterSchema) -> Result<(), FormatError> {
        match (&mut *self, schema) {
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

    /// What becomes of payloads of `schema`, by their type.
    pub(crate) fn judge(&mut self, schema: &WriterSchema) -> Vec<(String, TypeRead)> {
        match (self, schema) {
            (Payloads::Avro(avro), WriterSchema::Avro(schema)) => avro.judge(schema),
            (Payloads::Protobuf(protobuf), WriterSchema::Protobuf(schema)) => protobuf.judge(schema),
            _ => vec![(String::new(), TypeRead::Row)],
        }
    }

    /// Makes each payload with `id` a fault for `reason`.
    pub(crate) fn refuse_writer(&mut self, id: SchemaId, reason: String) {
        match self {
            Payloads::Avro(avro) => avro.refuse_writer(id, reason),
            Payloads::Protobuf(protobuf) => protobuf.refuse_writer(id, reason),
            Payloads::JsonSchema(json) => json.refuse_writer(id, reason),
            Payloads::Json(_) | Payloads::Csv(_) | Payloads::Raw(_) => {}
        }
    }

    /// Appends one row, or nothing and says why. A payload of a binary format may take up to `room` bytes in columns
    /// beyond its own length; what it does take is added to `grown`.
    #[inline]
    pub(crate) fn push(&mut self, payload: &[u8], room: usize, grown: &mut usize) -> Fallible<Pushed> {
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

    /// Appends a row for a message that does not have this part, or nothing if a column may not be null.
    pub(crate) fn push_none(&mut self) -> Fallible<Pushed> {
        let members = self.members();
        let rows = members.rows;
        if let Err(fault) = members.end_row() {
            members.truncate(rows);
            return Err(fault);
        }
        if let Some(names) = self.names() {
            names.push_none();
        }
        Ok(Pushed::Row)
    }

    /// Takes back the last row.
    pub(crate) fn take_back(&mut self) {
        let rows = self.members().rows.saturating_sub(1);
        self.truncate(rows);
    }

    /// Takes back everything behind the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.members().truncate(rows);
        if let Some(names) = self.names() {
            names.truncate(rows);
        }
    }

    /// Makes room for `rows` more rows.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.members().reserve(rows);
    }

    /// The columns of all rows; none is kept afterwards.
    pub(crate) fn finish(&mut self) -> Vec<ArrayRef> {
        let members = self.members();
        members.rows = 0;
        members.columns.iter_mut().map(Column::finish).collect()
    }

    /// The names of the rows' schemas, if the format has any.
    pub(crate) fn names(&mut self) -> Option<&mut Names> {
        match self {
            Payloads::Avro(avro) => Some(avro.names()),
            Payloads::Protobuf(protobuf) => Some(protobuf.names()),
            Payloads::Json(_) | Payloads::Csv(_) | Payloads::Raw(_) | Payloads::JsonSchema(_) => None,
        }
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
}
