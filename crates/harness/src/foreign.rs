//! Java's Kafka client in a process of its own (`tests/kafka/Foreign.java`): it writes what our daemon reads and reads what it
//! wrote, and shares no code with it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::admin::Which;
use crate::jars::{Jars, Lifetime};
use crate::process::{self, Output, Process};
use crate::{Result, Trouble, kafka_folder, wait};

/// How long one request may take; the client's own time-outs are shorter.
const ANSWER: Duration = Duration::from_secs(180);
/// How long the markers of a transaction that has ended may take.
const MARKERS: Duration = Duration::from_secs(10);

/// Positions by partition: the offset of the next record.
pub type Positions = BTreeMap<u32, i64>;

/// A record to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Where to; `None` leaves it to Java's partitioner.
    pub partition: Option<u32>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970; `None` for now.
    pub timestamp: Option<i64>,
    /// In order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Message {
    /// A value without a key.
    pub fn value(value: impl Into<Vec<u8>>) -> Message {
        Message { value: Some(value.into()), ..Message::default() }
    }

    /// A key and a value.
    pub fn keyed(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Message {
        Message { key: Some(key.into()), ..Message::value(value) }
    }

    /// The same, to this partition.
    #[must_use]
    pub fn to(self, partition: u32) -> Message {
        Message { partition: Some(partition), ..self }
    }

    /// The same, at this time.
    #[must_use]
    pub fn at(self, timestamp: i64) -> Message {
        Message { timestamp: Some(timestamp), ..self }
    }
}

/// A record as the foreign client read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// In order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// When the foreign client had it, in milliseconds since 1970.
    pub seen_at: i64,
}

impl Read {
    /// Its value as JSON.
    ///
    /// # Errors
    /// If it is not.
    pub fn json(&self) -> Result<Value> {
        let value = self.value.as_deref().unwrap_or_default();
        serde_json::from_slice(value)
            .map_err(|error| format!("{}: {error}: {}", self.place(), String::from_utf8_lossy(value)).into())
    }

    /// Partition and offset, for messages.
    pub fn place(&self) -> String {
        format!("partition {} offset {}", self.partition, self.offset)
    }
}

/// Whose records a reader is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Committed ones, up to the first open transaction.
    Committed,
    /// All, those of open and aborted transactions too.
    Uncommitted,
}

impl Isolation {
    fn name(self) -> &'static str {
        match self {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        }
    }
}

/// The process.
#[derive(Debug)]
pub struct Foreign {
    stdin: Mutex<ChildStdin>,
    waiting: Mutex<BTreeMap<u64, Sender<Value>>>,
    next: AtomicU64,
    /// Ended by the reaper, as this lives in a static.
    _process: Mutex<Process>,
}

impl Foreign {
    /// The one of this process, started when it is first asked for.
    ///
    /// # Errors
    /// A skip if there is no Java or no jars.
    pub fn shared() -> Result<&'static Foreign> {
        static SHARED: OnceLock<std::result::Result<Foreign, String>> = OnceLock::new();
        let jars = Jars::find()?;
        let mut stdout = None;
        let shared = SHARED.get_or_init(|| {
            let (foreign, out) = Foreign::start(jars).map_err(|trouble| trouble.to_string())?;
            stdout = Some(out);
            Ok(foreign)
        });
        let foreign = shared.as_ref().map_err(|message| Trouble::Wrong(message.clone()))?;
        if let Some(stdout) = stdout {
            std::thread::spawn(move || foreign.listen(stdout));
        }
        Ok(foreign)
    }

    fn start(jars: &Jars) -> Result<(Foreign, ChildStdout)> {
        let mut java = jars.java(768, Lifetime::Short);
        java.arg(kafka_folder().join("Foreign.java"));
        let folder = process::temp_folder("foreign")?.keep();
        let (process, stdin, stdout) =
            Process::start_talking("foreign client", java, &Output::in_folder(&folder, "foreign"))?;
        let foreign = Foreign {
            stdin: Mutex::new(stdin),
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            _process: Mutex::new(process),
        };
        Ok((foreign, stdout))
    }

    fn listen(&self, stdout: ChildStdout) {
        for line in BufReader::with_capacity(1 << 16, stdout).lines().map_while(std::io::Result::ok) {
            let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
            let id = answer["id"].as_u64().unwrap_or(0);
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let is_last = answer.get("records").is_none();
            if let Some(asker) = waiting.get(&id)
                && (asker.send(answer).is_err() || is_last)
            {
                waiting.remove(&id);
            }
        }
        // Nobody answers any more: whoever waits shall hear of it now.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn ask(&self, op: &str, mut request: Map<String, Value>) -> Result<Answers> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = mpsc::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        request.insert("id".to_owned(), id.into());
        request.insert("op".to_owned(), op.into());
        let mut line = Value::Object(request).to_string();
        line.push('\n');
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        stdin.write_all(line.as_bytes()).map_err(Trouble::io("tell the foreign client"))?;
        Ok(Answers { id, op: op.to_owned(), answers })
    }
}

