//! Writing segments: appends to the newest, rolls to the next, and never touches what is committed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use millstream_engine::ids::{Offset, PartitionId};

use super::disk::{self, Durability};
use super::layout::Layout;
use super::line;
use super::pending::Bodies;
use super::state::{Partition, PartitionChange, Segment};
use crate::crash::crash_point;
use crate::log::LogError;

/// Bytes handed to the system at once.
const WRITE_BYTES: usize = 1 << 20;

/// The files of partitions that this process has written to.
#[derive(Debug, Default)]
pub(super) struct SegmentFiles {
    open: BTreeMap<String, BTreeMap<PartitionId, SegmentFile>>,
}

#[derive(Debug)]
struct SegmentFile {
    path: PathBuf,
    file: File,
    segment: Segment,
}

/// Files that a write has touched and that are to be synced before its commit record is written.
#[derive(Debug, Default)]
pub(super) struct Touched {
    files: Vec<(PathBuf, File)>,
    folders: Vec<PathBuf>,
}

impl Touched {
    /// Syncs the files and the folders in which there are new ones.
    pub(super) fn sync(&self, durability: &Durability) -> Result<(), LogError> {
        for (path, file) in &self.files {
            durability.sync_file(file, path)?;
        }
        self.folders.iter().try_for_each(|folder| durability.sync_folder(folder))
    }
}

/// One write to one partition.
pub(super) struct Write<'a> {
    pub(super) layout: &'a Layout,
    pub(super) durability: &'a Durability,
    pub(super) segment_bytes: u64,
    pub(super) touched: &'a mut Touched,
}

impl SegmentFiles {
    /// Forgets open files, so that the next write looks at the disk again.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    /// Appends records behind a partition's committed end, and says what a commit record has to say of it. Only under
    /// the writers' lock, with `committed` fresh.
    pub(super) fn append(
        &mut self,
        write: &mut Write<'_>,
        topic: &str,
        partition: PartitionId,
        committed: &Partition,
        bodies: &Bodies,
    ) -> Result<PartitionChange, LogError> {
        let mut change = PartitionChange {
            topic: topic.to_owned(),
            partition: partition.0,
            earliest: None,
            end: committed.end,
            segments: Vec::new(),
        };
        let cached = self.open.get_mut(topic).and_then(|partitions| partitions.remove(&partition));
        let mut active = match (cached, committed.segments.last()) {
            (Some(cached), Some(segment)) if cached.segment == *segment => cached.checked()?,
            (_, Some(segment)) => SegmentFile::reopen(write, topic, partition, *segment)?,
            (_, None) => SegmentFile::create(write, topic, partition, committed.end)?,
        };
        let mut buffer = Vec::with_capacity(WRITE_BYTES + (64 << 10));
        for (body, timestamp) in bodies.iter() {
            let size = active.segment.bytes + buffer.len() as u64;
            if size > 0 && size + body.len() as u64 > write.segment_bytes {
                active.flush(&mut buffer)?;
                change.segments.push(active.segment);
                active.finish(write)?;
                active = SegmentFile::create(write, topic, partition, change.end)?;
                crash_point!("log.data.rolled");
            } else if buffer.len() >= WRITE_BYTES {
                active.flush(&mut buffer)?;
            }
            line::push_line(Offset(change.end), body, &mut buffer);
            active.segment.newest = active.segment.newest.max(timestamp);
            change.end += 1;
        }
        active.flush(&mut buffer)?;
        change.segments.push(active.segment);
        active.touch(write)?;
        self.open.entry(topic.to_owned()).or_default().insert(partition, active);
        Ok(change)
    }
}

impl SegmentFile {
    /// Begins a segment; a file of that name is what a writer left behind that did not commit.
    fn create(write: &mut Write<'_>, topic: &str, partition: PartitionId, base: i64) -> Result<SegmentFile, LogError> {
        let path = write.layout.segment(topic, partition, base);
        let file = write.durability.create(&path)?;
        write.touched.folders.push(write.layout.partition(topic, partition));
        Ok(SegmentFile { path, file, segment: Segment { base, bytes: 0, newest: i64::MIN } })
    }

    /// Opens the newest committed segment.
    fn reopen(
        write: &Write<'_>,
        topic: &str,
        partition: PartitionId,
        segment: Segment,
    ) -> Result<SegmentFile, LogError> {
        let path = write.layout.segment(topic, partition, segment.base);
        let Some(file) = disk::open_for_writing(&path)? else {
            return Err(LogError::corrupt(&path, 0, "the segment is missing"));
        };
        SegmentFile { path, file, segment }.checked()
    }

    /// Cuts off what was written behind the committed end and not committed.
    fn checked(self) -> Result<SegmentFile, LogError> {
        let len = disk::len(&self.file, &self.path)?;
        if len < self.segment.bytes {
            let message = format!("{} bytes are committed and {len} are there", self.segment.bytes);
            return Err(LogError::corrupt(&self.path, len, message));
        }
        if len > self.segment.bytes {
            disk::cut(&self.file, &self.path, self.segment.bytes)?;
        }
        Ok(self)
    }

    fn flush(&mut self, buffer: &mut Vec<u8>) -> Result<(), LogError> {
        crash_point!(
            "log.data.torn",
            disk::write_at(&self.file, &self.path, self.segment.bytes, &buffer[..buffer.len() / 2])?
        );
        disk::write_at(&self.file, &self.path, self.segment.bytes, buffer)?;
        self.segment.bytes += buffer.len() as u64;
        buffer.clear();
        Ok(())
    }

    /// Has the file synced with this write, and keeps it.
    fn touch(&self, write: &mut Write<'_>) -> Result<(), LogError> {
        let file = self.file.try_clone().map_err(|error| LogError::io("open", &self.path, error))?;
        write.touched.files.push((self.path.clone(), file));
        Ok(())
    }

    /// Has the file synced with this write; it will not be written to again.
    fn finish(self, write: &mut Write<'_>) -> Result<(), LogError> {
        write.touched.files.push((self.path, self.file));
        Ok(())
    }
}
