//! Stores of tasks in a sled database: one folder per process, one tree per task, pages and never rows.
//!
//! Nothing that sled says is taken on trust: every entry carries a version and a checksum of its key and content, and the
//! head of a tree carries, in the same atomic batch as each change, the sum of all entries. A page that is damaged, lost, or
//! an older one come back is noticed when the folder is opened: all of it is read then. sled may panic over a damaged file:
//! that is caught and is [`StoreError::Untrusted`] like the rest. A folder that cannot be trusted is put aside, and a new
//! one begun.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::state::PageId;
use serde::{Deserialize, Serialize};

use super::{Position, Quarantined, StateStore, StateStores, StoreBatch, StoreError, StoreKey};
use crate::crash::crash_point;
use crate::term::Term;

/// The version of keys, entries and heads.
const FORMAT: u8 = 1;
/// The tree that holds the version alone.
const FORMAT_TREE: &str = "millstream.format";
/// The tree that every sled database has.
const SLED_TREE: &str = "__sled__default";
const CACHE_BYTES: u64 = 64 << 20;
/// The key of a tree's head; no step has a name so long.
const HEAD_KEY: [u8; 4] = [0xff; 4];

/// The stores of a process in one folder.
#[derive(Debug)]
pub struct SledStores {
    dir: PathBuf,
    db: sled::Db,
    /// What was found in the trees of tasks that are not open yet.
    checked: Mutex<BTreeMap<Vec<u8>, Content>>,
    tasks: Arc<Mutex<Tasks>>,
    _lock: File,
}

/// Who uses which tasks of a folder.
#[derive(Debug, Default)]
struct Tasks {
    open: BTreeSet<String>,
    /// Since when tasks that are stored are not open.
    closed: BTreeMap<String, Instant>,
}

/// Says that a task is open, for as long as it lives.
struct OpenTask {
    task: String,
    tasks: Arc<Mutex<Tasks>>,
}

impl OpenTask {
    fn new(task: &str, tasks: &Arc<Mutex<Tasks>>) -> Result<OpenTask, StoreError> {
        let mut known = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.open.insert(task.to_owned()) {
            return Err(StoreError::TaskOpen { task: task.to_owned() });
        }
        known.closed.remove(task);
        Ok(OpenTask { task: task.to_owned(), tasks: Arc::clone(tasks) })
    }
}

impl Drop for OpenTask {
    fn drop(&mut self) {
        let mut known = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        known.open.remove(&self.task);
        known.closed.insert(std::mem::take(&mut self.task), Instant::now());
    }
}

/// What a tree holds, without the pages themselves.
#[derive(Debug, Default)]
struct Content {
    position: Option<Position>,
    /// Every entry, by its key.
    entries: BTreeMap<Vec<u8>, Entry>,
    /// The sum over the entries' checksums.
    sum: u64,
    /// Bytes of all entries.
    bytes: u64,
}

/// What is known of an entry without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    check: u32,
    bytes: u64,
}

impl Entry {
    fn of(stored: &[u8]) -> Entry {
        Entry { check: crc_of(stored), bytes: stored.len() as u64 }
    }
}

