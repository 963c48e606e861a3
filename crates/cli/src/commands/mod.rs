//! The commands, one a file.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod contract;
pub(crate) mod demo;
pub(crate) mod graph;
pub(crate) mod plan;
pub(crate) mod reset;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod test;
pub(crate) mod topic;
