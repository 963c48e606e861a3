//! Locks between processes: `run.lock` for the life of a run, `commits.lock` for the time of one commit.
//!
//! The system lets go of both when their process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::log::LogError;

/// The right to run transactions; given back when dropped.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of the folder, or says who has it.
    pub(super) fn take(path: &Path, dir: &Path) -> Result<RunLock, LogError> {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(LogError::InUse { path: dir.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(LogError::io("lock", path, error)),
        }
        // The number is only for the message above.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(RunLock { _file: file })
    }
}

/// The lock that writers take for the time of one commit.
#[derive(Debug)]
pub(super) struct WriteLock {
    file: File,
}

/// The lock while it is held.
#[derive(Debug)]
pub(super) struct WriteGuard {
    file: File,
}

impl WriteLock {
    pub(super) fn open(path: &Path) -> Result<WriteLock, LogError> {
        Ok(WriteLock { file: open(path)? })
    }

    /// Waits until no other process writes. Within the process, a mutex has seen to that.
    pub(super) fn hold(&self, path: &Path) -> Result<WriteGuard, LogError> {
        let failed = |error| LogError::io("lock", path, error);
        let file = self.file.try_clone().map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(WriteGuard { file })
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        // It can only fail for a file that is not open; closing the file would let go as well.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> Result<File, LogError> {
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| LogError::io("open", path, error))
}
