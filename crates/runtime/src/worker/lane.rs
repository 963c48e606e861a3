//! One partition that a task reads: from records of the log to chunks for the task.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{Field, SchemaRef};
use millstream_engine::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use millstream_engine::error::Rejected;
use millstream_engine::ids::{InputId, Offset, Origin, PartitionId};
use millstream_engine::task::{Chunk, FrameChunk, Position};
use millstream_engine::time::Millis;
use millstream_engine::types::sql_name;
use millstream_formats::{Decoded, Decoder, Headers, Message, UnknownSchemas, frame};
use millstream_pipeline::topology::{ExchangeDef, SourceDef};

use super::WorkerError;
use super::decoders;
use super::schemas::{Held, Learner};
use super::silence::Silence;
use crate::crash;
use crate::log::{Log, LogError, ReadLimit, Records};
use crate::registry::SchemaCache;

/// A partition that a task reads.
pub(super) struct Lane {
    pub(super) topic: String,
    pub(super) partition: PartitionId,
    pub(super) reader: Reader,
    /// The next record to read; what is processed may be behind it.
    pub(super) next: Offset,
    /// The committed end, as it was at the last read.
    pub(super) end: Offset,
    /// Offsets that the log had deleted before they were read.
    pub(super) skipped: u64,
    /// Frames before this have been given up.
    pub(super) trimmed: Offset,
    pub(super) silence: Silence,
    pub(super) records: Records,
    /// Records among `records` that wait for their schemas.
    pub(super) held: Option<Held>,
}

/// What a lane's records are.
pub(super) enum Reader {
    /// Messages of a source.
    Source(Box<SourceReader>),
    /// Frames of a repartition, of several senders.
    Exchange(ExchangeReader),
}

pub(super) struct SourceReader {
    pub(super) input: InputId,
    pub(super) step: String,
    origin: Origin,
    decoder: Decoder,
    learner: Learner,
    def: SourceDef,
    pub(super) out_of_order: Millis,
    /// After how long a silence the input leaves the minimum.
    pub(super) idle: Millis,
    /// After how long a silence of all inputs time goes on by the wall clock, if at all.
    pub(super) idle_close: Option<Millis>,
    pub(super) is_idle: bool,
    /// Of a source that starts at its end: how many partitions the topic had when this one was read for the first time.
    pub(super) partitions_at_start: Option<u32>,
}

pub(super) struct ExchangeReader {
    /// The input of each sender.
    pub(super) inputs: BTreeMap<PartitionId, InputId>,
    columns: SchemaRef,
    /// Frames, or rows of a frame, that were processed before the restart though a lesser offset is committed.
    pub(super) done: BTreeMap<PartitionId, Position>,
}

/// Why a frame cannot be read.
enum FrameFault {
    /// It is not what was written.
    Damaged(String),
    /// It has not this column.
    Lacks(String),
}

/// What a lane brought for one input.
pub(super) struct Arrival {
    pub(super) input: InputId,
    pub(super) chunk: Chunk,
    /// Bytes that were read for it.
    pub(super) bytes: usize,
    /// The sender says that all its inputs are idle.
    pub(super) idle: bool,
}

/// What a look at a lane brought.
pub(super) enum Fetched {
    /// There is no record.
    Nothing,
    /// Records: what they are to the inputs of the task, which may be nothing.
    Records(Vec<Arrival>),
    /// Records wait, and nothing is known that was not known before.
    Waits,
}

impl Lane {
    pub(super) fn of_source(
        source: &SourceDef,
        step: &str,
        partition: PartitionId,
        input: InputId,
        schemas: &SchemaCache,
        now: Millis,
    ) -> Result<Lane, WorkerError> {
        let reader = SourceReader {
            input,
            step: step.to_owned(),
            origin: Origin::new(source.topic_rank, partition),
            decoder: decoders::of(source)?,
            learner: Learner::new(schemas.clone()),
            def: source.clone(),
            out_of_order: source.out_of_order,
            idle: source.idle,
            idle_close: source.idle_close,
            is_idle: false,
            partitions_at_start: None,
        };
        Ok(Lane::new(&source.topic, partition, Reader::Source(Box::new(reader)), now))
    }

