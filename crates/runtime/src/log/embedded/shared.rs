//! What the handles of one process share: the commit log as read so far, and the one way to commit.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;

use super::commits::Commits;
use super::disk;
use super::layout::{self, Layout, Topics};
use super::lock::{RunLock, WriteGuard, WriteLock};
use super::pending::Pending;
use super::reader::Part;
use super::segments::{SegmentFiles, Touched, Write};
use super::state::{Dead, Line, Partition, PartitionChange, State, offset_changes};
use super::{Access, Options, Recovery};
use crate::crash::{control, crash_point};
use crate::log::{Committed, CommittedOffset, Extent, LogError, Retention, TopicPartition, TopicSettings, check_topic};

/// The folder as this process has opened it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) layout: Layout,
    pub(super) options: Options,
    inner: Mutex<Inner>,
    _run_lock: Option<RunLock>,
}

#[derive(Debug)]
struct Inner {
    commits: Commits,
    /// Opened by the first write: who only reads needs no right to write in the folder.
    write_lock: Option<WriteLock>,
    topics: Topics,
    files: SegmentFiles,
    /// Earliest offsets asked for, to be written with the next commit.
    trims: BTreeMap<TopicPartition, i64>,
    recovery: Recovery,
    /// Why nothing may be done any more until the folder is opened again.
    broken: Option<String>,
}

/// A group and its new offsets.
pub(super) type GroupOffsets<'a> = (&'a str, &'a BTreeMap<TopicPartition, CommittedOffset>);

impl Shared {
    pub(super) fn open(layout: Layout, options: Options) -> Result<Shared, LogError> {
        let run_lock = match options.access {
            Access::Run => Some(RunLock::take(&layout.run_lock(), &layout.dir)?),
            Access::Client => None,
        };
        let mut inner = Inner {
            commits: Commits::open(&layout.commits())?,
            write_lock: None,
            topics: Topics::default(),
            files: SegmentFiles::default(),
            trims: BTreeMap::new(),
            recovery: Recovery::default(),
            broken: None,
        };
        if options.access == Access::Run {
            inner.recover(&layout, &options)?;
        }
        Ok(Shared { layout, options, inner: Mutex::new(inner), _run_lock: run_lock })
    }

    pub(super) fn recovery(&self) -> Recovery {
        self.lock().recovery
    }

    /// A topic's settings.
    pub(super) fn topic(&self, topic: &str) -> Result<Option<TopicSettings>, LogError> {
        Ok(self.inner()?.topics.find(&self.layout, topic)?.cloned())
    }

    /// Fails if there is no such partition.
    pub(super) fn check_partition(&self, topic: &str, partition: PartitionId) -> Result<(), LogError> {
        self.inner()?.topics.with_partition(&self.layout, topic, partition).map(drop)
    }

    pub(super) fn create_topic(&self, name: &str, settings: &TopicSettings) -> Result<(), LogError> {
        check_topic(name, settings)?;
        let mut inner = self.inner()?;
        let result = inner.create_topic(&self.layout, &self.options, name, settings);
        inner.note(&result);
        result
    }

    /// What is committed of a partition now, by any process.
    pub(super) fn partition(&self, topic: &str, partition: PartitionId) -> Result<Partition, LogError> {
        let mut inner = self.inner()?;
        inner.topics.with_partition(&self.layout, topic, partition)?;
        inner.commits.refresh()?;
        Ok(inner.commits.state().partition(topic, partition).cloned().unwrap_or_default())
    }

    /// The same, without its segments.
    pub(super) fn extent(&self, topic: &str, partition: PartitionId) -> Result<Extent, LogError> {
        let mut inner = self.inner()?;
        inner.topics.with_partition(&self.layout, topic, partition)?;
        inner.commits.refresh()?;
        Ok(inner.extent(topic, partition))
    }

