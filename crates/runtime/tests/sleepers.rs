//! A process that slept while another took its tasks over, and writes into a changelog before it hears of that: at least once,
//! no transaction keeps it from doing so.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lowering;
mod reading;

use std::sync::Arc;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_pipeline::topology::Topology;
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Log, NewRecord, Records, TopicSettings};
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::worker::{Restored, Worker, WorkerSettings};

use lowering::lowered;

const NOW: Millis = Millis(0);
const ONLY: PartitionId = PartitionId(0);

const PIPELINE: &str = "
version: 1
pipeline: sleepers
guarantee: at_least_once
sources:
  sales: {format: json, schema: {shop: string, amount: bigint}, key: shop}
steps:
  - aggregate: {id: totals, by: shop, aggregates: {total: sum(amount)}, emit: changes}
sink: {topic: out, format: json, key: shop}
";

fn topology() -> Arc<Topology> {
    lowered(PIPELINE, &[("sales", 1)])
}

/// A process with this folder of state, which has all tasks.
fn owner(topology: &Arc<Topology>, log: &MemoryLog, stores: &MemoryStores) -> Worker<MemoryLog> {
    let settings = WorkerSettings::default();
    let mut worker = Worker::prepare(topology.clone(), log.clone(), Box::new(stores.clone()), settings, NOW).unwrap();
    let all = worker.all_tasks();
    worker.take(&all, NOW).unwrap();
    while worker.restore_some(NOW, &mut |_, _| {}).unwrap() == Restored::More {}
    worker
}

fn sell(log: &mut MemoryLog, amount: i64) {
    let value = format!(r#"{{"shop":"a","amount":{amount}}}"#);
    let mut one = Records::new();
    let record = NewRecord { key: Some(b"a"), value: Some(value.as_bytes()), timestamp: NOW, headers: &[] };
    one.push(Offset(0), record);
    log.produce("sales", ONLY, &one).unwrap();
}

/// Everything on the changelog from an offset on.
fn written(log: &mut MemoryLog, changelog: &str, from: i64) -> Records {
    let all = reading::all_of(log, changelog, ONLY);
    let mut written = Records::new();
    for record in all.iter().filter(|record| record.offset.0 >= from) {
        let (key, value, timestamp) = (record.key, record.value, record.timestamp);
        written.push(Offset(0), NewRecord { key, value, timestamp, headers: &[] });
    }
    written
}

fn last_total(log: &mut MemoryLog) -> String {
    let results = reading::all_of(log, "out", ONLY);
    String::from_utf8(results.get(results.len() - 1).value.unwrap().to_vec()).unwrap()
}

/// `stored`: whether who restores in the end has state of its own, as of the successor's time.
fn a_sleeper_wakes(stored: bool) {
    let topology = topology();
    let changelog = topology.changelog_topic(0).unwrap();
    let mut log = MemoryLog::new();
    log.create_topic("sales", TopicSettings::user(1)).unwrap();
    let (there, elsewhere) = (MemoryStores::new(), MemoryStores::new());
    let mut sleeper = owner(&topology, &log, &elsewhere);
    sell(&mut log, 5);
    sleeper.run_until_quiet(NOW).unwrap();
    let before = log.extent(&changelog, ONLY).unwrap().end;
    sell(&mut log, 1);
    sleeper.run_until_quiet(NOW).unwrap();
    let late = written(&mut log, &changelog, before.0);
    assert!(!late.is_empty());
    drop(sleeper);
    let mut successor = owner(&topology, &log, &there);
    for _ in 0..10 {
        sell(&mut log, 1);
        successor.run_until_quiet(NOW).unwrap();
    }
    if stored {
        successor.checkpoint(NOW).unwrap();
    }
    drop(successor);
    assert_eq!(last_total(&mut log), r#"{"shop":"a","total":16}"#);
    // What the sleeper had been about to write comes now.
    log.produce(&changelog, ONLY, &late).unwrap();
    let mut third = owner(&topology, &log, &if stored { there } else { MemoryStores::new() });
    sell(&mut log, 100);
    third.run_until_quiet(NOW).unwrap();
    assert_eq!(last_total(&mut log), r#"{"shop":"a","total":116}"#);
}

#[test]
fn what_a_sleeper_writes_behind_its_successor_is_passed_over() {
    a_sleeper_wakes(false);
}

#[test]
fn also_by_who_has_stored_what_the_successor_wrote() {
    a_sleeper_wakes(true);
}