    pub(super) fn of_exchange(
        exchange: &ExchangeDef,
        partition: PartitionId,
        inputs: BTreeMap<PartitionId, InputId>,
        now: Millis,
    ) -> Lane {
        let columns = exchange.columns.clone();
        let reader = ExchangeReader { inputs, columns, done: BTreeMap::new() };
        Lane::new(&exchange.topic, partition, Reader::Exchange(reader), now)
    }

    fn new(topic: &str, partition: PartitionId, reader: Reader, now: Millis) -> Lane {
        Lane {
            topic: topic.to_owned(),
            partition,
            reader,
            next: Offset(0),
            end: Offset(0),
            skipped: 0,
            trimmed: Offset(0),
            silence: Silence::new(now),
            records: Records::new(),
            held: None,
        }
    }

    /// The inputs that this lane feeds.
    pub(super) fn inputs(&self) -> Vec<InputId> {
        match &self.reader {
            Reader::Source(source) => vec![source.input],
            Reader::Exchange(exchange) => exchange.inputs.values().copied().collect(),
        }
    }

    /// Goes on at the earliest record that is left. What a source had deleted before it was read is told and counted; what
    /// a repartition has lost was nobody's to delete.
    pub(super) fn skip_to(&mut self, earliest: Offset) -> Result<(), WorkerError> {
        let lost = earliest.0 - self.next.0;
        if lost <= 0 {
            return Ok(());
        }
        let (topic, partition) = (&self.topic, self.partition.0);
        if let Reader::Exchange(_) = &self.reader {
            let (topic, next, earliest) = (topic.clone(), self.next.0, earliest.0);
            return Err(WorkerError::RepartitionLost { topic, partition, next, earliest });
        }
        tracing::warn!(
            topic,
            partition,
            "{lost} records before offset {earliest} were deleted before they were read: the topic's retention is shorter \
             than the pipeline's delay"
        );
        self.skipped += lost as u64;
        self.next = earliest;
        Ok(())
    }

    /// Whether everything that was committed has been read and handed on.
    pub(super) fn is_at_end(&self) -> bool {
        self.held.is_none() && self.next >= self.end
    }

    /// The first record that was not handed on.
    pub(super) fn reached(&self) -> Offset {
        self.held.as_ref().map_or(self.next, |held| self.records.get(held.from).offset)
    }

    /// Reads what is there, up to `limit`, and decodes it; while records wait for their schemas, looks after these instead.
    /// The records stay in `self.records` until the next that are read.
    pub(super) fn fetch<L: Log>(&mut self, log: &mut L, limit: ReadLimit, now: Millis) -> Result<Fetched, WorkerError> {
        let extent = log.extent(&self.topic, self.partition)?;
        self.end = extent.end;
        if let Some(held) = self.held.take() {
            return self.look_after(held, now);
        }
        self.records.clear();
        self.skip_to(extent.earliest)?;
        if self.is_at_end() {
            return Ok(Fetched::Nothing);
        }
        self.next = match log.read(&self.topic, self.partition, self.next, limit, &mut self.records) {
            // A log that does not ask for the extent each time learns of a deletion when it reads.
            Err(LogError::OffsetOutOfRange { offset, earliest, end, .. }) if offset < earliest => {
                self.skip_to(earliest)?;
                self.end = end;
                log.read(&self.topic, self.partition, self.next, limit, &mut self.records)?
            }
            read => read?,
        };
        if self.records.is_empty() {
            return Ok(Fetched::Nothing);
        }
        self.silence = Silence::new(now);
        match &mut self.reader {
            Reader::Source(source) => {
                source.is_idle = false;
                source.forget_refused(now)?;
                self.go_on(0, now)
            }
            Reader::Exchange(exchange) => {
                let arrivals = exchange.arrivals(&self.records).map_err(|(offset, wrong)| {
                    let (topic, partition, offset) = (self.topic.clone(), self.partition.0, offset.0);
                    match wrong {
                        FrameFault::Damaged(message) => WorkerError::Frame { topic, partition, offset, message },
                        FrameFault::Lacks(column) => WorkerError::FrameLacks { topic, partition, offset, column },
                    }
                })?;
                Ok(Fetched::Records(arrivals))
            }
        }
    }

