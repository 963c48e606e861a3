//! Asks another process' port: one GET, one answer, within a time limit; for `millstream status`, nothing more.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// More than this is no answer of ours.
const MOST_BYTES: u64 = 64 << 20;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The body.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("nobody listens on {address}")]
    Refused {
        /// Where.
        address: SocketAddr,
    },
    /// Somebody is there and says nothing, or goes on for ever.
    #[error("{address} did not answer within {} s", within.as_secs_f32())]
    Late {
        /// Where.
        address: SocketAddr,
        /// How long it had.
        within: Duration,
    },
    /// What came is not HTTP.
    #[error("what answers on {address} is not millstream's http port")]
    NotOurs {
        /// Where.
        address: SocketAddr,
    },
    /// The system refused.
    #[error("cannot ask {address}: {source}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Where to reach who listens on `listen`: an address that stands for all of a machine is reached by its loopback.
pub fn reach(listen: SocketAddr) -> SocketAddr {
    let host = match listen.ip() {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    SocketAddr::new(host, listen.port())
}

/// Gets `path` from the port at `address`; the whole of it may take as long as `within`.
///
/// # Errors
/// If there is no answer, or none that is HTTP.
pub fn get(address: SocketAddr, path: &str, within: Duration) -> Result<Answer, AskError> {
    let deadline = Instant::now() + within;
    let fail = |source: io::Error| match source.kind() {
        io::ErrorKind::ConnectionRefused => AskError::Refused { address },
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => AskError::Late { address, within },
        _ => AskError::Io { address, source },
    };
    let mut stream = TcpStream::connect_timeout(&address, within).map_err(fail)?;
    stream.set_write_timeout(Some(within)).map_err(fail)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").map_err(fail)?;
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AskError::Late { address, within });
        }
        stream.set_read_timeout(Some(left)).map_err(fail)?;
        match stream.read(&mut part).map_err(fail)? {
            0 => break,
            read => bytes.extend_from_slice(&part[..read]),
        }
        if bytes.len() as u64 > MOST_BYTES {
            return Err(AskError::NotOurs { address });
        }
    }
    parse(&bytes).ok_or(AskError::NotOurs { address })
}

/// The answer in these bytes. Our port ends the connection behind it and sends it in one piece, so it is not in chunks.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { code, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer = parse(b"HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\n{\"ready\": false}\n");
        assert_eq!(answer, Some(Answer { code: 503, body: "{\"ready\": false}\n".to_owned() }));
        assert_eq!(parse(b"220 mail.example ESMTP\r\n\r\n"), None);
    }

    #[test]
    fn all_addresses_of_a_machine_are_reached_by_its_loopback() {
        let reached = |listen: &str| reach(listen.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(reached("[::]:9464"), "[::1]:9464");
        assert_eq!(reached("192.0.2.7:9464"), "192.0.2.7:9464");
    }
}
