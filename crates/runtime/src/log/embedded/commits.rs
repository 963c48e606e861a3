//! The commit log: the file that alone says which records and offsets are visible.
//!
//! Its first line is a snapshot of all there is; each further line is one commit, whole or not at all (a checksum tells).
//! When it has grown, it is replaced by a new snapshot with the next generation number, which tells other processes to
//! begin anew. What stands behind the last good line and is torn was never committed: writers cut it off, readers do not look at it.
//! A last line that is whole, but for its checksum, was committed and is damaged.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::disk::{self, Durability};
use super::line;
use super::state::{Dead, Line, State};
use crate::crash::crash_point;
use crate::log::LogError;

/// The version of the folder's layout.
const FORMAT: u32 = 1;
/// Length of `{"format":1,"generation":"0000000001"`.
const HEAD_LEN: u64 = 37;

/// The commit log as far as this process has read it.
#[derive(Debug)]
pub(super) struct Commits {
    path: PathBuf,
    head: Vec<u8>,
    generation: u64,
    /// Behind the last good line.
    position: u64,
    snapshot_bytes: u64,
    state: State,
}

/// What [`Commits::refresh`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refreshed {
    /// Whether there was anything new.
    pub(super) advanced: bool,
    /// Bytes behind the last good line.
    pub(super) tail_bytes: u64,
}

impl Commits {
    /// Makes the commit log of a new folder, unless there is one.
    pub(super) fn create(path: &Path, durability: &Durability) -> Result<(), LogError> {
        if disk::len_of(path)?.is_some() {
            return Ok(());
        }
        let mut commits = Commits::at(path);
        commits.replace(durability)
    }

    /// Reads the commit log.
    pub(super) fn open(path: &Path) -> Result<Commits, LogError> {
        let mut commits = Commits::at(path);
        commits.refresh()?;
        Ok(commits)
    }

    fn at(path: &Path) -> Commits {
        Commits {
            path: path.to_owned(),
            head: Vec::new(),
            generation: 0,
            position: 0,
            snapshot_bytes: 0,
            state: State::default(),
        }
    }

    /// What is committed, as of the last [`refresh`](Self::refresh).
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Reads what was committed since the last call, by any process.
    pub(super) fn refresh(&mut self) -> Result<Refreshed, LogError> {
        let Some(file) = disk::open_for_reading(&self.path)? else {
            return Err(self.not_a_log("it has no commit log"));
        };
        let mut head = Vec::with_capacity(HEAD_LEN as usize);
        disk::read_at(&file, &self.path, 0, HEAD_LEN, &mut head)?;
        if head != self.head {
            *self = Commits::at(&self.path);
        }
        let len = disk::len(&file, &self.path)?;
        if len < self.position {
            return Err(LogError::corrupt(&self.path, len, "the commit log has lost commits"));
        }
        if len == self.position && self.position > 0 {
            return Ok(Refreshed { advanced: false, tail_bytes: 0 });
        }
        self.read_lines(&file, head)
    }

