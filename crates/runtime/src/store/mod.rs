//! Committed pages of state and the position that they are good for: a disposable cache of the changelog.
//!
//! A store never holds anything uncommitted, and never serves what it is not sure of: what cannot be read, or has another
//! version, is an error that the caller answers by restoring from the changelog.
//!
//! The position and the pages of one [`StoreBatch`] are applied together. A checkpoint of many pages is cut into several
//! batches with the position in the last: the pages before it are then newer than the position, which does no harm, as
//! replaying deltas from the position on ends in the same rows (a delta says what rows are, not how they change). A page
//! that is older than the position would do harm: pages changed by replaying the changelog at a restart must be written too
//! before the position moves on. Pages are deleted last, when all that took their place are there: a pane that is split moves
//! the rows of its old pages to new ones, which no delta tells. Pages without a position are good for nothing.

pub mod memory;
pub mod shared;
pub mod sled;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::state::PageId;

use crate::term::Term;

/// What a store keeps under which key. `step` is the id of the stateful step within the task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreKey {
    /// The scalars of a step.
    Scalars {
        /// The step.
        step: String,
    },
    /// A page of a step.
    Page {
        /// The step.
        step: String,
        /// Which page.
        page: PageId,
    },
}

/// The point of the log that a task's stored state stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The next record of the task's changelog to apply.
    pub changelog: Offset,
    /// Bytes of the task's changelog since the last time that all of its state was written anew.
    pub changelog_bytes: u64,
    /// The greatest term of an owner of the task among the records before; `None` where there are none.
    pub term: Option<Term>,
    /// The next record to process of each input.
    pub inputs: BTreeMap<(String, PartitionId), Offset>,
}

/// Changes to a task's store that take effect together.
#[derive(Debug, Clone, Default)]
pub struct StoreBatch {
    /// New content by key, `None` to delete. Some dozens of pages at most.
    pub writes: Vec<(StoreKey, Option<Vec<u8>>)>,
    /// The position that the store is good for once this is applied; `None` leaves it as it was.
    pub position: Option<Position>,
}

/// The committed state of one task.
pub trait StateStore: Send {
    /// The position that the content is good for; `None` for a store never written to.
    ///
    /// # Errors
    /// If the content cannot be trusted.
    fn position(&self) -> Result<Option<Position>, StoreError>;

    /// What is kept under a key.
    ///
    /// # Errors
    /// If the content cannot be trusted.
    fn get(&self, key: &StoreKey) -> Result<Option<Vec<u8>>, StoreError>;

    /// Bytes of everything that is kept, for people to look at.
    fn stored_bytes(&self) -> u64;

    /// Shows everything that is kept, in order of [`StoreKey`]s of one step, and the steps in some fixed order.
    ///
    /// # Errors
    /// If the content cannot be trusted; what was shown before must then be dropped.
    fn scan(&self, visit: &mut dyn FnMut(StoreKey, &[u8])) -> Result<(), StoreError>;

    /// Applies a batch, all or nothing. It is durable after the next [`flush`](StateStores::flush).
    ///
    /// # Errors
    /// If it cannot be written.
    fn apply(&mut self, batch: StoreBatch) -> Result<(), StoreError>;

    /// Forgets everything, the position too.
    ///
    /// # Errors
    /// If it cannot be written.
    fn clear(&mut self) -> Result<(), StoreError>;
}

/// The stores of a process, one per task.
pub trait StateStores: Send {
    /// The store of a task, by a name that stays the same across restarts; empty if it is new.
    ///
    /// # Errors
    /// If it cannot be opened; [`StoreError::Untrusted`] if it is not what was written to it; [`StoreError::TaskOpen`]
    /// while it is open already.
    fn open_task(&self, task: &str) -> Result<Box<dyn StateStore>, StoreError>;

    /// Makes durable what was applied before. To be called every few seconds, off the commit path.
    ///
    /// # Errors
    /// If it cannot be written.
    fn flush(&self) -> Result<(), StoreError>;

    /// Removes what is stored of tasks that have not been open for so long: others have them, and have gone on. Returns their
    /// names.
    ///
    /// # Errors
    /// If it cannot be written.
    fn forget_unused(&self, unused_for: Duration) -> Result<Vec<String>, StoreError>;
}

impl<S: StateStores + Sync + ?Sized> StateStores for Arc<S> {
    fn open_task(&self, task: &str) -> Result<Box<dyn StateStore>, StoreError> {
        self.as_ref().open_task(task)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.as_ref().flush()
    }

    fn forget_unused(&self, unused_for: Duration) -> Result<Vec<String>, StoreError> {
        self.as_ref().forget_unused(unused_for)
    }
}

/// A folder of state that could not be trusted and was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it is now.
    pub moved_to: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// An error of a state store. None of them loses anything: the changelog has it all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What is stored is damaged, unreadable or of another version.
    #[error("stored state cannot be used: {message}")]
    Untrusted {
        /// What is wrong.
        message: String,
    },
    /// The folder cannot be opened, moved or written.
    #[error("cannot {action} the state folder {}: {message}", path.display())]
    Folder {
        /// What was tried.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// Another thread of this process has not let go of the task yet.
    #[error("the stored state of task {task} is still open in this process")]
    TaskOpen {
        /// The task.
        task: String,
    },
    /// A test stopped the store at a crash point.
    #[error("stopped at crash point {point}")]
    CrashPoint {
        /// Which one.
        point: &'static str,
    },
}
