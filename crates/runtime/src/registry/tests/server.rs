//! A server of one reply after the other. It speaks just enough HTTP, and breaks it where it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is done with one connection.
#[derive(Clone)]
pub(super) enum Reply {
    /// A status and a body.
    Json(u16, &'static str),
    /// The same with another header.
    With(u16, &'static str, &'static str),
    /// These bytes, and the connection is closed.
    Bytes(Vec<u8>),
    /// Nothing, for this long.
    Silence(Duration),
    /// The beginning of an answer, then bytes of a body, one now and then.
    Drip(Duration),
}

pub(super) struct Server {
    pub(super) url: String,
    /// The requests so far, each with its head and body.
    pub(super) requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Plays `script`; the last reply again and again.
    pub(super) fn of(script: Vec<Reply>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let reply = script[at.min(script.len() - 1)].clone();
                let seen = seen.clone();
                std::thread::spawn(move || serve(stream.unwrap(), reply, &seen));
            }
        });
        Server { url, requests }
    }

    /// An address at which nobody listens.
    pub(super) fn down() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server { url: format!("http://{}", listener.local_addr().unwrap()), requests: Arc::default() }
    }

    pub(super) fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(super) fn request(&self, at: usize) -> String {
        self.requests.lock().unwrap()[at].clone()
    }
}

fn serve(mut stream: TcpStream, reply: Reply, seen: &Mutex<Vec<String>>) {
    let Some(request) = read(&stream) else { return };
    seen.lock().unwrap().push(request);
    // The client may have gone: that is not this server's matter.
    let _ = match reply {
        Reply::Json(status, body) => stream.write_all(&answer(status, "x-nothing: 0", body.as_bytes())),
        Reply::With(status, header, body) => stream.write_all(&answer(status, header, body.as_bytes())),
        Reply::Bytes(bytes) => stream.write_all(&bytes),
        Reply::Silence(long) => {
            std::thread::sleep(long);
            Ok(())
        }
        Reply::Drip(between) => {
            let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
            while sent.is_ok() {
                std::thread::sleep(between);
                sent = stream.write_all(b" ");
            }
            sent
        }
    };
}

pub(super) fn answer(status: u16, header: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} Word\r\ncontent-length: {}\r\n{header}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let len =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; len.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(head + std::str::from_utf8(&body).unwrap())
}
