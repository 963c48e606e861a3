//! The `millstream` binary as an operator runs it: arguments, environment, signals, output, HTTP. It is judged by what others
//! see of it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;

use crate::process::{Output, Process, Signal};
use crate::{Result, Trouble};

/// How to start it; a daemon can be started from it again and again.
#[derive(Debug, Clone)]
pub struct DaemonCommand {
    binary: PathBuf,
    name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    http_port: Option<u16>,
}

impl DaemonCommand {
    /// A binary (`env!("CARGO_BIN_EXE_millstream")`) that runs in a folder, where its output is kept under a name.
    pub fn new(binary: &str, name: &str, folder: &Path) -> DaemonCommand {
        DaemonCommand {
            binary: PathBuf::from(binary),
            name: name.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: folder.to_owned(),
            http_port: None,
        }
    }

    /// The same with more arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> DaemonCommand {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The same with a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> DaemonCommand {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// The same, known to serve HTTP on this port of 127.0.0.1 (the caller tells it so by its arguments or environment).
    #[must_use]
    pub fn http_port(mut self, port: u16) -> DaemonCommand {
        self.http_port = Some(port);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// If it cannot be started at all.
    pub fn start(&self) -> Result<Daemon> {
        let mut command = Command::new(&self.binary);
        command.args(&self.arguments).current_dir(&self.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = Output::in_folder(&self.folder, &self.name);
        let process = Process::start(&self.name, command, &output)?;
        Ok(Daemon { process, output, http_port: self.http_port })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn run(&self, within: Duration) -> Result<(ExitStatus, Output)> {
        let mut daemon = self.start()?;
        let status = daemon.process.wait(within)?;
        Ok((status, daemon.output.clone()))
    }
}

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    /// Its process, for signals and waiting.
    pub process: Process,
    /// What it says.
    pub output: Output,
    http_port: Option<u16>,
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200, 503, …
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Daemon {
    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Freezes it (SIGSTOP).
    pub fn pause(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Errors
    /// If it has not ended in time.
    pub fn stop(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::TERM);
        self.process.wait(within)
    }

    /// Asks it over HTTP.
    ///
    /// # Errors
    /// If it does not answer within five seconds, or not in HTTP.
    pub fn get(&self, path: &str) -> Result<Answer> {
        let port = self.http_port.ok_or("the daemon has no port that we know of")?;
        get(port, path)
    }

    /// What `/status` says.
    ///
    /// # Errors
    /// If it does not answer, or not in JSON.
    pub fn status(&self) -> Result<Value> {
        let answer = self.get("/status")?;
        serde_json::from_str(&answer.body).map_err(|error| format!("/status: {error}: {}", answer.body).into())
    }

    /// Waits until `/ready` says yes.
    ///
    /// # Errors
    /// If it ends first, or does not say so in time; with its output.
    pub fn wait_until_ready(&mut self, within: Duration) -> Result {
        let port = self.http_port.ok_or("the daemon has no port that we know of")?;
        self.process.wait_for("readiness", within, || Ok(get(port, "/ready")?.status == 200))
    }

    /// Waits until its output holds a text.
    ///
    /// # Errors
    /// If it ends first without having said so, or does not say so in time; with its output.
    pub fn wait_until_it_says(&mut self, text: &str, within: Duration) -> Result {
        let output = self.output.clone();
        let waited = self.process.wait_for(text, within, || Ok(output.text().contains(text)));
        if output.text().contains(text) { Ok(()) } else { waited }
    }

    /// The value of a metric with these labels in `/metrics` (a line that begins so); `None` if it is not there.
    ///
    /// # Errors
    /// If the daemon does not answer.
    pub fn metric(&self, line: &str) -> Result<Option<f64>> {
        let body = self.get("/metrics")?.body;
        let found = body.lines().find_map(|candidate| candidate.strip_prefix(line)?.trim().parse().ok());
        Ok(found)
    }
}

/// One request of HTTP/1.1 to a port of this machine.
///
/// # Errors
/// If there is no answer within five seconds, or not in HTTP.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    let doing = || Trouble::io(format!("GET http://127.0.0.1:{port}{path}"));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(doing())?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(doing())?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").map_err(doing())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(doing())?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("GET {path}: not HTTP: {text}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("GET {path}: no status: {head}"))?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { join_chunks(body) } else { body.to_owned() };
    Ok(Answer { status, body })
}

fn join_chunks(mut body: &str) -> String {
    let mut joined = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size).filter(|_| size > 0) else { break };
        joined.push_str(chunk);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    joined
}