impl SledStores {
    /// Opens the folder, or makes it, and checks all that is in it. One that cannot be trusted is put aside first, which is
    /// said.
    ///
    /// # Errors
    /// [`StoreError::Folder`] if another process uses it, or if it can be neither opened nor moved.
    pub fn open(dir: &Path) -> Result<(SledStores, Option<Quarantined>), StoreError> {
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).map_err(|error| folder("create", dir, &error))?;
        }
        let lock = lock(dir)?;
        let (opened, quarantined) = match open_checked(dir) {
            Err(StoreError::Untrusted { message }) => {
                let quarantined = put_aside(dir, message)?;
                (open_checked(dir)?, Some(quarantined))
            }
            result => (result?, None),
        };
        let (db, checked) = opened;
        let now = Instant::now();
        let closed = checked.keys().map(|task| (String::from_utf8_lossy(task).into_owned(), now)).collect();
        let tasks = Arc::new(Mutex::new(Tasks { open: BTreeSet::new(), closed }));
        Ok((SledStores { dir: dir.to_owned(), db, checked: Mutex::new(checked), tasks, _lock: lock }, quarantined))
    }

    /// Puts the folder aside, because a task's store could not be trusted, and begins a new one. Stores opened before go
    /// on writing to the old one and are of no more use.
    ///
    /// # Errors
    /// If the folder cannot be moved, or the new one not be made.
    pub fn quarantine(&mut self, reason: &str) -> Result<Quarantined, StoreError> {
        let quarantined = put_aside(&self.dir, reason.to_owned())?;
        let (db, checked) = open_checked(&self.dir)?;
        close(std::mem::replace(&mut self.db, db));
        *self.checked() = checked;
        Ok(quarantined)
    }

    /// Entries are taken out whole.
    fn checked(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Content>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStores for SledStores {
    fn open_task(&self, task: &str) -> Result<Box<dyn StateStore>, StoreError> {
        let open = OpenTask::new(task, &self.tasks)?;
        let tree = guarded(&self.dir, || self.db.open_tree(task))?;
        let checked = self.checked().remove(task.as_bytes());
        let content = checked.map_or_else(|| check(&self.dir, &tree), Ok)?;
        Ok(Box::new(SledStore { dir: self.dir.clone(), tree, content, _open: open }))
    }

    fn flush(&self) -> Result<(), StoreError> {
        crash_point!("store.flush.before");
        guarded(&self.dir, || self.db.flush())?;
        crash_point!("store.flush.after");
        Ok(())
    }

    fn forget_unused(&self, unused_for: Duration) -> Result<Vec<String>, StoreError> {
        // Held to the end: nobody opens what is being removed.
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = tasks.closed.iter().filter(|(_, since)| since.elapsed() >= unused_for);
        let unused: Vec<String> = unused.map(|(task, _)| task.clone()).collect();
        for task in &unused {
            guarded(&self.dir, || self.db.drop_tree(task))?;
            self.checked().remove(task.as_bytes());
            tasks.closed.remove(task);
        }
        Ok(unused)
    }
}

/// One task's store.
struct SledStore {
    dir: PathBuf,
    tree: sled::Tree,
    content: Content,
    _open: OpenTask,
}

/// What a tree says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    sum: u64,
    position: Option<StoredPosition>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredPosition {
    changelog: i64,
    #[serde(default)]
    changelog_bytes: u64,
    #[serde(default)]
    term: Option<(u64, u32)>,
    inputs: Vec<(String, u32, i64)>,
}

/// Takes a key and what is stored under it.
type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// Opens the database and checks every tree in it.
fn open_checked(dir: &Path) -> Result<(sled::Db, BTreeMap<Vec<u8>, Content>), StoreError> {
    let db = open_db(dir)?;
    match check_all(dir, &db) {
        Ok(checked) => Ok((db, checked)),
        Err(error) => {
            close(db);
            Err(error)
        }
    }
}

fn check_all(dir: &Path, db: &sled::Db) -> Result<BTreeMap<Vec<u8>, Content>, StoreError> {
    let mut checked = BTreeMap::new();
    for name in guarded(dir, || Ok(db.tree_names()))? {
        if name != FORMAT_TREE && name != SLED_TREE {
            let tree = guarded(dir, || db.open_tree(&name))?;
            checked.insert(name.to_vec(), check(dir, &tree)?);
        }
    }
    Ok(checked)
}

/// Reads every entry of a tree once and adds them up.
fn check(dir: &Path, tree: &sled::Tree) -> Result<Content, StoreError> {
    let (mut content, mut head) = (Content::default(), None);
    each(dir, tree, &mut |key, stored| {
        if key == HEAD_KEY {
            head = Some(read_head(opened(key, stored)?)?);
            return Ok(());
        }
        decode_key(key).ok_or_else(|| untrusted("an entry has a key that is not ours"))?;
        opened(key, stored)?;
        let entry = Entry::of(stored);
        content.sum = content.sum.wrapping_add(weight(key, entry.check));
        content.bytes += entry.bytes;
        content.entries.insert(key.to_vec(), entry);
        Ok(())
    })?;
    if head.as_ref().map_or(0, |head| head.sum) != content.sum {
        return Err(untrusted("entries are missing, or older than they should be"));
    }
    content.position = head.and_then(|head| head.position).map(Position::from);
    Ok(content)
}

fn each(dir: &Path, tree: &sled::Tree, visit: &mut Visit<'_>) -> Result<(), StoreError> {
    let mut entries = tree.iter();
    while let Some((key, stored)) = guarded(dir, || entries.next().transpose())? {
        visit(&key, &stored)?;
    }
    Ok(())
}

/// Closing a damaged database may panic as well.
fn close(db: sled::Db) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
}

impl StateStore for SledStore {
    fn position(&self) -> Result<Option<Position>, StoreError> {
        Ok(self.content.position.clone())
    }

    fn get(&self, key: &StoreKey) -> Result<Option<Vec<u8>>, StoreError> {
        let key = encode_key(key);
        let stored = guarded(&self.dir, || self.tree.get(&key))?;
        if stored.as_deref().map(Entry::of) != self.content.entries.get(&key).copied() {
            return Err(untrusted("an entry is not the one that was written"));
        }
        stored.map(|stored| opened(&key, &stored).map(<[u8]>::to_vec)).transpose()
    }

