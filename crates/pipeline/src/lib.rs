//! YAML text in, a checked topology or diagnostics with positions out; never reads a file, never opens a socket.

pub mod case;
mod check;
pub mod codes;
pub mod diagnostic;
pub mod lower;
mod resolve;
pub mod spec;
pub mod suggest;
pub mod topology;
pub mod yaml;
