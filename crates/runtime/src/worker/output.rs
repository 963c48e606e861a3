//! Rows to messages: one writer for each sink.

use arrow::array::{Array, BinaryArray};
use millstream_engine::batch::Batch;
use millstream_engine::context::Output;
use millstream_engine::error::{RecordError, RecordErrorKind, RowFault};
use millstream_engine::ids::PartitionId;
use millstream_engine::key;
use millstream_engine::operator::End;
use millstream_engine::time::Millis;
use millstream_formats::frame::{self, ExchangeFrame};
use millstream_formats::{CsvDialect, EncodeFormat, Encoded, Encoder, FormatError};
use millstream_pipeline::topology::{CsvFormat, SinkDef, SinkFormat, SinkRole};

use super::WorkerError;
use super::headers::HeaderWriter;
use super::keys::{KeyWriter, Keys};
use crate::log::{Log, NewRecord, RecordLimits, UNTIMED};

/// Encodes the rows of one sink and appends them to the open transaction.
pub(super) struct SinkWriter {
    def: SinkDef,
    encoder: Encoder,
    encoded: Encoded,
    key: KeyWriter,
    /// Where that is not the key.
    placed_by: Option<KeyWriter>,
    headers: HeaderWriter,
    partitions: u32,
}

impl SinkWriter {
    pub(super) fn new(def: &SinkDef, partitions: u32) -> Result<SinkWriter, WorkerError> {
        if let Some((_, _, schema)) = def.schemas().find(|(_, _, schema)| schema.is_open()) {
            let message = format!("its schema has no id yet: no registry was asked for {}", schema.subject);
            return Err(WorkerError::Format { name: def.topic.clone(), message });
        }
        let written = def.columns.project(&written_columns(def)).map_err(|error| WorkerError::internal(&error))?;
        let wrong = |error: FormatError| WorkerError::Format { name: def.topic.clone(), message: error.to_string() };
        let encoder = Encoder::new(encode_format(&def.format), &written.into()).map_err(wrong)?;
        let key = KeyWriter::new(&def.key, &def.columns).map_err(wrong)?;
        let placed_by = def.partition_by.as_ref().map(|key| KeyWriter::new(key, &def.columns)).transpose();
        let placed_by = placed_by.map_err(wrong)?;
        let headers = HeaderWriter::new(def.kept_headers);
        Ok(SinkWriter { def: def.clone(), encoder, encoded: Encoded::default(), key, placed_by, headers, partitions })
    }

    pub(super) fn def(&self) -> &SinkDef {
        &self.def
    }

    /// Appends every row of `output`, in order; returns the rows that could not be written. Rows without a key go to
    /// the partition that has the number of the task that sends them, so that their order is that of the task.
    pub(super) fn write<L: Log>(
        &mut self,
        output: &Output,
        task: PartitionId,
        log: &mut L,
    ) -> Result<Vec<RowFault>, WorkerError> {
        let rows =
            output.batch.rows.project(&written_columns(&self.def)).map_err(|error| WorkerError::internal(&error))?;
        let mut faults = self.encoder.encode(&rows, &mut self.encoded);
        faults.retain(|fault| !output.batch.is_tombstone(fault.row));
        let Keys { keys, places, faults: of_keys } = self.key.write(&output.batch.rows)?;
        let places = match &mut self.placed_by {
            Some(placed_by) => placed_by.write(&output.batch.rows)?.keys,
            None => places,
        };
        add_faults(&mut faults, of_keys);
        let mut headers = self.headers.of(output);
        let limits = log.record_limits(&self.def.topic);
        let mut misfits = Vec::new();
        let mut failed = faults.iter().map(|fault| fault.row).peekable();
        for row in 0..output.batch.len() {
            if failed.next_if_eq(&row).is_some() {
                continue;
            }
            let key = keys.as_ref().and_then(|keys| bytes_at(keys, row));
            let place = places.as_ref().map_or(key, |places| bytes_at(places, row));
            let partition = match place {
                Some(place) => key::partition_for(place, self.partitions),
                None => PartitionId(task.0 % self.partitions),
            };
            let value = (!output.batch.is_tombstone(row)).then(|| self.encoded.payload(row));
            let timestamp = output.batch.meta.event_time.value(row);
            let record = NewRecord { key, value, timestamp: Millis(timestamp), headers: headers.at(row) };
            if let Some(error) = misfit(&record, limits) {
                misfits.push(RowFault { row, error });
                continue;
            }
            log.append(&self.def.topic, partition, record)?;
        }
        faults.append(&mut misfits);
        Ok(faults)
    }
}

