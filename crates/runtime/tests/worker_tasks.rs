//! Tasks that wander: several workers over one log are given the tasks of a pipeline, asked for them back, put out or
//! dropped, in seeded random order; what has been written must be what one undisturbed worker writes.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lowering;
mod reading;

use std::sync::Arc;

use millstream_engine::ids::{Offset, PartitionId, TaskId};
use millstream_engine::key::partition_for;
use millstream_engine::time::Millis;
use millstream_pipeline::topology::{PartitionCounts, Topology};
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Log, NewRecord, ReadLimit, Records, TopicSettings};
use millstream_runtime::sample::{Random, Trades};
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::telemetry::Telemetry;
use millstream_runtime::worker::{Restored, Worker, WorkerSettings};

const TRADES: usize = 600;
const PARTITIONS: u32 = 4;
const WORKERS: usize = 3;
const SEEDS: u64 = 60;
/// How often a worker has its turn in one run, before what is left is done without a disturbance.
const TURNS: u32 = 80;
const NOW: Millis = Millis(0);

/// A window on the source's own key with late rows, then another behind a repartition.
const PIPELINE: &str = "
version: 1
pipeline: wandering
sources:
  trades:
    format: json
    schema: {symbol: string, venue: string, price: double, qty: bigint, ts: timestamp(ms)}
    key: symbol
    event_time: ts
    watermark: {out_of_order: 1s}
on_error: {dead_letter: dead}
steps:
  - window:
      {id: first, by: [symbol, venue], tumbling: 500ms, late: {to: late},
       aggregates: {n: count(*), q: sum(qty), high: max(price)}}
  - window: {id: second, by: [venue], hopping: {size: 2s, every: 500ms}, grace: 100ms, aggregates: {n: sum(n), q: sum(q), rows: count(*)}}
sink: {topic: out, key: venue}
";

/// A step that asks in which order rows happened, behind a repartition: frames of its senders are read by event time, and some
/// of them wait for others. It gives one result for each row.
const ORDERED: &str = "
version: 1
pipeline: wandering
sources:
  trades:
    format: json
    schema: {symbol: string, venue: string, price: double, qty: bigint, ts: timestamp(ms)}
    key: symbol
    event_time: ts
    watermark: {out_of_order: 1h}
on_error: {dead_letter: dead}
steps:
  - window: {id: rolling, by: [venue], over: 1s, aggregates: {n: count(*), all: collect_list(qty)}}
sink: {topic: out, key: venue}
";

fn topology() -> Arc<Topology> {
    lowered(PIPELINE)
}

fn lowered(pipeline: &str) -> Arc<Topology> {
    lowering::lowered(pipeline, &[("trades", PARTITIONS)])
}

fn filled() -> MemoryLog {
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(PARTITIONS)).unwrap();
    for (index, trade) in Trades::new(5).take(TRADES).enumerate() {
        let key = trade.symbol.as_bytes();
        let value = if index % 97 == 50 { "{broken" } else { trade.value.as_str() };
        let mut one = Records::new();
        let value = Some(value.as_bytes());
        one.push(Offset(0), NewRecord { key: Some(key), value, timestamp: Millis(trade.ts_ms), headers: &[] });
        log.produce("trades", partition_for(key, PARTITIONS), &one).unwrap();
    }
    log
}

fn worker(topology: &Arc<Topology>, log: &MemoryLog, stores: &MemoryStores) -> Worker<MemoryLog> {
    worker_that_reads(23, topology, log, stores)
}

/// A worker that reads so many records at a time.
fn worker_that_reads(
    records: usize,
    topology: &Arc<Topology>,
    log: &MemoryLog,
    stores: &MemoryStores,
) -> Worker<MemoryLog> {
    let settings = WorkerSettings {
        read: ReadLimit { records, ..ReadLimit::default() },
        checkpoint_interval: Millis(i64::MAX),
        state_memory: 0,
        ..WorkerSettings::default()
    };
    Worker::prepare(topology.clone(), log.clone(), Box::new(stores.clone()), settings, NOW).unwrap()
}

fn take(worker: &mut Worker<MemoryLog>, tasks: &[TaskId]) {
    worker.take(tasks, NOW).unwrap();
    while worker.restore_some(NOW, &mut |_, _| {}).unwrap() == Restored::More {}
    assert_eq!(worker.running_tasks(), tasks.len());
}