    /// Decodes the records from the number `from` on: all of them or, if some name schemas that are not known yet, those
    /// before the first of these.
    fn go_on(&mut self, from: usize, now: Millis) -> Result<Fetched, WorkerError> {
        let all = self.records.len();
        match self.arrival(from, all)? {
            Ok(arrival) => Ok(Fetched::Records(vec![arrival])),
            Err(UnknownSchemas(ids)) => self.look_after(Held { from, since: now, ids, error: None }, now),
        }
    }

    /// Asks once more for the schemas that records wait for, and hands on those before the first that is not known.
    fn look_after(&mut self, mut held: Held, now: Millis) -> Result<Fetched, WorkerError> {
        let Reader::Source(source) = &mut self.reader else { return Ok(Fetched::Nothing) };
        let known_before = held.ids.len();
        source.learner.learn(&mut held, &mut source.decoder, (&self.topic, self.partition), now);
        let to = if held.ids.is_empty() {
            self.records.len()
        } else if held.ids.len() < known_before || held.since == now {
            held.first_waiting(&self.records)
        } else {
            held.from
        };
        if to == held.from {
            self.held = Some(held);
            return Ok(Fetched::Waits);
        }
        self.silence.spoke_at = now;
        match self.arrival(held.from, to)? {
            Ok(arrival) => {
                self.held = (to < self.records.len()).then_some(Held { from: to, ..held });
                Ok(Fetched::Records(vec![arrival]))
            }
            // Keys name schemas of their own.
            Err(UnknownSchemas(ids)) => {
                held.also(ids);
                self.held = Some(held);
                Ok(Fetched::Waits)
            }
        }
    }

    /// The records from one number to before another as what they are to the task.
    fn arrival(&mut self, from: usize, to: usize) -> Result<Result<Arrival, UnknownSchemas>, WorkerError> {
        let next = if to < self.records.len() { self.records.get(to).offset } else { self.next };
        match &mut self.reader {
            Reader::Source(source) => Ok(source.arrival(&self.topic, self.partition, &self.records, from..to, next)),
            Reader::Exchange(_) => Err(WorkerError::Internal("frames of a repartition have no schemas".to_owned())),
        }
    }
}

impl SourceReader {
    fn arrival(
        &mut self,
        topic: &str,
        partition: PartitionId,
        records: &Records,
        range: Range<usize>,
        next: Offset,
    ) -> Result<Arrival, UnknownSchemas> {
        let (from, bytes) = (range.start, if range.start == 0 { records.byte_len() } else { 0 });
        let decoded = with_messages(records, range, |messages| self.decoder.decode(topic, partition.0, messages))?;
        let rejected = decoded
            .faults
            .iter()
            .map(|(message, error)| Rejected {
                step: self.step.clone(),
                error: error.clone(),
                origin: self.origin,
                offset: records.get(from + *message).offset,
                row: None,
            })
            .collect();
        let null_values = decoded.null_values.iter().map(|&message| records.get(from + message).offset.0).collect();
        let batch = self.batch(decoded, records, from);
        let next = Position { offset: next, rows: 0 };
        let chunk = Chunk { batch, rejected, null_values, next, frame: None };
        Ok(Arrival { input: self.input, chunk, bytes, idle: false })
    }

    /// Begins with a new decoder when it has been told of too many schemas that there are not, or long ago: it never forgets
    /// one.
    fn forget_refused(&mut self, now: Millis) -> Result<(), WorkerError> {
        if self.learner.is_to_forget(now) {
            self.decoder = decoders::of(&self.def)?;
            self.learner.begin_anew();
        }
        Ok(())
    }

