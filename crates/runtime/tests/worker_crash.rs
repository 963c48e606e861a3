//! Stops whole pipelines at every crash point, by a kill and by a loss of power, restarts them, and compares what they have
//! written, byte by byte, with an undisturbed run; then takes guards away and expects to be told.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lowering;
mod reading;

use std::path::PathBuf;
use std::sync::Arc;

use fail::FailScenario;
use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::key::partition_for;
use millstream_engine::time::Millis;
use millstream_pipeline::topology::Topology;
use millstream_runtime::crash::CRASH_POINTS;
use millstream_runtime::log::embedded::{Access, Durability, EmbeddedLog, Options, PowerLoss};
use millstream_runtime::log::{Log, LogError, NewRecord, ReadLimit, Records, TopicSettings};
use millstream_runtime::sample::{Random, Trades};
use millstream_runtime::store::StoreError;
use millstream_runtime::store::sled::SledStores;
use millstream_runtime::worker::{Progress, Worker, WorkerError, WorkerSettings};

use lowering::lowered;

const TRADES: usize = 900;
const HEAD: &str = "
version: 1
pipeline: crashed
sources:
  trades:
    format: json
    schema: {symbol: string, venue: string, price: double, qty: bigint, ts: timestamp(ms)}
    KEY
    event_time: ts
    watermark: {out_of_order: 2s}
on_error: {dead_letter: dead}
";

/// A pipeline and the partitions of its source.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    key: &'static str,
    steps: &'static str,
    partitions: u32,
}

/// Windows, late rows and dead letters without a repartition; sessions and a chain of windows behind one; rolling values.
const CASES: [Case; 3] = [
    Case {
        name: "candles",
        key: "key: symbol",
        steps: "
steps:
  - filter: venue = 'XNAS'
  - window:
      {id: w, by: [symbol], tumbling: 1s, late: {to: late},
       aggregates: {n: count(*), sum: sum(price), high: max(price), last: last(price)}}
sink: {topic: out, key: symbol}
",
        partitions: 2,
    },
    Case {
        name: "repartition",
        key: "",
        steps: "
steps:
  - window: {id: s, by: [venue], session: 40ms, grace: 100ms, aggregates: {n: count(*), q: sum(qty)}}
  - window: {id: w, by: [venue], hopping: {size: 3s, every: 1s}, aggregates: {sessions: count(*), n: sum(n)}}
sink: {topic: out, key: venue}
",
        partitions: 2,
    },
    Case {
        name: "rolling",
        key: "key: symbol",
        steps: "
steps:
  - window: {id: o, by: [symbol], over: 500ms, aggregates: {n: count(*), mean: avg(price)}}
sink: {topic: out, key: symbol}
",
        partitions: 1,
    },
];

/// Why a run ended.
#[derive(Debug)]
enum End {
    Crash,
    Wrong(String),
}

impl From<WorkerError> for End {
    fn from(error: WorkerError) -> End {
        match error {
            WorkerError::Log(LogError::CrashPoint { .. }) | WorkerError::Store(StoreError::CrashPoint { .. }) => {
                End::Crash
            }
            error => End::Wrong(error.to_string()),
        }
    }
}

impl From<LogError> for End {
    fn from(error: LogError) -> End {
        WorkerError::from(error).into()
    }
}

struct World {
    case: Case,
    dir: tempfile::TempDir,
    power: Option<Arc<PowerLoss>>,
    random: Random,
    topology: Arc<Topology>,
}

type Content = Vec<(String, u32, Vec<String>)>;

impl World {
    fn new(case: Case, power: bool, seed: u64) -> World {
        let topology = topology(case);
        let power = power.then(Arc::<PowerLoss>::default);
        World { case, dir: tempfile::tempdir().unwrap(), power, random: Random::new(seed), topology }
    }

    fn options(&self, access: Access) -> Options {
        let durability = self.power.clone().map_or(Durability::Os, Durability::Watched);
        Options { durability, segment_bytes: 4_000, compact_bytes: 1_500, ..Options::new(access) }
    }

