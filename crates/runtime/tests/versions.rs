//! Two versions of a pipeline whose state is the same: what one has sent through a repartition and nobody has read yet meets the
//! other.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lowering;
mod reading;

use std::sync::Arc;

use millstream_engine::ids::{Offset, PartitionId, TaskId};
use millstream_engine::time::Millis;
use millstream_pipeline::topology::Topology;
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Log, NewRecord, Records, TopicSettings};
use millstream_runtime::sample::Trades;
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::worker::{Restored, Worker, WorkerError, WorkerSettings};

use lowering::lowered;

const NOW: Millis = Millis(0);
const ONLY: PartitionId = PartitionId(0);

/// Late rows go with the columns that are counted, or, where they are kept, with all that are written.
fn topology(late: &str) -> Arc<Topology> {
    let text = format!(
        "
version: 1
pipeline: versions
sources:
  trades:
    format: json
    schema: {{symbol: string, venue: string, price: double, qty: bigint, ts: timestamp(ms)}}
    event_time: ts
steps:
  - window: {{id: by_venue, by: [venue], tumbling: 500ms, {late} aggregates: {{q: sum(qty)}}}}
sink: {{topic: out, key: venue}}
"
    );
    lowered(&text, &[("trades", 2)])
}

fn worker(topology: &Arc<Topology>, log: &MemoryLog) -> Worker<MemoryLog> {
    let stores = Box::new(MemoryStores::new());
    Worker::prepare(topology.clone(), log.clone(), stores, WorkerSettings::default(), NOW).unwrap()
}

/// Runs the tasks of one side of the repartition until there is nothing to read.
fn run(topology: &Arc<Topology>, log: &MemoryLog, wanted: impl Fn(&TaskId) -> bool) -> Result<(), WorkerError> {
    let mut worker = worker(topology, log);
    let tasks: Vec<TaskId> = worker.all_tasks().into_iter().filter(wanted).collect();
    worker.take(&tasks, NOW)?;
    while worker.restore_some(NOW, &mut |_, _| {})? == Restored::More {}
    worker.run_until_quiet(NOW).map(drop)
}

fn senders(task: &TaskId) -> bool {
    task.subtopology == 0
}

fn receivers(task: &TaskId) -> bool {
    task.subtopology == 1
}

/// A log with trades that are in the repartition, as this version of the pipeline sends them.
fn sent_by(topology: &Arc<Topology>) -> MemoryLog {
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(2)).unwrap();
    for (index, trade) in Trades::new(3).take(200).enumerate() {
        let mut one = Records::new();
        let value = Some(trade.value.as_bytes());
        one.push(Offset(0), NewRecord { key: None, value, timestamp: Millis(trade.ts_ms), headers: &[] });
        log.produce("trades", PartitionId(index as u32 % 2), &one).unwrap();
    }
    run(topology, &log, senders).unwrap();
    log
}

