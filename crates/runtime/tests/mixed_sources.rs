//! Sources whose rows alternate in front of a step that asks in which order they happened: rows that go through the graph
//! together leave behind what rows that go alone do, wherever reads are cut, commits fall and workers die.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lowering;
mod reading;

use std::sync::Arc;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::ledger::Ledger;
use millstream_engine::plan::Reading;
use millstream_engine::time::Millis;
use millstream_pipeline::topology::Topology;
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Log, NewRecord, ReadLimit, Records, TopicSettings};
use millstream_runtime::sample::Random;
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::worker::{Restored, Worker, WorkerSettings};

/// Seeds in the normal suite. `MILLSTREAM_SEED=n` runs one alone, `MILLSTREAM_SEEDS=n` that many.
const SEEDS: u64 = 40;
const SOURCES: [&str; 3] = ["a", "b", "c"];
/// Between the first records and the others all sources have been silent for long, where there is one task: how late a sender
/// is that speaks again depends on how far the others are just then.
const PHASES: i64 = 2;
const SILENCE_MS: i64 = 100_000;

/// One pipeline and what its sources hold.
struct Case {
    pipeline: String,
    partitions: u32,
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    phase: i64,
    /// Which of the sources.
    source: usize,
    partition: u32,
    key: Option<String>,
    value: Option<String>,
    time: i64,
}

/// What a run left behind: lines by topic and partition.
type Content = Vec<(String, u32, Vec<String>)>;

fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.below(of.len() as u64) as usize]
}

/// The streams of a source in front of the merge, and their names.
fn streams(random: &mut Random, source: &str) -> (String, Vec<String>) {
    let columns = "      - select: {k: k, g: g, n: n}\n";
    let alone = format!("{source}1");
    let stream =
        |name: &str, from: &str, steps: &str| format!("  {name}:\n    from: {from}\n    steps:\n{steps}{columns}");
    let one = |steps: &str| (stream(&alone, source, steps), vec![alone.clone()]);
    match random.below(8) {
        0 | 1 => one(""),
        2 => one("      - filter: n % 3 <> 0\n"),
        3 => one("      - map: {n: 12 / n}\n"),
        4 => one("      - unnest: {column: xs, as: x}\n      - map: {n: x + n}\n"),
        5 => one(&format!(
            "      - window: {{id: {source}o, by: [k], over: 5ms, grace: 3ms, aggregates: {{n: sum(n), g: max(g)}}}}\n"
        )),
        6 => {
            let (low, high) = (format!("{source}low"), format!("{source}high"));
            let branch = format!("      - branch: {{{low}b: n < 8, otherwise: {high}b}}\n");
            let text = format!("  {source}s:\n    from: {source}\n    steps:\n{branch}");
            let both = stream(&low, &format!("{low}b"), "") + &stream(&high, &format!("{high}b"), "");
            (text + &both, vec![low, high])
        }
        _ => {
            let (some, all) = (format!("{source}some"), format!("{source}all"));
            (stream(&some, source, "      - filter: n > 6\n") + &stream(&all, source, ""), vec![all, some])
        }
    }
}

fn pipeline(random: &mut Random, sources: &[&str]) -> String {
    let mut text = "version: 1\npipeline: mixing\nsources:\n".to_owned();
    let key = pick(random, &["key: k, ", ""]);
    for source in sources {
        let out_of_order = pick(random, &["0ms", "2ms", "9ms"]);
        text += &format!(
            "  {source}: {{format: json, {key}watermark: {{out_of_order: {out_of_order}}}, schema: {{k: string, g: \
             string, n: bigint, xs: array<bigint>}}}}\n"
        );
    }
    text += "streams:\n";
    let mut merged = Vec::new();
    for source in sources {
        let (streams, names) = streams(random, source);
        text += &streams;
        merged.extend(names);
    }
    text += &format!("  all:\n    steps:\n      - merge: [{}]\n", merged.join(", "));
    text += pick(random, &["", "", "      - filter: n % 5 <> 1\n", "      - map: {n: 100 / (n - 1)}\n"]);
    let grace = pick(random, &["0ms", "1ms", "6ms"]);
    let (window, bare) = (pick(random, &["over: 20ms", "over: 4ms", "count: 3", "count: 1"]), "late: {to: lates}");
    let grace = if window.starts_with("count") { String::new() } else { format!("grace: {grace}, {bare}, ") };
    text += &format!(
        "  first:\n    from: all\n    steps:\n      - window: {{id: w, by: [k], {window}, {grace}aggregates: {{s: \
         sum(n), l: collect_list(n), g: max(g)}}}}\n"
    );
    text += pick(
        random,
        &[
            "      - select: {g: g, s: s}\n",
            "      - filter: s % 2 = 0\n      - select: {g: g, s: s}\n",
            "      - window: {id: v, by: [g], tumbling: 10ms, late: {to: later}, aggregates: {s: sum(s), n: count(*)}}\n",
            "      - window: {id: v, by: [g], over: 10ms, late: {to: later}, aggregates: {t: sum(s), n: count(*)}}\n",
            "      - window: {id: v, by: [g], count: 2, aggregates: {t: sum(s), n: collect_list(s)}}\n",
            "      - window: {id: v, by: [k], session: 4ms, late: {to: later}, aggregates: {t: sum(s), g: max(g)}}\n",
        ],
    );
    text += "sinks:\n  - {from: first, topic: out, key: g}\n";
    text += pick(random, &["", "  - {from: all, topic: copy, key: k}\n"]);
    text + "on_error: {dead_letter: dead}\n"
}

