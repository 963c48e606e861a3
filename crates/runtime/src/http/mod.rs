//! The daemon's HTTP port: metrics, liveness, readiness and status for machines and people; it changes nothing.
//!
//! One thread serves all connections. Each is one request, bounded in size and time, so that a client that stalls costs
//! a place for some seconds and nothing else; the data path never waits for any of it. Where all places are taken, who has waited
//! longest to say what it wants makes room for who comes: a probe is answered however many clients stall.

// Sockets are kept out of the crates below; this is the place in which they belong.
#![allow(clippy::disallowed_types)]

pub mod client;
mod routes;
mod unheard;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

use self::unheard::{Unheard, Waiting};
use crate::telemetry::Telemetry;

/// A client has this long to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection lives no longer than this, also if the client is slow to read the answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// So many connections at once.
const MOST_CONNECTIONS: usize = 256;
/// A request line and its headers have no more bytes than this, and no more headers than that.
const MOST_HEADER_BYTES: usize = 16 << 10;
const MOST_HEADERS: usize = 64;
/// How long to wait when the system gives no more connections (file descriptors used up).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Another process listens there.
    #[error("cannot serve http on {address}: the port is in use: stop who uses it, or choose another address")]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// The right is missing.
    #[error(
        "cannot serve http on {address}: permission denied: ports below 1024 need a privilege, choose a higher one"
    )]
    Denied {
        /// Where.
        address: SocketAddr,
    },
    /// The address is not this machine's.
    #[error(
        "cannot serve http on {address}: this machine has no such address: use 127.0.0.1, 0.0.0.0 or one of its own"
    )]
    NotHere {
        /// Where.
        address: SocketAddr,
    },
    /// The system refused otherwise.
    #[error("cannot serve http on {address}: {source}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl HttpError {
    fn new(address: SocketAddr, source: io::Error) -> HttpError {
        match source.kind() {
            io::ErrorKind::AddrInUse => HttpError::InUse { address },
            io::ErrorKind::PermissionDenied => HttpError::Denied { address },
            io::ErrorKind::AddrNotAvailable => HttpError::NotHere { address },
            _ => HttpError::Io { address, source },
        }
    }
}

/// A port that is served until this is dropped; open connections are cut then.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Where it listens: the port that the system chose, if it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and must not become one here.
            let _ = thread.join();
        }
    }
}

/// Serves `telemetry` on `listen`, on a thread of its own; port 0 is one that the system chooses. The port is open when
/// this returns.
///
/// # Errors
/// If the port cannot be opened.
pub fn serve(listen: SocketAddr, telemetry: Telemetry) -> Result<HttpServer, HttpError> {
    let fail = |source| HttpError::new(listen, source);
    let listener = TcpListener::bind(listen).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(fail)?;
    let listener = {
        let _within = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(fail)?
    };
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("millstream-http".to_owned()).spawn(move || {
        runtime.spawn(accept(listener, telemetry));
        // Ends when the sender is dropped; the connections end with the runtime.
        let _ = runtime.block_on(stopped);
    });
    Ok(HttpServer { address, stop: Some(stop), thread: Some(thread.map_err(fail)?) })
}

async fn accept(listener: tokio::net::TcpListener, telemetry: Telemetry) {
    let routes = routes::router(telemetry);
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let unheard = Unheard::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if places.available_permits() == 0 {
            unheard.cut_longest();
        }
        // Nobody closes the semaphore.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let routes = routes.clone();
        unheard.spawn(|waiting| async move {
            // What goes wrong with a connection (time out, reset, nonsense) is its client's to see.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, answer(stream, routes, waiting)).await;
            drop(place);
        });
    }
}

/// Takes one request and answers it.
async fn answer(stream: TcpStream, routes: axum::Router, waiting: Waiting) -> hyper::Result<()> {
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |request| {
        waiting.is_heard();
        routes.call(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
