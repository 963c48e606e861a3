//! Frames: a batch of columns, or a few bytes, as one message of an internal topic, checked on the way back. Damaged or
//! foreign bytes are an error, never a panic and never a wrong row.
//!
//! Layout: `MSF`, version, CRC-32 (little endian) of all that follows; flags; length of the body before compression
//! (u32 little endian); for rows of a repartition and for pages their header; the body, an Arrow IPC stream of one batch or
//! the bytes themselves, as one LZ4 block where that pays.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::buffer::Buffer;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use millstream_engine::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use millstream_engine::ids::{InputId, Origin, PartitionId, TaskId};
use millstream_engine::operator::End;
use millstream_engine::state::PageId;
use millstream_engine::time::Watermark;

const MAGIC: &[u8; 3] = b"MSF";
const VERSION: u8 = 2;
/// Magic, version, checksum, flags, length of the body.
const HEADER_LEN: usize = 13;
/// Flags, subtopology, partition, watermark at the end, origin.
const EXCHANGE_LEN: usize = 25;
/// The longest body that is written or read.
const BODY_LEN: usize = 1 << 30;
/// Bodies below this are not worth compressing.
const COMPRESSED_FROM: usize = 512;
/// What LZ4 can at best make of one byte.
const LZ4_RATIO: usize = 255;

const COMPRESSED: u8 = 1;
/// What a frame holds: rows alone,
const ROWS: u8 = 0;
/// rows of a repartition,
const EXCHANGE: u8 = 2;
/// bytes,
const BYTES: u8 = 4;
/// the rows of a page.
const PAGE: u8 = 8;
const KINDS: u8 = EXCHANGE | BYTES | PAGE;

const IDLE: u8 = 1;
const ORIGIN_EACH: u8 = 2;
const BEFORE: u8 = 4;
const TOMBSTONE: u8 = 8;
const LATE_BY: u8 = 16;
const AT_END: u8 = 32;
/// Those that stand for a column each.
const COLUMNS: u8 = ORIGIN_EACH | BEFORE | TOMBSTONE | LATE_BY;

/// Why bytes are not a frame, or a batch cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes do not begin as a frame does.
    #[error("not a frame")]
    Foreign,
    /// The frame was written by another version of this layout. Frames of others are refused, never guessed at.
    #[error("a frame of version {0}, where this release of millstream knows {VERSION}: run the release that wrote it")]
    Version(u8),
    /// Bytes were lost or changed on the way.
    #[error("a damaged frame: {0}")]
    Damaged(&'static str),
    /// The content is not a batch.
    #[error("a frame with bad content: {0}")]
    Content(String),
    /// The batch has no form as a frame.
    #[error("a batch that cannot be framed: {0}")]
    Unwritable(String),
}

/// Rows or time that one task sends to another through a repartition topic.
#[derive(Debug, Clone)]
pub struct ExchangeFrame {
    /// The sending task.
    pub sender: TaskId,
    /// Whether every input of the sender is idle.
    pub idle: bool,
    /// How the sender stands, behind these rows, to what there is for it to read.
    pub end: End,
    /// The rows (perhaps none), with the sender's W at each row in `clock.before` and at the end in `clock.after`, and what a
    /// row is late by in `clock.late_by`.
    /// `position` does not travel, `clock.own` always arrives as [`OwnTime::Silent`].
    pub batch: Batch,
}

/// A batch as a frame.
///
/// # Errors
/// If a column's type has no form in Arrow's IPC format, or the frame would be larger than 1 GiB.
pub fn encode(rows: &RecordBatch) -> Result<Vec<u8>, FrameError> {
    seal(ROWS, &[], body(rows)?)
}

/// The batch of a frame that [`encode`] has written.
///
/// # Errors
/// If the bytes are not such a frame, whole and undamaged.
pub fn decode(bytes: &[u8]) -> Result<RecordBatch, FrameError> {
    let (flags, content, len) = open(bytes, ROWS)?;
    rows(flags, content, len)
}

/// Bytes as a frame, which tells its version and whether it is whole.
///
/// # Errors
/// If they are more than 1 GiB.
pub fn encode_bytes(content: &[u8]) -> Result<Vec<u8>, FrameError> {
    too_long(content.len())?;
    seal(BYTES, &[], content.to_vec())
}

