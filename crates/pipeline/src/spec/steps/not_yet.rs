//! What the language has a place for but does not support yet: a clear answer instead of "unknown".
//!
//! A step leaves this list when its own file beside this one (`join.rs`, `dedupe.rs`, `buffer.rs`) is written.

/// Steps that are not supported yet.
pub const STEPS: &[&str] = &["join", "dedupe", "buffer"];

/// Sections of a pipeline that are not supported yet.
pub const SECTIONS: &[&str] = &["tables"];
