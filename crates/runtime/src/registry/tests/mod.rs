//! The client against a server that plays what it is told to.

mod answers;
mod cached;
mod server;
mod troubles;

use super::*;
use server::{Reply, Server};

/// A client that has little patience.
fn client(servers: &[&Server]) -> Registry {
    let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
    let settings = RegistrySettings {
        connect_timeout: std::time::Duration::from_millis(300),
        request_timeout: std::time::Duration::from_millis(600),
        ..RegistrySettings::at(&urls.join(",")).unwrap()
    };
    Registry::new(&settings).unwrap()
}
