//! The loop of a running pipeline: steps a worker by the clock until it is told to stop or has come to the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::clock::steady;
use crate::log::Log;
use crate::worker::{Progress, Standing, Worker, WorkerError};

/// Asks a loop to commit and leave.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Asks.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// When a loop ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never: it follows the sources.
    Stopped,
    /// When everything that is there has been processed; open windows stay open.
    End,
    /// As `End`, and then all open windows are closed.
    EndAndClose,
}

/// How often the loop tells where it stands.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// How long the loop waits where there was nothing to do: short, as a lone record should not wait for it.
const WAIT: Duration = Duration::from_millis(5);

/// Runs `worker` until it is stopped or, if asked so, has come to the end; then commits and writes a checkpoint. `tell`
/// hears a few times a second, and at the end, where the worker stands.
///
/// # Errors
/// What stopped the worker. What was committed before stays; the rest is taken again by the next run.
pub fn follow<L: Log>(
    worker: &mut Worker<L>,
    until: Until,
    stop: &Stop,
    tell: &mut dyn FnMut(&mut Worker<L>, &Standing),
) -> Result<(), WorkerError> {
    let mut told = Instant::now();
    while !stop.is_asked() {
        let progress = worker.step(steady())?;
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let standing = worker.standing();
            tell(worker, &standing);
        }
        if progress == Progress::Made {
            continue;
        }
        if !worker.commit(steady())? {
            if until != Until::Stopped && !worker.waits_for_schemas() {
                break;
            }
            std::thread::sleep(WAIT);
        }
    }
    worker.commit(steady())?;
    if until == Until::EndAndClose && !stop.is_asked() {
        worker.close(steady())?;
    }
    worker.checkpoint(steady())?;
    let standing = worker.standing();
    tell(worker, &standing);
    Ok(())
}
