//! YAML with positions: text in, a tree whose every node knows where it stands, or what is wrong with it.

pub mod de;
pub(crate) mod mask;
pub mod node;
pub mod parse;
pub mod source_map;
pub mod span;
pub mod spanned;