    fn log_dir(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Puts the input there, before any crash point is armed.
    fn fill(&self) {
        let mut log = EmbeddedLog::open_or_create(&self.log_dir(), self.options(Access::Client)).unwrap();
        log.create_topic("trades", TopicSettings::user(self.case.partitions)).unwrap();
        let mut partitions = vec![Records::new(); self.case.partitions as usize];
        for (index, trade) in Trades::new(3).take(TRADES).enumerate() {
            let key = trade.symbol.as_bytes();
            let value = if index % 97 == 50 { "{broken" } else { trade.value.as_str() };
            let record = NewRecord {
                key: Some(key),
                value: Some(value.as_bytes()),
                timestamp: Millis(trade.ts_ms),
                headers: &[],
            };
            partitions[partition_for(key, self.case.partitions).0 as usize].push(Offset(0), record);
        }
        for (partition, records) in partitions.iter().enumerate() {
            log.produce("trades", PartitionId(partition as u32), records).unwrap();
        }
    }

    /// One life of a worker: small epochs, a checkpoint behind every third.
    fn live(&self) -> Result<(), End> {
        let log = EmbeddedLog::open(&self.log_dir(), self.options(Access::Run))?;
        let (stores, quarantined) =
            SledStores::open(&self.dir.path().join("state")).map_err(|error| End::from(WorkerError::from(error)))?;
        if let Some(quarantined) = quarantined {
            return Err(End::Wrong(format!("the state was put aside: {}", quarantined.reason)));
        }
        let settings = WorkerSettings {
            read: ReadLimit { records: 37, ..ReadLimit::default() },
            checkpoint_interval: Millis(i64::MAX),
            // Behind every checkpoint all state is let go, and read back where rows need it.
            state_memory: 0,
            ..WorkerSettings::default()
        };
        let now = Millis(0);
        let mut worker = Worker::start(self.topology.clone(), log, Box::new(stores), settings, now, &mut |_, _| {})?;
        let mut epochs = 0;
        loop {
            let read = worker.read_once(now)?;
            let committed = worker.commit(now)?;
            epochs += 1;
            if epochs % 3 == 0 {
                worker.checkpoint(now)?;
            }
            if let Some((step, ledger)) = worker.ledger().into_iter().find(|(_, ledger)| !ledger.balances()) {
                return Err(End::Wrong(format!("the ledger of {step} does not balance: {ledger}")));
            }
            if read == Progress::None && !committed {
                worker.checkpoint(now)?;
                return Ok(());
            }
        }
    }

    /// Lives until the input is processed, crashing where the fail points say; says how often.
    fn live_through(&mut self) -> Result<u32, String> {
        let mut crashes = 0;
        loop {
            match self.live() {
                Ok(()) => return Ok(crashes),
                Err(End::Wrong(message)) => return Err(message),
                Err(End::Crash) => crashes += 1,
            }
            if let Some(power) = &self.power {
                let random = &mut self.random;
                power.strike(|n| random.below(n));
            }
        }
    }

    /// Everything that the pipeline has written for others, as text.
    fn content(&self) -> Content {
        let mut log = EmbeddedLog::open(&self.log_dir(), self.options(Access::Client)).unwrap();
        let mut content = Vec::new();
        for topic in ["out", "late", "dead"] {
            for partition in (0..log.partitions(topic).unwrap().unwrap_or(0)).map(PartitionId) {
                let records = reading::all_of(&mut log, topic, partition);
                let lines = records.iter().map(|record| {
                    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                    let headers: Vec<_> = record.headers.map(|h| (h.name.to_owned(), text(h.value))).collect();
                    format!("{} {:?} {:?} {headers:?}", record.timestamp, text(record.key), text(record.value))
                });
                content.push((topic.to_owned(), partition.0, lines.collect()));
            }
        }
        content
    }
}

fn topology(case: Case) -> Arc<Topology> {
    let text = format!("{}{}", HEAD.replace("KEY", case.key), case.steps);
    lowered(&text, &[("trades", case.partitions)])
}

fn undisturbed(case: Case) -> Content {
    let mut world = World::new(case, false, 0);
    world.fill();
    assert_eq!(world.live_through(), Ok(0));
    let content = world.content();
    assert!(content.iter().any(|(topic, _, lines)| topic == "out" && lines.len() > 5), "{}: {content:?}", case.name);
    let dead: usize = content.iter().filter(|(topic, ..)| topic == "dead").map(|(_, _, lines)| lines.len()).sum();
    assert_eq!(dead, TRADES.div_ceil(97) - 1, "every broken trade is a dead letter, once");
    content
}

fn difference(expected: &Content, found: &Content) -> Option<String> {
    for (expected, found) in expected.iter().zip(found) {
        if expected != found {
            let at = expected.2.iter().zip(&found.2).position(|(a, b)| a != b);
            let at = at.unwrap_or_else(|| expected.2.len().min(found.2.len()));
            return Some(format!(
                "{} {}: {} messages instead of {}, first difference at {at}: {:?} instead of {:?}",
                found.0,
                found.1,
                found.2.len(),
                expected.2.len(),
                found.2.get(at),
                expected.2.get(at)
            ));
        }
    }
    (expected.len() != found.len()).then(|| "a topic is missing".to_owned())
}

/// Runs a case with a point armed; says how often it crashed and what is wrong.
fn run(case: Case, expected: &Content, power: bool, seed: u64, point: &str, hit: u64) -> (u32, Option<String>) {
    let mut world = World::new(case, power, seed);
    world.fill();
    fail::cfg(point, &format!("{hit}*off->1*return")).unwrap();
    let lived = world.live_through();
    fail::remove(point);
    match lived {
        Ok(crashes) => (crashes, difference(expected, &world.content())),
        Err(message) => (0, Some(message)),
    }
}

/// Points that a worker comes by (folders and topics are made before it starts, or have tests of their own).
fn points() -> impl Iterator<Item = &'static str> {
    CRASH_POINTS.iter().copied().filter(|point| !point.starts_with("log.open") && !point.starts_with("log.trim"))
}

