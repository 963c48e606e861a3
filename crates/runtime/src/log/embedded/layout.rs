//! The folder: which file stands where, and the topics with their settings.
//!
//! ```text
//! DIR/commits                       what is visible (and commits.lock for writers, run.lock for the run)
//! DIR/topics/NAME/topic.json        a topic's settings
//! DIR/topics/NAME/0/000….jsonl      a segment of partition 0, named by the offset of its first record
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use millstream_engine::ids::PartitionId;
use serde::{Deserialize, Serialize};

use super::disk::{self, Durability};
use crate::crash::crash_point;
use crate::log::{Cleanup, LogError, Retention, TopicKind, TopicSettings};

/// Names that may stand in the folder before it is a log: ours, and the state beside it.
const OWN_NAMES: &[&str] =
    &["topics", "commits", "commits.new", "commits.lock", "run.lock", "state", "state.lock", ".state"];

/// Where things are.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) dir: PathBuf,
}

impl Layout {
    pub(super) fn commits(&self) -> PathBuf {
        self.dir.join("commits")
    }

    pub(super) fn commits_lock(&self) -> PathBuf {
        self.dir.join("commits.lock")
    }

    pub(super) fn run_lock(&self) -> PathBuf {
        self.dir.join("run.lock")
    }

    pub(super) fn topics(&self) -> PathBuf {
        self.dir.join("topics")
    }

    pub(super) fn topic_file(&self, topic: &str) -> PathBuf {
        self.topics().join(topic).join("topic.json")
    }

    pub(super) fn partition(&self, topic: &str, partition: PartitionId) -> PathBuf {
        self.topics().join(topic).join(partition.to_string())
    }

    pub(super) fn segment(&self, topic: &str, partition: PartitionId, base: i64) -> PathBuf {
        self.partition(topic, partition).join(format!("{base:020}.jsonl"))
    }

    /// The offset by which a segment's file is named.
    pub(super) fn base_of(file_name: &str) -> Option<i64> {
        file_name.strip_suffix(".jsonl").filter(|digits| digits.len() == 20)?.parse().ok()
    }

    /// Makes the folder, unless it is there; refuses one that holds other things.
    pub(super) fn create(&self, durability: &Durability) -> Result<(), LogError> {
        fs::create_dir_all(self.topics()).map_err(|error| LogError::io("create", &self.topics(), error))?;
        for name in names_in(&self.dir)? {
            if !OWN_NAMES.contains(&name.as_str()) {
                let message = format!("it is not empty (it holds {name})");
                return Err(LogError::NotALog { path: self.dir.clone(), message });
            }
        }
        durability.sync_folder(&self.dir)?;
        let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        durability.sync_folder(parent.unwrap_or(Path::new(".")))
    }

    /// A topic that has a segment: the first by name.
    pub(super) fn topic_with_records(&self) -> Result<Option<String>, LogError> {
        for topic in Topics::names(self)? {
            let folder = self.topics().join(&topic);
            let partitions = names_in(&folder)?.into_iter().map(|name| folder.join(name)).filter(|path| path.is_dir());
            for partition in partitions {
                if names_in(&partition)?.iter().any(|name| Layout::base_of(name).is_some()) {
                    return Ok(Some(topic));
                }
            }
        }
        Ok(None)
    }
}

/// The settings of topics, as they were read; topics never change and are never removed.
#[derive(Debug, Default)]
pub(super) struct Topics {
    known: BTreeMap<String, TopicSettings>,
}

impl Topics {
    /// A topic's settings.
    pub(super) fn get(&mut self, layout: &Layout, topic: &str) -> Result<&TopicSettings, LogError> {
        self.find(layout, topic)?.ok_or_else(|| LogError::UnknownTopic { topic: topic.to_owned() })
    }

    /// A topic's settings, if there is such a topic.
    pub(super) fn find(&mut self, layout: &Layout, topic: &str) -> Result<Option<&TopicSettings>, LogError> {
        if !self.known.contains_key(topic)
            && crate::log::is_topic_name(topic)
            && let Some(settings) = read_topic(&layout.topic_file(topic))?
        {
            self.known.insert(topic.to_owned(), settings);
        }
        Ok(self.known.get(topic))
    }