    /// The part of a segment to read from an offset on, as of the last refresh; `None` at the end or behind it.
    pub(super) fn part_at(&self, topic: &str, partition: PartitionId, from: Offset) -> Result<Option<Part>, LogError> {
        let mut inner = self.inner()?;
        inner.topics.with_partition(&self.layout, topic, partition)?;
        let extent = inner.extent(topic, partition);
        if from < extent.earliest {
            return Err(out_of_range(topic, partition, from, extent));
        }
        let Some(found) = inner.commits.state().partition(topic, partition) else { return Ok(None) };
        if from >= extent.end {
            return Ok(None);
        }
        let part = found.segment_of(from.0).map(|index| Part {
            segment: found.segments[index],
            end: found.segment_end(index),
            from: from.0,
        });
        Ok(part)
    }

    pub(super) fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LogError> {
        let mut inner = self.inner()?;
        inner.commits.refresh()?;
        Ok(inner.commits.state().groups.get(group).cloned().unwrap_or_default())
    }

    /// Remembers a trim for the next commit.
    pub(super) fn trim(&self, topic: &str, partition: PartitionId, before: Offset) -> Result<(), LogError> {
        let mut inner = self.inner()?;
        inner.topics.with_partition(&self.layout, topic, partition)?;
        inner.commits.refresh()?;
        let before = before.min(inner.extent(topic, partition).end);
        let trim = inner.trims.entry((topic.to_owned(), partition)).or_default();
        *trim = before.0.max(*trim);
        Ok(())
    }

    /// Makes records and offsets visible together.
    pub(super) fn publish(&self, pending: &Pending, offsets: Option<GroupOffsets<'_>>) -> Result<Committed, LogError> {
        let mut inner = self.inner()?;
        if pending.is_empty() && inner.trims.is_empty() && offsets.is_none_or(|(_, offsets)| offsets.is_empty()) {
            return Ok(Committed::default());
        }
        let result = inner.publish(&self.layout, &self.options, pending, offsets);
        inner.note(&result);
        result
    }

    fn inner(&self) -> Result<MutexGuard<'_, Inner>, LogError> {
        let inner = self.lock();
        match &inner.broken {
            None => Ok(inner),
            Some(reason) => Err(LogError::OutcomeUnknown { reason: reason.clone() }),
        }
    }

    /// A thread that panicked under the lock may have left a commit half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            let mut inner: MutexGuard<'_, Inner> = poisoned.into_inner();
            inner.broken.get_or_insert_with(|| "a thread panicked while it committed".to_owned());
            inner
        })
    }
}

impl Inner {
    /// After an error, what is open is looked at anew; after some, nothing may go on.
    fn note<T>(&mut self, result: &Result<T, LogError>) {
        if let Err(error) = result {
            self.files.forget();
            if matches!(error, LogError::OutcomeUnknown { .. } | LogError::CrashPoint { .. }) {
                self.broken = Some(error.to_string());
            }
        }
    }

    fn extent(&self, topic: &str, partition: PartitionId) -> Extent {
        let found = self.commits.state().partition(topic, partition);
        let (earliest, end) = found.map_or((0, 0), |found| (found.earliest, found.end));
        Extent { earliest: Offset(earliest), end: Offset(end) }
    }

    /// Keeps other writers out, and learns what they did before.
    fn hold(&mut self, layout: &Layout, options: &Options) -> Result<WriteGuard, LogError> {
        let path = layout.commits_lock();
        let lock = match &mut self.write_lock {
            Some(lock) => lock,
            none => none.insert(WriteLock::open(&path)?),
        };
        let guard = lock.hold(&path)?;
        let refreshed = self.commits.refresh()?;
        if refreshed.tail_bytes > 0 {
            self.commits.cut_tail()?;
            self.recovery.commit_bytes_cut += refreshed.tail_bytes;
        }
        if refreshed.advanced {
            self.commits.sync(&options.durability)?;
        }
        Ok(guard)
    }

