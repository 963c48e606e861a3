//! The contract of an operator: one node of a task's graph.

use crate::batch::Batch;
use crate::clock::Clock;
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::{InputId, Port};
use crate::state::StateHandle;
use crate::time::Millis;

/// What travels along an edge beside batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The input has been silent for long: it leaves the minimum until it speaks.
    Idle(InputId),
    /// Every input of the task is idle, and so much time has passed on the wall since the last such signal (or since
    /// the last row): event time goes on by it (`idle_close`).
    Elapsed(Millis),
    /// Time is at an end because a user asked for it: close all that is open, once, as if every input had gone just far
    /// enough. Rows that come later are judged by the watermark that this leaves behind.
    Close,
}

/// How a task stands to what there is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has processed all of it.
    Reached,
    /// There is more.
    Ahead,
    /// Nobody knows: it is about to be given away.
    Parting,
}

/// A node of a task's graph. Batches and signals of one input arrive in the order in which they were sent.
pub trait Operator: Send {
    /// Takes a batch (perhaps without rows: time only) and emits what follows from it, now or later.
    ///
    /// # Errors
    /// Only what must stop the task. A bad row goes to [`Context::reject`] instead.
    fn process(&mut self, port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError>;

    /// Every batch of this pass through the graph has been processed by this node. A pass starts with the rows that are
    /// processed together, those of each input at its source; only what needs all of them (merge) waits for this.
    ///
    /// # Errors
    /// As [`process`](Self::process).
    fn end_pass(&mut self, _cx: &mut Context<'_>) -> Result<(), TaskError> {
        Ok(())
    }

    /// Takes a signal. A stateless operator passes it on; a stateful one answers it and then passes on what is true of
    /// its own output.
    ///
    /// # Errors
    /// As [`process`](Self::process).
    fn on_signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Result<(), TaskError> {
        cx.signal(signal);
        Ok(())
    }

    /// A commit is about to be taken at `now`, by the clock of this process: emit what is emitted by commit (`emit: changes`).
    ///
    /// # Errors
    /// As [`process`](Self::process).
    fn before_commit(&mut self, _now: Millis, _cx: &mut Context<'_>) -> Result<(), TaskError> {
        Ok(())
    }

    /// Hears, before [`before_commit`](Self::before_commit), how its task stands.
    fn on_end(&mut self, _end: End) {}

    /// When, by the clock on the wall, a commit is due though no input comes: something waits to be emitted with it. To be
    /// asked right after [`before_commit`](Self::before_commit).
    fn due_at(&self) -> Option<Millis> {
        None
    }

    /// The operator's clock, if it keeps one; for people to look at.
    fn clock(&self) -> Option<&Clock> {
        None
    }

    /// The operator's state, if it keeps any.
    fn state(&mut self) -> Option<&mut dyn StateHandle> {
        None
    }
}