    /// A topic's settings, if it has that partition.
    pub(super) fn with_partition(
        &mut self,
        layout: &Layout,
        topic: &str,
        partition: PartitionId,
    ) -> Result<&TopicSettings, LogError> {
        let settings = self.get(layout, topic)?;
        if partition.0 >= settings.partitions {
            return Err(LogError::UnknownPartition { topic: topic.to_owned(), partition });
        }
        Ok(settings)
    }

    /// The names of all topics, in order.
    pub(super) fn names(layout: &Layout) -> Result<Vec<String>, LogError> {
        let mut names = names_in(&layout.topics())?;
        names.retain(|name| crate::log::is_topic_name(name) && layout.topic_file(name).exists());
        names.sort();
        Ok(names)
    }
}

/// Makes a topic: its folder appears whole. Only under the writers' lock.
pub(super) fn create_topic(
    layout: &Layout,
    name: &str,
    settings: &TopicSettings,
    durability: &Durability,
) -> Result<(), LogError> {
    let parent = layout.topics();
    // No topic may have a name with a '+'.
    let new = parent.join(format!("+{name}"));
    remove_folder(&new)?;
    for partition in 0..settings.partitions {
        let folder = new.join(partition.to_string());
        fs::create_dir_all(&folder).map_err(|error| LogError::io("create", &folder, error))?;
    }
    let path = new.join("topic.json");
    let mut bytes = serde_json::to_vec_pretty(&TopicFile::from(settings)).expect("numbers and names");
    bytes.push(b'\n');
    let file = durability.create(&path)?;
    disk::write_at(&file, &path, 0, &bytes)?;
    durability.sync_file(&file, &path)?;
    durability.sync_folder(&new)?;
    crash_point!("log.topic.before_rename");
    fs::rename(&new, parent.join(name)).map_err(|error| LogError::io("rename", &new, error))?;
    crash_point!("log.topic.after_rename");
    durability.sync_folder(&parent)
}

/// Removes topics that were not made to their end. Only under the writers' lock.
pub(super) fn remove_unfinished_topics(layout: &Layout) -> Result<(), LogError> {
    for name in names_in(&layout.topics())? {
        if name.starts_with('+') {
            remove_folder(&layout.topics().join(name))?;
        }
    }
    Ok(())
}

/// The names in a folder, in no order; those that are not text are left out.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, LogError> {
    let failed = |error| LogError::io("list", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

fn remove_folder(path: &Path) -> Result<(), LogError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LogError::io("remove", path, error)),
        _ => Ok(()),
    }
}

fn read_topic(path: &Path) -> Result<Option<TopicSettings>, LogError> {
    let Some(file) = disk::open_for_reading(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    disk::read_at(&file, path, 0, 1 << 20, &mut bytes)?;
    let topic: TopicFile = serde_json::from_slice(&bytes)
        .map_err(|error| LogError::corrupt(path, error.column() as u64, error.to_string()))?;
    if topic.partitions == 0 {
        return Err(LogError::corrupt(path, 0, "a topic without partitions"));
    }
    Ok(Some(topic.into()))
}

/// A topic's settings as they stand in `topic.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicFile {
    partitions: u32,
    kind: KindName,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    retention_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    retention_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    User,
    Internal,
}

impl From<&TopicSettings> for TopicFile {
    fn from(settings: &TopicSettings) -> TopicFile {
        TopicFile {
            partitions: settings.partitions,
            kind: match settings.kind {
                TopicKind::User => KindName::User,
                TopicKind::Internal => KindName::Internal,
            },
            retention_ms: settings.retention.age_ms,
            retention_bytes: settings.retention.bytes,
        }
    }
}

impl From<TopicFile> for TopicSettings {
    fn from(file: TopicFile) -> TopicSettings {
        TopicSettings {
            partitions: file.partitions,
            kind: match file.kind {
                KindName::User => TopicKind::User,
                KindName::Internal => TopicKind::Internal,
            },
            retention: Retention { age_ms: file.retention_ms, bytes: file.retention_bytes },
            replication: None,
            cleanup: Cleanup::Delete,
        }
    }
}
