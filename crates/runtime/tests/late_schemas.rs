//! Schemas that come late: a registry that answers when it likes, with failures between, to workers that die while they wait.
//! What is written must be what is written where every schema is known from the start.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]

mod reading;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_formats::avro::AvroSchema;
use millstream_formats::{SchemaId, WriterSchema};
use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::lower;
use millstream_pipeline::topology::{PartitionCounts, Topology};
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Log, NewRecord, ReadLimit, Records, TopicSettings};
use millstream_runtime::registry::{RegistrySettings, SchemaCache};
use millstream_runtime::sample::Random;
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::worker::{Progress, Worker, WorkerSettings};

const PARTITIONS: u32 = 3;
const RECORDS: usize = 600;
const SEEDS: u64 = 6;
const NOW: Millis = Millis(0);
/// No registry has it.
const MISSING: u32 = 99;

const PIPELINE: &str = "
version: 1
pipeline: later
sources:
  trades:
    format: avro
    schema: {symbol: string, qty: bigint, ts: timestamp(ms)}
    event_time: ts
    watermark: {out_of_order: 50ms}
on_error: {dead_letter: dead}
steps:
  - window: {id: w, by: symbol, tumbling: 500ms, late: {to: late}, aggregates: {n: count(*), q: sum(qty), high: max(qty)}}
sink: {topic: out, key: symbol}
";

/// By id, from 1.
const SCHEMAS: [&str; 4] = [
    r#"{"type":"record","name":"T","fields":[{"name":"symbol","type":"string"},{"name":"qty","type":"long"},{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#,
    r#"{"type":"record","name":"T","fields":[{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"symbol","type":"string"},{"name":"qty","type":"int"}]}"#,
    r#"{"type":"record","name":"T","fields":[{"name":"note","type":"string"},{"name":"qty","type":"long"},{"name":"symbol","type":"string"},{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#,
    // It cannot be read as the columns.
    r#"{"type":"record","name":"T","fields":[{"name":"symbol","type":"string"},{"name":"qty","type":"string"},{"name":"ts","type":"long"}]}"#,
];

fn topology() -> Arc<Topology> {
    let (pipeline, map) =
        millstream_pipeline::parse("later", PIPELINE, &no_lookup).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let counts: PartitionCounts = [("trades", PARTITIONS)].into_iter().collect();
    Arc::new(lower::lower(&pipeline, &map, &counts).unwrap_or_else(|wrong| panic!("{wrong:?}")))
}

fn long(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn text(value: &str) -> Vec<u8> {
    [long(value.len() as i64), value.as_bytes().to_vec()].concat()
}

/// A message of the schema with that id; of one that there is not, bytes that nobody can read.
fn message(id: u32, symbol: &str, qty: i64, ts: i64) -> Vec<u8> {
    let fields = match id {
        1 => [text(symbol), long(qty), long(ts)].concat(),
        2 => [long(ts), text(symbol), long(qty)].concat(),
        3 => [text("a note"), long(qty), text(symbol), long(ts)].concat(),
        _ => [text(symbol), text("many"), long(ts)].concat(),
    };
    [vec![0], id.to_be_bytes().to_vec(), fields].concat()
}

fn filled() -> MemoryLog {
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(PARTITIONS)).unwrap();
    let mut random = Random::new(11);
    for at in 0..RECORDS {
        // Versions come one after the other, and linger; here and there is what cannot be read.
        let id = match random.below(40) {
            0 => MISSING,
            1 => 4,
            _ => 1 + (random.below(1 + 2 * at as u64 / RECORDS as u64 + u64::from(at > 100))).min(2) as u32,
        };
        let behind = if random.below(15) == 0 { 1_000 } else { random.below(120) as i64 };
        let ts = at as i64 * 10 - behind;
        let symbol = ["A", "B", "C", "D"][random.below(4) as usize];
        let value = message(id, symbol, random.below(100) as i64, 1_000 + ts);
        let mut one = Records::new();
        one.push(Offset(0), NewRecord { key: None, value: Some(&value), timestamp: Millis(0), headers: &[] });
        log.produce("trades", PartitionId(random.below(u64::from(PARTITIONS)) as u32), &one).unwrap();
    }
    log
}

