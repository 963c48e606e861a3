//! Stands between a client and a server that is asked by one connection a question, and lets so many through: then nobody
//! listens any more, as if the server had died just there. It never changes a byte of what it passes on.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{Result, SchemaRegistry, Trouble, ports, wait};

/// A gate before a schema registry.
#[derive(Debug)]
pub struct Gate {
    port: u16,
    registry: String,
    closed: Arc<AtomicBool>,
}

impl Gate {
    /// A gate that closes behind so many questions.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn before(registry: &SchemaRegistry, questions: usize) -> Result<Gate> {
        let gate = Gate { port: ports::free(), registry: registry.url(), closed: Arc::default() };
        let listener = gate.listen()?;
        let (to, closed) = (gate.address().to_owned(), gate.closed.clone());
        std::thread::spawn(move || {
            listener.incoming().flatten().take(questions).for_each(|client| pass(client, &to));
            drop(listener);
            closed.store(true, Ordering::SeqCst);
        });
        Ok(gate)
    }

    /// The address for a client.
    pub fn url(&self) -> String {
        self.registry.replacen(self.address(), &format!("127.0.0.1:{}", self.port), 1)
    }

    /// Whether it has closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Opens it again, for all questions.
    ///
    /// # Errors
    /// If it has not closed, or cannot listen.
    pub fn open(&self) -> Result {
        wait::until_true("the gate to be closed", Duration::from_secs(20), || Ok(self.is_closed()))?;
        let (listener, to) = (self.listen()?, self.address().to_owned());
        std::thread::spawn(move || listener.incoming().flatten().for_each(|client| pass(client, &to)));
        Ok(())
    }

    /// Host and port of the registry.
    fn address(&self) -> &str {
        let rest = self.registry.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    fn listen(&self) -> Result<TcpListener> {
        TcpListener::bind(("127.0.0.1", self.port)).map_err(Trouble::io("the gate"))
    }
}

/// Passes on what both sides say, until both have ended.
fn pass(client: TcpStream, to: &str) {
    std::thread::spawn({
        let to = to.to_owned();
        move || {
            let Ok(server) = TcpStream::connect(to) else { return };
            let (Ok(client_end), Ok(server_end)) = (client.try_clone(), server.try_clone()) else { return };
            let back = std::thread::spawn(move || carry(server_end, client_end));
            carry(client, server);
            let _ = back.join();
        }
    });
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    // Whoever went has heard enough.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
