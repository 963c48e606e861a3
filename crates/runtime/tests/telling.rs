//! What tasks tell those behind a repartition of time alone: seldom where many tell many, and never so seldom that a window
//! stays open.

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
use millstream_runtime::worker::{Telling, Worker, WorkerSettings};

use lowering::lowered;

/// Each of so many tasks tells as many: with every second commit of these here.
const PARTITIONS: u32 = 48;
const ROUNDS: i64 = 6;

const PIPELINE: &str = "
version: 1
pipeline: telling
sources:
  trades: {format: json, schema: {symbol: string, ts: timestamp(ms)}, event_time: ts}
steps:
  - window: {id: w, by: symbol, tumbling: 1s, aggregates: {n: count(*)}}
sink: {topic: out, key: symbol}
";

fn topology() -> Arc<Topology> {
    lowered(PIPELINE, &[("trades", PARTITIONS)])
}

/// In each round, a tenth of a second, one trade comes to each partition and there is a commit; then nothing comes for a
/// second. Says how many frames were sent, and the results.
fn run(telling: Telling) -> (i64, Vec<String>) {
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(PARTITIONS)).unwrap();
    let settings = WorkerSettings { telling, ..WorkerSettings::default() };
    let (stores, now) = (Box::new(MemoryStores::new()), Millis(0));
    let mut worker = Worker::start(topology(), log.clone(), stores, settings, now, &mut |_, _| {}).unwrap();
    for round in 0..ROUNDS {
        for partition in 0..PARTITIONS {
            let value = format!(r#"{{"symbol":"s{}","ts":"2026-01-01T00:00:{round:02}Z"}}"#, partition % 3);
            let mut one = Records::new();
            let value = Some(value.as_bytes());
            one.push(Offset(0), NewRecord { key: None, value, timestamp: Millis(0), headers: &[] });
            log.produce("trades", PartitionId(partition), &one).unwrap();
        }
        worker.read_once(Millis(round * 100)).unwrap();
        worker.commit(Millis(round * 100)).unwrap();
    }
    for tenth in ROUNDS..ROUNDS + 10 {
        worker.step(Millis(tenth * 100)).unwrap();
    }
    let mut all = |topic: &str| {
        let mut all = Vec::new();
        for partition in (0..log.partitions(topic).unwrap().unwrap()).map(PartitionId) {
            let records = reading::all_of(&mut log, topic, partition);
            all.extend(records.iter().map(|r| String::from_utf8_lossy(r.value.unwrap()).into_owned()));
        }
        all.sort();
        all
    };
    let results = all("out");
    let ends =
        (0..PARTITIONS).map(|partition| log.extent("telling-w-repartition", PartitionId(partition)).unwrap().end.0);
    (ends.sum(), results)
}

#[test]
fn time_alone_is_told_seldom_where_many_tell_many_and_every_window_closes() {
    let (all_frames, all_results) = run(Telling::AtCommits);
    let (frames, results) = run(Telling::Sparingly);
    assert_eq!(all_results.len(), 3 * (ROUNDS as usize - 1), "{all_results:?}");
    assert_eq!(results, all_results);
    assert!(frames < all_frames * 3 / 4, "{frames} of {all_frames} frames");
}
