//! A real schema registry (Apicurio, by Confluent's interface) that a test owns: it keeps its schemas when it is killed and
//! started again, and goes with its owner.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::jars::{Jars, REGISTRY};
use crate::process::{self, Output, Process, Signal};
use crate::tls::{PASSWORD, Tls};
use crate::{Result, Trouble, ports, wait};

/// How long it may take from its start to its first answer.
const READY: Duration = Duration::from_secs(90);

/// Where the interface is.
const PATH: &str = "/apis/ccompat/v7";

/// A running registry; killed and deleted when dropped.
#[derive(Debug)]
pub struct SchemaRegistry {
    port: u16,
    folder: TempDir,
    process: Option<Process>,
    output: Output,
    /// The port of HTTPS and the keys that are shown there.
    tls: Option<(u16, Tls)>,
}

/// An answer of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// 200, 404, …
    pub status: u16,
    /// The body; null if it is no JSON.
    pub body: Value,
}

impl SchemaRegistry {
    /// Starts one without any schema.
    ///
    /// # Errors
    /// A skip if there is no Java, or the registry cannot be fetched; trouble if it does not come up.
    pub fn start() -> Result<SchemaRegistry> {
        SchemaRegistry::start_with(None)
    }

    /// Starts one that listens to HTTPS too, with these keys.
    ///
    /// # Errors
    /// As [`SchemaRegistry::start`].
    pub fn start_with_tls(tls: Tls) -> Result<SchemaRegistry> {
        SchemaRegistry::start_with(Some((ports::free(), tls)))
    }

    fn start_with(tls: Option<(u16, Tls)>) -> Result<SchemaRegistry> {
        let folder = process::temp_folder("registry")?;
        let output = Output::in_folder(folder.path(), "registry");
        let mut registry = SchemaRegistry { port: ports::free(), folder, process: None, output, tls };
        registry.begin()?;
        registry.wait_until_it_answers()?;
        Ok(registry)
    }

    /// The registry of this test binary, started when it is first asked for. Tests that stop one start their own.
    ///
    /// # Errors
    /// As [`SchemaRegistry::start`].
    pub fn shared() -> Result<&'static SchemaRegistry> {
        static SHARED: OnceLock<std::result::Result<SchemaRegistry, (bool, String)>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            SchemaRegistry::start().map_err(|trouble| match trouble {
                Trouble::Skip { reason } => (true, reason),
                other => (false, other.to_string()),
            })
        });
        shared.as_ref().map_err(|(skip, reason)| match skip {
            true => Trouble::skip(reason),
            false => Trouble::Wrong(format!("the shared registry did not start: {reason}")),
        })
    }

    /// The address for a client.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// The address for a client of HTTPS, if asked for.
    pub fn tls_url(&self) -> String {
        let port = self.tls.as_ref().map_or(0, |(port, _)| *port);
        format!("https://127.0.0.1:{port}{PATH}")
    }

    /// Registers a schema (kind AVRO, PROTOBUF or JSON), as a producer does, and says its id.
    ///
    /// # Errors
    /// If it is refused.
    pub fn register(&self, subject: &str, kind: &str, text: &str) -> Result<u32> {
        let body = json!({"schema": text, "schemaType": kind});
        let answer = self.ask("POST", &format!("/subjects/{subject}/versions"), &body)?;
        match answer.body["id"].as_u64() {
            Some(id) if answer.status == 200 => Ok(id as u32),
            _ => Err(format!("register {subject}: {answer:?}").into()),
        }
    }

    /// Sets the compatibility level of a subject.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_level(&self, subject: &str, level: &str) -> Result {
        let answer = self.ask("PUT", &format!("/config/{subject}"), &json!({"compatibility": level}))?;
        if answer.status == 200 { Ok(()) } else { Err(format!("level of {subject}: {answer:?}").into()) }
    }

    /// Asks it over HTTP; a null body is none.
    ///
    /// # Errors
    /// If there is no answer within ten seconds, or not in HTTP.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let doing = || Trouble::io(format!("{method} {PATH}{path}"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(doing())?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(doing())?;
        let head = format!(
            "{method} {PATH}{path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: \
             application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).map_err(doing())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(doing())?;
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("{method} {path}: no HTTP: {text}"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("{method} {path}: no status: {head}"))?;
        Ok(Answer { status, body: serde_json::from_str(body).unwrap_or_default() })
    }

    /// Kills it as a power cut does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again at the same address, with the schemas that it had.
    ///
    /// # Errors
    /// As [`SchemaRegistry::start`].
    pub fn restart(&mut self) -> Result {
        self.kill();
        let port = self.port;
        wait::until_true("the registry's port to be free", Duration::from_secs(20), || {
            Ok(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok())
        })?;
        self.begin()?;
        self.wait_until_it_answers()
    }

    /// Freezes it (SIGSTOP): it accepts connections and says nothing.
    pub fn pause(&mut self) {
        self.process.iter_mut().for_each(|process| process.signal(Signal::STOP));
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&mut self) {
        self.process.iter_mut().for_each(|process| process.signal(Signal::CONT));
    }

    /// What it said.
    pub fn log_tail(&self, lines: usize) -> String {
        self.output.tail(lines)
    }

    fn begin(&mut self) -> Result {
        let runner = Jars::registry()?.join(format!("apicurio-registry-app-{REGISTRY}-runner.jar"));
        let mut java = Command::new("java");
        java.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx512m"]);
        java.arg(format!("-Dquarkus.http.port={}", self.port)).arg("-Dquarkus.http.host=127.0.0.1");
        java.arg("-Dquarkus.log.level=WARN").arg("-jar").arg(runner);
        let data = self.folder.path().join("data");
        // What it has answered must be on disk: a kill may follow at once.
        java.env("APICURIO_STORAGE_KIND", "sql").env("APICURIO_STORAGE_SQL_KIND", "h2");
        java.env(
            "APICURIO_DATASOURCE_URL",
            format!("jdbc:h2:file:{};DB_CLOSE_ON_EXIT=FALSE;WRITE_DELAY=0", data.display()),
        );
        if let Some((port, tls)) = &self.tls {
            java.env("QUARKUS_HTTP_SSL_PORT", port.to_string()).env("QUARKUS_HTTP_INSECURE_REQUESTS", "enabled");
            java.env("QUARKUS_HTTP_SSL_CERTIFICATE_KEY_STORE_FILE", &tls.keystore);
            java.env("QUARKUS_HTTP_SSL_CERTIFICATE_KEY_STORE_FILE_TYPE", "PKCS12");
            java.env("QUARKUS_HTTP_SSL_CERTIFICATE_KEY_STORE_PASSWORD", PASSWORD);
        }
        java.current_dir(self.folder.path());
        self.process = Some(Process::start("schema registry", java, &self.output)?);
        Ok(())
    }

    fn wait_until_it_answers(&mut self) -> Result {
        let mut process = self.process.take().ok_or("the registry was not started")?;
        let waited = process
            .wait_for("the schema registry", READY, || Ok(self.ask("GET", "/subjects", &Value::Null)?.status == 200));
        self.process = Some(process);
        waited
    }
}
