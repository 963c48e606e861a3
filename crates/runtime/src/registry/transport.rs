//! One question to a registry over HTTP: addresses in turn, time limits, bounded retries, bounded answers. What an answer
//! means is decided here, by status alone and once; credentials never reach a message.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::{Agent, Body};

use super::error::{Missing, RegistryError};
use super::messages::Complaint;
use super::settings::RegistrySettings;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The most bytes of an answer: more than the largest schema that is read.
const MOST_BYTES: u64 = 8 << 20;
/// What a registry says of a path that it does not know, and some say of a schema: mostly that is 40403, of a subject 40401.
const UNKNOWN_PATH: i64 = 404;
/// How often all addresses are asked where retries are wanted.
const ROUNDS: u32 = 3;
/// The wait before the second round; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// A registry that wants to be left alone for longer than this is told to be unavailable at once.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Whether a question that is not answered is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retries {
    None,
    Some,
}

/// One question.
pub(super) struct Request {
    path: String,
    /// What is posted; a question without is a GET.
    body: Option<String>,
}

impl Request {
    pub(super) fn get(path: &[&str]) -> Request {
        let path = path.iter().map(|part| format!("/{}", escaped(part))).collect();
        Request { path, body: None }
    }

    pub(super) fn post(path: &[&str], body: &str) -> Request {
        Request { body: Some(body.to_owned()), ..Request::get(path) }
    }

    pub(super) fn with_query(mut self, query: &str) -> Request {
        self.path = format!("{}?{query}", self.path);
        self
    }
}