/// A registry that has come up without its store: it has no schema until it is mended.
fn forgetful(is_mended: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let (status, body) = match is_mended.load(Ordering::SeqCst) {
                false => (404, r#"{"error_code": 40403, "message": "Schema not found"}"#.to_owned()),
                true => (200, serde_json::json!({ "schema": SCHEMAS[0] }).to_string()),
            };
            let _ = write!(stream, "HTTP/1.1 {status} Word\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    url
}

/// A registry in a bad mood: it is slow, fails, and knows nothing at all until it is told to.
struct Moody {
    url: String,
    awake: Arc<AtomicBool>,
}

impl Moody {
    fn new(seed: u64) -> Moody {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let awake = Arc::new(AtomicBool::new(false));
        let (mood, is_awake) = (Mutex::new(Random::new(seed)), awake.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &mood, is_awake.load(Ordering::SeqCst));
            }
        });
        Moody { url, awake }
    }
}

fn answer(mut stream: TcpStream, mood: &Mutex<Random>, awake: bool) {
    let mut request = [0; 4096];
    let read = stream.read(&mut request).unwrap();
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    let id: Option<usize> =
        request.strip_prefix("GET /schemas/ids/").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let mood = mood.lock().unwrap().below(6);
    std::thread::sleep(Duration::from_millis(7 * mood));
    let (status, body) = match (awake, mood, id.and_then(|id| SCHEMAS.get(id.checked_sub(1)?))) {
        (false, ..) => (503, "{}".to_owned()),
        (true, 0, _) => return,
        (true, 1, _) => (200, "<html>".to_owned()),
        (true, _, Some(schema)) => (200, serde_json::json!({ "schema": schema }).to_string()),
        (true, _, None) => (404, r#"{"error_code": 40403, "message": "Schema not found"}"#.to_owned()),
    };
    let _ = write!(stream, "HTTP/1.1 {status} Word\r\ncontent-length: {}\r\n\r\n{body}", body.len());
}

fn worker(log: &MemoryLog, stores: &MemoryStores, schemas: &SchemaCache) -> Worker<MemoryLog> {
    let settings = WorkerSettings {
        read: ReadLimit { records: 29, ..ReadLimit::default() },
        schemas: schemas.clone(),
        ..WorkerSettings::default()
    };
    Worker::start(topology(), log.clone(), Box::new(stores.clone()), settings, NOW, &mut |_, _| {}).unwrap()
}

/// Everything that was written, by topic and partition.
fn content(log: &mut MemoryLog) -> Vec<(String, u32, Vec<String>)> {
    let mut content = Vec::new();
    for topic in ["out", "late", "dead"] {
        for partition in (0..log.partitions(topic).unwrap().unwrap()).map(PartitionId) {
            let records = reading::all_of(log, topic, partition);
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            // The words about a schema that there is not are the registry's.
            let is_told = |name: &str| name != "millstream.error.message";
            let line = |r: millstream_runtime::log::RecordView<'_>| {
                let headers = r.headers.filter(|h| is_told(h.name)).map(|h| (h.name.to_owned(), text(h.value)));
                format!("{:?} {:?} {:?}", text(r.key), text(r.value), headers.collect::<Vec<_>>())
            };
            let mut lines: Vec<_> = records.iter().map(line).collect();
            lines.sort();
            content.push((topic.to_owned(), partition.0, lines));
        }
    }
    content
}

fn lines_of(content: &[(String, u32, Vec<String>)], topic: &str) -> usize {
    content.iter().filter(|(name, ..)| name == topic).map(|(.., lines)| lines.len()).sum()
}