    /// The rows as a batch; `from` is the number of the first record.
    fn batch(&self, decoded: Decoded, records: &Records, from: usize) -> Batch {
        let record_of = |row: usize| match &decoded.messages {
            None => from + row,
            Some(messages) => from + messages[row] as usize,
        };
        let rows = decoded.rows.num_rows();
        let meta = RowMeta {
            input: self.input,
            event_time: Int64Array::from_iter_values((0..rows).map(|row| records.get(record_of(row)).timestamp.0)),
            origin: RowOrigin::One(self.origin),
            offset: Int64Array::from_iter_values((0..rows).map(|row| records.get(record_of(row)).offset.0)),
            clock: RowClock::new(OwnTime::Silent),
            position: None,
            mixture: None,
            tombstone: None,
        };
        Batch { rows: decoded.rows, meta }
    }
}

impl ExchangeReader {
    fn arrivals(&mut self, records: &Records) -> Result<Vec<Arrival>, (Offset, FrameFault)> {
        let mut arrivals = Vec::with_capacity(records.len());
        for record in records.iter() {
            let damaged = |message: String| (record.offset, FrameFault::Damaged(message));
            let bytes = record.value.ok_or_else(|| damaged("a frame without content".to_owned()))?;
            let frame =
                frame::decode_exchange(bytes, InputId::default()).map_err(|error| damaged(error.to_string()))?;
            let mut batch = with_columns(frame.batch, &self.columns).map_err(|fault| (record.offset, fault))?;
            let sender = frame.sender.partition;
            let input = *self
                .inputs
                .get(&sender)
                .ok_or_else(|| damaged(format!("a frame of sender {sender}, which is not among the tasks")))?;
            let next = Position { offset: Offset(record.offset.0 + 1), rows: 0 };
            let mut first = Position { offset: record.offset, rows: 0 };
            if let Some(&done) = self.done.get(&sender) {
                if done >= next {
                    continue;
                }
                if done > first {
                    batch = batch.split_at((done.rows as usize).min(batch.len())).1;
                    first = done;
                }
            }
            let idle = frame.idle || crash::control("worker.control.wait_for_nobody");
            let frame_chunk = Some(FrameChunk { first, end: frame.end, idle });
            let chunk = Chunk { batch, rejected: Vec::new(), null_values: Vec::new(), next, frame: frame_chunk };
            arrivals.push(Arrival { input, chunk, bytes: 0, idle: frame.idle });
        }
        Ok(arrivals)
    }
}

/// The rows of a frame with the columns that the pipeline reads: another version of it may have sent more, or in another order.
fn with_columns(batch: Batch, expected: &SchemaRef) -> Result<Batch, FrameFault> {
    let found = batch.rows.schema();
    let same =
        |found: &Field, expected: &Field| found.name() == expected.name() && found.data_type() == expected.data_type();
    let at = |expected: &Arc<Field>| {
        let at = found.fields().iter().position(|found| same(found, expected));
        at.ok_or_else(|| FrameFault::Lacks(format!("{} ({})", expected.name(), sql_name(expected.data_type()))))
    };
    let columns = expected.fields().iter().map(at).collect::<Result<Vec<usize>, _>>()?;
    if columns.iter().copied().eq(0..found.fields().len()) {
        return Ok(batch);
    }
    let rows = batch.rows.project(&columns).map_err(|error| FrameFault::Damaged(error.to_string()))?;
    Ok(batch.with_rows(rows))
}

/// Lends records as messages. Headers are gathered only where there are any.
fn with_messages<R>(records: &Records, range: Range<usize>, with: impl FnOnce(&[Message<'_>]) -> R) -> R {
    let lent = || range.clone().map(|index| records.get(index));
    let mut headers = Vec::new();
    let mut ranges = Vec::new();
    for (index, record) in lent().enumerate() {
        if record.headers.len() > 0 {
            let begin = headers.len();
            headers.extend(record.headers.map(|header| (header.name, header.value)));
            ranges.push((index, begin..headers.len()));
        }
    }
    let mut messages: Vec<Message<'_>> = lent()
        .map(|record| Message {
            key: record.key,
            value: record.value,
            timestamp: record.timestamp.0,
            offset: record.offset.0,
            headers: Headers::NONE,
        })
        .collect();
    for (index, range) in ranges {
        messages[index].headers = Headers::Borrowed(&headers[range]);
    }
    with(&messages)
}