/// The bytes of a frame that [`encode_bytes`] has written.
///
/// # Errors
/// If the bytes are not such a frame, whole and undamaged.
pub fn decode_bytes(bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
    let (flags, content, len) = open(bytes, BYTES)?;
    unpacked(flags, content, len)
}

/// A page of state as a frame.
///
/// # Errors
/// As [`encode`].
pub fn encode_page(id: PageId, rows: &RecordBatch) -> Result<Vec<u8>, FrameError> {
    let mut header = id.pane.to_le_bytes().to_vec();
    header.extend_from_slice(&id.bucket.to_le_bytes());
    seal(PAGE, &header, body(rows)?)
}

/// The page of a frame that [`encode_page`] has written.
///
/// # Errors
/// If the bytes are not such a frame, whole and undamaged.
pub fn decode_page(bytes: &[u8]) -> Result<(PageId, RecordBatch), FrameError> {
    let (flags, content, len) = open(bytes, PAGE)?;
    let header = content.split_first_chunk::<8>().and_then(|(pane, rest)| {
        let (bucket, rest) = rest.split_first_chunk::<4>()?;
        Some((PageId { pane: i64::from_le_bytes(*pane), bucket: u32::from_le_bytes(*bucket) }, rest))
    });
    let (id, content) = header.ok_or(FrameError::Damaged("its header is cut off"))?;
    Ok((id, rows(flags, content, len)?))
}

/// Rows of a repartition as a frame.
///
/// # Errors
/// As [`encode`].
pub fn encode_exchange(frame: &ExchangeFrame) -> Result<Vec<u8>, FrameError> {
    let meta = &frame.batch.meta;
    let mut flags = if frame.idle { IDLE } else { 0 };
    if frame.end == End::Reached {
        flags |= AT_END;
    }
    let mut extra: Vec<ArrayRef> = vec![Arc::new(meta.event_time.clone()), Arc::new(meta.offset.clone())];
    let origin = match &meta.origin {
        RowOrigin::One(origin) => origin.0,
        RowOrigin::Each(origins) => {
            flags |= ORIGIN_EACH;
            extra.push(Arc::new(origins.clone()));
            0
        }
    };
    if let Some(before) = &meta.clock.before {
        flags |= BEFORE;
        extra.push(Arc::new(before.clone()));
    }
    if let Some(tombstone) = &meta.tombstone {
        flags |= TOMBSTONE;
        extra.push(Arc::new(tombstone.clone()));
    }
    if let Some(late_by) = &meta.clock.late_by {
        flags |= LATE_BY;
        extra.push(Arc::new(late_by.clone()));
    }
    let subtopology = u32::try_from(frame.sender.subtopology)
        .map_err(|_| FrameError::Unwritable(format!("subtopology {}", frame.sender.subtopology)))?;
    let mut header = Vec::with_capacity(EXCHANGE_LEN);
    header.push(flags);
    header.extend_from_slice(&subtopology.to_le_bytes());
    header.extend_from_slice(&frame.sender.partition.0.to_le_bytes());
    header.extend_from_slice(&meta.clock.after.0.to_le_bytes());
    header.extend_from_slice(&origin.to_le_bytes());
    seal(EXCHANGE, &header, body(&with_columns(&frame.batch.rows, extra)?)?)
}

/// The sender of a frame that [`encode_exchange`] has written, without reading its rows.
///
/// # Errors
/// If the bytes are not such a frame, whole and undamaged.
pub fn exchange_sender(bytes: &[u8]) -> Result<TaskId, FrameError> {
    let (_, content, _) = open(bytes, EXCHANGE)?;
    Ok(exchange_header(content)?.0.sender)
}