#[test]
fn results_do_not_depend_on_when_a_schema_comes() {
    let known = SCHEMAS
        .iter()
        .enumerate()
        .map(|(at, schema)| (SchemaId(at as u32 + 1), WriterSchema::Avro(AvroSchema::parse(schema, &[]).unwrap())));
    let mut log = filled();
    let mut undisturbed = worker(&log, &MemoryStores::new(), &SchemaCache::given(known));
    undisturbed.run_until_quiet(NOW).unwrap();
    undisturbed.close(NOW).unwrap();
    let expected = content(&mut log);
    for (topic, least) in [("out", 20), ("late", 5), ("dead", 10)] {
        assert!(lines_of(&expected, topic) >= least, "{topic}: {expected:?}");
    }
    let mut waits = 0;
    for seed in 0..SEEDS {
        let registry = Moody::new(seed);
        let schemas = SchemaCache::new(&RegistrySettings::at(&registry.url).unwrap()).unwrap();
        let (mut log, mut stores) = (filled(), MemoryStores::new());
        let mut running = worker(&log, &stores, &schemas);
        let mut random = Random::new(seed);
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(60), "seed {seed} does not come to rest");
            let read = running.read_once(NOW).unwrap();
            if running.waits_for_schemas() {
                waits += 1;
                assert!(!running.is_at_end(), "what waits has not come to its end");
                // Nothing can have come out before any schema was known.
                registry.awake.store(true, Ordering::SeqCst);
            }
            if random.below(3) == 0 {
                running.commit(NOW).unwrap();
            }
            if random.below(12) == 0 {
                // It dies, with its state or without.
                if random.below(2) == 0 {
                    stores = MemoryStores::new();
                }
                drop(running);
                running = worker(&log, &stores, &schemas);
            } else if read == Progress::None {
                if running.is_at_end() && !running.commit(NOW).unwrap() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        running.close(NOW).unwrap();
        assert!(content(&mut log) == expected, "seed {seed}");
    }
    assert!(waits > SEEDS as usize * 3, "only {waits} looks found that something waits");
}

#[test]
fn a_schema_that_was_refused_is_read_when_the_registry_has_it() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let settings = RegistrySettings::at(&forgetful(is_mended.clone())).unwrap();
    let schemas = SchemaCache::believing(&settings, Duration::from_millis(50)).unwrap();
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(PARTITIONS)).unwrap();
    let mut running = worker(&log, &MemoryStores::new(), &schemas);
    let began = Instant::now();
    // The worker's clock: each record comes a second after the one before.
    let (mut now, mut turn) = (NOW, 0);
    let mut letters = Vec::new();
    loop {
        assert!(began.elapsed() < Duration::from_secs(60), "{} dead letters of {turn} records", letters.len());
        let value = message(1, "A", 1, 1_000);
        let mut one = Records::new();
        one.push(Offset(0), NewRecord { key: None, value: Some(&value), timestamp: now, headers: &[] });
        log.produce("trades", PartitionId(0), &one).unwrap();
        (now, turn) = (Millis(now.0 + 1_000), turn + 1);
        while !(running.read_once(now).unwrap() == Progress::None && running.is_at_end()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        running.commit(now).unwrap();
        letters.push(running.log().extent("dead", PartitionId(0)).unwrap().end.0);
        let stay = letters.iter().rev().take_while(|count| **count == letters[letters.len() - 1]).count();
        if stay > 3 {
            break;
        }
        // One that was refused has failed at once; and others after it, while that is believed.
        assert!(is_mended.load(Ordering::SeqCst) || letters.last() == Some(&turn), "{letters:?}");
        is_mended.store(turn > 3, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(turn < 40, "it was read {turn} seconds after it was refused");
}

#[test]
fn ids_that_nobody_has_take_neither_time_nor_memory_for_ever() {
    // Each record names a schema that there is not; a decoder that remembers them all would grow with the topic.
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(PARTITIONS)).unwrap();
    const HOSTILE: u32 = 30_000;
    let mut records = Records::new();
    for id in 0..HOSTILE {
        let value = message(1_000_000 + id, "A", 1, 1);
        records.push(Offset(0), NewRecord { key: None, value: Some(&value), timestamp: Millis(0), headers: &[] });
    }
    log.produce("trades", PartitionId(0), &records).unwrap();
    let settings = WorkerSettings { schemas: SchemaCache::given([]), ..WorkerSettings::default() };
    let stores = Box::new(MemoryStores::new());
    let mut worker = Worker::start(topology(), log, stores, settings, NOW, &mut |_, _| {}).unwrap();
    worker.run_until_quiet(NOW).unwrap();
    let end = worker.log().extent("dead", PartitionId(0)).unwrap().end;
    assert_eq!(end, Offset(i64::from(HOSTILE)));
}
