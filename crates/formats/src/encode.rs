//! Rows to payloads, one each, in one reusable buffer. A row that cannot be written harms only itself.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use millstream_engine::error::{RecordError, RecordErrorKind, RowFault};
use millstream_engine::text::Cells;
use millstream_engine::types::sql_name;

use crate::avro::{AvroEncoder, AvroWrite};
use crate::cells;
use crate::csv::{CsvDialect, CsvEncoder};
use crate::error::FormatError;
use crate::fault::Fallible;
use crate::json::JsonEncoder;
use crate::json_schema::{JsonSchemaEncoder, JsonSchemaWrite};
use crate::protobuf::{ProtobufEncoder, ProtobufWrite};
use crate::raw::RawEncoder;
use crate::system::SystemColumn;

/// The format of a sink's payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncodeFormat {
    /// One JSON object a row.
    Json,
    /// One CSV record a row, without a line end.
    Csv(CsvDialect),
    /// The one column, string or bytes, as it is.
    Raw,
    /// One Avro record a row.
    Avro(AvroWrite),
    /// One Protobuf message a row.
    Protobuf(ProtobufWrite),
    /// One JSON object a row, behind the id of its schema or held to one.
    JsonSchema(JsonSchemaWrite),
}

/// Payloads in one buffer.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    /// All payloads, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each row's payload ends in `bytes`. A row that could not be written has an empty payload.
    pub ends: Vec<usize>,
}

impl Encoded {
    /// Forgets the payloads and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The number of payloads.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Where the payload of row `row` stands in `bytes`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn range(&self, row: usize) -> Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        start..self.ends[row]
    }

    /// The payload of row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn payload(&self, row: usize) -> &[u8] {
        &self.bytes[self.range(row)]
    }
}

/// Encodes the rows of one sink.
#[derive(Debug)]
pub struct Encoder {
    payloads: Payloads,
}

#[derive(Debug)]
enum Payloads {
    Json(JsonEncoder),
    Csv(CsvEncoder),
    Raw(RawEncoder),
    Avro(AvroEncoder),
    Protobuf(ProtobufEncoder),
    JsonSchema(JsonSchemaEncoder),
}

impl Encoder {
    /// An encoder for rows of `columns`. System columns are not written, but for the one column of a raw payload.
    ///
    /// # Errors
    /// If the format cannot write one of the columns.
    pub fn new(format: EncodeFormat, columns: &SchemaRef) -> Result<Encoder, FormatError> {
        let fields = columns.fields().iter().cloned().enumerate();
        let hidden = |name: &str| columns.fields().len() > 1 && SystemColumn::named(name).is_some();
        let fields = fields.filter(|(_, field)| !hidden(field.name())).collect::<Vec<_>>();
        Encoder::of_fields(format, &fields)
    }

    /// An encoder for these columns, each with its index and the name under which it is written.
    pub(crate) fn of_fields(format: EncodeFormat, fields: &[(usize, FieldRef)]) -> Result<Encoder, FormatError> {
        for (_, field) in fields {
            if !Cells::supports(field.data_type()) {
                let message = format!("{} cannot be written", sql_name(field.data_type()));
                return Err(FormatError::Column { column: field.name().clone(), message });
            }
        }
        let payloads = match format {
            EncodeFormat::Json => Payloads::Json(JsonEncoder::new(fields)),
            EncodeFormat::Csv(dialect) => Payloads::Csv(CsvEncoder::new(fields, dialect)?),
            EncodeFormat::Raw => Payloads::Raw(RawEncoder::new(fields)?),
            EncodeFormat::Avro(format) => Payloads::Avro(AvroEncoder::new(fields, &format)?),
            EncodeFormat::Protobuf(format) => Payloads::Protobuf(ProtobufEncoder::new(fields, &format)?),
            EncodeFormat::JsonSchema(format) => Payloads::JsonSchema(JsonSchemaEncoder::new(fields, &format)?),
        };
        Ok(Encoder { payloads })
    }

    /// Writes one payload for each row of `rows`, which have the encoder's columns, into `out`, which is cleared first.
    /// Returns the rows that could not be written, in order; their payloads are empty.
    pub fn encode(&mut self, rows: &RecordBatch, out: &mut Encoded) -> Vec<RowFault> {
        out.clear();
        out.ends.reserve(rows.num_rows());
        match &self.payloads {
            Payloads::Json(json) => json.encode(rows, out),
            Payloads::Csv(csv) => csv.encode(rows, out),
            Payloads::Raw(raw) => raw.encode(rows, out),
            Payloads::Avro(avro) => avro.encode(rows, out),
            Payloads::Protobuf(protobuf) => protobuf.encode(rows, out),
            Payloads::JsonSchema(json) => json.encode(rows, out),
        }
    }
}

/// Writes the cells of `columns` as one binary payload for each row, behind `header`. A row that `write` cannot write is among
/// the faults, and leaves nothing behind.
pub(crate) fn encode_rows(
    rows: &RecordBatch,
    columns: &[usize],
    header: &[u8],
    out: &mut Encoded,
    write: impl Fn(&cells::Cells, usize, &mut Vec<u8>) -> Fallible<()>,
) -> Vec<RowFault> {
    let cells = cells::Cells::of_columns(columns.iter().map(|&column| rows.column(column).clone()).collect());
    let mut faults = Vec::new();
    for row in 0..rows.num_rows() {
        let start = out.bytes.len();
        out.bytes.extend_from_slice(header);
        if let Err(fault) = write(&cells, row, &mut out.bytes) {
            out.bytes.truncate(start);
            let message = fault.into_error().message;
            faults.push(RowFault { row, error: RecordError { kind: RecordErrorKind::Encode, message } });
        }
        out.ends.push(out.bytes.len());
    }
    faults
}