#[test]
fn whole_pipelines_survive_every_crash_point() {
    let scenario = FailScenario::setup();
    for case in CASES {
        let expected = undisturbed(case);
        for (number, point) in points().enumerate() {
            let mut crashes = 0;
            for hit in [0, 2, 9] {
                let seed = number as u64 * 31 + hit;
                let power = !point.starts_with("store.") && (number as u64 + hit).is_multiple_of(2);
                let (count, wrong) = run(case, &expected, power, seed, point, hit);
                assert_eq!(wrong, None, "{}: {point}, hit {hit}, power lost: {power}, seed {seed}", case.name);
                crashes += count;
            }
            assert!(crashes > 0, "{}: {point} was never hit", case.name);
        }
    }
    scenario.teardown();
}

#[test]
fn pipelines_killed_again_and_again_write_the_same_bytes() {
    let scenario = FailScenario::setup();
    for case in CASES {
        let expected = undisturbed(case);
        for seed in 0..4 {
            let mut world = World::new(case, seed % 2 == 0, seed);
            world.fill();
            let mut random = Random::new(seed);
            for point in points() {
                fail::cfg(point, &format!("{}*off->1*return->{}*off->1*return", random.below(9), random.below(9)))
                    .unwrap();
            }
            let lived = world.live_through();
            points().for_each(fail::remove);
            let crashes = lived.unwrap_or_else(|wrong| panic!("{}, seed {seed}: {wrong}", case.name));
            assert!(crashes > 5, "{}, seed {seed}: only {crashes} crashes", case.name);
            assert_eq!(difference(&expected, &world.content()), None, "{}, seed {seed}", case.name);
        }
    }
    scenario.teardown();
}

/// Whether taking a guard away is noticed when the run crashes at `points`.
fn is_caught(control: &str, power: bool, points: &[&str]) -> bool {
    CASES.into_iter().any(|case| {
        let expected = undisturbed(case);
        fail::cfg(control, "return").unwrap();
        let caught =
            points.iter().any(|point| (0..8).any(|hit| run(case, &expected, power, hit, point, hit).1.is_some()));
        fail::remove(control);
        caught
    })
}

#[test]
fn state_that_is_stored_before_its_commit_is_caught() {
    let scenario = FailScenario::setup();
    assert!(is_caught("worker.control.state_before_commit", false, &["worker.before_commit"]));
    scenario.teardown();
}

#[test]
fn offsets_in_a_record_of_their_own_are_caught() {
    let scenario = FailScenario::setup();
    assert!(is_caught("log.control.offsets_apart", false, &["log.commit.written", "log.commit.synced"]));
    scenario.teardown();
}

#[test]
fn a_commit_record_that_is_synced_before_its_data_is_caught() {
    let scenario = FailScenario::setup();
    assert!(is_caught("log.control.commit_before_data", true, &["log.commit.written", "log.commit.synced"]));
    scenario.teardown();
}
