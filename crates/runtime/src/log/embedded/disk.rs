//! The few ways in which the log touches files: what is synced when, and (in tests) what a loss of power would leave.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::log::LogError;

#[cfg(feature = "crash-points")]
pub use power::PowerLoss;

/// How far a commit goes before it is reported.
#[derive(Debug, Clone, Default)]
pub enum Durability {
    /// To the disk: it survives a loss of power. The default.
    #[default]
    Sync,
    /// To the operating system: it survives `kill -9`, not a loss of power. For benchmarks and tests.
    Os,
    /// Nowhere, but what would have been synced is remembered, so that a test can lose the rest.
    #[cfg(feature = "crash-points")]
    Watched(std::sync::Arc<PowerLoss>),
}

impl Durability {
    /// Syncs a file's content.
    pub(super) fn sync_file(&self, file: &File, path: &Path) -> Result<(), LogError> {
        match self {
            Durability::Sync => file.sync_data().map_err(|error| LogError::io("sync", path, error)),
            Durability::Os => Ok(()),
            #[cfg(feature = "crash-points")]
            Durability::Watched(power) => {
                power.synced(path);
                Ok(())
            }
        }
    }

    /// Syncs a folder's list of names.
    pub(super) fn sync_folder(&self, path: &Path) -> Result<(), LogError> {
        match self {
            #[cfg(unix)]
            Durability::Sync => File::open(path)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| LogError::io("sync the folder", path, error)),
            // Elsewhere a folder cannot be synced; the system sees to the order of its names.
            #[cfg(not(unix))]
            Durability::Sync => Ok(()),
            Durability::Os => Ok(()),
            #[cfg(feature = "crash-points")]
            Durability::Watched(power) => {
                power.folder_synced(path);
                Ok(())
            }
        }
    }

    /// Makes an empty file, whether or not there was one, for reading and writing.
    pub(super) fn create(&self, path: &Path) -> Result<File, LogError> {
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = made.map_err(|error| LogError::io("create", path, error))?;
        #[cfg(feature = "crash-points")]
        if let Durability::Watched(power) = self {
            power.created(path);
        }
        Ok(file)
    }

    /// Puts a file in the place of another; durable after [`sync_folder`](Self::sync_folder).
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), LogError> {
        #[cfg(feature = "crash-points")]
        if let Durability::Watched(power) = self {
            power.renaming(from, to);
        }
        fs::rename(from, to).map_err(|error| LogError::io("rename", from, error))
    }
}

/// Opens a file for reading and writing; `None` if there is none.
pub(super) fn open_for_writing(path: &Path) -> Result<Option<File>, LogError> {
    optional(OpenOptions::new().read(true).write(true).open(path), "open", path)
}

/// Opens a file for reading; `None` if there is none.
pub(super) fn open_for_reading(path: &Path) -> Result<Option<File>, LogError> {
    optional(File::open(path), "open", path)
}

/// The length of a file; `None` if there is none.
pub(super) fn len_of(path: &Path) -> Result<Option<u64>, LogError> {
    Ok(optional(fs::metadata(path), "look at", path)?.map(|metadata| metadata.len()))
}

/// The length of an open file.
pub(super) fn len(file: &File, path: &Path) -> Result<u64, LogError> {
    file.metadata().map(|metadata| metadata.len()).map_err(|error| LogError::io("look at", path, error))
}

/// Cuts a file down to a length.
pub(super) fn cut(file: &File, path: &Path, len: u64) -> Result<(), LogError> {
    file.set_len(len).map_err(|error| LogError::io("cut", path, error))
}

/// Writes bytes at a position.
pub(super) fn write_at(mut file: &File, path: &Path, position: u64, bytes: &[u8]) -> Result<(), LogError> {
    let written = file.seek(SeekFrom::Start(position)).and_then(|_| file.write_all(bytes));
    written.map_err(|error| LogError::io("write", path, error))
}

/// Reads up to `len` bytes from a position on to the end of `into`; fewer only where the file ends.
pub(super) fn read_at(
    mut file: &File,
    path: &Path,
    position: u64,
    len: u64,
    into: &mut Vec<u8>,
) -> Result<(), LogError> {
    let read = file.seek(SeekFrom::Start(position)).and_then(|_| file.take(len).read_to_end(into));
    read.map(drop).map_err(|error| LogError::io("read", path, error))
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), LogError> {
    optional(fs::remove_file(path), "remove", path).map(drop)
}

fn optional<T>(result: std::io::Result<T>, action: &'static str, path: &Path) -> Result<Option<T>, LogError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io(action, path, error)),
    }
}

#[cfg(feature = "crash-points")]
mod power {
    //! What a loss of power leaves of files that were written and not synced.

    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// Remembers what was synced, and can lose the rest.
    #[derive(Debug, Default)]
    pub struct PowerLoss {
        files: Mutex<Files>,
    }

    #[derive(Debug, Default)]
    struct Files {
        /// Up to where each file was synced.
        synced: BTreeMap<PathBuf, u64>,
        /// Files whose name may not be in its folder yet.
        unnamed: BTreeSet<PathBuf>,
        /// Names whose file may still be the one before: its content, if there was one.
        replaced: BTreeMap<PathBuf, Option<Vec<u8>>>,
    }

    impl PowerLoss {
        /// Loses power: of everything not synced, `choose(n)` (a number below n) says what is left. The log must not
        /// be open.
        ///
        /// # Panics
        /// If the files cannot be changed.
        pub fn strike(&self, mut choose: impl FnMut(u64) -> u64) {
            let files = std::mem::take(&mut *self.files());
            for (path, synced) in &files.synced {
                let Ok(metadata) = fs::metadata(path) else { continue };
                let file = fs::OpenOptions::new().write(true).open(path).expect("the file is there");
                let unsynced = metadata.len().saturating_sub(*synced);
                let kept = choose(unsynced + 1);
                file.set_len(synced + kept).expect("the file can be cut");
                // The length may reach the disk before the content does.
                if choose(4) == 0 {
                    file.set_len(*synced.min(&metadata.len())).expect("the file can be cut");
                    file.set_len(metadata.len()).expect("the file can grow");
                }
            }
            for (path, before) in files.replaced {
                match before {
                    _ if choose(2) == 0 => {}
                    Some(content) => fs::write(&path, content).expect("the file can be written"),
                    None => fs::remove_file(&path).expect("the file can be removed"),
                }
            }
            for path in files.unnamed {
                if choose(2) == 0 && path.exists() {
                    fs::remove_file(path).expect("the file can be removed");
                }
            }
        }

        pub(super) fn synced(&self, path: &Path) {
            let len = fs::metadata(path).map_or(0, |metadata| metadata.len());
            self.files().synced.insert(path.to_owned(), len);
        }

        pub(super) fn folder_synced(&self, folder: &Path) {
            let mut files = self.files();
            files.unnamed.retain(|path| path.parent() != Some(folder));
            files.replaced.retain(|path, _| path.parent() != Some(folder));
        }

        pub(super) fn created(&self, path: &Path) {
            let mut files = self.files();
            files.synced.insert(path.to_owned(), 0);
            files.unnamed.insert(path.to_owned());
        }

        pub(super) fn renaming(&self, from: &Path, to: &Path) {
            let mut files = self.files();
            files.unnamed.remove(from);
            files.replaced.insert(to.to_owned(), fs::read(to).ok());
            if let Some(synced) = files.synced.remove(from) {
                files.synced.insert(to.to_owned(), synced);
            }
        }

        fn files(&self) -> MutexGuard<'_, Files> {
            self.files.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
