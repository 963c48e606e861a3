//! Who this process is: a folder of state that no other process uses, and an id that lives in it.
//!
//! The id names the producers: a process that dies and comes back with its folder fences what its predecessor left open at
//! once, instead of waiting for a time-out. Two processes never share one, as the folder is locked.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// A folder of state in use by this process.
#[derive(Debug)]
pub struct Instance {
    dir: PathBuf,
    id: String,
    /// Locked for as long as it is open.
    _lock: File,
}

/// Why a folder of state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("the state folder {} is in use by another process{}", path.display(), holder(.pid))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process, where it could be read.
        pid: Option<u32>,
    },
}

fn holder(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" ({pid})")).unwrap_or_default()
}

impl Instance {
    /// Takes `dir`, which is made where it is missing.
    ///
    /// # Errors
    /// If another process has it, or if it cannot be written.
    pub fn open(dir: &Path) -> Result<Instance, InstanceError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| InstanceError::Io { action, path, source }
        };
        fs::create_dir_all(dir).map_err(io("make", dir))?;
        let path = dir.join("lock");
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(InstanceError::InUse { path: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(InstanceError::Io { action: "lock", path, source }),
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(io("write", &path))?;
        let path = dir.join("instance");
        let id = match fs::read_to_string(&path) {
            Ok(id) if is_id(id.trim()) => id.trim().to_owned(),
            _ => {
                let id = new_id(dir)?;
                let made = dir.join("instance.new");
                fs::write(&made, &id).and_then(|()| fs::rename(&made, &path)).map_err(io("write", &path))?;
                id
            }
        };
        Ok(Instance { dir: dir.to_owned(), id, _lock: lock })
    }

    /// The id that lives in `dir`, if there is one.
    pub fn id_of(dir: &Path) -> Option<String> {
        let id = fs::read_to_string(dir.join("instance")).ok()?;
        is_id(id.trim()).then(|| id.trim().to_owned())
    }

    /// The folder of a pipeline's state.
    pub fn pipeline_dir(&self, pipeline: &str) -> PathBuf {
        self.dir.join("pipelines").join(pipeline)
    }

    /// The name of the producer of one thread of a pipeline.
    pub fn transactional_id(&self, pipeline: &str, thread: usize) -> String {
        format!("{pipeline}-{}-{thread}", self.id)
    }
}

const ID_DIGITS: usize = 16;

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Another one for each folder.
fn new_id(dir: &Path) -> Result<String, InstanceError> {
    let mut bytes = [0; ID_DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(|error| InstanceError::Io {
        action: "get random bytes for the id of",
        path: dir.to_owned(),
        source: error.into(),
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_id_and_has_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let first = Instance::open(dir.path()).unwrap();
        let name = first.transactional_id("p", 0);
        assert!(name.starts_with("p-") && name.ends_with("-0"), "{name}");
        let refused = Instance::open(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("in use by another process"), "{refused}");
        drop(first);
        assert_eq!(Instance::open(dir.path()).unwrap().transactional_id("p", 0), name);
    }

    #[test]
    fn folders_have_ids_of_their_own_and_damaged_ones_get_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = |dir: &Path| Instance::open(dir).unwrap().transactional_id("p", 0);
        let first = id(one.path());
        assert_ne!(first, id(other.path()));
        fs::write(one.path().join("instance"), "torn").unwrap();
        assert_ne!(id(one.path()), first);
    }
}