/// Everything written for others, by topic and partition; who wrote first where two tasks write to one partition is left open.
fn content(log: &mut MemoryLog) -> Vec<(String, u32, Vec<String>)> {
    let mut content = Vec::new();
    for topic in ["out", "late", "dead"] {
        for partition in (0..log.partitions(topic).unwrap().unwrap_or(0)).map(PartitionId) {
            let records = reading::all_of(log, topic, partition);
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let line = |r: millstream_runtime::log::RecordView<'_>| {
                let headers: Vec<_> = r.headers.map(|h| (h.name.to_owned(), text(h.value))).collect();
                format!("{} {:?} {:?} {headers:?}", r.timestamp, text(r.key), text(r.value))
            };
            let mut lines: Vec<_> = records.iter().map(line).collect();
            lines.sort();
            content.push((topic.to_owned(), partition.0, lines));
        }
    }
    content
}

fn undisturbed(topology: &Arc<Topology>) -> Vec<(String, u32, Vec<String>)> {
    let mut log = filled();
    let mut worker = worker(topology, &log, &MemoryStores::new());
    let all = worker.all_tasks();
    take(&mut worker, &all);
    worker.run_until_quiet(NOW).unwrap();
    content(&mut log)
}

/// One seeded run; says how often tasks moved.
fn wander(topology: &Arc<Topology>, seed: u64) -> (Vec<(String, u32, Vec<String>)>, u32) {
    let mut log = filled();
    let mut random = Random::new(seed);
    let stores: Vec<MemoryStores> = (0..WORKERS).map(|_| MemoryStores::new()).collect();
    let mut workers: Vec<_> = stores.iter().map(|stores| worker(topology, &log, stores)).collect();
    let all = workers[0].all_tasks();
    let mut moves = 0;
    let mut deal = true;
    for _ in 0..TURNS {
        if deal {
            moves += 1;
            for (index, worker) in workers.iter_mut().enumerate() {
                match random.below(8) {
                    // It is put out of the group, or it dies and comes back, with its folder of state or without it.
                    0 => worker.forget(),
                    1 => *worker = self::worker(topology, &log, &stores[index]),
                    2 => *worker = self::worker(topology, &log, &MemoryStores::new()),
                    _ => worker.hand_over(NOW).unwrap(),
                }
            }
            let owners: Vec<u64> = all.iter().map(|_| random.below(WORKERS as u64)).collect();
            for (index, worker) in workers.iter_mut().enumerate() {
                let tasks = all.iter().zip(&owners).filter(|(_, owner)| **owner == index as u64).map(|(task, _)| *task);
                take(worker, &tasks.collect::<Vec<_>>());
            }
        }
        let worker = &mut workers[random.below(WORKERS as u64) as usize];
        worker.read_once(NOW).unwrap();
        if random.below(2) == 0 {
            worker.commit(NOW).unwrap();
        }
        if random.below(4) == 0 && !worker.has_open_epoch() {
            worker.checkpoint(NOW).unwrap();
        }
        deal = random.below(5) == 0;
    }
    for _ in 0..3 {
        for worker in &mut workers {
            worker.run_until_quiet(NOW).unwrap();
        }
    }
    (content(&mut log), moves)
}

#[test]
fn tasks_may_wander_and_nobody_sees_it() {
    let topology = topology();
    let expected = undisturbed(&topology);
    assert!(results(&expected) > 10, "{} results are too few to show anything", results(&expected));
    all_wander(&topology, &expected, SEEDS);
}

/// Runs so many seeds, and compares what each has written.
fn all_wander(topology: &Arc<Topology>, expected: &[(String, u32, Vec<String>)], seeds: u64) {
    let mut moved = 0;
    for seed in 0..seeds {
        let (found, moves) = wander(topology, seed);
        moved += moves;
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected, found, "seed {seed}, {} {}", expected.0, expected.1);
        }
    }
    assert!(u64::from(moved) > seeds * 5, "tasks moved {moved} times only");
}

fn results(content: &[(String, u32, Vec<String>)]) -> usize {
    content.iter().filter(|(topic, ..)| topic == "out").map(|(.., lines)| lines.len()).sum()
}