    fn create_topic(
        &mut self,
        layout: &Layout,
        options: &Options,
        name: &str,
        settings: &TopicSettings,
    ) -> Result<(), LogError> {
        let _guard = self.hold(layout, options)?;
        if self.topics.find(layout, name)?.is_some() {
            return Err(LogError::TopicExists { topic: name.to_owned() });
        }
        if self.commits.state().topics.contains_key(name) {
            return Err(LogError::corrupt(
                &layout.topic_file(name),
                0,
                "the topic has records and its settings are gone",
            ));
        }
        layout::create_topic(layout, name, settings, &options.durability)
    }

    fn publish(
        &mut self,
        layout: &Layout,
        options: &Options,
        pending: &Pending,
        offsets: Option<GroupOffsets<'_>>,
    ) -> Result<Committed, LogError> {
        let _guard = self.hold(layout, options)?;
        crash_point!("log.data.before");
        let mut touched = Touched::default();
        let mut line = self.write_data(layout, options, pending, &mut touched)?;
        crash_point!("log.data.written");
        let positions =
            line.partitions.iter().filter(|change| pending.has(&change.topic, PartitionId(change.partition)));
        let positions = positions.map(|c| ((c.topic.clone(), PartitionId(c.partition)), Offset(c.end))).collect();
        if let Some((group, offsets)) = offsets {
            line.offsets = offset_changes(group, offsets).collect();
        }
        let dead = self.write_commit(options, line, &touched)?;
        self.trims.clear();
        remove_segments(layout, &dead)?;
        self.compact(options)?;
        Ok(Committed { positions })
    }

    /// Writes records behind what is committed, and says what the commit record has to say.
    fn write_data(
        &mut self,
        layout: &Layout,
        options: &Options,
        pending: &Pending,
        touched: &mut Touched,
    ) -> Result<Line, LogError> {
        let mut line = Line::default();
        let mut write =
            Write { layout, durability: &options.durability, segment_bytes: options.segment_bytes, touched };
        for (topic, partitions) in &pending.topics {
            for (&partition, bodies) in partitions {
                let retention = self.topics.with_partition(layout, topic, partition)?.retention;
                let committed = self.commits.state().partition(topic, partition).cloned().unwrap_or_default();
                let mut change = self.files.append(&mut write, topic, partition, &committed, bodies)?;
                change.earliest = retained_from(committed, &change, retention);
                line.partitions.push(change);
            }
        }
        for ((topic, partition), before) in &self.trims {
            add_trim(&mut line, self.commits.state(), topic, *partition, *before);
        }
        Ok(line)
    }

    /// The commit itself: data on the disk first, then the record that makes it visible.
    fn write_commit(&mut self, options: &Options, mut line: Line, touched: &Touched) -> Result<Vec<Dead>, LogError> {
        let durability = &options.durability;
        if control("log.control.commit_before_data") {
            let dead = self.commits.append(line, durability)?;
            touched.sync(durability)?;
            return Ok(dead);
        }
        touched.sync(durability)?;
        crash_point!("log.data.synced");
        if control("log.control.offsets_apart") {
            let offsets = std::mem::take(&mut line.offsets);
            self.commits.append(line, durability)?;
            return self.commits.append(Line { offsets, ..Line::default() }, durability);
        }
        self.commits.append(line, durability)
    }

