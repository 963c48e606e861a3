//! Rows to messages: one writer for each sink.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use millstream_engine::context::Output;
use millstream_engine::error::{RecordError, RecordErrorKind, RowFault};
use millstream_engine::ids::PartitionId;
use millstream_engine::key::{self, KeyStyle, WindowBounds};
use millstream_engine::time::Millis;
use millstream_formats::frame::{self, ExchangeFrame};
use millstream_formats::{CsvDialect, EncodeFormat, Encoded, Encoder};
use millstream_pipeline::topology::{CsvFormat, SinkDef, SinkFormat, SinkKey, SinkRole, WindowedBounds};

use super::WorkerError;
use crate::log::{Header, Log, NewRecord, UNTIMED};

/// Encodes the rows of one sink and appends them to the open transaction.
pub(super) struct SinkWriter {
    def: SinkDef,
    encoder: Encoder,
    encoded: Encoded,
    partitions: u32,
}

impl SinkWriter {
    pub(super) fn new(def: &SinkDef, partitions: u32) -> Result<SinkWriter, WorkerError> {
        let format = match &def.format {
            SinkFormat::Json => EncodeFormat::Json,
            SinkFormat::Csv(csv) => EncodeFormat::Csv(dialect(csv)),
            SinkFormat::Raw { .. } => EncodeFormat::Raw,
            SinkFormat::Avro(write) => EncodeFormat::Avro(write.clone()),
            SinkFormat::Protobuf(write) => EncodeFormat::Protobuf(write.clone()),
            SinkFormat::JsonSchema(write) => EncodeFormat::JsonSchema(write.clone()),
        };
        if let Some(schema) = def.schema.as_ref().filter(|schema| schema.is_open()) {
            let message = format!("its schema has no id yet: no registry was asked for {}", schema.subject);
            return Err(WorkerError::Format { name: def.topic.clone(), message });
        }
        let written = def.columns.project(&written_columns(def)).map_err(|error| WorkerError::internal(&error))?;
        let encoder = Encoder::new(format, &written.into())
            .map_err(|error| WorkerError::Format { name: def.topic.clone(), message: error.to_string() })?;
        Ok(SinkWriter { def: def.clone(), encoder, encoded: Encoded::default(), partitions })
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
        let keys = self.keys(&self.def.key, &output.batch.rows);
        let placed_by = match (&self.def.partition_by, &self.def.key) {
            (Some(style), _) => self.keys(style, &output.batch.rows),
            (None, SinkKey::Windowed { key, .. }) => self.keys(key, &output.batch.rows),
            (None, _) => None,
        };
        let limit = log.record_limit(&self.def.topic);
        let mut oversized = Vec::new();
        let mut failed = faults.iter().map(|fault| fault.row).peekable();
        for row in 0..output.batch.len() {
            if failed.next_if_eq(&row).is_some() {
                continue;
            }
            let key = keys.as_ref().and_then(|keys| bytes_at(keys, row));
            let place = placed_by.as_ref().map_or(key, |places| bytes_at(places, row));
            let partition = match place {
                Some(place) => key::partition_for(place, self.partitions),
                None => PartitionId(task.0 % self.partitions),
            };
            let headers: SmallHeaders<'_> =
                output.headers.iter().filter_map(|(name, values)| header(name, values, row)).collect();
            let value = (!output.batch.is_tombstone(row)).then(|| self.encoded.payload(row));
            let timestamp = output.batch.meta.event_time.value(row);
            let record = NewRecord { key, value, timestamp: Millis(timestamp), headers: &headers };
            if let Some(error) = too_large(&record, limit) {
                oversized.push(RowFault { row, error });
                continue;
            }
            log.append(&self.def.topic, partition, record)?;
        }
        faults.append(&mut oversized);
        Ok(faults)
    }