/// What comes back for one request.
struct Answers {
    id: u64,
    op: String,
    answers: Receiver<Value>,
}

/// One answer.
enum Answer {
    Records(Vec<Read>),
    Done(Value),
}

impl Answers {
    fn next(&self, within: Duration) -> Result<Option<Answer>> {
        let mut answer = match self.answers.recv_timeout(within) {
            Ok(answer) => answer,
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(self.error("the process has ended")),
        };
        if let Some(message) = answer["error"].as_str() {
            return Err(self.error(message));
        }
        if let Some(records) = answer.get_mut("records").map(Value::take) {
            let records = records.as_array().map(|list| list.iter().map(parse).collect());
            return Ok(Some(Answer::Records(records.unwrap_or_default())));
        }
        Ok(Some(Answer::Done(answer["done"].take())))
    }

    fn error(&self, message: &str) -> Trouble {
        Trouble::Foreign { op: self.op.clone(), message: message.to_owned() }
    }

    /// Everything up to the end.
    fn all(&self) -> Result<(Vec<Read>, Value)> {
        let mut read = Vec::new();
        loop {
            match self.next(ANSWER)? {
                Some(Answer::Records(records)) => read.extend(records),
                Some(Answer::Done(done)) => return Ok((read, done)),
                None => return Err(self.error("no answer")),
            }
        }
    }
}

fn parse(record: &Value) -> Read {
    let bytes = |value: &Value| value.as_str().and_then(|text| STANDARD.decode(text).ok());
    let headers = record["h"].as_array().map(Vec::as_slice).unwrap_or_default();
    Read {
        partition: record["p"].as_u64().unwrap_or(0) as u32,
        offset: record["o"].as_i64().unwrap_or(0),
        key: bytes(&record["k"]),
        value: bytes(&record["v"]),
        timestamp: record["t"].as_i64().unwrap_or(0),
        headers: headers.iter().map(|h| (h[0].as_str().unwrap_or_default().to_owned(), bytes(&h[1]))).collect(),
        seen_at: record["at"].as_i64().unwrap_or(0),
    }
}

pub(crate) fn positions(value: &Value) -> Positions {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(partition, offset)| Some((partition.parse().ok()?, offset.as_i64()?))).collect()
}

/// A foreign client's address and properties; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    properties: Map<String, Value>,
}

impl Client {
    /// A plain one.
    pub fn new(bootstrap: &str) -> Client {
        Client { properties: Map::new() }.with("bootstrap.servers", bootstrap)
    }