    fn read_lines(&mut self, file: &File, head: Vec<u8>) -> Result<Refreshed, LogError> {
        let mut bytes = Vec::new();
        disk::read_at(file, &self.path, self.position, u64::MAX, &mut bytes)?;
        let mut rest = &bytes[..];
        let before = self.position;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let is_last = end + 1 == rest.len();
            match parse(&rest[..end]) {
                Ok(line) => self.take(line)?,
                Err(_) if is_last && self.position > 0 && is_torn(&rest[..end]) => break,
                Err(message) if is_last && self.position > 0 => {
                    let message = format!(
                        "the last commit is not torn, but {message}: put the file back as it was, or cut it off at this byte to \
                         give that commit up"
                    );
                    return Err(LogError::corrupt(&self.path, self.position, message));
                }
                Err(message) => return Err(LogError::corrupt(&self.path, self.position, message)),
            }
            self.position += end as u64 + 1;
            rest = &rest[end + 1..];
            if before == 0 && self.snapshot_bytes == 0 {
                self.snapshot_bytes = self.position;
            }
        }
        if self.position == 0 {
            return Err(self.not_a_log("its commit log has no beginning"));
        }
        self.head = head;
        Ok(Refreshed { advanced: self.position > before, tail_bytes: rest.len() as u64 })
    }

    /// Takes in a line that was read.
    fn take(&mut self, line: Line) -> Result<(), LogError> {
        if self.position == 0 {
            let generation = line.generation.as_deref().and_then(|generation| generation.parse().ok());
            if line.format != Some(FORMAT) {
                return Err(self.not_a_log(&format!("its format is {:?}, not {FORMAT}", line.format)));
            }
            self.generation = generation.ok_or_else(|| self.not_a_log("its commit log has no generation"))?;
        } else if line.generation.is_some() {
            return Err(LogError::corrupt(&self.path, self.position, "a second snapshot"));
        }
        let applied = self.state.apply(line);
        applied.map(drop).map_err(|message| LogError::corrupt(&self.path, self.position, message))
    }

    /// Cuts off what stands behind the last good line. Only under the writers' lock.
    pub(super) fn cut_tail(&self) -> Result<(), LogError> {
        let file = self.for_writing()?;
        disk::cut(&file, &self.path, self.position)
    }

    /// Makes sure that every line read so far is on the disk: a writer that died may have written and not synced it.
    pub(super) fn sync(&self, durability: &Durability) -> Result<(), LogError> {
        durability.sync_file(&self.for_writing()?, &self.path)
    }

    /// Commits: writes a line and syncs it. Only under the writers' lock, after a refresh, with the tail cut. Says
    /// which segments died.
    ///
    /// # Errors
    /// [`LogError::OutcomeUnknown`] if the line may be there; after any other error it is not, crash points aside.
    pub(super) fn append(&mut self, mut line: Line, durability: &Durability) -> Result<Vec<Dead>, LogError> {
        let next = self.state.commit.checked_add(1);
        line.commit = next.ok_or_else(|| LogError::corrupt(&self.path, self.position, "there is no next commit"))?;
        let bytes = to_bytes(&line);
        let file = self.for_writing()?;
        crash_point!("log.commit.torn", disk::write_at(&file, &self.path, self.position, &bytes[..bytes.len() / 2])?);
        if let Err(error) = disk::write_at(&file, &self.path, self.position, &bytes) {
            let cut = disk::cut(&file, &self.path, self.position);
            return Err(if cut.is_ok() { error } else { unknown(&error) });
        }
        crash_point!("log.commit.written");
        durability.sync_file(&file, &self.path).map_err(|error| unknown(&error))?;
        crash_point!("log.commit.synced");
        self.position += bytes.len() as u64;
        self.state.apply(line).map_err(|reason| LogError::OutcomeUnknown { reason })
    }

    /// Bytes written since the snapshot.
    pub(super) fn bytes_since_snapshot(&self) -> u64 {
        self.position - self.snapshot_bytes
    }

    /// Bytes of the snapshot.
    pub(super) fn snapshot_bytes(&self) -> u64 {
        self.snapshot_bytes
    }

    /// Replaces the file by a snapshot of the state. Only under the writers' lock. After an error nothing more may be
    /// committed: either file may be the one that lasts.
    pub(super) fn replace(&mut self, durability: &Durability) -> Result<(), LogError> {
        crash_point!("log.compact.before");
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let new_path = self.path.with_extension("new");
        let mut line = self.state.snapshot();
        line.format = Some(FORMAT);
        line.generation = Some(format!("{:010}", self.generation.saturating_add(1)));
        let bytes = to_bytes(&line);
        let file = durability.create(&new_path)?;
        crash_point!("log.compact.torn", disk::write_at(&file, &new_path, 0, &bytes[..bytes.len() / 2])?);
        disk::write_at(&file, &new_path, 0, &bytes)?;
        durability.sync_file(&file, &new_path)?;
        crash_point!("log.compact.written");
        durability.rename(&new_path, &self.path)?;
        crash_point!("log.compact.renamed");
        durability.sync_folder(folder)?;
        crash_point!("log.compact.done");
        self.generation = self.generation.saturating_add(1);
        self.position = bytes.len() as u64;
        self.snapshot_bytes = self.position;
        self.head = bytes[..bytes.len().min(HEAD_LEN as usize)].to_vec();
        Ok(())
    }

    fn for_writing(&self) -> Result<File, LogError> {
        disk::open_for_writing(&self.path)?.ok_or_else(|| self.not_a_log("its commit log is gone"))
    }

    fn not_a_log(&self, message: &str) -> LogError {
        LogError::NotALog { path: self.path.parent().unwrap_or(&self.path).to_owned(), message: message.to_owned() }
    }
}