/// Behind a repartition the order of rows counts, and each sender is on a worker of its own speed, dies, and comes back.
#[test]
fn the_order_of_rows_does_not_depend_on_which_sender_is_how_far() {
    for (out_of_order, steps) in [("0ms", "count: 3"), ("1h", "count: 3"), ("200ms", "over: 1s"), ("1h", "over: 1s")] {
        let pipeline = ORDERED.replace("out_of_order: 1h", &format!("out_of_order: {out_of_order}"));
        let topology = lowered(&pipeline.replace("over: 1s", steps));
        let expected = undisturbed(&topology);
        assert!(results(&expected) > 100, "{} results are too few to show anything", results(&expected));
        all_wander(&topology, &expected, SEEDS / 10);
    }
}

#[test]
fn lead_topics_carry_all_tasks() {
    let topology = topology();
    let worker = worker(&topology, &filled(), &MemoryStores::new());
    assert_eq!(worker.lead_topics(), ["trades", "wandering-second-repartition"]);
    assert_eq!(worker.input_topics(), ["trades", "wandering-second-repartition"]);
    let given = [("trades".to_owned(), PartitionId(1)), ("wandering-second-repartition".to_owned(), PartitionId(3))];
    let tasks: Vec<String> = worker.tasks_of(&given).iter().map(ToString::to_string).collect();
    assert_eq!(tasks, ["0_1", "1_3"]);
}

