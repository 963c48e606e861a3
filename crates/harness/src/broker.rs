//! A broker of one node that a test owns: its ports, folder and process go with it.

use std::sync::OnceLock;

use tempfile::TempDir;

pub use crate::node::{Access, BrokerOptions};

use crate::foreign::Client;
use crate::node::{Node, Ports};
use crate::process::{self, Signal};
use crate::{Result, Trouble};

/// A running Kafka of one node; deleted when dropped.
#[derive(Debug)]
pub struct Broker {
    node: Node,
    options: BrokerOptions,
    /// Kept for its end.
    _folder: Option<TempDir>,
}

impl Broker {
    /// Starts a plain one.
    ///
    /// # Errors
    /// A skip if there is no Java or no jars; trouble if it does not come up.
    pub fn start() -> Result<Broker> {
        Broker::start_with(BrokerOptions::default())
    }

    /// Starts one as asked.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_with(options: BrokerOptions) -> Result<Broker> {
        let mut ports = Ports::free();
        ports.plain = options.port.unwrap_or(ports.plain);
        let temporary = options.folder.is_none().then(|| process::temp_folder("kafka")).transpose()?;
        let folder = options.folder.as_deref().or(temporary.as_ref().map(TempDir::path));
        let folder = folder.ok_or("the broker has no folder")?;
        let voters = [(1, ports.controller)];
        let mut node = Node::format(1, ports, folder, &voters, &options)?;
        node.start()?;
        node.wait_until_it_listens()?;
        Ok(Broker { node, options, _folder: temporary })
    }

    /// The broker of this test binary, started when it is first asked for. Tests that stop a broker start their own.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn shared() -> Result<&'static Broker> {
        static SHARED: OnceLock<std::result::Result<Broker, (bool, String)>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            Broker::start().map_err(|trouble| match trouble {
                Trouble::Skip { reason } => (true, reason),
                other => (false, other.to_string()),
            })
        });
        shared.as_ref().map_err(|(skip, reason)| match skip {
            true => Trouble::skip(reason),
            false => Trouble::Wrong(format!("the shared broker did not start: {reason}")),
        })
    }

    /// `bootstrap.servers` of the plain listener.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.node.ports.plain)
    }

    /// What [`crate::Proxy::before`] needs: the listener behind the proxy, and the port that it advertises.
    pub(crate) fn proxied(&self) -> (u16, u16) {
        (self.node.ports.behind_proxy, self.node.ports.proxy)
    }

    /// `bootstrap.servers` of the TLS listener, if asked for.
    pub fn tls_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.node.ports.tls)
    }

    /// `bootstrap.servers` of the SASL listener without TLS, if asked for.
    pub fn sasl_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.node.ports.sasl)
    }

    /// `bootstrap.servers` of the SASL listener with TLS, if asked for.
    pub fn sasl_tls_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.node.ports.sasl_tls)
    }

    /// What it was asked to be.
    pub fn options(&self) -> &BrokerOptions {
        &self.options
    }

    /// The foreign client of the plain listener.
    pub fn client(&self) -> Client {
        Client::new(&self.bootstrap())
    }

    /// Kills it as a power cut does.
    pub fn kill(&mut self) {
        self.node.kill();
    }

    /// Stops it in an orderly way.
    ///
    /// # Errors
    /// If it does not end within a minute.
    pub fn stop(&mut self) -> Result {
        self.node.stop()
    }

    /// Starts it again on the same ports with the same data, stopping it first if it runs.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn restart(&mut self) -> Result {
        self.node.stop()?;
        self.node.wait_for_free_port()?;
        self.node.start()?;
        self.node.wait_until_it_listens()
    }

    /// Freezes it (SIGSTOP).
    pub fn pause(&mut self) {
        self.node.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&mut self) {
        self.node.signal(Signal::CONT);
    }

    /// Whether its process is there.
    pub fn is_running(&mut self) -> bool {
        self.node.is_running()
    }

    /// The last lines that it logged.
    pub fn log_tail(&self, lines: usize) -> String {
        self.node.log_tail(lines)
    }
}
