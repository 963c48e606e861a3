//! A log in a folder: segments of JSON lines, and one commit log that alone says what of them is visible.
//!
//! # How a commit is made whole
//! Every writer, in whatever process, commits in the same way under one short lock between processes (`commits.lock`):
//!
//! 1. read what other writers have committed; cut off what one that died left in the commit log;
//! 2. append the records behind the committed end of their segments (cutting off what was never committed); sync them;
//! 3. append **one** line to the commit log: the new ends, the group's offsets, a checksum; sync it.
//!
//! A reader looks at the commit log and never behind a committed end, so that outputs, changelog frames and offsets are
//! seen together or not at all. After a crash in 2, and in 3 before the line is whole, nothing has happened; after it,
//! everything has. What is committed and cannot be read back is [`LogError::Corrupt`]: never a guess, never a panic.
//!
//! # Several processes
//! A run holds `run.lock` for its life: there is one run over a folder, and it alone has transactions. Anybody may produce
//! to any topic and read at the same time ([`Access::Client`]): a produce is a commit of its own. Records of one partition
//! from several writers stand in the order of their commits. A transaction is held in memory until it commits, so a
//! process that dies leaves other writers nothing to wait for.
//!
//! # Housekeeping
//! A commit log that has grown is replaced by a snapshot (written aside, synced, renamed, folder synced). Whole segments
//! before the earliest offset are removed after the commit that says so. A trim is written with the next commit.

mod commits;
mod disk;
mod layout;
mod line;
mod lock;
mod pending;
mod reader;
mod segments;
mod shared;
mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;

use self::commits::Commits;
use self::layout::{Layout, Topics};
use self::lock::WriteLock;
use self::pending::Pending;
use self::reader::{Cursors, Limit, Part};
use self::shared::{Shared, out_of_range};
use crate::crash::crash_point;
use crate::log::{
    Committed, CommittedOffset, Extent, Log, LogError, NewRecord, ReadLimit, Records, TopicInfo, TopicPartition,
    TopicSettings,
};

pub use disk::Durability;
#[cfg(feature = "crash-points")]
pub use disk::PowerLoss;

/// What a process wants of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To run pipelines: transactions. One process at a time.
    Run,
    /// To produce, read and make topics, beside a run and others.
    Client,
}

/// How a folder is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// What for.
    pub access: Access,
    /// How far a commit goes before it is reported.
    pub durability: Durability,
    /// A segment is closed when it would outgrow this.
    pub segment_bytes: u64,
    /// The commit log is compacted when it has outgrown its snapshot by this (and by twice the snapshot).
    pub compact_bytes: u64,
}

impl Options {
    /// The usual settings for an access.
    pub fn new(access: Access) -> Options {
        Options { access, durability: Durability::Sync, segment_bytes: 64 << 20, compact_bytes: 4 << 20 }
    }
}

/// What was put right when a run opened the folder; all zero after an orderly end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Bytes of the commit log that no commit was made of.
    pub commit_bytes_cut: u64,
    /// Bytes of segments that were not committed.
    pub data_bytes_cut: u64,
    /// Segments that were not committed, or given up and not yet removed.
    pub segments_removed: u64,
}

/// A handle of a log in a folder, with its own transaction.
#[derive(Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    open: Pending,
    cursors: Cursors,
}

impl EmbeddedLog {
    /// Opens the log in a folder.
    ///
    /// # Errors
    /// [`LogError::NotALog`] if there is none, [`LogError::InUse`] for a second run, [`LogError::Corrupt`] if what was
    /// committed is not there.
    pub fn open(dir: &Path, options: Options) -> Result<EmbeddedLog, LogError> {
        let layout = Layout { dir: dir.to_owned() };
        if !layout.commits().exists() {
            let message = "it has no commit log".to_owned();
            return Err(LogError::NotALog { path: dir.to_owned(), message });
        }
        Ok(EmbeddedLog::of(Arc::new(Shared::open(layout, options)?)))
    }

    /// Opens the log in a folder, and makes it first if the folder is empty or not there.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`LogError::NotALog`] if the folder holds other things, or records without a commit log.
    pub fn open_or_create(dir: &Path, options: Options) -> Result<EmbeddedLog, LogError> {
        create(&Layout { dir: dir.to_owned() }, &options.durability)?;
        EmbeddedLog::open(dir, options)
    }

    /// Another handle of the same log, for another thread, with its own transaction.
    #[must_use]
    pub fn handle(&self) -> EmbeddedLog {
        EmbeddedLog::of(Arc::clone(&self.shared))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.shared.layout.dir
    }

    /// What was put right when the folder was opened, and since.
    pub fn recovery(&self) -> Recovery {
        self.shared.recovery()
    }

    /// The files in which a partition's committed records are, in order.
    ///
    /// # Errors
    /// If there is no such partition, or if the log cannot be read.
    pub fn segment_files(&self, topic: &str, partition: PartitionId) -> Result<Vec<PathBuf>, LogError> {
        let found = self.shared.partition(topic, partition)?;
        let path = |segment: &state::Segment| self.shared.layout.segment(topic, partition, segment.base);
        Ok(found.segments.iter().map(path).collect())
    }

    fn of(shared: Arc<Shared>) -> EmbeddedLog {
        EmbeddedLog { shared, open: Pending::default(), cursors: Cursors::default() }
    }