/// The rows of a frame that [`encode_exchange`] has written, as rows of `input`.
///
/// # Errors
/// If the bytes are not such a frame, whole and undamaged.
pub fn decode_exchange(bytes: &[u8], input: InputId) -> Result<ExchangeFrame, FrameError> {
    let (flags, content, len) = open(bytes, EXCHANGE)?;
    let (header, content) = exchange_header(content)?;
    let all = rows(flags, content, len)?;
    let count = 2 + (header.flags & COLUMNS).count_ones() as usize;
    let split = all.num_columns().checked_sub(count).ok_or(FrameError::Damaged("columns are missing"))?;
    let mut extra = all.columns()[split..].iter();
    let event_time = next::<Int64Array>(&mut extra)?;
    let offset = next::<Int64Array>(&mut extra)?;
    let origin = match header.flags & ORIGIN_EACH {
        0 => RowOrigin::One(header.origin),
        _ => RowOrigin::Each(next::<UInt64Array>(&mut extra)?),
    };
    let before = if header.flags & BEFORE == 0 { None } else { Some(next::<Int64Array>(&mut extra)?) };
    let tombstone = if header.flags & TOMBSTONE == 0 { None } else { Some(next::<BooleanArray>(&mut extra)?) };
    let late_by = if header.flags & LATE_BY == 0 { None } else { Some(next::<Int64Array>(&mut extra)?) };
    let clock = RowClock { before, own: OwnTime::Silent, late_by, after: header.after };
    let meta = RowMeta { input, event_time, origin, offset, clock, position: None, mixture: None, tombstone };
    let batch = Batch { rows: first_columns(&all, split)?, meta };
    let end = if header.flags & AT_END == 0 { End::Ahead } else { End::Reached };
    Ok(ExchangeFrame { sender: header.sender, idle: header.flags & IDLE != 0, end, batch })
}

/// What stands before the rows of a repartition.
struct ExchangeHeader {
    flags: u8,
    sender: TaskId,
    after: Watermark,
    origin: Origin,
}

fn exchange_header(content: &[u8]) -> Result<(ExchangeHeader, &[u8]), FrameError> {
    let Some((&[own, ref subtopology @ .., p0, p1, p2, p3], rest)) = content.split_first_chunk::<9>() else {
        return Err(FrameError::Damaged("its header is cut off"));
    };
    let (Some((after, rest)), subtopology) = (rest.split_first_chunk::<8>(), u32::from_le_bytes(*subtopology)) else {
        return Err(FrameError::Damaged("its header is cut off"));
    };
    let Some((origin, rest)) = rest.split_first_chunk::<8>() else {
        return Err(FrameError::Damaged("its header is cut off"));
    };
    let partition = PartitionId(u32::from_le_bytes([p0, p1, p2, p3]));
    if own & !(IDLE | AT_END | COLUMNS) != 0 {
        return Err(FrameError::Damaged("it says what this release does not know"));
    }
    let header = ExchangeHeader {
        flags: own,
        sender: TaskId { subtopology: subtopology as usize, partition },
        after: Watermark(i64::from_le_bytes(*after)),
        origin: Origin(u64::from_le_bytes(*origin)),
    };
    Ok((header, rest))
}

/// The next column as `T`, without nulls.
fn next<'a, T: Array + Clone + 'static>(columns: &mut impl Iterator<Item = &'a ArrayRef>) -> Result<T, FrameError> {
    let column = columns.next().and_then(|column| column.as_any().downcast_ref::<T>());
    let column = column.ok_or(FrameError::Damaged("a column is of another type"))?;
    if column.null_count() > 0 {
        return Err(FrameError::Damaged("a time or origin is null"));
    }
    Ok(column.clone())
}

fn with_columns(rows: &RecordBatch, extra: Vec<ArrayRef>) -> Result<RecordBatch, FrameError> {
    let schema = rows.schema_ref();
    let mut fields = schema.fields().iter().cloned().collect::<Vec<_>>();
    fields.extend(extra.iter().map(|column| Arc::new(Field::new("", column.data_type().clone(), false))));
    let columns = rows.columns().iter().cloned().chain(extra).collect();
    new_batch(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())), columns, rows.num_rows())
}

fn first_columns(rows: &RecordBatch, count: usize) -> Result<RecordBatch, FrameError> {
    let schema = rows.schema_ref();
    let fields = schema.fields().iter().take(count).cloned().collect::<Vec<_>>();
    let columns = rows.columns().iter().take(count).cloned().collect();
    new_batch(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())), columns, rows.num_rows())
}

fn new_batch(schema: SchemaRef, columns: Vec<ArrayRef>, count: usize) -> Result<RecordBatch, FrameError> {
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(|error| FrameError::Content(error.to_string()))
}

/// The batch as an Arrow IPC stream.
fn body(rows: &RecordBatch) -> Result<Vec<u8>, FrameError> {
    let unwritable = |error: arrow::error::ArrowError| FrameError::Unwritable(error.to_string());
    let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5).map_err(unwritable)?;
    let mut writer =
        StreamWriter::try_new_with_options(Vec::with_capacity(1024), rows.schema_ref(), options).map_err(unwritable)?;
    writer.write(rows).map_err(unwritable)?;
    let body = writer.into_inner().map_err(unwritable)?;
    too_long(body.len())?;
    Ok(body)
}

