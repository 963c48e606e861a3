//! YAML text in, a checked topology or diagnostics with positions out; never reads a file, never opens a socket.

pub mod topology;