fn results(log: &mut MemoryLog) -> Vec<String> {
    let mut all = Vec::new();
    for partition in 0..log.partitions("out").unwrap().unwrap() {
        let records = reading::all_of(log, "out", PartitionId(partition));
        all.extend(records.iter().map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
    }
    all.sort();
    all
}

#[test]
fn what_was_sent_with_more_columns_is_read_by_a_version_that_needs_fewer() {
    let (few, many) = (topology(""), topology("late: {to: late},"));
    assert_eq!(few.fingerprint, many.fingerprint, "the state fits");
    assert!(few.exchanges[0].columns.fields().len() < many.exchanges[0].columns.fields().len());
    let mut expected = sent_by(&few);
    run(&few, &expected, receivers).unwrap();
    let expected = results(&mut expected);
    assert!(!expected.is_empty());
    let mut log = sent_by(&many);
    run(&few, &log, receivers).unwrap();
    assert_eq!(results(&mut log), expected);
}

#[test]
fn what_was_sent_with_fewer_columns_is_refused_with_the_column_and_the_way_out() {
    let (few, many) = (topology(""), topology("late: {to: late},"));
    let mut log = sent_by(&few);
    let refused = run(&many, &log, receivers).unwrap_err();
    assert!(matches!(refused, WorkerError::FrameLacks { .. }), "{refused:?}");
    let said = refused.to_string();
    for part in ["versions-by_venue-repartition partition ", " offset ", "lacks the column ", "--until-end"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The way out: who sent it reads it, and then the other goes on.
    run(&few, &log, receivers).unwrap();
    let read = results(&mut log);
    run(&many, &log, |_| true).unwrap();
    assert_eq!(results(&mut log), read);
    assert_eq!(reading::all_of(&mut log, "late", ONLY).len(), 0, "nothing was late");
}

/// One group, with windows of ten seconds that stay open for `grace`.
fn counting(grace: &str) -> Arc<Topology> {
    let text = format!(
        "
version: 1
pipeline: counting
sources:
  events: {{format: json, schema: {{at: bigint}}, event_time: at}}
steps:
  - window: {{id: tens, by: [], tumbling: 10s, {grace} late: {{to: late}}, aggregates: {{n: count(*)}}}}
sink: {{topic: out}}
"
    );
    lowered(&text, &[("events", 1)])
}

/// Writes events of these seconds, and lets a version of the pipeline read them. Says how many rows were in each window that it
/// wrote, by its first second, and the seconds of late rows.
fn count(
    log: &mut MemoryLog,
    stores: &MemoryStores,
    topology: &Arc<Topology>,
    seconds: &[i64],
) -> (Vec<(i64, i64)>, Vec<i64>) {
    let (out, late) = (read_numbers(log, "out"), read_numbers(log, "late"));
    for second in seconds {
        let mut one = Records::new();
        let value = format!(r#"{{"at":{}}}"#, second * 1_000);
        let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: NOW, headers: &[] };
        one.push(Offset(0), record);
        log.produce("events", ONLY, &one).unwrap();
    }
    let (settings, stores) = (WorkerSettings::default(), Box::new(stores.clone()));
    let mut worker = Worker::start(topology.clone(), log.clone(), stores, settings, NOW, &mut |_, _| {}).unwrap();
    worker.run_until_quiet(NOW).unwrap();
    worker.checkpoint(NOW).unwrap();
    let seconds = |late: &serde_json::Value| late["at"].as_i64().unwrap() / 1_000;
    let window = |row: &serde_json::Value| {
        let start = row["window_start"].as_str().unwrap();
        (start["1970-01-01T00:00:".len()..][..2].parse().unwrap(), row["n"].as_i64().unwrap())
    };
    let windows = read_numbers(log, "out")[out.len()..].iter().map(window).collect();
    (windows, read_numbers(log, "late")[late.len()..].iter().map(seconds).collect())
}

fn read_numbers(log: &mut MemoryLog, topic: &str) -> Vec<serde_json::Value> {
    if log.partitions(topic).unwrap().is_none() {
        return Vec::new();
    }
    let records = reading::all_of(log, topic, ONLY);
    records.iter().map(|record| serde_json::from_slice(record.value.unwrap()).unwrap()).collect()
}

/// Of a window that has left, rows are late whatever the grace is now; the others stay open for as long as it says now.
#[test]
fn another_grace_goes_on_with_the_state() {
    for kept in [true, false] {
        let mut log = MemoryLog::new();
        log.create_topic("events", TopicSettings::user(1)).unwrap();
        let stores = MemoryStores::new();
        let [short, long, none] = ["grace: 5s,", "grace: 20s,", ""].map(counting);
        let mut next = |topology, seconds: &[i64]| {
            if !kept {
                stores.wipe();
            }
            count(&mut log, &stores, topology, seconds)
        };
        assert_eq!(next(&short, &[5, 12, 16]), (vec![(0, 1)], vec![]));
        assert_eq!(next(&long, &[9, 12, 39, 13]), (vec![], vec![9]), "[0, 10) has left; [10, 20) waits until 40");
        assert_eq!(next(&long, &[9, 14]), (vec![], vec![9]));
        assert_eq!(next(&none, &[29, 39]), (vec![(10, 5)], vec![29]), "[20, 30) is over at 39, and was empty");
        assert_eq!(next(&short, &[31, 18, 44]), (vec![], vec![18]));
        assert_eq!(next(&short, &[45]), (vec![(30, 3)], vec![]), "of 39, 39 and 31");
    }
}

#[test]
fn the_grace_is_no_part_of_what_must_stay_equal() {
    let [none, short] = ["", "grace: 5s,"].map(counting);
    assert_eq!(none.fingerprint, short.fingerprint);
    let plan = millstream_pipeline::explain::plan(&short, &[("events", 1)].into_iter().collect()).to_string();
    assert!(plan.contains("tens: tumbling size=10000ms offset=0ms any grace; by ; n bigint = count(*) ()"), "{plan}");
    assert!(plan.contains("tumbling 10s, grace 5s"), "{plan}");
}