    fn check_run(&self) -> Result<(), LogError> {
        match self.shared.options.access {
            Access::Run => Ok(()),
            Access::Client => Err(LogError::NotTheRun { path: self.dir().to_owned() }),
        }
    }

    /// What to say of a segment whose file is gone: it was trimmed meanwhile, or it is lost.
    fn missing(&self, topic: &str, partition: PartitionId, part: Part) -> Result<Offset, LogError> {
        let extent = self.shared.extent(topic, partition)?;
        if part.from < extent.earliest.0 {
            return Err(out_of_range(topic, partition, Offset(part.from), extent));
        }
        let path = self.shared.layout.segment(topic, partition, part.segment.base);
        Err(LogError::corrupt(&path, 0, "the segment is missing"))
    }
}

impl Log for EmbeddedLog {
    fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        let mut topics = Vec::new();
        for name in Topics::names(&self.shared.layout)? {
            if let Some(settings) = self.shared.topic(&name)? {
                topics.push(TopicInfo { name, settings });
            }
        }
        Ok(topics)
    }

    fn partitions(&self, topic: &str) -> Result<Option<u32>, LogError> {
        Ok(self.shared.topic(topic)?.map(|settings| settings.partitions))
    }

    fn create_topic(&mut self, name: &str, settings: TopicSettings) -> Result<(), LogError> {
        self.shared.create_topic(name, &settings)
    }

    fn extent(&self, topic: &str, partition: PartitionId) -> Result<Extent, LogError> {
        self.shared.extent(topic, partition)
    }

    fn offset_at(&mut self, topic: &str, partition: PartitionId, time: Millis) -> Result<Offset, LogError> {
        let found = self.shared.partition(topic, partition)?;
        let (mut cursors, mut records) = (Cursors::default(), Records::new());
        for (index, segment) in found.segments.iter().enumerate().filter(|(_, segment)| segment.newest >= time.0) {
            let end = found.segment_end(index);
            let mut from = segment.base.max(found.earliest);
            while from < end {
                records.clear();
                let part = Part { segment: *segment, end, from };
                let mut limit = Limit::new(ReadLimit::default(), &records);
                let read = cursors.read(&self.shared.layout, topic, partition, part, &mut limit, &mut records)?;
                let Some(next) = read else { return self.missing(topic, partition, part) };
                if let Some(record) = records.iter().find(|record| record.timestamp >= time) {
                    return Ok(record.offset);
                }
                from = next.0;
            }
        }
        Ok(Offset(found.end))
    }

    fn read(
        &mut self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
        limit: ReadLimit,
        into: &mut Records,
    ) -> Result<Offset, LogError> {
        let mut limit = Limit::new(limit, into);
        let mut next = from;
        let mut part = self.shared.part_at(topic, partition, next)?;
        if part.is_none() {
            let extent = self.shared.extent(topic, partition)?;
            if from > extent.end {
                return Err(out_of_range(topic, partition, from, extent));
            }
            part = self.shared.part_at(topic, partition, next)?;
        }
        while let Some(reading) = part {
            let read = self.cursors.read(&self.shared.layout, topic, partition, reading, &mut limit, into)?;
            let Some(read_to) = read else { return self.missing(topic, partition, reading) };
            next = read_to;
            if limit.is_met(into) {
                break;
            }
            part = self.shared.part_at(topic, partition, next)?;
        }
        Ok(next)
    }

    fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError> {
        self.shared.committed(group)
    }

    fn append(&mut self, topic: &str, partition: PartitionId, record: NewRecord<'_>) -> Result<(), LogError> {
        if !self.open.has(topic, partition) {
            self.check_run()?;
            self.shared.check_partition(topic, partition)?;
        }
        self.open.push(topic, partition, record);
        Ok(())
    }

    fn commit(
        &mut self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<Committed, LogError> {
        self.check_run()?;
        let pending = std::mem::take(&mut self.open);
        self.shared.publish(&pending, Some((group, offsets)))
    }

    fn abort(&mut self) {
        self.open = Pending::default();
    }

    fn open_bytes(&self) -> usize {
        self.open.bytes()
    }

    fn produce(&mut self, topic: &str, partition: PartitionId, records: &Records) -> Result<Offset, LogError> {
        self.shared.check_partition(topic, partition)?;
        let committed = self.shared.publish(&Pending::of(topic, partition, records), None)?;
        let position = committed.positions.into_values().next();
        position.map_or_else(|| Ok(self.extent(topic, partition)?.end), Ok)
    }

    fn trim(&mut self, topic: &str, partition: PartitionId, before: Offset) -> Result<(), LogError> {
        self.shared.trim(topic, partition, before)
    }
}

fn create(layout: &Layout, durability: &Durability) -> Result<(), LogError> {
    if layout.commits().exists() {
        return Ok(());
    }
    layout.create(durability)?;
    let lock_path = layout.commits_lock();
    let _guard = WriteLock::open(&lock_path)?.hold(&lock_path)?;
    if let Some(topic) = layout.topic_with_records()?
        && !layout.commits().exists()
    {
        let message = format!(
            "it holds records of topic {topic}, and the file `commits`, which alone says what of them is committed, is missing: put \
             the file back, or empty the folder to begin anew"
        );
        return Err(LogError::NotALog { path: layout.dir.clone(), message });
    }
    crash_point!("log.open.before_create");
    Commits::create(&layout.commits(), durability)?;
    crash_point!("log.open.created");
    Ok(())
}
