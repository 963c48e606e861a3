//! Starts the real parts that tests and `just broker` need, and judges from outside what they did; it never ships and knows
//! none of our crates, so that nothing it says is our own word.

// Tests wait for processes, look at clocks and open sockets; the invariants of clippy.toml are the engine's.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod admin;
pub mod broker;
mod cache;
pub mod cluster;
pub mod codecs;
pub mod confluent;
pub mod daemon;
mod error;
pub mod foreign;
pub mod gate;
pub mod jars;
pub mod load;
mod node;
pub mod oracle;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod random;
mod reaper;
pub mod registry;
pub mod suite;
pub mod tls;
pub mod wait;

pub use broker::Broker;
pub use cluster::Cluster;
pub use codecs::Codecs;
pub use confluent::Confluent;
pub use daemon::Daemon;
pub use error::{Result, Trouble};
pub use foreign::{Client, Foreign, Message, Read};
pub use gate::Gate;
pub use oracle::Oracle;
pub use proxy::Proxy;
pub use registry::SchemaRegistry;

use std::path::{Path, PathBuf};

/// The root of the repository that is tested. Cargo tells it to what it runs; a binary alone remembers where it was built. (That
/// is not enough: from a target folder that several checkouts share, cargo also runs what was built in another.)
pub fn repository() -> PathBuf {
    let told = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    told.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()).join("../..")
}

/// The folder `tests/kafka` of the repository.
fn kafka_folder() -> PathBuf {
    repository().join("tests/kafka")
}

/// The folder `tests/codecs` of the repository.
fn codecs_folder() -> PathBuf {
    repository().join("tests/codecs")
}
