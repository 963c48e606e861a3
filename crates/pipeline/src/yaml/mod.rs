//! YAML with positions: text in, a tree whose every node knows where it stands, or what is wrong with it.

pub mod span;
pub mod spanned;