    fn stored_bytes(&self) -> u64 {
        self.content.bytes
    }

    fn scan(&self, visit: &mut dyn FnMut(StoreKey, &[u8])) -> Result<(), StoreError> {
        let mut seen = 0;
        each(&self.dir, &self.tree, &mut |key, stored| {
            if key == HEAD_KEY {
                return Ok(());
            }
            let content = opened(key, stored)?;
            if self.content.entries.get(key) != Some(&Entry::of(stored)) {
                return Err(untrusted("an entry is not the one that was written"));
            }
            seen += 1;
            let key = decode_key(key).ok_or_else(|| untrusted("an entry has a key that is not ours"))?;
            visit(key, content);
            Ok(())
        })?;
        if seen != self.content.entries.len() { Err(untrusted("entries are missing")) } else { Ok(()) }
    }

    fn apply(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        crash_point!("store.apply.before");
        let mut changes = sled::Batch::default();
        let mut changed = BTreeMap::new();
        for (key, content) in batch.writes {
            let key = encode_key(&key);
            let entry = content.map(|content| {
                let stored = closed(&key, &content);
                let entry = Entry::of(&stored);
                changes.insert(key.as_slice(), stored);
                entry
            });
            if entry.is_none() {
                changes.remove(key.as_slice());
            }
            changed.insert(key, entry);
        }
        let mut sum = self.content.sum;
        for (key, entry) in &changed {
            let before = self.content.entries.get(key).map_or(0, |entry| weight(key, entry.check));
            let after = entry.map_or(0, |entry| weight(key, entry.check));
            sum = sum.wrapping_sub(before).wrapping_add(after);
        }
        let position = batch.position.or_else(|| self.content.position.clone());
        let head = Head { sum, position: position.as_ref().map(StoredPosition::from) };
        let head = serde_json::to_vec(&head).expect("names and numbers");
        changes.insert(&HEAD_KEY, closed(&HEAD_KEY, &head));
        guarded(&self.dir, || self.tree.apply_batch(changes))?;
        (self.content.sum, self.content.position) = (sum, position);
        for (key, entry) in changed {
            self.content.bytes += entry.map_or(0, |entry| entry.bytes);
            let before = match entry {
                Some(entry) => self.content.entries.insert(key, entry),
                None => self.content.entries.remove(&key),
            };
            self.content.bytes -= before.map_or(0, |entry| entry.bytes);
        }
        crash_point!("store.apply.after");
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        // The head goes first: what is left of a half cleared tree has no sum and is not trusted.
        guarded(&self.dir, || self.tree.remove(HEAD_KEY).and_then(|_| self.tree.flush()))?;
        guarded(&self.dir, || self.tree.clear())?;
        self.content = Content::default();
        Ok(())
    }
}

/// An entry: version, checksum of version, key and content, content.
fn closed(key: &[u8], content: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(5 + content.len());
    stored.push(FORMAT);
    stored.extend_from_slice(&checksum(key, content).to_le_bytes());
    stored.extend_from_slice(content);
    stored
}

/// The content of an entry, if it is whole.
fn opened<'a>(key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let (head, content) = stored.split_at_checked(5).ok_or_else(|| untrusted("an entry is cut off"))?;
    if head[0] != FORMAT {
        return Err(untrusted(&format!("an entry has version {}, not {FORMAT}", head[0])));
    }
    if crc_of(stored) != checksum(key, content) {
        return Err(untrusted("an entry does not match its checksum"));
    }
    Ok(content)
}

fn checksum(key: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[FORMAT]);
    hasher.update(&(key.len() as u32).to_le_bytes());
    hasher.update(key);
    hasher.update(content);
    hasher.finalize()
}