/// Subjects may have any character.
fn escaped(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// An answer, and who gave it.
pub(super) struct Answer<T> {
    pub(super) url: String,
    pub(super) body: T,
}

impl<T> Answer<T> {
    pub(super) fn garbage(&self, reason: String) -> RegistryError {
        RegistryError::Garbage { url: self.url.clone(), reason }
    }
}

/// What became of asking one address.
enum Failure {
    /// The registry has spoken: no other address would say otherwise.
    Final(RegistryError),
    /// Another address, or another time, may do better.
    Transient { reason: String, retry_after: Option<Duration> },
    /// No registry, or a broken one: another address may do better, another time hardly.
    Garbage(String),
}

pub(super) struct Transport {
    agent: Agent,
    urls: Vec<String>,
    /// The address that answered last, which is asked first.
    preferred: AtomicUsize,
    authorization: Option<String>,
    rounds: u32,
    settings: RegistrySettings,
}

impl Transport {
    pub(super) fn new(settings: &RegistrySettings, retries: Retries) -> Result<Transport, RegistryError> {
        if settings.urls.is_empty() {
            let message = "no schema registry is named: set `schema_registry.urls` in the settings file, or \
                           SCHEMA_REGISTRY_URL"
                .to_owned();
            return Err(RegistryError::Settings { message });
        }
        let roots = match &settings.ca_file {
            None => RootCerts::PlatformVerifier,
            Some(path) => RootCerts::Specific(Arc::new(certificates(path)?)),
        };
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(roots).build())
            .timeout_connect(Some(settings.connect_timeout))
            .timeout_global(Some(settings.request_timeout))
            .http_status_as_error(false)
            // Elsewhere may be somebody who should not see the password.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            // Questions are rare; a connection that was kept has been closed by the other side when it is needed.
            .max_idle_connections(0)
            .user_agent(concat!("millstream/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Transport {
            agent,
            urls: settings.urls.clone(),
            preferred: AtomicUsize::new(0),
            authorization: authorization(settings),
            rounds: if retries == Retries::Some { ROUNDS } else { 1 },
            settings: settings.clone(),
        })
    }

    pub(super) fn address(&self) -> String {
        self.urls.join(", ")
    }

    /// Asks until there is an answer, an end to the addresses, or an end to the patience.
    pub(super) fn ask(&self, request: &Request, missing: Missing) -> Result<Answer<Value>, RegistryError> {
        let mut wait = FIRST_WAIT;
        let mut round = 1;
        loop {
            let error = match self.ask_all(request, &missing) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let RegistryError::Unavailable { retry_after, .. } = &error else { return Err(error) };
            let pause = retry_after.map_or(wait, |asked| asked.max(wait));
            if round >= self.rounds || pause > LONGEST_WAIT {
                return Err(error);
            }
            std::thread::sleep(pause);
            wait *= 2;
            round += 1;
        }
    }

    /// Asks each address once, beginning with the one that answered last.
    fn ask_all(&self, request: &Request, missing: &Missing) -> Result<Answer<Value>, RegistryError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let (mut reasons, mut garbage) = (Vec::new(), None);
        let mut least: Option<Duration> = None;
        let mut any_transient = false;
        for step in 0..self.urls.len() {
            let at = (first + step) % self.urls.len();
            let url = &self.urls[at];
            match self.ask_one(url, request, missing) {
                Ok(body) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(Answer { url: url.clone(), body });
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Transient { reason, retry_after }) => {
                    least = if any_transient { least.min(retry_after) } else { retry_after };
                    any_transient = true;
                    reasons.push(format!("{url}: {reason}"));
                }
                Err(Failure::Garbage(reason)) => {
                    reasons.push(format!("{url}: {reason}"));
                    garbage.get_or_insert(RegistryError::Garbage { url: url.clone(), reason });
                }
            }
        }
        match garbage {
            Some(garbage) if !any_transient => Err(garbage),
            _ => Err(RegistryError::Unavailable { reasons: reasons.join("; "), retry_after: least }),
        }
    }

    fn ask_one(&self, url: &str, request: &Request, missing: &Missing) -> Result<Value, Failure> {
        let response = self.send(url, request)?;
        self.understand(url, response, missing)
    }

    /// Whether there is a registry at this very path. One says 404 without more of a path that it does not know, and so it does of
    /// each question if `schema_registry.urls` names a wrong path.
    fn is_registry(&self, url: &str) -> Result<(), Failure> {
        let response = self.send(url, &Request::get(&["subjects"]))?;
        match response.status().as_u16() {
            // It may list its subjects to others only.
            200..=299 | 401 | 403 => Ok(()),
            status @ (429 | 500..=599) => {
                let retry_after = retry_after(response.headers());
                Err(Failure::Transient {
                    reason: format!("status {status} to a question for its subjects"),
                    retry_after,
                })
            }
            status => Err(Failure::Garbage(format!("status {status} to a question for its subjects"))),
        }
    }

    fn send(&self, url: &str, request: &Request) -> Result<Response<Body>, Failure> {
        let address = format!("{url}{}", request.path);
        let sent = match &request.body {
            None => {
                let get = self.agent.get(&address).header("accept", MEDIA_TYPE);
                match &self.authorization {
                    Some(authorization) => get.header("authorization", authorization).call(),
                    None => get.call(),
                }
            }
            Some(body) => {
                let post = self.agent.post(&address).header("accept", MEDIA_TYPE).header("content-type", MEDIA_TYPE);
                match &self.authorization {
                    Some(authorization) => post.header("authorization", authorization).send(body),
                    None => post.send(body),
                }
            }
        };
        sent.map_err(|error| self.not_sent(&error))
    }

    fn understand(&self, url: &str, mut response: Response<Body>, missing: &Missing) -> Result<Value, Failure> {
        let status = response.status().as_u16();
        let url = url.to_owned();
        match status {
            200..=299 => {
                let bytes = self.body(&mut response)?;
                serde_json::from_slice(&bytes).map_err(|error| Failure::Garbage(format!("no JSON: {error}")))
            }
            401 | 403 => Err(Failure::Final(RegistryError::Refused { url, status })),
            429 | 500..=599 => {
                let retry_after = retry_after(response.headers());
                let said = self.complaint(&mut response).map(|complaint| complaint.message);
                let said = said.filter(|said| !said.is_empty()).map_or(String::new(), |said| format!(": {said}"));
                Err(Failure::Transient { reason: format!("status {status}{said}"), retry_after })
            }
            400 | 404 | 409 | 422 => {
                let Some(complaint) = self.complaint(&mut response) else {
                    // A proxy or another server. To take it for a registry that knows no such schema would be wrong.
                    return Err(Failure::Garbage(format!("status {status} without a registry's error code")));
                };
                if complaint.error_code == UNKNOWN_PATH {
                    self.is_registry(&url)?;
                }
                let message = complaint.message;
                Err(Failure::Final(match status {
                    404 => RegistryError::NotFound { url, missing: missing.clone() },
                    409 => RegistryError::Incompatible { url, message },
                    _ => RegistryError::Rejected { url, status, message },
                }))
            }
            _ => Err(Failure::Garbage(format!("status {status}"))),
        }
    }

    fn complaint(&self, response: &mut Response<Body>) -> Option<Complaint> {
        let bytes = self.body(response).ok()?;
        let body: Value = serde_json::from_slice(&bytes).ok()?;
        let complaint = Complaint::deserialize(&body).ok()?;
        // A registry's codes begin with the status: 40403 is a schema that is not there.
        let status = i64::from(response.status().as_u16());
        if complaint.error_code != status && complaint.error_code / 100 != status {
            return None;
        }
        let message = one_line(&complaint.message);
        Some(Complaint { message, ..complaint })
    }

    fn body(&self, response: &mut Response<Body>) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let mut reader = response.body_mut().as_reader().take(MOST_BYTES + 1);
        reader.read_to_end(&mut bytes).map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
            let reason = match inner {
                Some(ureq::Error::Timeout(_)) => self.late(),
                _ => format!("the answer breaks off: {error}"),
            };
            Failure::Transient { reason, retry_after: None }
        })?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(Failure::Garbage(format!("an answer of more than {} MiB", MOST_BYTES >> 20)));
        }
        Ok(bytes)
    }

    fn not_sent(&self, error: &ureq::Error) -> Failure {
        let reason = match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                format!("no connection within {} ms", self.settings.connect_timeout.as_millis())
            }
            ureq::Error::Timeout(_) => self.late(),
            ureq::Error::HostNotFound => "the host is not known".to_owned(),
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::NativeTls(error) => format!("TLS: {error}"),
            ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => {
                return Failure::Garbage(format!("no HTTP: {error}"));
            }
            other => other.to_string(),
        };
        Failure::Transient { reason, retry_after: None }
    }

    fn late(&self) -> String {
        format!("no answer within {} ms", self.settings.request_timeout.as_millis())
    }
}

