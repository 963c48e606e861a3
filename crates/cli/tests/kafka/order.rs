//! Steps that ask in which order rows happened, behind a repartition whose senders are threads and processes of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_harness::{Message, Result, ensure, suite, tests, wait};

use crate::controls::seen;
use crate::scenario::{PARTITIONS, READY, Scenario};

pub(crate) fn tests() -> Vec<suite::Trial> {
    tests![rows_of_several_senders_come_in_order_of_time, rows_that_wait_for_nobody_are_seen]
}

const RANKS: &str = "\
version: 1
pipeline: PREFIXtorture
sources:
  events:
    topic: PREFIXevents
    format: json
    schema: {key: string, ts: timestamp(ms), pad: string}
    event_time: ts
steps:
  - filter: key <> 'nobody'
  - window: {id: w, by: key, over: 1h, aggregates: {n: count(*)}}
sink: {topic: PREFIXcounts, format: json, key: key}
";

const BEGIN: i64 = 1_767_225_600_000;
const ROWS: i64 = 30_000;
const KEYS: i64 = 50;
/// They are put in order one by one, in a debug build beside other tests.
const ALL_READ: Duration = Duration::from_secs(180);

/// What is there when the daemons begin: one partition has rows that others do not see, and less of the others.
fn rows_of_several_senders_come_in_order_of_time() -> Result {
    ranked("order", "")
}

fn rows_that_wait_for_nobody_are_seen() -> Result {
    let control = "worker.control.wait_for_nobody";
    seen(control, ranked("control-order", &format!("{control}=return")))
}

/// Of each key the rows are counted as they come: the count is the row's rank by time.
fn ranked(name: &str, failpoints: &str) -> Result {
    let scenario = Scenario::new(name)?;
    scenario.set_pipeline(RANKS)?;
    let (events, counts) = (scenario.topic("events"), scenario.topic("counts"));
    scenario.client.create_topic(&counts, PARTITIONS)?;
    let mut ranks = BTreeMap::new();
    let mut messages = Vec::new();
    for row in 0..ROWS {
        let (time, partition) = (BEGIN + row * 10, (row * 7 % 11 % i64::from(PARTITIONS)) as u32);
        // One task has much to read that is nobody's.
        let (key, pad) = match partition {
            0 if row % 5 != 0 => ("nobody".to_owned(), "x".repeat(400)),
            _ => (format!("k{}", row / 3 % KEYS), String::new()),
        };
        if key != "nobody" {
            ranks.entry(key.clone()).or_insert_with(Vec::new).push(time);
        }
        let value = format!(r#"{{"key":"{key}","ts":{time},"pad":"{pad}"}}"#);
        messages.push(Message::value(value).to(partition).at(time));
    }
    scenario.client.produce(&events, &messages)?;
    let start = |instance: &str, threads: &str| {
        scenario.daemon(instance).env("FAILPOINTS", failpoints).env("MILLSTREAM_THREADS", threads).start()
    };
    let mut daemons = vec![start("a", "3")?, start("b", "1")?];
    for daemon in &mut daemons {
        daemon.wait_until_ready(READY)?;
    }
    scenario.wait_for_input()?;
    let expected: usize = ranks.values().map(Vec::len).sum();
    let read = || scenario.client.read(&counts);
    let read = wait::until("a result for each row", ALL_READ, read, |read| read.len() >= expected)?;
    ensure!(read.len() == expected, "the oracle counts {expected} rows, not {}", read.len());
    for record in &read {
        let row = record.json()?;
        let (key, rank) = (row["key"].as_str().unwrap_or_default(), row["n"].as_i64().unwrap_or_default());
        let time = ranks.get(key).and_then(|times| times.get(usize::try_from(rank - 1).ok()?));
        ensure!(time == Some(&record.timestamp), "the oracle has another row at {}: {row}", record.timestamp);
    }
    Ok(())
}