fn too_long(len: usize) -> Result<(), FrameError> {
    match len > BODY_LEN {
        true => Err(FrameError::Unwritable(format!("{len} bytes are more than 1 GiB"))),
        false => Ok(()),
    }
}

fn seal(kind: u8, header: &[u8], body: Vec<u8>) -> Result<Vec<u8>, FrameError> {
    let compressed = match body.len() {
        0..COMPRESSED_FROM => None,
        len => Some(lz4_flex::block::compress(&body)).filter(|compressed| compressed.len() < len - len / 8),
    };
    let flags = kind | if compressed.is_some() { COMPRESSED } else { 0 };
    let content = compressed.as_deref().unwrap_or(&body);
    let mut frame = Vec::with_capacity(HEADER_LEN + header.len() + content.len());
    frame.extend_from_slice(MAGIC);
    frame.push(VERSION);
    frame.extend_from_slice(&[0; 4]);
    frame.push(flags);
    // At most 1 GiB, as checked when the body was made.
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(header);
    frame.extend_from_slice(content);
    let checksum = crc32fast::hash(&frame[8..]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    Ok(frame)
}

/// Flags of a frame of that kind, what follows them, and the length of the body before compression.
fn open(bytes: &[u8], kind: u8) -> Result<(u8, &[u8], usize), FrameError> {
    let Some((magic, rest)) = bytes.split_first_chunk::<3>() else { return Err(FrameError::Foreign) };
    if magic != MAGIC {
        return Err(FrameError::Foreign);
    }
    let Some((&version, rest)) = rest.split_first() else { return Err(FrameError::Damaged("it is cut off")) };
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let Some((checksum, checked)) = rest.split_first_chunk::<4>() else {
        return Err(FrameError::Damaged("it is cut off"));
    };
    if crc32fast::hash(checked) != u32::from_le_bytes(*checksum) {
        return Err(FrameError::Damaged("its checksum does not fit"));
    }
    let Some((&[flags, ref len @ ..], content)) = checked.split_first_chunk::<5>() else {
        return Err(FrameError::Damaged("it is cut off"));
    };
    if flags & KINDS != kind {
        return Err(FrameError::Foreign);
    }
    Ok((flags, content, u32::from_le_bytes(*len) as usize))
}

/// The body as it was before compression.
fn unpacked(flags: u8, content: &[u8], len: usize) -> Result<Vec<u8>, FrameError> {
    if len > BODY_LEN {
        return Err(FrameError::Damaged("its length is out of range"));
    }
    let body = if flags & COMPRESSED == 0 {
        content.to_vec()
    } else if len / LZ4_RATIO > content.len() {
        return Err(FrameError::Damaged("its length is out of range"));
    } else {
        lz4_flex::block::decompress(content, len).map_err(|error| FrameError::Content(error.to_string()))?
    };
    if body.len() != len {
        return Err(FrameError::Damaged("its length does not fit"));
    }
    Ok(body)
}

fn rows(flags: u8, content: &[u8], len: usize) -> Result<RecordBatch, FrameError> {
    let body = unpacked(flags, content, len)?;
    // The checksum keeps out accidents. Bytes forged with a good checksum may still point outside the body, and Arrow's
    // reader answers some of those by a panic: here that is an error like any other.
    let read = catch_unwind(AssertUnwindSafe(|| read_body(body)));
    read.unwrap_or_else(|_| Err(FrameError::Content("it points outside itself".to_owned())))
}

fn read_body(body: Vec<u8>) -> Result<RecordBatch, FrameError> {
    let bad = |error: arrow::error::ArrowError| FrameError::Content(error.to_string());
    let mut buffer = Buffer::from_vec(body);
    let mut decoder = StreamDecoder::new();
    let rows = decoder.decode(&mut buffer).map_err(bad)?;
    let rows = rows.ok_or_else(|| FrameError::Content("it holds no batch".to_owned()))?;
    if decoder.decode(&mut buffer).map_err(bad)?.is_some() {
        return Err(FrameError::Content("it holds more than one batch".to_owned()));
    }
    decoder.finish().map_err(bad)?;
    Ok(rows)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
