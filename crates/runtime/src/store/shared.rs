//! One task's store in two hands: the worker's, which writes committed state, and its steps', which read back pages that
//! they let go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use arrow::array::RecordBatch;
use millstream_engine::error::TaskError;
use millstream_engine::state::{PageId, PageSource};
use millstream_formats::frame;

use super::{Position, StateStore, StoreBatch, StoreError, StoreKey};

/// A store that clones share. It is never locked while a step runs.
#[derive(Clone)]
pub struct SharedStore(Arc<Mutex<Box<dyn StateStore>>>);

impl SharedStore {
    /// Shares a store.
    pub fn new(store: Box<dyn StateStore>) -> SharedStore {
        SharedStore(Arc::new(Mutex::new(store)))
    }

    /// The pages of a step, as they were stored last.
    pub fn pages(&self, step: &str) -> Arc<dyn PageSource> {
        Arc::new(StoredPages { store: self.clone(), step: step.to_owned() })
    }

    /// A store that panicked says so itself when it is asked again.
    fn lock(&self) -> MutexGuard<'_, Box<dyn StateStore>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for SharedStore {
    fn position(&self) -> Result<Option<Position>, StoreError> {
        self.lock().position()
    }

    fn get(&self, key: &StoreKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.lock().get(key)
    }

    fn stored_bytes(&self) -> u64 {
        self.lock().stored_bytes()
    }

    fn scan(&self, visit: &mut dyn FnMut(StoreKey, &[u8])) -> Result<(), StoreError> {
        self.lock().scan(visit)
    }

    fn apply(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        self.lock().apply(batch)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.lock().clear()
    }
}

struct StoredPages {
    store: SharedStore,
    step: String,
}

impl PageSource for StoredPages {
    fn page(&self, id: PageId) -> Result<Option<RecordBatch>, TaskError> {
        let failed = |message: String| TaskError::State { step: self.step.clone(), message };
        let store = match self.store.0.try_lock() {
            Ok(store) => store,
            Err(TryLockError::Poisoned(store)) => store.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(failed("the store was read while it was written".to_owned())),
        };
        let key = StoreKey::Page { step: self.step.clone(), page: id };
        let value = store.get(&key).map_err(|error| failed(error.to_string()))?;
        value.map(|value| frame::decode(&value).map_err(|error| failed(error.to_string()))).transpose()
    }
}
