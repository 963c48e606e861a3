//! The state store's twin in memory, for tests and simulation: it outlives a simulated crash, as its handles share it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Position, StateStore, StateStores, StoreBatch, StoreError, StoreKey};

/// Stores of tasks in memory; clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStores {
    tasks: Arc<Mutex<BTreeMap<String, TaskContent>>>,
}

#[derive(Debug, Clone, Default)]
struct TaskContent {
    entries: BTreeMap<StoreKey, Vec<u8>>,
    position: Option<Position>,
}

impl MemoryStores {
    /// No stores.
    pub fn new() -> MemoryStores {
        MemoryStores::default()
    }

    /// Forgets every task, as if the folder had been removed.
    pub fn wipe(&self) {
        lock(&self.tasks).clear();
    }
}

impl StateStores for MemoryStores {
    fn open_task(&self, task: &str) -> Result<Box<dyn StateStore>, StoreError> {
        Ok(Box::new(MemoryStore { task: task.to_owned(), tasks: Arc::clone(&self.tasks) }))
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Nothing: it lives no longer than a test.
    fn forget_unused(&self, _unused_for: Duration) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

/// One task's store in memory.
#[derive(Debug)]
struct MemoryStore {
    task: String,
    tasks: Arc<Mutex<BTreeMap<String, TaskContent>>>,
}

impl StateStore for MemoryStore {
    fn position(&self) -> Result<Option<Position>, StoreError> {
        Ok(lock(&self.tasks).get(&self.task).and_then(|content| content.position.clone()))
    }

    fn get(&self, key: &StoreKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.tasks).get(&self.task).and_then(|content| content.entries.get(key).cloned()))
    }

    fn stored_bytes(&self) -> u64 {
        let tasks = lock(&self.tasks);
        tasks.get(&self.task).map_or(0, |content| content.entries.values().map(|value| value.len() as u64).sum())
    }

    fn scan(&self, visit: &mut dyn FnMut(StoreKey, &[u8])) -> Result<(), StoreError> {
        let content = lock(&self.tasks).get(&self.task).cloned().unwrap_or_default();
        for (key, value) in content.entries {
            visit(key, &value);
        }
        Ok(())
    }

    fn apply(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        let mut tasks = lock(&self.tasks);
        let content = tasks.entry(self.task.clone()).or_default();
        for (key, value) in batch.writes {
            match value {
                Some(value) => content.entries.insert(key, value),
                None => content.entries.remove(&key),
            };
        }
        if batch.position.is_some() {
            content.position = batch.position;
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        lock(&self.tasks).remove(&self.task);
        Ok(())
    }
}

/// A test that panicked while it held the lock left whole entries behind.
fn lock(tasks: &Mutex<BTreeMap<String, TaskContent>>) -> MutexGuard<'_, BTreeMap<String, TaskContent>> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}
