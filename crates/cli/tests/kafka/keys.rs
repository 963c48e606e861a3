//! Keys in a format, on a real broker with a real schema registry: Java reads them by the schema of their subject, and puts
//! equal keys where the daemon put them.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_harness::{Codecs, Message, Result, SchemaRegistry, ensure, suite, tests, wait};
use serde_json::{Value, json};

use crate::scenario::{PARTITIONS, READY, SETTLED, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![java_reads_keys_and_puts_them_where_they_are]
}

const PIPELINE: &str = r#"
version: 1
pipeline: PREFIXtorture
sources:
  rows: {topic: PREFIXevents, format: json, schema: {id: bigint, symbol: string, venue: string}}
sink: {topic: PREFIXcopied, format: avro, register: true, key: KEY}
"#;

const ROWS: i64 = 120;

fn java_reads_keys_and_puts_them_where_they_are() -> Result {
    let record = "{columns: [symbol, venue], format: avro, name: Place, namespace: shop}";
    written("keyrecord", record, place_of)?;
    written("keyalone", "{columns: symbol, format: avro}", symbol_of)
}

/// Runs the pipeline with this key, which is to be so for a row.
fn written(name: &str, key: &str, expected: fn(i64) -> Value) -> Result {
    let registry = SchemaRegistry::shared()?;
    let codecs = Codecs::shared()?;
    let scenario = Scenario::new(name)?;
    scenario.set_pipeline(&PIPELINE.replace("KEY", key))?;
    let rows: Vec<Message> = (0..ROWS)
        .map(|id| json!({"id": id, "symbol": symbol_of(id), "venue": venue(id)}).to_string())
        .map(Message::value)
        .collect();
    scenario.client.produce(&scenario.topic("events"), &rows)?;
    let mut daemon = scenario.daemon("a").env("SCHEMA_REGISTRY_URL", registry.url()).start()?;
    daemon.wait_until_ready(READY)?;
    let copied = scenario.topic("copied");
    let read = || scenario.client.read(&copied);
    let read = wait::until("the rows", SETTLED, read, |read: &Vec<_>| read.len() >= ROWS as usize)?;
    ensure!(read.len() == ROWS as usize, "{} rows", read.len());

    let (of_keys, key_schema) = latest(registry, &format!("{copied}-key"))?;
    let (of_values, value_schema) = latest(registry, &format!("{copied}-value"))?;
    let decode = |schema: &Value, id: u32, all: Vec<&[u8]>| -> Result<Vec<Value>> {
        let header = [&[0], &id.to_be_bytes()[..]].concat();
        ensure!(all.iter().all(|bytes| bytes.starts_with(&header)), "{name}: not all begin with id {id}");
        let rows = all.iter().map(|bytes| hex(&bytes[5..])).collect::<Vec<_>>();
        Ok(codecs.ask(&json!({"op": "avro-read", "schema": schema, "rows": rows}))??)
    };
    let bytes = read.iter().map(|record| record.key.as_deref().unwrap_or_default()).collect();
    let keys = decode(&key_schema, of_keys, bytes)?;
    let bytes = read.iter().map(|record| record.value.as_deref().unwrap_or_default()).collect();
    let values = decode(&value_schema, of_values, bytes)?;
    for (key, value) in keys.iter().zip(&values) {
        let id = value["read"]["id"].as_i64().ok_or_else(|| format!("no id: {value}"))?;
        ensure!(key["read"] == expected(id), "{name}: the key of row {id} is {key}");
    }

    // Java's partitioner, given the same bytes.
    let other = scenario.topic("java");
    scenario.client.create_topic(&other, PARTITIONS)?;
    let same: BTreeMap<&[u8], u32> =
        read.iter().filter_map(|record| Some((record.key.as_deref()?, record.partition))).collect();
    let messages: Vec<Message> = same.keys().map(|key| Message::keyed(*key, "x")).collect();
    let places = scenario.client.produce(&other, &messages)?;
    let places: Vec<u32> = places.iter().map(|(partition, _)| *partition).collect();
    ensure!(places == same.values().copied().collect::<Vec<_>>(), "{name}: {places:?}, ours {same:?}");
    ensure!(daemon.process.ended().is_none(), "the daemon ended: {}", daemon.output.tail(20));
    let stopped = daemon.stop(Duration::from_secs(20))?;
    ensure!(stopped.success(), "it ended with {stopped}: {}", daemon.output.tail(20));
    Ok(())
}

/// The key of a row, as a record.
fn place_of(id: i64) -> Value {
    json!({"symbol": symbol_of(id), "venue": venue(id)})
}

/// The key of a row, as one value.
fn symbol_of(id: i64) -> Value {
    json!(format!("S{}", id % 7))
}

/// Null now and then: a key of several columns has it inside.
fn venue(id: i64) -> Value {
    if id % 5 == 0 { Value::Null } else { json!(format!("V{}", id % 3)) }
}

/// The id and the text of the latest version.
fn latest(registry: &SchemaRegistry, subject: &str) -> Result<(u32, Value)> {
    let answer = registry.ask("GET", &format!("/subjects/{subject}/versions/latest"), &Value::Null)?.body;
    let (Some(id), Some(text)) = (answer["id"].as_u64(), answer["schema"].as_str()) else {
        return Err(format!("{subject}: {answer}").into());
    };
    let schema = serde_json::from_str(text).map_err(|error| format!("{subject}: {error}: {text}"))?;
    Ok((id as u32, schema))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
