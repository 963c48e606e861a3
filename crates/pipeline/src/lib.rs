//! YAML text in, a checked topology or diagnostics with positions out; never reads a file, never opens a socket.

pub mod case;
pub mod codes;
pub mod diagnostic;
pub mod spec;
pub mod suggest;
pub mod topology;
pub mod yaml;
