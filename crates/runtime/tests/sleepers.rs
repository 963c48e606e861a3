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

/// A process with this folder of state, which got all tasks in this generation of the group.
fn owner(topology: &Arc<Topology>, log: &MemoryLog, generation: u32, stores: &MemoryStores) -> Worker<MemoryLog> {
    let (settings, log) = (WorkerSettings::default(), log.in_generation(generation));
    let mut worker = Worker::prepare(topology.clone(), log, Box::new(stores.clone()), settings, NOW).unwrap();
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
    let mut sleeper = owner(&topology, &log, 1, &elsewhere);
    sell(&mut log, 5);
    sleeper.run_until_quiet(NOW).unwrap();
    let before = log.extent(&changelog, ONLY).unwrap().end;
    sell(&mut log, 1);
    sleeper.run_until_quiet(NOW).unwrap();
    let late = written(&mut log, &changelog, before.0);
    assert!(!late.is_empty());
    drop(sleeper);
    let mut successor = owner(&topology, &log, 2, &there);
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
    let mut third = owner(&topology, &log, 3, &if stored { there } else { MemoryStores::new() });
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

/// Pipeline, log, and a process that has all tasks in the first generation and has processed nothing.
fn at_the_start() -> (Arc<Topology>, MemoryLog, Worker<MemoryLog>) {
    let (topology, mut log) = (topology(), MemoryLog::new());
    log.create_topic("sales", TopicSettings::user(1)).unwrap();
    let first = owner(&topology, &log, 1, &MemoryStores::new());
    (topology, log, first)
}

fn sell_and_count(log: &mut MemoryLog, worker: &mut Worker<MemoryLog>, amount: i64) {
    sell(log, amount);
    worker.run_until_quiet(NOW).unwrap();
}

#[test]
fn nor_does_one_matter_that_had_written_nothing_before_it_slept() {
    let (topology, mut log, mut sleeper) = at_the_start();
    let mut successor = owner(&topology, &log, 2, &MemoryStores::new());
    (0..10).for_each(|_| sell_and_count(&mut log, &mut successor, 1));
    // The state of ten sales; the successor then comes to eleven.
    sleeper.run_until_quiet(NOW).unwrap();
    sell_and_count(&mut log, &mut successor, 1);
    let mut third = owner(&topology, &log, 3, &MemoryStores::new());
    sell_and_count(&mut log, &mut third, 100);
    assert_eq!(last_total(&mut log), r#"{"shop":"a","total":111}"#);
}

/// Its epoch has failed, as it was put out, and it takes its tasks again before it hears of that.
#[test]
fn who_was_put_out_does_not_take_its_tasks_again() {
    let (topology, mut log, mut sleeper) = at_the_start();
    sell_and_count(&mut log, &mut sleeper, 5);
    let mut successor = owner(&topology, &log, 2, &MemoryStores::new());
    sell_and_count(&mut log, &mut successor, 1);
    sleeper.forget();
    sleeper.take(&sleeper.all_tasks(), NOW).unwrap();
    let refused = sleeper.restore_some(NOW, &mut |_, _| {}).unwrap_err();
    assert_eq!(refused.to_string(), "generation 1 is over: now is 2");
    sell_and_count(&mut log, &mut successor, 100);
    assert_eq!(last_total(&mut log), r#"{"shop":"a","total":106}"#);
}

/// A group that was deleted counts its generations from the beginning. (What it had committed comes again, from elsewhere.)
#[test]
fn a_group_that_was_made_anew_goes_on_with_its_state() {
    let (topology, mut log, first) = at_the_start();
    drop(first);
    let mut before = owner(&topology, &log, 300, &MemoryStores::new());
    sell_and_count(&mut log, &mut before, 5);
    let mut anew = owner(&topology, &log, 1, &MemoryStores::new());
    sell_and_count(&mut log, &mut anew, 1);
    let mut behind = owner(&topology, &log, 2, &MemoryStores::new());
    sell_and_count(&mut log, &mut behind, 100);
    assert_eq!(last_total(&mut log), r#"{"shop":"a","total":106}"#);
}

/// A process to which a rebalance gives back what it had, writes in the generation of that.
#[test]
fn parked_tasks_come_back_in_a_later_generation() {
    let (topology, mut log, mut sleeper) = at_the_start();
    let mut owner_of_two = owner(&topology, &log, 2, &MemoryStores::new());
    sell_and_count(&mut log, &mut owner_of_two, 5);
    sleeper.forget();
    let all = owner_of_two.all_tasks();
    owner_of_two.hand_over(NOW).unwrap();
    *owner_of_two.log() = log.in_generation(3);
    owner_of_two.take(&all, NOW).unwrap();
    sell_and_count(&mut log, &mut owner_of_two, 1);
    let changelog = topology.changelog_topic(0).unwrap();
    let records = reading::all_of(&mut log, &changelog, ONLY);
    let keys = records.iter().map(|record| String::from_utf8(record.key.unwrap().to_vec()).unwrap());
    let keys: Vec<String> = keys.filter(|key| key.starts_with("rows")).collect();
    assert_eq!(keys, ["rows:1.2:totals", "rows:1.3:totals"]);
}
