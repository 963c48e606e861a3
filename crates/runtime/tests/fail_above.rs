//! A pipeline in which too many records fail stops (`fail_above`), wherever they fail.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lowering;
mod reading;

use std::sync::Arc;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_pipeline::topology::Topology;
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Log, NewRecord, ReadLimit, Records, TopicSettings};
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::worker::{Restored, Worker, WorkerError, WorkerSettings};

use lowering::lowered;

const PARTITIONS: u32 = 2;
const RECORDS: i64 = 400;
const NOW: Millis = Millis(0);

/// One record in ten has no tenth, and no time to be written with.
const PIPELINE: &str = "
version: 1
pipeline: failing
sources:
  rows: {format: json, schema: {k: string, n: bigint, at: bigint}}
on_error: {dead_letter: dead, fail_above: LIMIT/1m}
steps: STEPS
sink: {topic: out, SINK}
";

/// Where they fail: steps, and what is said of the sink.
const PLACES: [(&str, &str, &str); 4] = [
    ("in a source's task", "[{map: {m: 10 / n}}]", "key: k"),
    (
        "where rows wait for each other",
        "[{map: {m: 10 / n}}, {window: {id: w, by: k, over: 1s, aggregates: {s: sum(m)}}}]",
        "",
    ),
    (
        "behind a repartition",
        "[{window: {id: w, by: k, over: 1ms, aggregates: {s: sum(n)}}}, {map: {m: 10 / s}}]",
        "key: k",
    ),
    ("at a sink", "[{filter: n >= 0}]", "timestamp: at"),
];

fn topology(limit: &str, steps: &str, sink: &str) -> Arc<Topology> {
    let text = PIPELINE.replace("LIMIT", limit).replace("STEPS", steps).replace("SINK", sink);
    lowered(&text, &[("rows", PARTITIONS)])
}

fn filled() -> MemoryLog {
    let mut log = MemoryLog::new();
    log.create_topic("rows", TopicSettings::user(PARTITIONS)).unwrap();
    for index in 0..RECORDS {
        let (n, at) = if index % 10 == 5 { (0, -1) } else { (1 + index, index) };
        let value = format!(r#"{{"k":"k{}","n":{n},"at":{at}}}"#, index % 7);
        let mut one = Records::new();
        let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: Millis(index), headers: &[] };
        one.push(Offset(0), record);
        log.produce("rows", PartitionId((index % 2) as u32), &one).unwrap();
    }
    log
}

fn worker(topology: &Arc<Topology>, log: &MemoryLog) -> Worker<MemoryLog> {
    let read = ReadLimit { records: 23, ..ReadLimit::default() };
    let settings = WorkerSettings { read, ..WorkerSettings::default() };
    Worker::prepare(topology.clone(), log.clone(), Box::new(MemoryStores::new()), settings, NOW).unwrap()
}

/// Processes all that there is for the tasks of these subtopologies.
fn run(topology: &Arc<Topology>, log: &MemoryLog, of: impl Fn(usize) -> bool) -> Result<(), WorkerError> {
    let mut worker = worker(topology, log);
    let tasks: Vec<_> = worker.all_tasks().into_iter().filter(|task| of(task.subtopology)).collect();
    worker.take(&tasks, NOW)?;
    while worker.restore_some(NOW, &mut |_, _| {})? == Restored::More {}
    worker.run_until_quiet(NOW)
}

fn dead_letters(log: &mut MemoryLog) -> usize {
    let partitions = log.partitions("dead").unwrap().unwrap();
    (0..partitions).map(|partition| reading::all_of(log, "dead", PartitionId(partition)).len()).sum()
}

#[test]
fn too_many_failures_stop_a_pipeline_wherever_they_come() {
    for (place, steps, sink) in PLACES {
        let stopped = run(&topology("5%", steps, sink), &filled(), |_| true);
        assert!(matches!(stopped, Err(WorkerError::TooManyFailures { .. })), "{place}: {stopped:?}");
        let said = stopped.unwrap_err().to_string();
        assert!(said.contains("of the last 1m failed") && said.contains("step "), "{place}: {said}");
        let mut log = filled();
        run(&topology("15%", steps, sink), &log, |_| true).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(dead_letters(&mut log), RECORDS as usize / 10, "{place}");
    }
}

#[test]
fn they_are_seen_by_who_reads_no_source() {
    let (_, steps, sink) = PLACES[2];
    let (topology, log) = (topology("5%", steps, sink), filled());
    run(&topology, &log, |subtopology| subtopology == 0).unwrap();
    let stopped = run(&topology, &log, |subtopology| subtopology == 1);
    assert!(matches!(stopped, Err(WorkerError::TooManyFailures { .. })), "{stopped:?}");
}
