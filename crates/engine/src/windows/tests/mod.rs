//! Windows against a model written for clearness, over batch cuts, interleavings, commits and restarts.

#![allow(clippy::unwrap_used)]

mod bounds;
mod chained;
mod grace;
mod large;
mod model;
mod random;
mod world;