/// The header by which a request says whose it is, if it is anybody's.
fn authorization(settings: &RegistrySettings) -> Option<String> {
    if let Some(token) = &settings.token {
        return Some(format!("Bearer {}", token.expose()));
    }
    let username = settings.username.as_ref()?.expose();
    let password = settings.password.as_ref().map_or("", |password| password.expose());
    Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}"))))
}

/// How long the other side wants to be left alone: so many seconds, or until a date, by its own clock where it tells that.
/// Whoever waits has a longest wait of its own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text("retry-after")?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let now = text("date").and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(SystemTime::now);
    // A date that has passed asks for nothing.
    Some(until.duration_since(now).unwrap_or_default())
}

/// A message of somebody else, fit for a log line.
fn one_line(message: &str) -> String {
    const LEN: usize = 2_000;
    let words: Vec<&str> = message.split_whitespace().collect();
    let mut line = words.join(" ");
    if line.len() > LEN {
        let end = (0..=LEN).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
        line.truncate(end);
        line.push_str(" …");
    }
    line
}

fn certificates(path: &std::path::Path) -> Result<Vec<ureq::tls::Certificate<'static>>, RegistryError> {
    let wrong = |reason: String| RegistryError::Settings {
        message: format!("cannot read the certificates in `schema_registry.ca_file` {}: {reason}", path.display()),
    };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(wrong(error.to_string())),
        }
    }
    if found.is_empty() {
        return Err(wrong("it has none (expected PEM)".to_owned()));
    }
    Ok(found)
}