/// The group was deleted, or its offsets have expired: the changelog is there, and nobody knows which input is in it.
#[test]
fn state_without_offsets_is_refused() {
    let topology = topology();
    let mut log = filled();
    let mut before = worker(&topology, &log, &MemoryStores::new());
    let all = before.all_tasks();
    take(&mut before, &all);
    before.run_until_quiet(NOW).unwrap();
    let mut forgetful = filled();
    let mut after = worker(&topology, &forgetful, &MemoryStores::new());
    for subtopology in 0..topology.subtopologies.len() {
        let topic = topology.changelog_topic(subtopology).unwrap();
        for partition in (0..PARTITIONS).map(PartitionId) {
            forgetful.produce(&topic, partition, &reading::all_of(&mut log, &topic, partition)).unwrap();
        }
    }
    after.take(&all, NOW).unwrap();
    let refused = loop {
        match after.restore_some(NOW, &mut |_, _| {}) {
            Ok(restored) => assert_eq!(restored, Restored::More, "it runs, and counts its input again"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(refused.contains("no offset for topic trades partition 0"), "{refused}");
    assert!(refused.contains("`millstream reset FILE --to earliest`"), "{refused}");
}

/// A task that starts again with what it has stored replays little of its changelog, and knows how large it is all the same: else
/// one that starts again often would never write its state anew and give the old records up.
#[test]
fn a_warm_start_knows_how_large_the_changelog_is() {
    let topology = topology();
    let (log, stores) = (filled(), MemoryStores::new());
    let mut before = worker(&topology, &log, &stores);
    let all = before.all_tasks();
    take(&mut before, &all);
    before.run_until_quiet(NOW).unwrap();
    before.checkpoint(NOW).unwrap();
    let bytes = |worker: &mut Worker<MemoryLog>| -> Vec<u64> {
        let tasks = worker.snapshot(NOW).tasks.into_iter();
        tasks.map(|task| task.changelog_live_bytes + task.changelog_dead_bytes).collect()
    };
    let then = bytes(&mut before);
    assert!(then.iter().sum::<u64>() > 5_000, "{then:?}");
    drop(before);
    let mut after = worker(&topology, &log, &stores);
    take(&mut after, &all);
    assert_eq!(bytes(&mut after), then);
}

/// An epoch that is full ends between two tasks, and the others have their turn behind its commit: no transaction holds what all
/// tasks together can make of one read each.
#[test]
fn a_full_epoch_ends_between_tasks() {
    let topology = topology();
    let log = filled();
    let settings = WorkerSettings { epoch_bytes: 1, ..WorkerSettings::default() };
    let mut worker =
        Worker::prepare(topology.clone(), log.clone(), Box::new(MemoryStores::new()), settings, NOW).unwrap();
    let all = worker.all_tasks();
    take(&mut worker, &all);
    for round in 1..=PARTITIONS {
        worker.read_once(NOW).unwrap();
        let begun = worker.reading().iter().filter(|((topic, _), offset)| topic == "trades" && offset.0 > 0).count();
        assert_eq!(begun as u32, round, "more than one task has read, or one twice");
        worker.commit(NOW).unwrap();
    }
    worker.run_until_quiet(NOW).unwrap();
    drop(worker);
    assert_eq!(content(&mut log.clone()), undisturbed(&topology));
}

/// Windows that close as time goes on without input (`idle_close`).
const SILENT: &str = "
version: 1
pipeline: wandering
sources:
  trades:
    format: json
    schema: {symbol: string, ts: timestamp(ms)}
    key: symbol
    event_time: ts
    watermark: {idle: 1s, idle_close: 1s}
steps:
  - window: {id: first, by: symbol, tumbling: 1s, aggregates: {n: count(*)}}
sink: {topic: out, key: symbol}
";

/// Of two tasks, one goes to another worker while time alone goes on, and comes back to the first, which has parked it: what
/// was committed for its input is what it was, and yet its window has been closed.
#[test]
fn a_task_whose_windows_others_have_closed_is_not_taken_for_unmoved() {
    let topology = lowered(SILENT);
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(PARTITIONS)).unwrap();
    for partition in 0..PARTITIONS {
        let value = format!(r#"{{"symbol":"s{partition}","ts":"2026-01-01T00:00:00.100Z"}}"#);
        let mut one = Records::new();
        let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: NOW, headers: &[] };
        one.push(Offset(0), record);
        log.produce("trades", PartitionId(partition), &one).unwrap();
    }
    let (mut one, mut other) =
        (worker(&topology, &log, &MemoryStores::new()), worker(&topology, &log, &MemoryStores::new()));
    let task = |partition| TaskId { subtopology: 0, partition: PartitionId(partition) };
    take(&mut one, &[task(1)]);
    one.run_until_quiet(NOW).unwrap();
    one.hand_over(NOW).unwrap();
    take(&mut other, &[task(0), task(1)]);
    let mut written = |partition: u32| reading::all_of(&mut log, "out", PartitionId(partition)).len();
    let wait = |worker: &mut Worker<MemoryLog>, from: i64| {
        for second in from..from + 10 {
            worker.read_once(Millis(second * 1_000)).unwrap();
            worker.commit(Millis(second * 1_000)).unwrap();
        }
    };
    wait(&mut other, 0);
    let closed: usize = (0..PARTITIONS).map(&mut written).sum();
    assert_eq!(closed, 2, "time did not close the windows of both tasks");
    other.hand_over(Millis(10_000)).unwrap();
    take(&mut one, &[task(1)]);
    wait(&mut one, 10);
    let closed: usize = (0..PARTITIONS).map(&mut written).sum();
    assert_eq!(closed, 2, "a window was closed twice");
}

/// Of some senders more is processed than is committed for all, and stands beside the offset; whoever takes such a task over
/// commits before he has read that far again, and is followed by another.
#[test]
fn what_was_processed_ahead_of_others_is_not_processed_again() {
    let topology = lowered(ORDERED);
    let expected = {
        let mut log = filled();
        let mut worker = worker(&topology, &log, &MemoryStores::new());
        let all = worker.all_tasks();
        take(&mut worker, &all);
        worker.run_until_quiet(NOW).unwrap();
        content(&mut log)
    };
    assert!(results(&expected) > 500, "{} results are too few to show anything", results(&expected));
    for seed in 0..SEEDS / 6 {
        let mut log = filled();
        let mut random = Random::new(seed);
        let begin = |log: &MemoryLog| {
            let mut worker = worker_that_reads(2, &topology, log, &MemoryStores::new());
            let all = worker.all_tasks();
            take(&mut worker, &all);
            worker
        };
        for _ in 0..40 {
            let mut worker = begin(&log);
            worker.commit(NOW).unwrap();
            for _ in 0..random.below(6) {
                worker.read_once(NOW).unwrap();
                worker.commit(NOW).unwrap();
            }
        }
        begin(&log).run_until_quiet(NOW).unwrap();
        assert_eq!(content(&mut log), expected, "seed {seed}");
    }
}

/// Nothing but copies, from now on.
const FROM_NOW: &str = "
version: 1
pipeline: wandering
sources:
  trades: {format: json, schema: {n: bigint}, start: latest}
steps: []
sink: {topic: out}
";

/// Every value of `out`, sorted.
fn copies(log: &mut MemoryLog) -> Vec<String> {
    let mut copies = Vec::new();
    for partition in (0..log.partitions("out").unwrap().unwrap()).map(PartitionId) {
        let records = reading::all_of(log, "out", partition);
        copies.extend(records.iter().map(|record| String::from_utf8_lossy(record.value.unwrap()).into_owned()));
    }
    copies.sort();
    copies
}

/// `start: latest` leaves out what was there when the pipeline came, whoever of its group begins with a partition first; of a
/// partition that was added later nothing was there, and what is in it when it is noticed has come since.
#[test]
fn a_partition_that_is_added_later_is_read_from_its_beginning() {
    let topology = lowered(FROM_NOW);
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(2)).unwrap();
    let tell = |log: &mut MemoryLog, partition: u32, n: u32| {
        let value = format!(r#"{{"n":{n}}}"#);
        let mut one = Records::new();
        one.push(Offset(0), NewRecord { key: None, value: Some(value.as_bytes()), timestamp: NOW, headers: &[] });
        log.produce("trades", PartitionId(partition), &one).unwrap();
    };
    let task = |partition| TaskId { subtopology: 0, partition: PartitionId(partition) };
    let start = |log: &MemoryLog, tasks: &[TaskId]| {
        let mut worker = worker(&topology, log, &MemoryStores::new());
        take(&mut worker, tasks);
        worker.run_until_quiet(NOW).unwrap();
    };
    (0..2).for_each(|partition| tell(&mut log, partition, partition));
    start(&log, &[task(0)]);
    start(&log, &[task(1)]);
    assert!(copies(&mut log).is_empty(), "it read what was there before: {:?}", copies(&mut log));
    for grown in 3..5 {
        log.grow_topic("trades", grown).unwrap();
        (0..grown).for_each(|partition| tell(&mut log, partition, grown * 10 + partition));
        start(&log, &(0..grown).map(task).collect::<Vec<_>>());
    }
    let expected: Vec<String> = [30, 31, 32, 40, 41, 42, 43].map(|n| format!(r#"{{"n":{n}}}"#)).to_vec();
    assert_eq!(copies(&mut log), expected);
}

/// A task that is restored behind the first commit: where it begins is committed though nothing comes.
#[test]
fn every_start_is_committed() {
    let topology = lowered(FROM_NOW);
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(2)).unwrap();
    let mut worker = worker(&topology, &log, &MemoryStores::new());
    let all = worker.all_tasks();
    worker.take(&all, NOW).unwrap();
    assert_eq!(worker.restore_some(NOW, &mut |_, _| {}).unwrap(), Restored::More);
    worker.step(Millis(10_000)).unwrap();
    assert_eq!(log.committed("wandering").unwrap().len(), 1);
    assert_eq!(worker.restore_some(Millis(10_000), &mut |_, _| {}).unwrap(), Restored::All);
    worker.step(Millis(20_000)).unwrap();
    assert_eq!(log.committed("wandering").unwrap().len(), 2);
    worker.step(Millis(21_000)).unwrap();
    assert!(!worker.has_open_epoch(), "it commits though nothing has moved");
}

/// The epoch in which a source begins at its end fails, and the tasks are taken again: what has come meanwhile came after the start.
#[test]
fn a_start_at_the_end_stays_where_it_was_though_its_epoch_fails() {
    let topology = lowered(FROM_NOW);
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(1)).unwrap();
    let mut one = Records::new();
    one.push(Offset(0), NewRecord { key: None, value: Some(b"{}"), timestamp: NOW, headers: &[] });
    log.produce("trades", PartitionId(0), &one).unwrap();
    let mut worker = worker(&topology, &log, &MemoryStores::new());
    let all = worker.all_tasks();
    take(&mut worker, &all);
    worker.forget();
    log.produce("trades", PartitionId(0), &one).unwrap();
    take(&mut worker, &all);
    worker.run_until_quiet(NOW).unwrap();
    assert_eq!(worker.records_in(), 1);
}

/// While a task is restored nobody reads its input, and it is then that people ask how far behind it is.
#[test]
fn a_task_that_is_restored_tells_its_lag() {
    let topology = topology();
    let mut log = filled();
    let mut before = worker(&topology, &log, &MemoryStores::new());
    let all = before.all_tasks();
    take(&mut before, &all);
    before.run_until_quiet(NOW).unwrap();
    drop(before);
    let mut one = Records::new();
    one.push(Offset(0), NewRecord { key: None, value: Some(b"{}"), timestamp: NOW, headers: &[] });
    for _ in 0..7 {
        log.produce("trades", PartitionId(2), &one).unwrap();
    }
    let mut after = worker(&topology, &log, &MemoryStores::new());
    after.take(&all, NOW).unwrap();
    let tasks = after.snapshot(NOW).tasks;
    let lanes = tasks.iter().flat_map(|task| &task.lanes);
    let lags: Vec<i64> = lanes.filter(|lane| lane.topic == "trades").map(|lane| lane.end.0 - lane.next.0).collect();
    assert_eq!(lags, [0, 0, 7, 0]);
}

#[test]
fn a_source_that_has_grown_since_the_topology_was_made_is_told() {
    let (topology, stores) = (topology(), MemoryStores::new());
    let counts: PartitionCounts = [("trades", PARTITIONS)].into_iter().collect();
    assert_eq!(worker(&topology, &filled(), &stores).changed_partitions(&counts).unwrap(), None);
    let mut grown = filled();
    grown.grow_topic("trades", PARTITIONS + 1).unwrap();
    // The worker itself has never seen less.
    let told = worker(&topology, &grown, &stores).changed_partitions(&counts).unwrap();
    assert_eq!(told, Some(("trades".to_owned(), PARTITIONS, PARTITIONS + 1)));
}

/// What is emitted no more often than a time is, when that is over, also where nothing comes any more.
#[test]
fn changes_that_wait_are_emitted_though_nothing_comes() {
    let window = |shape: &str| {
        format!("  - window: {{id: w, by: symbol, {shape}, emit: {{every: 10s}}, aggregates: {{n: count(*)}}}}")
    };
    let windowed = "{columns: [symbol], windowed: true}";
    for shape in ["tumbling: 1h", "hopping: {size: 1h, every: 30m}", "session: 1h", "sliding: 1h"] {
        waits_and_emits(&window(shape), windowed);
    }
    waits_and_emits("  - aggregate: {id: w, by: symbol, emit: {every: 10s}, aggregates: {n: count(*)}}", "symbol");
}

fn waits_and_emits(steps: &str, key: &str) {
    let topology = lowered(&format!(
        "
version: 1
pipeline: wandering
sources:
  trades: {{format: json, schema: {{symbol: string, ts: timestamp(ms)}}, key: symbol, event_time: ts}}
steps:
{steps}
sink: {{topic: out, key: {key}}}
"
    ));
    let (mut log, stores) = (MemoryLog::new(), MemoryStores::new());
    log.create_topic("trades", TopicSettings::user(PARTITIONS)).unwrap();
    let trade = |log: &mut MemoryLog, second: u32| {
        let value = format!(r#"{{"symbol":"s","ts":"2026-01-01T00:00:{second:02}Z"}}"#);
        let mut one = Records::new();
        one.push(Offset(0), NewRecord { key: None, value: Some(value.as_bytes()), timestamp: NOW, headers: &[] });
        log.produce("trades", PartitionId(0), &one).unwrap();
    };
    let results = |log: &mut MemoryLog| -> usize {
        (0..PARTITIONS).map(|partition| reading::all_of(log, "out", PartitionId(partition)).len()).sum()
    };
    let mut one = worker(&topology, &log, &stores);
    let all = one.all_tasks();
    take(&mut one, &all);
    let step = |worker: &mut Worker<MemoryLog>, from: i64, to: i64| {
        for tenth in from..to {
            worker.step(Millis(tenth * 100)).unwrap();
        }
    };
    trade(&mut log, 1);
    step(&mut one, 0, 10);
    let first = results(&mut log);
    assert!(first > 0, "{steps}: the first change waits for nothing");
    trade(&mut log, 2);
    step(&mut one, 10, 90);
    assert_eq!(results(&mut log), first, "{steps}: emitted too soon");
    // Whoever takes over waits for no record either.
    drop(one);
    let mut other = worker(&topology, &log, &stores);
    take(&mut other, &all);
    step(&mut other, 90, 95);
    assert_eq!(results(&mut log), first, "{steps}: emitted too soon");
    step(&mut other, 95, 110);
    assert!(results(&mut log) > first, "{steps}: never emitted");
}

/// What `telemetry` counts, without labels: all input rows of steps, bytes of changelogs and records that were deleted unread.
fn counted(telemetry: &Telemetry) -> [u64; 3] {
    let text = telemetry.metrics_text();
    [
        "millstream_step_input_rows_total",
        "millstream_changelog_written_bytes_total",
        "millstream_source_deleted_records_total",
    ]
    .map(|name| {
        let samples = text.lines().filter(|line| line.starts_with(name));
        samples.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    })
}

#[test]
fn a_task_that_is_parked_and_comes_back_is_counted_once() {
    let topology = topology();
    let mut log = filled();
    let mut worker = worker(&topology, &log, &MemoryStores::new());
    let telemetry = Telemetry::new();
    let told = telemetry.pipeline("wandering").worker(0);
    let all = worker.all_tasks();
    let tell = |worker: &mut Worker<MemoryLog>| {
        told.publish(worker.snapshot(NOW));
        let rows_in: u64 = worker.ledger().iter().map(|(_, ledger)| ledger.rows_in).sum();
        let counted = counted(&telemetry);
        assert_eq!(counted[0], rows_in, "the worker's own ledger says otherwise");
        counted
    };
    take(&mut worker, &all);
    worker.read_once(NOW).unwrap();
    worker.commit(NOW).unwrap();
    for partition in (0..PARTITIONS).map(PartitionId) {
        log.trim("trades", partition, Offset(50)).unwrap();
    }
    worker.run_until_quiet(NOW).unwrap();
    let before = tell(&mut worker);
    assert!(before.iter().all(|count| *count > 0), "{before:?}");
    for wanted in [all.as_slice(), &all[..3], &all] {
        worker.hand_over(NOW).unwrap();
        assert!(worker.snapshot(NOW).tasks.is_empty());
        assert_eq!(tell(&mut worker), before, "while they are parked");
        take(&mut worker, wanted);
        assert_eq!(tell(&mut worker), before, "when they are back");
    }
    worker.forget();
    assert_eq!(tell(&mut worker), before, "when they are forgotten");
}

/// One partition of four has records: whoever is idle does not hold time back, and those behind the repartition know it too.
#[test]
fn the_time_of_tasks_is_that_of_their_steps() {
    let pipeline =
        SILENT.replace("{symbol: string,", "{symbol: string, venue: string,").replace("symbol}\n", "venue}\n");
    let topology =
        lowered(&pipeline.replace("by: symbol", "by: venue").replace("idle: 1s, idle_close: 1s", "idle: 1s"));
    let mut log = MemoryLog::new();
    log.create_topic("trades", TopicSettings::user(PARTITIONS)).unwrap();
    let value = br#"{"symbol":"s","venue":"v","ts":"2026-01-01T00:00:00.100Z"}"#;
    let mut one = Records::new();
    one.push(Offset(0), NewRecord { key: None, value: Some(value), timestamp: NOW, headers: &[] });
    log.produce("trades", PartitionId(0), &one).unwrap();
    let mut worker = worker(&topology, &log, &MemoryStores::new());
    let all = worker.all_tasks();
    take(&mut worker, &all);
    let mut times = |second: i64| -> Vec<(String, Option<i64>, Option<i64>)> {
        for _ in 0..2 {
            worker.read_once(Millis(second * 1_000)).unwrap();
            worker.commit(Millis(second * 1_000)).unwrap();
        }
        let tasks = worker.snapshot(NOW).tasks.into_iter();
        tasks
            .map(|task| (task.id.to_string(), task.watermark.map(|w| w.0), task.held_back.map(|span| span.0)))
            .collect()
    };
    let known = Some(1_767_225_600_100);
    let then = times(0);
    assert_eq!(then[0], ("0_0".to_owned(), known, None));
    assert_eq!(then[4], ("1_0".to_owned(), None, None), "senders that have said nothing are waited for");
    // Three of four are idle, and the fourth is not.
    log.produce("trades", PartitionId(0), &one).unwrap();
    let now = times(3);
    for task in &now[4..] {
        assert_eq!((task.1, task.2), (known, Some(0)), "{now:?}");
    }
}
