//! The connections whose request has not come yet, by how long they have waited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Unheard(Arc<Mutex<Connections>>);

#[derive(Debug, Default)]
struct Connections {
    /// The last one's number.
    last: u64,
    /// In the order in which they came.
    waiting: BTreeMap<u64, AbortHandle>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    unheard: Unheard,
    number: u64,
}

impl Unheard {
    /// Serves a connection as a task of its own, on the one thread that serves all: it does not run before this returns.
    pub(super) fn spawn<F>(&self, serve: impl FnOnce(Waiting) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let number = self.number();
        let served = tokio::spawn(serve(Waiting { unheard: self.clone(), number }));
        self.lock().waiting.insert(number, served.abort_handle());
    }

    fn number(&self) -> u64 {
        let mut connections = self.lock();
        connections.last += 1;
        connections.last
    }

    /// Closes the connection that has waited longest for its request, if any waits.
    pub(super) fn cut_longest(&self) {
        let longest = self.lock().waiting.pop_first();
        if let Some((_, served)) = longest {
            served.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Its request has come.
    pub(super) fn is_heard(&self) {
        self.unheard.lock().waiting.remove(&self.number);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.is_heard();
    }
}