/// The checksum that an entry carries; 0 for what is no entry.
fn crc_of(stored: &[u8]) -> u32 {
    stored.get(1..5).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// What an entry adds to the sum of its tree: 64-bit FNV-1a, which never changes between versions.
fn weight(key: &[u8], check: u32) -> u64 {
    let check = check.to_le_bytes();
    let bytes = key.iter().chain(&check);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Length and name of the step, then nothing for its scalars, or pane and bucket, such that keys sort as they count.
fn encode_key(key: &StoreKey) -> Vec<u8> {
    let (step, page) = match key {
        StoreKey::Scalars { step } => (step, None),
        StoreKey::Page { step, page } => (step, Some(page)),
    };
    let mut bytes = Vec::with_capacity(16 + step.len());
    bytes.extend_from_slice(&(step.len() as u32).to_be_bytes());
    bytes.extend_from_slice(step.as_bytes());
    if let Some(page) = page {
        bytes.extend_from_slice(&((page.pane as u64) ^ (1 << 63)).to_be_bytes());
        bytes.extend_from_slice(&page.bucket.to_be_bytes());
    }
    bytes
}

fn decode_key(bytes: &[u8]) -> Option<StoreKey> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (step, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    let step = std::str::from_utf8(step).ok()?.to_owned();
    if rest.is_empty() {
        return Some(StoreKey::Scalars { step });
    }
    let (pane, bucket) = rest.split_first_chunk::<8>()?;
    let pane = (u64::from_be_bytes(*pane) ^ (1 << 63)) as i64;
    let bucket = u32::from_be_bytes(bucket.try_into().ok()?);
    Some(StoreKey::Page { step, page: PageId { pane, bucket } })
}

fn read_head(content: &[u8]) -> Result<Head, StoreError> {
    serde_json::from_slice(content).map_err(|error| untrusted(&format!("a head cannot be read: {error}")))
}

impl From<&Position> for StoredPosition {
    fn from(position: &Position) -> StoredPosition {
        let inputs = position.inputs.iter().map(|((topic, partition), offset)| (topic.clone(), partition.0, offset.0));
        StoredPosition {
            changelog: position.changelog.0,
            changelog_bytes: position.changelog_bytes,
            term: position.term.map(|term| (term.era, term.generation)),
            inputs: inputs.collect(),
        }
    }
}

impl From<StoredPosition> for Position {
    fn from(stored: StoredPosition) -> Position {
        let inputs = stored.inputs.into_iter();
        let inputs = inputs.map(|(topic, partition, offset)| ((topic, PartitionId(partition)), Offset(offset)));
        Position {
            changelog: Offset(stored.changelog),
            changelog_bytes: stored.changelog_bytes,
            term: stored.term.map(|(era, generation)| Term { era, generation }),
            inputs: inputs.collect(),
        }
    }
}

fn open_db(dir: &Path) -> Result<sled::Db, StoreError> {
    let db = guarded(dir, || open_when_free(dir))?;
    let tree = guarded(dir, || db.open_tree(FORMAT_TREE))?;
    match guarded(dir, || tree.get("version"))?.as_deref() {
        Some([FORMAT]) => {}
        Some(version) => return Err(untrusted(&format!("its format is {version:?}, not [{FORMAT}]"))),
        // Only a database in which there is nothing yet may be without a version.
        None if guarded(dir, || Ok(db.tree_names()))?.len() > 2 => return Err(untrusted("it has no format")),
        None => guarded(dir, || tree.insert("version", &[FORMAT]).and_then(|_| db.flush())).map(drop)?,
    }
    Ok(db)
}

/// Opens the database; waits a little where sled's own lock is held: as ours is not, the holder is a database of this
/// process whose last threads are just ending.
fn open_when_free(dir: &Path) -> sled::Result<sled::Db> {
    let config = || sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    for _ in 0..500 {
        match config().open() {
            // sled has no kind of error for this.
            Err(sled::Error::Io(error)) if error.to_string().starts_with("could not acquire lock") => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
    let message = "its last user in this process does not let go of it";
    Err(sled::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, message)))
}

/// Moves the folder to the first free name beside it.
fn put_aside(dir: &Path, reason: String) -> Result<Quarantined, StoreError> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let free = (1..).map(|n| dir.with_file_name(format!("{name}.quarantined-{n}"))).find(|path| !path.exists());
    let moved_to = free.expect("there are names without end");
    fs::rename(dir, &moved_to).map_err(|error| folder("put aside", dir, &error))?;
    Ok(Quarantined { moved_to, reason })
}

/// A lock beside the folder: that it is in use must never be taken for damage.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let path = dir.with_file_name(name);
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|error| folder("lock", dir, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(folder("lock", dir, &error)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Folder {
            action: "lock",
            path: dir.to_owned(),
            message: "another process uses it".to_owned(),
        }),
    }
}

/// Calls sled: a panic and an error that speaks of damage are [`StoreError::Untrusted`].
fn guarded<T>(dir: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    use io::ErrorKind::{OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error)))
            if matches!(
                error.kind(),
                OutOfMemory | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull
            ) =>
        {
            Err(folder("use", dir, &error))
        }
        Ok(Err(error)) => Err(untrusted(&error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(untrusted(&format!("sled panicked: {}", text.unwrap_or_default())))
        }
    }
}

fn folder(action: &'static str, dir: &Path, error: &io::Error) -> StoreError {
    StoreError::Folder { action, path: dir.to_owned(), message: error.to_string() }
}

fn untrusted(message: &str) -> StoreError {
    StoreError::Untrusted { message: message.to_owned() }
}
