//! Internal topics written by another release: whatever a record is, its frame tells its version, and one of another version
//! is refused with its place and the way out, never guessed at.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lowering;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_formats::frame;
use millstream_pipeline::topology::Topology;
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Log, NewRecord, Records, TopicSettings};
use millstream_runtime::sample::Trades;
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::worker::{Restored, Worker, WorkerSettings};

use lowering::lowered;

const NOW: Millis = Millis(0);
const ONLY: PartitionId = PartitionId(0);
/// Where a frame has its version.
const VERSION_AT: usize = 3;

/// A window whose panes are dropped when they close, behind a repartition, which keeps a clock.
const PIPELINE: &str = "
version: 1
pipeline: framed
sources:
  trades:
    format: json
    schema: {symbol: string, venue: string, price: double, qty: bigint, ts: timestamp(ms)}
    event_time: ts
steps:
  - window: {id: by_venue, by: [venue], tumbling: 500ms, aggregates: {q: sum(qty)}}
sink: {topic: out, key: venue}
";

fn topology() -> Arc<Topology> {
    lowered(PIPELINE, &[("trades", 2)])
}

fn worker(topology: &Arc<Topology>, log: &MemoryLog) -> Worker<MemoryLog> {
    let stores = Box::new(MemoryStores::new());
    Worker::prepare(topology.clone(), log.clone(), stores, WorkerSettings::default(), NOW).unwrap()
}

/// A log in which the pipeline has run, some epochs long.
fn written(topology: &Arc<Topology>) -> MemoryLog {
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(2)).unwrap();
    let mut worker = worker(topology, &log);
    let all = worker.all_tasks();
    worker.take(&all, NOW).unwrap();
    while worker.restore_some(NOW, &mut |_, _| {}).unwrap() == Restored::More {}
    for (index, trade) in Trades::new(3).take(120).enumerate() {
        let mut one = Records::new();
        let value = Some(trade.value.as_bytes());
        one.push(Offset(0), NewRecord { key: None, value, timestamp: Millis(trade.ts_ms), headers: &[] });
        log.produce("trades", PartitionId(index as u32 % 2), &one).unwrap();
        worker.run_until_quiet(NOW).unwrap();
    }
    log
}

/// The last record of each kind that stands on a topic, by its key.
fn kinds(log: &mut MemoryLog, topic: &str) -> BTreeMap<String, Vec<u8>> {
    let records = reading::all_of(log, topic, ONLY);
    let text = |key: Option<&[u8]>| String::from_utf8(key.unwrap_or_default().to_vec()).unwrap();
    records.iter().map(|record| (text(record.key), record.value.unwrap().to_vec())).collect()
}

/// What a worker without stored state says of a log with this record behind all others.
fn refusal(topology: &Arc<Topology>, topic: &str, key: &str, value: &[u8]) -> String {
    let mut log = written(topology);
    let mut one = Records::new();
    let record = NewRecord { key: Some(key.as_bytes()), value: Some(value), timestamp: NOW, headers: &[] };
    one.push(Offset(0), record);
    log.produce(topic, ONLY, &one).unwrap();
    let mut worker = worker(topology, &log);
    let all = worker.all_tasks();
    let taken = worker.take(&all, NOW).and_then(|_| {
        while worker.restore_some(NOW, &mut |_, _| {})? == Restored::More {}
        worker.run_until_quiet(NOW).map(drop)
    });
    taken.expect_err(&format!("{topic} {key}: it was taken")).to_string()
}

#[test]
fn a_record_of_another_version_is_refused_with_its_place_and_the_way_out() {
    let topology = topology();
    let mut log = written(&topology);
    let changelogs = [topology.changelog_topic(0).unwrap(), topology.changelog_topic(1).unwrap()];
    let repartition = topology.exchanges[0].topic.clone();
    let mut seen = Vec::new();
    for topic in changelogs.iter().chain([&repartition]) {
        let mut kinds = kinds(&mut log, topic);
        let step = kinds.keys().next().and_then(|key| key.split_once(':')).map(|(_, step)| step.to_owned());
        if let (Some(step), true) = (step, *topic == changelogs[1]) {
            // Written when a changelog is cut, which this one is too short for.
            kinds.insert(format!("page:{step}"), b"MSF_".to_vec());
        }
        for (key, mut value) in kinds {
            value[VERSION_AT] = 99;
            let said = refusal(&topology, topic, &key, &value);
            let place = format!("topic {topic} partition 0 offset ");
            assert!(said.contains(&place), "{topic} {key}: {said}");
            assert!(
                said.contains("a frame of version 99") && said.contains("`millstream reset FILE --to earliest`"),
                "{key}: {said}"
            );
            seen.push(key.split(':').next().unwrap().to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen, ["", "drop", "page", "rows", "scalars", "scalars", "scalars"], "which kinds there are");
}

#[test]
fn clocks_and_counters_of_another_version_are_refused_with_the_way_out() {
    let topology = topology();
    let mut log = written(&topology);
    for topic in [topology.changelog_topic(0).unwrap(), topology.changelog_topic(1).unwrap()] {
        let kinds = kinds(&mut log, &topic);
        let (key, value) = kinds.iter().find(|(key, _)| key.starts_with("scalars:")).unwrap();
        let mut scalars = frame::decode_bytes(value).unwrap();
        scalars[0] = 9;
        let said = refusal(&topology, &topic, key, &frame::encode_bytes(&scalars).unwrap());
        let says = "its saved clock and counters are of version 9, where this release of millstream knows 2";
        assert!(said.contains(says) && said.contains("`millstream reset FILE --to earliest`"), "{topic} {key}: {said}");
    }
}

#[test]
fn what_is_no_frame_is_refused_too() {
    let topology = topology();
    let mut log = written(&topology);
    let topic = topology.changelog_topic(1).unwrap();
    let kinds = kinds(&mut log, &topic);
    assert!(kinds.len() > 2, "{:?}", kinds.keys());
    for (key, value) in kinds {
        // As they were before they had frames, or cut off.
        for value in [&b"\x01\0\0\0"[..], &[], &value[..value.len() - 1]] {
            let said = refusal(&topology, &topic, &key, value);
            assert!(said.contains("frame"), "{key}: {said}");
        }
    }
}
