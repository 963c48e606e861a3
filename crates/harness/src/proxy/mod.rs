//! Stands between a client and a broker, reads Kafka's frames, and does to chosen ones what a bad network does: delays, losses,
//! cuts, requests that arrive when nobody expects them any more. It never changes a byte of what it passes on.

mod connection;
mod rule;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

pub use rule::{Action, Api, Rule};

use crate::broker::Broker;
use crate::foreign::Client;
use crate::{Result, Trouble, wait};

/// A running proxy; its connections are cut when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

/// What all connections share.
#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<Rules>,
    /// Requests that are held back from the broker.
    strand: Strand,
    connections: Mutex<Vec<TcpStream>>,
    is_down: AtomicBool,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Rules {
    active: Vec<Active>,
    /// How many requests of each kind came by.
    seen: BTreeMap<i16, u64>,
}

#[derive(Debug)]
struct Active {
    rule: Rule,
    matched: u64,
    acted: u64,
}

#[derive(Debug, Default)]
struct Strand {
    /// How many releases there have been.
    released: Mutex<u64>,
    changed: Condvar,
}

impl Strand {
    fn wait(&self, at_most: Duration) {
        let released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *released;
        let _ = self.changed.wait_timeout_while(released, at_most, |now| *now == before);
    }

    fn release(&self) {
        *self.released.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }
}

impl Shared {
    /// What is to be done with a request; `None` to pass it on.
    fn decide(&self, api: i16) -> Option<Action> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        *rules.seen.entry(api).or_default() += 1;
        for active in &mut rules.active {
            if active.rule.api.key() == api {
                active.matched += 1;
                let first = active.rule.after + 1;
                if active.matched >= first && active.acted < active.rule.times {
                    active.acted += 1;
                    return Some(active.rule.action);
                }
            }
        }
        None
    }

    fn cut(&self) {
        for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Proxy {
    /// Stands before a broker, on the port that the broker's second listener says it has. One at a time.
    ///
    /// # Errors
    /// If the port cannot be listened on.
    pub fn before(broker: &Broker) -> Result<Proxy> {
        let (target, port) = broker.proxied();
        Proxy::between(port, target)
    }

    /// Listens on one port of this machine and passes on to another.
    pub(crate) fn between(port: u16, target: u16) -> Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .map_err(Trouble::io(format!("listen on the proxy's port {port}")))?;
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(std::io::Result::ok) {
                if for_thread.is_over.load(Ordering::Acquire) {
                    break;
                }
                // A connection that is closed at once is what a network that is down looks like.
                if !for_thread.is_down.load(Ordering::Acquire) {
                    connection::serve(client, target, &for_thread);
                }
            }
        });
        Ok(Proxy { port, shared })
    }

    /// `bootstrap.servers` through the proxy.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A foreign client that goes through the proxy.
    pub fn client(&self) -> Client {
        Client::new(&self.bootstrap())
    }

    /// Adds a rule; the first one that matches a request acts.
    pub fn add(&self, rule: Rule) {
        let active = Active { rule, matched: 0, acted: 0 };
        self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner).active.push(active);
    }

    /// Takes all rules away; what they held is let go.
    pub fn clear(&self) {
        self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner).active.clear();
        self.release();
    }

    /// How often rules have acted since they were added.
    pub fn acted(&self) -> u64 {
        let rules = self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.active.iter().map(|active| active.acted).sum()
    }

    /// How many requests of a kind came by.
    pub fn seen(&self, api: Api) -> u64 {
        let rules = self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.seen.get(&api.key()).copied().unwrap_or(0)
    }

    /// Waits until rules have acted so often.
    ///
    /// # Errors
    /// If they have not in time.
    pub fn wait_until_acted(&self, times: u64, within: Duration) -> Result {
        wait::until("the proxy's rules to act", within, || Ok(self.acted()), |acted| *acted >= times).map(drop)
    }

    /// Lets requests that [`Action::Hold`] and [`Action::Strand`] hold arrive at the broker now.
    pub fn release(&self) {
        self.shared.strand.release();
    }

    /// Cuts every connection; new ones are served.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Cuts every connection and serves none until [`Proxy::up`].
    pub fn down(&self) {
        self.shared.is_down.store(true, Ordering::Release);
        self.shared.cut();
    }

    /// Serves again.
    pub fn up(&self) {
        self.shared.is_down.store(false, Ordering::Release);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.shared.cut();
        self.release();
        // The accepting thread sees that it is over at its next connection: this one.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
