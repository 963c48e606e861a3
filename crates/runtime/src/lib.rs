//! Touches the world for the engine: logs, the state store, the driver that feeds a worker, signals.
//!
//! - [`worker`]: feeds the tasks of a pipeline and commits what comes out, epoch by epoch.
//! - [`case`]: runs tests of pipelines, straight and with crashes.
//! - [`clock`]: the time for people, and the time by which spans are measured.
//! - [`follow`]: the loop of a running pipeline.
//! - [`preflight`]: what a cluster has against a pipeline, found before the first record.
//! - [`reset`]: moving a pipeline's group by hand, with its state.
//! - [`log`]: topics with partitions and transactions; two siblings behind one trait, in memory and in a folder.
//! - [`crash`]: where tests may stop both.
//! - [`panics`]: what is said of a bug that panics.
//! - [`contracts`]: schemas of files and registries, found, held against each other and registered.
//! - [`config`]: the settings of a daemon, and where each came from.
//! - [`bench`], [`nexmark`]: whole pipelines under a seeded load.
//! - [`sample`]: seeded sample data.
//! - [`registry`]: a client of a schema registry.
//! - [`telemetry`]: what the process tells about itself: metrics, readiness, status.
//! - [`http`]: the port on which that is to be had.
//! - [`store`]: committed pages of state, a disposable cache of the changelog; in memory and in sled.
//!
//! It never decides what a window means: results are the engine's.

// Files and clocks are kept out of the crates below; this is the one in which they belong.
#![allow(clippy::disallowed_methods)]

pub mod bench;
pub mod case;
pub mod clock;
pub mod config;
pub mod contracts;
pub mod crash;
pub mod daemon;
pub mod follow;
pub mod http;
pub mod log;
pub mod nexmark;
pub mod panics;
pub mod preflight;
pub mod registry;
pub mod reset;
pub mod sample;
pub mod store;
pub mod telemetry;
pub mod term;
mod utc;
pub mod worker;