/// Why a record does not fit into its topic: a broker would refuse it, and with it the whole epoch, again and again.
fn misfit(record: &NewRecord<'_>, limits: RecordLimits) -> Option<RecordError> {
    limits.why_not(record).map(|message| RecordError { kind: RecordErrorKind::Encode, message })
}

/// A row that was not written, alone in its batch, and why.
pub(super) type Refused = (Batch, RecordError);

/// Appends a frame to the topic of a repartition, or several where one would be larger than the topic takes. Rows that do not
/// fit alone are left to the caller; what the frame says about time goes out without them.
pub(super) fn send_frame<L: Log>(
    topic: &str,
    partition: PartitionId,
    frame: ExchangeFrame,
    log: &mut L,
    refused: &mut Vec<Refused>,
) -> Result<(), WorkerError> {
    let value = frame::encode_exchange(&frame).map_err(|error| WorkerError::internal(&error))?;
    let record = NewRecord { key: None, value: Some(&value), timestamp: UNTIMED, headers: &[] };
    let rows = frame.batch.len();
    let error = misfit(&record, log.record_limits(topic)).filter(|_| rows > 0);
    let Some(RecordError { kind, message }) = error else { return Ok(log.append(topic, partition, record)?) };
    let ExchangeFrame { sender, idle, end, batch } = frame;
    if rows == 1 {
        let (input, after) = (batch.meta.input, batch.meta.clock.after);
        let batch_of_time = Batch::time_only(batch.rows.schema(), input, after);
        refused.push((batch, RecordError { kind, message: format!("repartition {topic}: {message}") }));
        if !after.is_known() && !idle && end == End::Ahead {
            return Ok(());
        }
        let frame = ExchangeFrame { sender, idle, end, batch: batch_of_time };
        return send_frame(topic, partition, frame, log, refused);
    }
    let (first, second) = batch.split_at(rows / 2);
    // Who falls idle, or has nothing more, says so after the last row.
    let first = ExchangeFrame { sender, idle: false, end: End::Ahead, batch: first };
    send_frame(topic, partition, first, log, refused)?;
    send_frame(topic, partition, ExchangeFrame { sender, idle, end, batch: second }, log, refused)
}

/// The dialect of separated values, for the formats.
pub(super) fn dialect(csv: &CsvFormat) -> CsvDialect {
    CsvDialect { delimiter: csv.delimiter, quote: csv.quote, null: csv.null.clone() }
}

/// How the formats write what a sink writes.
pub(super) fn encode_format(format: &SinkFormat) -> EncodeFormat {
    match format {
        SinkFormat::Json => EncodeFormat::Json,
        SinkFormat::Csv(csv) => EncodeFormat::Csv(dialect(csv)),
        SinkFormat::Raw { .. } => EncodeFormat::Raw,
        SinkFormat::Avro(write) => EncodeFormat::Avro(write.clone()),
        SinkFormat::Protobuf(write) => EncodeFormat::Protobuf(write.clone()),
        SinkFormat::JsonSchema(write) => EncodeFormat::JsonSchema(write.clone()),
    }
}

/// Adds faults to those that there are, in the order of rows; a row that has one keeps it.
fn add_faults(faults: &mut Vec<RowFault>, more: Vec<RowFault>) {
    if more.is_empty() {
        return;
    }
    faults.extend(more);
    faults.sort_by_key(|fault| fault.row);
    faults.dedup_by_key(|fault| fault.row);
}

fn written_columns(def: &SinkDef) -> Vec<usize> {
    match (&def.format, &def.role) {
        (SinkFormat::Raw { column }, SinkRole::User) => vec![*column],
        _ => def.written.clone(),
    }
}

fn bytes_at(keys: &BinaryArray, row: usize) -> Option<&[u8]> {
    keys.is_valid(row).then(|| keys.value(row))
}

/// A row as a JSON object, for a dead letter whose message is not at hand. What JSON cannot say is null.
pub(super) fn as_json(row: &arrow::array::RecordBatch) -> Vec<u8> {
    let mut encoded = Encoded::default();
    match Encoder::new(EncodeFormat::Json, row.schema_ref()) {
        Ok(mut encoder) => {
            encoder.encode(row, &mut encoded);
            encoded.bytes
        }
        Err(_) => Vec::new(),
    }
}
