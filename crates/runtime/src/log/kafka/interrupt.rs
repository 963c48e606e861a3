//! A flag by which another thread ends the waits of a log. It never ends what needs no wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the waits of a log: calls that would go on waiting for a broker return an error instead.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends the waits, those to come too.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether they have been ended.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