fn parse(bytes: &[u8]) -> Result<Line, String> {
    line::checked(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// Whether a line can be what a crash has left of a write: where bytes of it did not reach the disk, there are zeros, and no JSON has
/// those.
fn is_torn(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_err()
}

fn to_bytes(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("a line has only text keys and numbers");
    bytes.pop();
    line::push_crc(0, &mut bytes);
    bytes
}

fn unknown(error: &LogError) -> LogError {
    LogError::OutcomeUnknown { reason: error.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use millstream_engine::ids::{Offset, PartitionId};
    use millstream_engine::time::Millis;
    use serde_json::Value;

    use super::*;
    use crate::log::embedded::{Access, EmbeddedLog, Options};
    use crate::log::{Log, NewRecord, ReadLimit, Records, Retention, TopicSettings};

    /// Every number in a value, in a fixed order.
    fn numbers(value: &mut Value) -> Vec<&mut Value> {
        match value {
            Value::Number(_) => vec![value],
            Value::Array(items) => items.iter_mut().flat_map(numbers).collect(),
            Value::Object(fields) => fields.iter_mut().flat_map(|(_, value)| numbers(value)).collect(),
            _ => Vec::new(),
        }
    }

    fn use_everything(dir: &Path, access: Access) -> Result<(), LogError> {
        let options = Options { durability: Durability::Os, segment_bytes: 300, ..Options::new(access) };
        let mut log = EmbeddedLog::open(dir, options)?;
        let mut records = Records::new();
        let extent = log.extent("t", PartitionId(0))?;
        log.offset_at("t", PartitionId(0), Millis(3))?;
        log.read("t", PartitionId(0), extent.earliest, ReadLimit::default(), &mut records)?;
        records.clear();
        log.trim("t", PartitionId(0), Offset(4))?;
        let value = [b'x'; 200];
        let record = NewRecord { key: None, value: Some(&value), timestamp: Millis(4), headers: &[] };
        (0..3).for_each(|_| records.push(Offset(0), record));
        log.produce("t", PartitionId(0), &records)?;
        let extent = log.extent("t", PartitionId(0))?;
        records.clear();
        log.read("t", PartitionId(0), extent.earliest, ReadLimit::default(), &mut records).map(drop)
    }

    fn small_log(dir: &Path) {
        let options = Options { durability: Durability::Os, segment_bytes: 300, ..Options::new(Access::Run) };
        let mut log = EmbeddedLog::open_or_create(dir, options).unwrap();
        let retention = Retention { age_ms: None, bytes: Some(5_000) };
        log.create_topic("t", TopicSettings { retention, ..TopicSettings::user(1) }).unwrap();
        let mut records = Records::new();
        let record = NewRecord { key: None, value: Some(b"some value"), timestamp: Millis(4), headers: &[] };
        (0..3).for_each(|_| records.push(Offset(0), record));
        for _ in 0..4 {
            log.produce("t", PartitionId(0), &records).unwrap();
        }
    }

    #[test]
    fn wrong_numbers_with_right_checksums_never_panic() {
        let extremes = [i64::MIN, -1, 0, 1, 7, 1 << 40, i64::MAX - 1, i64::MAX].map(Value::from);
        let original = tempfile::tempdir().unwrap();
        small_log(original.path());
        let text = fs::read_to_string(original.path().join("commits")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut tried = 0;
        for (index, line) in lines.iter().enumerate() {
            let mut value: Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().shift_remove("crc");
            for number in 0..numbers(&mut value).len() {
                for extreme in extremes.iter().chain([&Value::from(u64::MAX)]) {
                    let mut wrong = value.clone();
                    *numbers(&mut wrong)[number] = extreme.clone();
                    let mut bytes = serde_json::to_vec(&wrong).unwrap();
                    bytes.pop();
                    line::push_crc(0, &mut bytes);
                    for access in [Access::Run, Access::Client] {
                        let dir = tempfile::tempdir().unwrap();
                        small_log(dir.path());
                        let before = lines[..index].iter().map(|line| format!("{line}\n")).collect::<String>();
                        let after = lines[index + 1..].iter().map(|line| format!("{line}\n")).collect::<String>();
                        let whole = [before.as_bytes(), &bytes, after.as_bytes()].concat();
                        fs::write(dir.path().join("commits"), whole).unwrap();
                        let _ = use_everything(dir.path(), access);
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 300, "{tried}");
    }
}