    fn keys(&self, style: &SinkKey, rows: &arrow::array::RecordBatch) -> Option<BinaryArray> {
        let pick = |columns: &[usize]| columns.iter().map(|&column| rows.column(column).clone()).collect::<Vec<_>>();
        match style {
            SinkKey::None => None,
            SinkKey::SourceKey(column) => rows.column(*column).as_binary_opt::<i32>().cloned(),
            made => {
                let (columns, style) = style_of(made);
                Some(key::render(&pick(&columns), &style))
            }
        }
    }
}

/// Why a record does not fit into its topic: a broker would refuse it, and with it the whole epoch, again and again.
pub(super) fn too_large(record: &NewRecord<'_>, limit: Option<usize>) -> Option<RecordError> {
    let limit = limit?;
    let headers: usize =
        record.headers.iter().map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len)).sum();
    let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers;
    (bytes > limit).then(|| RecordError {
        kind: RecordErrorKind::Encode,
        message: format!("the record has {bytes} bytes, and the topic takes {limit} (max.message.bytes)"),
    })
}

/// Appends a frame to the topic of a repartition, or several where one would be larger than the topic takes.
pub(super) fn send_frame<L: Log>(
    topic: &str,
    partition: PartitionId,
    frame: ExchangeFrame,
    log: &mut L,
) -> Result<(), WorkerError> {
    let value = frame::encode_exchange(&frame).map_err(|error| WorkerError::internal(&error))?;
    let rows = frame.batch.len();
    if log.record_limit(topic).is_some_and(|limit| value.len() > limit) && rows > 1 {
        let ExchangeFrame { sender, idle, batch } = frame;
        let (first, second) = batch.split_at(rows / 2);
        // Who falls idle says so after the last row.
        send_frame(topic, partition, ExchangeFrame { sender, idle: false, batch: first }, log)?;
        return send_frame(topic, partition, ExchangeFrame { sender, idle, batch: second }, log);
    }
    let record = NewRecord { key: None, value: Some(&value), timestamp: UNTIMED, headers: &[] };
    Ok(log.append(topic, partition, record)?)
}

/// The dialect of separated values, for the formats.
pub(super) fn dialect(csv: &CsvFormat) -> CsvDialect {
    CsvDialect { delimiter: csv.delimiter, quote: csv.quote, null: csv.null.clone() }
}

/// The columns that a key is made of, and how.
fn style_of(key: &SinkKey) -> (Vec<usize>, KeyStyle) {
    match key {
        SinkKey::Column(column) => (vec![*column], KeyStyle::Plain),
        SinkKey::Object(columns) => (
            columns.iter().map(|(_, column)| *column).collect(),
            KeyStyle::Object(columns.iter().map(|(name, _)| name.clone()).collect()),
        ),
        SinkKey::Joined { columns, separator } => (columns.clone(), KeyStyle::Joined(separator.clone())),
        SinkKey::Windowed { key, bounds } => {
            let (mut columns, key) = style_of(key);
            let bounds = match bounds {
                WindowedBounds::Start { start } => {
                    columns.push(*start);
                    WindowBounds::Start
                }
                WindowedBounds::EndStart { end, start } => {
                    columns.extend([*end, *start]);
                    WindowBounds::EndAndStart
                }
            };
            (columns, KeyStyle::Windowed { key: Box::new(key), bounds })
        }
        SinkKey::None | SinkKey::SourceKey(_) => (Vec::new(), KeyStyle::Plain),
    }
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

/// Headers of one row: empty, and then without allocation, but for late rows.
type SmallHeaders<'a> = Vec<Header<'a>>;

fn header<'a>(name: &'a str, values: &'a ArrayRef, row: usize) -> Option<Header<'a>> {
    let values = values.as_string_opt::<i32>()?;
    values.is_valid(row).then(|| Header { name, value: Some(values.value(row).as_bytes()) })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windowed_keys_name_their_columns_in_the_order_of_the_bytes() {
        let key = || Box::new(SinkKey::Column(7));
        let of = |bounds| style_of(&SinkKey::Windowed { key: key(), bounds }).0;
        assert_eq!(of(WindowedBounds::Start { start: 1 }), [7, 1]);
        assert_eq!(of(WindowedBounds::EndStart { end: 2, start: 1 }), [7, 2, 1]);
    }
}