    /// Replaces a commit log that has grown. The commit before it stands whatever happens here.
    fn compact(&mut self, options: &Options) -> Result<(), LogError> {
        if self.commits.bytes_since_snapshot() <= options.compact_bytes.max(2 * self.commits.snapshot_bytes()) {
            return Ok(());
        }
        match self.commits.replace(&options.durability) {
            Err(stopped @ LogError::CrashPoint { .. }) => return Err(stopped),
            Err(error) => self.broken = Some(error.to_string()),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Brings the folder into the state of its last commit, and refuses it if committed records are not there.
    fn recover(&mut self, layout: &Layout, options: &Options) -> Result<(), LogError> {
        let _guard = self.hold(layout, options)?;
        self.commits.sync(&options.durability)?;
        disk::remove(&layout.commits().with_extension("new"))?;
        layout::remove_unfinished_topics(layout)?;
        for topic in self.commits.state().topics.keys() {
            self.topics.find(layout, topic)?.ok_or_else(|| {
                LogError::corrupt(&layout.topic_file(topic), 0, "the topic has records and its settings are gone")
            })?;
        }
        for topic in Topics::names(layout)? {
            let partitions = self.topics.get(layout, &topic)?.partitions;
            for partition in (0..partitions).map(PartitionId) {
                let none = Partition::default();
                let committed = self.commits.state().partition(&topic, partition).unwrap_or(&none);
                recover_partition(layout, &topic, partition, committed, &mut self.recovery)?;
            }
        }
        Ok(())
    }
}

/// Removes and cuts what a writer left behind that did not commit.
fn recover_partition(
    layout: &Layout,
    topic: &str,
    partition: PartitionId,
    committed: &Partition,
    recovery: &mut Recovery,
) -> Result<(), LogError> {
    for name in layout::names_in(&layout.partition(topic, partition))? {
        let known = |base: i64| committed.segments.iter().any(|segment| segment.base == base);
        if Layout::base_of(&name).is_some_and(|base| !known(base)) {
            disk::remove(&layout.partition(topic, partition).join(name))?;
            recovery.segments_removed += 1;
        }
    }
    for segment in &committed.segments {
        let path = layout.segment(topic, partition, segment.base);
        let Some(len) = disk::len_of(&path)? else {
            return Err(LogError::corrupt(&path, 0, "the segment is missing"));
        };
        if len < segment.bytes {
            let message = format!("{} bytes are committed and {len} are there", segment.bytes);
            return Err(LogError::corrupt(&path, len, message));
        }
        if len > segment.bytes
            && let Some(file) = disk::open_for_writing(&path)?
        {
            disk::cut(&file, &path, segment.bytes)?;
            recovery.data_bytes_cut += len - segment.bytes;
        }
    }
    Ok(())
}

/// Removes segments that died; one that cannot be removed now is removed when the folder is opened again.
fn remove_segments(layout: &Layout, dead: &[Dead]) -> Result<(), LogError> {
    for Dead { topic, partition, base } in dead {
        crash_point!("log.trim.before_delete");
        let _ = disk::remove(&layout.segment(topic, *partition, *base));
        crash_point!("log.trim.after_delete");
    }
    Ok(())
}

/// Where retention would have a partition begin after a change, if that is later than now.
fn retained_from(mut partition: Partition, change: &PartitionChange, retention: Retention) -> Option<i64> {
    let before = partition.earliest;
    partition.apply(change).ok()?;
    let not_before = retention.age_ms.map(|age| Millis(now().0.saturating_sub_unsigned(age)));
    Some(partition.retained_from(retention.bytes, not_before)).filter(|earliest| *earliest > before)
}

fn add_trim(line: &mut Line, state: &State, topic: &str, partition: PartitionId, before: i64) {
    let (earliest, end) = state.partition(topic, partition).map_or((0, 0), |found| (found.earliest, found.end));
    let known = line.partitions.iter_mut().find(|change| change.topic == topic && change.partition == partition.0);
    if let Some(change) = known {
        let earliest = change.earliest.unwrap_or(earliest);
        change.earliest = Some(before.min(change.end).max(earliest));
    } else if before.min(end) > earliest {
        line.partitions.push(PartitionChange {
            topic: topic.to_owned(),
            partition: partition.0,
            earliest: Some(before.min(end)),
            end,
            segments: Vec::new(),
        });
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn out_of_range(topic: &str, partition: PartitionId, offset: Offset, extent: Extent) -> LogError {
    LogError::OffsetOutOfRange {
        topic: topic.to_owned(),
        partition,
        offset,
        earliest: extent.earliest,
        end: extent.end,
    }
}
