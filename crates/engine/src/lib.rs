//! The pure core of Millstream: batches and watermarks in, output batches and state changes out, deterministically.
//!
//! It has no clock, thread, socket, file or source of randomness, and no order of a hash map reaches its output.
//!
//! The contract:
//!
//! 1. An [`operator::Operator`] remembers only through its state. Restart, abort and rebalance are one code path: drop
//!    the task and rebuild it.
//! 2. Nothing uncommitted reaches disk: a task's changes leave it as [`state::Delta`]s at a commit, and its pages only
//!    after that commit has succeeded.
//! 3. State, changelog position, input offsets and watermarks are stored together, atomically.
//! 4. Every queue and every buffer has a bound.
//! 5. `now` is an argument. Results depend on the input's order within each partition and on nothing else: not on batch
//!    boundaries, not on when a commit fell.
//! 6. Errors come in families, never mixed: [`error::RecordError`] (one record: goes where `on_error` says) and
//!    [`error::TaskError`] (the task stops).

pub mod aggregate;
pub mod batch;
pub mod clock;
pub mod context;
pub mod error;
pub mod expr;
pub mod ids;
mod interleave;
pub mod key;
pub mod ledger;
pub mod mixture;
pub mod operator;
pub mod operators;
pub mod plan;
mod size;
pub mod state;
pub mod task;
pub mod text;
pub mod time;
pub mod types;
pub mod windows;
