//! What is committed: segments, extents and groups' offsets, as the lines of the commit log build them up.

use std::collections::BTreeMap;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use serde::{Deserialize, Serialize};

use crate::log::{CommittedOffset, TopicPartition};

/// The committed state of the whole log.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The number of the last commit.
    pub(super) commit: u64,
    pub(super) topics: BTreeMap<String, BTreeMap<PartitionId, Partition>>,
    pub(super) groups: BTreeMap<String, BTreeMap<TopicPartition, CommittedOffset>>,
}

/// The committed state of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) earliest: i64,
    pub(super) end: i64,
    /// By base offset; the last one is written to.
    pub(super) segments: Vec<Segment>,
}

/// A file of records without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    /// The offset of its first record; its name.
    pub(super) base: i64,
    /// How many bytes of the file are committed.
    pub(super) bytes: u64,
    /// The greatest timestamp of its records, in milliseconds.
    pub(super) newest: i64,
}

/// A line of the commit log: what a commit changed, or (the first line) all there is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Line {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) format: Option<u32>,
    /// Ten digits: grows with every compaction.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) generation: Option<String>,
    pub(super) commit: u64,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) partitions: Vec<PartitionChange>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) offsets: Vec<OffsetChange>,
}

/// What a commit changed in a partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PartitionChange {
    pub(super) topic: String,
    pub(super) partition: u32,
    /// The earliest offset, where it moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) earliest: Option<i64>,
    pub(super) end: i64,
    /// The segments that are new or longer.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) segments: Vec<Segment>,
}

/// A group's offset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OffsetChange {
    pub(super) group: String,
    pub(super) topic: String,
    pub(super) partition: u32,
    pub(super) offset: i64,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(super) metadata: String,
}

/// A segment that no record is read from any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dead {
    pub(super) topic: String,
    pub(super) partition: PartitionId,
    pub(super) base: i64,
}

impl State {
    /// A partition, if anything was ever committed to it.
    pub(super) fn partition(&self, topic: &str, partition: PartitionId) -> Option<&Partition> {
        self.topics.get(topic)?.get(&partition)
    }

    /// Takes in a line, and says which segments died of it.
    pub(super) fn apply(&mut self, line: Line) -> Result<Vec<Dead>, String> {
        if line.generation.is_none() && self.commit.checked_add(1) != Some(line.commit) {
            return Err(format!("commit {} stands behind commit {}", line.commit, self.commit));
        }
        let mut dead = Vec::new();
        self.commit = line.commit;
        for change in line.partitions {
            let id = PartitionId(change.partition);
            let partition = self.topics.entry(change.topic.clone()).or_default().entry(id).or_default();
            let gone = partition.apply(&change).map_err(|message| {
                format!("commit {}, topic {} partition {}: {message}", line.commit, change.topic, change.partition)
            })?;
            dead.extend(gone.into_iter().map(|base| Dead { topic: change.topic.clone(), partition: id, base }));
        }
        for change in line.offsets {
            let offset = CommittedOffset { offset: Offset(change.offset), metadata: change.metadata };
            let partition = (change.topic, PartitionId(change.partition));
            self.groups.entry(change.group).or_default().insert(partition, offset);
        }
        Ok(dead)
    }

    /// All there is, as one line.
    pub(super) fn snapshot(&self) -> Line {
        let partitions = self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(|(id, partition)| PartitionChange {
                topic: topic.clone(),
                partition: id.0,
                earliest: Some(partition.earliest),
                end: partition.end,
                segments: partition.segments.clone(),
            })
        });
        let offsets = self.groups.iter().flat_map(|(group, offsets)| offset_changes(group, offsets));
        Line {
            format: None,
            generation: None,
            commit: self.commit,
            partitions: partitions.collect(),
            offsets: offsets.collect(),
        }
    }
}

impl Partition {
    /// Takes in a change, and says which segments (by base) died of it.
    pub(super) fn apply(&mut self, change: &PartitionChange) -> Result<Vec<i64>, &'static str> {
        if change.end < self.end {
            return Err("the end moves back");
        }
        for segment in &change.segments {
            match self.segments.last_mut() {
                Some(last) if last.base == segment.base => *last = *segment,
                Some(last) if last.base > segment.base => return Err("a segment is out of order"),
                _ => self.segments.push(*segment),
            }
        }
        self.end = change.end;
        self.earliest = change.earliest.unwrap_or(self.earliest);
        if !(0..=self.end).contains(&self.earliest) {
            return Err("the earliest offset is not one of its offsets");
        }
        match self.segments.last() {
            // A record takes some bytes: so no end can be beyond what is on the disk.
            Some(last) if !(0..=self.end).contains(&last.base) || (self.end - last.base) as u64 > last.bytes => {
                return Err("a segment does not reach to the end");
            }
            None if self.end > 0 => return Err("there are records and no segments"),
            _ => {}
        }
        let gone = self.dead_segments(self.earliest);
        let bases = self.segments.drain(..gone).map(|segment| segment.base).collect();
        if self.segments.first().is_some_and(|first| first.base > self.earliest) {
            return Err("no segment holds the earliest offset");
        }
        Ok(bases)
    }

    /// How many segments, from the oldest on, hold only records before `earliest`. The newest one always stays.
    pub(super) fn dead_segments(&self, earliest: i64) -> usize {
        self.segments.iter().skip(1).take_while(|next| next.base <= earliest).count()
    }

    /// The index of the segment that holds an offset in `earliest..end`.
    pub(super) fn segment_of(&self, offset: i64) -> Option<usize> {
        self.segments.partition_point(|segment| segment.base <= offset).checked_sub(1)
    }

    /// Where a segment's records end.
    pub(super) fn segment_end(&self, index: usize) -> i64 {
        self.segments.get(index + 1).map_or(self.end, |next| next.base)
    }

    /// The earliest offset that a retention of `bytes` or of what is newer than `not_before` asks for.
    pub(super) fn retained_from(&self, bytes: Option<u64>, not_before: Option<Millis>) -> i64 {
        let mut total = self.segments.iter().fold(0u64, |total, segment| total.saturating_add(segment.bytes));
        let mut earliest = self.earliest;
        for pair in self.segments.windows(2) {
            let too_old = not_before.is_some_and(|time| pair[0].newest < time.0);
            let too_many = bytes.is_some_and(|bytes| total > bytes);
            if !too_old && !too_many {
                break;
            }
            total = total.saturating_sub(pair[0].bytes);
            earliest = earliest.max(pair[1].base);
        }
        earliest
    }
}

/// A group's offsets as they stand in a line.
pub(super) fn offset_changes(
    group: &str,
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
) -> impl Iterator<Item = OffsetChange> {
    offsets.iter().map(move |((topic, partition), committed)| OffsetChange {
        group: group.to_owned(),
        topic: topic.clone(),
        partition: partition.0,
        offset: committed.offset.0,
        metadata: committed.metadata.clone(),
    })
}