    /// The same with a property of the Java client.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Client {
        self.properties.insert(name.to_owned(), value.into());
        self
    }

    fn begin(&self, op: &str, request: Value) -> Result<Answers> {
        let Value::Object(mut request) = request else { return Err("a request is an object".into()) };
        request.insert("client".to_owned(), Value::Object(self.properties.clone()));
        Foreign::shared()?.ask(op, request)
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&self, op: &str, request: Value) -> Result<Value> {
        self.begin(op, request)?.all().map(|(_, done)| done)
    }

    /// Writes records in order, waits until the broker has all, and says where each one is. The producer is idempotent and
    /// asks for all replicas.
    ///
    /// # Errors
    /// If the broker did not take one of them within the client's time-out (two minutes).
    pub fn produce(&self, topic: &str, messages: &[Message]) -> Result<Vec<(u32, i64)>> {
        self.produce_later(topic, messages)?.wait()
    }

    /// Begins to write; several such may be under way at once, each in order.
    ///
    /// # Errors
    /// If the foreign client cannot be told.
    pub fn produce_later(&self, topic: &str, messages: &[Message]) -> Result<Producing> {
        let records: Vec<Value> = messages.iter().map(shown).collect();
        self.begin("produce", json!({"topic": topic, "records": records})).map(Producing)
    }

    /// Everything that is readable as committed now, by partition and in order. Behind a commit that was just acknowledged,
    /// [`Client::read_settled`] is what to ask.
    ///
    /// # Errors
    /// If it cannot be read to its end within a minute.
    pub fn read(&self, topic: &str) -> Result<Vec<Read>> {
        self.read_from(topic, Isolation::Committed, &Positions::new()).map(|(read, _)| read)
    }

    /// Everything in a topic when no transaction is open on it any more: the end of a transaction is acknowledged before its
    /// markers are written, and until then what it has committed is not readable.
    ///
    /// # Errors
    /// If a transaction stays open for ten seconds, and as [`Client::read`].
    pub fn read_settled(&self, topic: &str) -> Result<Vec<Read>> {
        let ends = || Ok((self.offsets(topic, Which::Committed)?, self.offsets(topic, Which::Latest)?));
        let what = format!("the markers of {topic} (its ends, committed and written)");
        wait::until(&what, MARKERS, ends, |(committed, written)| committed == written)?;
        self.read(topic)
    }

    /// What is in a topic now behind these positions (its beginning where there is none), by partition and in order, and the
    /// positions behind it.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub fn read_from(&self, topic: &str, isolation: Isolation, from: &Positions) -> Result<(Vec<Read>, Positions)> {
        let from: Map<String, Value> = from.iter().map(|(p, offset)| (p.to_string(), (*offset).into())).collect();
        let request = json!({"topic": topic, "isolation": isolation.name(), "from": from});
        let (mut read, done) = self.begin("consume", request)?.all()?;
        read.sort_by_key(|record| (record.partition, record.offset));
        Ok((read, positions(&done)))
    }

    /// Reads what is committed from now on, as it comes.
    ///
    /// # Errors
    /// If the topic cannot be read.
    pub fn follow(&self, topic: &str) -> Result<Following> {
        let request = json!({"topic": topic, "isolation": "read_committed", "start": "end"});
        let answers = self.begin("follow", request)?;
        match answers.next(ANSWER)? {
            Some(Answer::Records(_)) => Ok(Following { client: self.clone(), answers }),
            _ => Err(answers.error("it did not begin")),
        }
    }
}

fn shown(message: &Message) -> Value {
    let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
    let headers: Vec<Value> = message.headers.iter().map(|(name, value)| json!([name, bytes(value)])).collect();
    let mut record = json!({"k": bytes(&message.key), "v": bytes(&message.value)});
    if let Some(partition) = message.partition {
        record["p"] = partition.into();
    }
    if let Some(timestamp) = message.timestamp {
        record["t"] = timestamp.into();
    }
    if !headers.is_empty() {
        record["h"] = headers.into();
    }
    record
}

/// Records on their way to the broker.
pub struct Producing(Answers);

impl Producing {
    /// Waits until the broker has them all; says where each one is.
    ///
    /// # Errors
    /// If it did not take one of them.
    pub fn wait(self) -> Result<Vec<(u32, i64)>> {
        let (_, places) = self.0.all()?;
        let places = places.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(places
            .iter()
            .map(|place| (place[0].as_u64().unwrap_or(0) as u32, place[1].as_i64().unwrap_or(-1)))
            .collect())
    }
}

/// A topic that is read as it grows.
pub struct Following {
    client: Client,
    answers: Answers,
}

impl Following {
    /// What comes next; nothing if nothing does in this time.
    ///
    /// # Errors
    /// If the reader has failed.
    pub fn next(&self, within: Duration) -> Result<Vec<Read>> {
        match self.answers.next(within)? {
            Some(Answer::Records(records)) => Ok(records),
            Some(Answer::Done(_)) | None => Ok(Vec::new()),
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.client.begin("stop", json!({"target": self.answers.id}));
    }
}