fn case(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let sources = &SOURCES[..2 + random.below(2) as usize];
    let pipeline = pipeline(&mut random, sources);
    let partitions = 1 + random.below(2) as u32;
    let mut records = Vec::new();
    let length = [4, 12, 60][random.below(3) as usize];
    for phase in 0..PHASES {
        let mut times = vec![1000 + phase * 30; sources.len()];
        // Who falls silent for good holds nobody back.
        let speaking = 1 + random.below(sources.len() as u64);
        for _ in 0..length {
            let source = random.below(if phase == 0 { sources.len() as u64 } else { speaking }) as usize;
            times[source] += random.below(4) as i64;
            let back = if random.below(4) == 0 { random.below(12) as i64 } else { 0 };
            let key = (random.below(9) > 0).then(|| pick(&mut random, &["x", "x", "y", "z"]).to_owned());
            let value = match random.below(18) {
                0 => None,
                1 => Some("{broken".to_owned()),
                _ => {
                    let k = key.as_ref().map_or("null".to_owned(), |key| format!("\"{key}\""));
                    let g = pick(&mut random, &["\"p\"", "\"q\"", "null"]);
                    let xs = pick(&mut random, &["[]", "[1]", "[1, 2, 3]", "null"]);
                    Some(format!("{{\"k\": {k}, \"g\": {g}, \"n\": {}, \"xs\": {xs}}}", random.below(16)))
                }
            };
            let partition = key.as_ref().map_or(0, |key| u32::from(key == "y") % partitions);
            records.push(Record { phase, source, partition, key, value, time: times[source] - back });
        }
    }
    Case { pipeline, partitions, records }
}

impl Case {
    fn time_of(&self, phase: i64) -> Millis {
        Millis(if self.partitions == 1 { phase * SILENCE_MS } else { 0 })
    }

    fn topology(&self) -> Topology {
        let counts: Vec<_> = SOURCES.iter().map(|source| (*source, self.partitions)).collect();
        Arc::unwrap_or_clone(lowering::lowered(&self.pipeline, &counts))
    }

    fn log(&self) -> MemoryLog {
        let mut log = MemoryLog::new();
        SOURCES.iter().for_each(|topic| log.create_topic(topic, TopicSettings::user(self.partitions)).unwrap());
        log
    }

    /// All sources fall silent, and those behind them hear of it.
    fn fall_silent(&self, worker: &mut Worker<MemoryLog>, now: Millis) {
        for _ in 0..if self.partitions == 1 { 4 } else { 0 } {
            worker.read_once(now).unwrap();
            worker.commit(now).unwrap();
        }
    }

    fn write(&self, wanted: i64, log: &mut MemoryLog) {
        for record in self.records.iter().filter(|record| record.phase == wanted) {
            let mut one = Records::new();
            let (key, value) = (record.key.as_ref(), record.value.as_ref());
            let (key, value) = (key.map(String::as_bytes), value.map(String::as_bytes));
            one.push(Offset(0), NewRecord { key, value, timestamp: Millis(record.time), headers: &[] });
            log.produce(SOURCES[record.source], PartitionId(record.partition), &one).unwrap();
        }
    }
}

fn worker(
    records: usize,
    topology: &Arc<Topology>,
    log: &MemoryLog,
    stores: &MemoryStores,
    now: Millis,
) -> Worker<MemoryLog> {
    let settings = WorkerSettings {
        read: ReadLimit { records, ..ReadLimit::default() },
        checkpoint_interval: Millis(i64::MAX),
        ..WorkerSettings::default()
    };
    let mut worker = Worker::prepare(topology.clone(), log.clone(), Box::new(stores.clone()), settings, now).unwrap();
    let all = worker.all_tasks();
    worker.take(&all, now).unwrap();
    while worker.restore_some(now, &mut |_, _| {}).unwrap() == Restored::More {}
    worker
}

