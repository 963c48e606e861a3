//! Reading committed records: a cursor per partition, so that reading on where the last read stopped costs no seek.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use millstream_engine::ids::{Offset, PartitionId};

use super::disk;
use super::layout::Layout;
use super::line;
use super::state::Segment;
use crate::log::{LogError, ReadLimit, Records};

/// Bytes read from a file at once.
const READ_BYTES: u64 = 256 << 10;

/// Where the reads of one handle stand.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    cursors: BTreeMap<String, BTreeMap<PartitionId, Cursor>>,
}

/// A place in a segment.
#[derive(Debug)]
struct Cursor {
    base: i64,
    path: PathBuf,
    file: File,
    /// The offset of the record at `position`.
    offset: i64,
    /// Where in the file that record begins.
    position: u64,
    /// Bytes of the file from `position` on; never any that are not committed.
    ahead: Vec<u8>,
    /// How many bytes of `ahead` are done with.
    done: usize,
    /// The length of the line here, with its line feed; 0 while it is not known.
    line_len: usize,
}

/// A part of a segment to read: records in `from..end`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) segment: Segment,
    /// The offset behind the segment's last committed record.
    pub(super) end: i64,
    pub(super) from: i64,
}

impl Cursors {
    /// Reads records of a part to the end of `into` until its end or until the limit is met; says the offset to go on at.
    /// `None` if the segment's file is gone.
    pub(super) fn read(
        &mut self,
        layout: &Layout,
        topic: &str,
        partition: PartitionId,
        part: Part,
        limit: &mut Limit,
        into: &mut Records,
    ) -> Result<Option<Offset>, LogError> {
        let cached = self.cursors.get_mut(topic).and_then(|partitions| partitions.remove(&partition));
        let mut cursor = match cached {
            Some(cursor) if cursor.base == part.segment.base && cursor.offset <= part.from => cursor,
            _ => {
                let path = layout.segment(topic, partition, part.segment.base);
                let Some(file) = disk::open_for_reading(&path)? else { return Ok(None) };
                Cursor::at_start(path, file, part.segment.base)
            }
        };
        cursor.skip_to(part)?;
        while cursor.offset < part.end && !limit.is_met(into) {
            let offset = Offset(cursor.offset);
            let (line, path, position) = cursor.line(part)?;
            line::read_line(line, offset, into).map_err(|message| LogError::corrupt(path, position, message))?;
            cursor.step();
        }
        let next = cursor.offset;
        self.cursors.entry(topic.to_owned()).or_default().insert(partition, cursor);
        Ok(Some(Offset(next)))
    }
}

/// How much a read may still bring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    records: usize,
    bytes: usize,
    first: usize,
}

impl Limit {
    pub(super) fn new(limit: ReadLimit, into: &Records) -> Limit {
        Limit {
            records: into.len().saturating_add(limit.records),
            bytes: into.byte_len().saturating_add(limit.bytes),
            first: into.len(),
        }
    }

    /// Whether the read is over: at least one record is always read.
    pub(super) fn is_met(&self, into: &Records) -> bool {
        into.len() > self.first && (into.len() >= self.records || into.byte_len() >= self.bytes)
    }
}

impl Cursor {
    fn at_start(path: PathBuf, file: File, base: i64) -> Cursor {
        Cursor { base, path, file, offset: base, position: 0, ahead: Vec::new(), done: 0, line_len: 0 }
    }

    /// Goes to the part's first record: every record is one line, so lines are counted and not read.
    fn skip_to(&mut self, part: Part) -> Result<(), LogError> {
        while self.offset < part.from {
            self.line(part)?;
            self.step();
        }
        Ok(())
    }

    /// The line of the record here (without its line feed), and where it is.
    fn line(&mut self, part: Part) -> Result<(&[u8], &PathBuf, u64), LogError> {
        let mut searched = 0;
        let end = loop {
            if let Some(end) = memchr::memchr(b'\n', &self.ahead[self.done + searched..]) {
                break searched + end;
            }
            searched = self.ahead.len() - self.done;
            self.read_on(part)?;
        };
        self.line_len = end + 1;
        Ok((&self.ahead[self.done..self.done + end], &self.path, self.position))
    }

    /// Goes behind the record that [`line`](Self::line) has shown.
    fn step(&mut self) {
        self.done += self.line_len;
        self.position += self.line_len as u64;
        self.offset += 1;
        self.line_len = 0;
    }

    fn read_on(&mut self, part: Part) -> Result<(), LogError> {
        self.ahead.drain(..self.done);
        self.done = 0;
        let have = self.ahead.len() as u64;
        let left = part.segment.bytes.saturating_sub(self.position + have);
        // A line longer than what was read so far is read in steps that grow, so that it is not searched many times.
        let wanted = left.min(READ_BYTES.max(have));
        disk::read_at(&self.file, &self.path, self.position + have, wanted, &mut self.ahead)?;
        if self.ahead.len() as u64 == have {
            let message = format!("the record at offset {} has no end", self.offset);
            return Err(LogError::corrupt(&self.path, self.position, message));
        }
        Ok(())
    }
}