/// Runs without a disturbance.
fn straight(case: &Case, topology: Topology) -> (Content, Vec<(String, Ledger)>) {
    let mut log = case.log();
    let mut worker = worker(8192, &Arc::new(topology), &log, &MemoryStores::new(), Millis(0));
    for phase in 0..PHASES {
        case.write(phase, &mut log);
        worker.run_until_quiet(case.time_of(phase)).unwrap();
        case.fall_silent(&mut worker, case.time_of(phase).plus(Millis(SILENCE_MS / 2)));
    }
    let ledger = worker.ledger();
    (content(&mut log), ledger)
}

/// Runs with small reads, and with commits and deaths in between.
fn disturbed(case: &Case, topology: Topology, seed: u64) -> Content {
    let (mut random, topology) = (Random::new(seed), Arc::new(topology));
    let (mut log, stores) = (case.log(), MemoryStores::new());
    let most = [1, 3, 20][random.below(3) as usize];
    let mut worker = worker(most, &topology, &log, &stores, Millis(0));
    for phase in 0..PHASES {
        let now = case.time_of(phase);
        case.write(phase, &mut log);
        for _ in 0..random.below(40) {
            worker.read_once(now).unwrap();
            match random.below(6) {
                0 | 1 => drop(worker.commit(now).unwrap()),
                2 => {
                    let stores = if random.below(2) == 0 { stores.clone() } else { MemoryStores::new() };
                    worker = self::worker(most, &topology, &log, &stores, now);
                }
                _ => {}
            }
        }
        worker.run_until_quiet(now).unwrap();
        case.fall_silent(&mut worker, now.plus(Millis(SILENCE_MS / 2)));
    }
    content(&mut log)
}

/// What was written. Dead letters of several sources stand in no promised order, nor what several tasks have written.
fn content(log: &mut MemoryLog) -> Content {
    let mut content = Vec::new();
    for topic in ["out", "copy", "lates", "later", "dead"] {
        let partitions = log.partitions(topic).unwrap().unwrap_or(0);
        for partition in (0..partitions).map(PartitionId) {
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let records = reading::all_of(log, topic, partition);
            let line = |record: millstream_runtime::log::RecordView<'_>| {
                let headers: Vec<_> = record.headers.map(|h| (h.name.to_owned(), text(h.value))).collect();
                format!("{} {:?} {:?} {headers:?}", record.timestamp, text(record.key), text(record.value))
            };
            let mut lines: Vec<_> = records.iter().map(line).collect();
            if topic == "dead" || log.partitions("a").unwrap() > Some(1) {
                lines.sort();
            }
            content.push((topic.to_owned(), partition.0, lines));
        }
    }
    content
}

/// The same pipeline, where each row that waits for others goes through the graph alone.
fn row_by_row(mut topology: Topology) -> Topology {
    for subtopology in &mut topology.subtopologies {
        if subtopology.plan.reading == Reading::ByEventTime {
            subtopology.plan.reading = Reading::RowByRow;
        }
    }
    topology
}

fn compare(expected: &Content, found: &Content, run: &str, case: &Case) {
    for (expected, found) in expected.iter().zip(found) {
        let records: Vec<_> = case.records.iter().map(|record| format!("{record:?}")).collect();
        let all = records.join("\n");
        assert_eq!(found, expected, "{run}, {} partitions\n{}\n{all}", case.partitions, case.pipeline);
    }
    assert_eq!(found.len(), expected.len(), "{run}: topics");
}

/// Says how many rows came out.
fn check(seed: u64) -> usize {
    let case = case(seed);
    let text = &case.pipeline;
    let topology = case.topology();
    let (expected, ledger_of_rows) = straight(&case, row_by_row(topology.clone()));
    let (found, ledger) = straight(&case, topology.clone());
    compare(&expected, &found, &format!("seed {seed}, straight"), &case);
    for (one, other) in ledger.iter().zip(&ledger_of_rows) {
        assert_eq!(one, other, "seed {seed}, ledger\n{text}");
    }
    for more in 0..4 {
        let found = disturbed(&case, topology.clone(), seed * 100 + more);
        compare(&expected, &found, &format!("seed {seed}, disturbed by {more}"), &case);
    }
    expected.iter().filter(|(topic, ..)| topic == "out").map(|(.., lines)| lines.len()).sum()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn rows_that_go_together_leave_behind_what_rows_that_go_alone_do() {
    if let Some(seed) = number("MILLSTREAM_SEED") {
        check(seed);
        return;
    }
    let seeds = number("MILLSTREAM_SEEDS").unwrap_or(SEEDS);
    let results: usize = (0..seeds).map(check).sum();
    assert!(results as u64 > seeds * 5, "{results} results are too few to show anything");
}
