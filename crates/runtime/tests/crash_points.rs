//! Stops a small driver at every crash point, by a kill and by a loss of power, and compares what is committed after the
//! restart with an undisturbed run; then takes guards away and expects to be told.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fail::FailScenario;
use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::state::PageId;
use millstream_engine::time::Millis;
use millstream_runtime::crash::CRASH_POINTS;
use millstream_runtime::log::embedded::{Access, Durability, EmbeddedLog, Options, PowerLoss};
use millstream_runtime::log::{
    CommittedOffset, Log, LogError, NewRecord, ReadLimit, Records, TopicPartition, TopicSettings,
};
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::store::sled::SledStores;
use millstream_runtime::store::{Position, StateStore, StateStores, StoreBatch, StoreError, StoreKey};

const EPOCHS: i64 = 24;
const GROUP: &str = "group";
const TOPICS: [(&str, u32); 3] = [("out", 2), ("app-step-changelog", 1), ("app-step-repartition", 1)];
const CHANGELOG: &str = "app-step-changelog";
const REPARTITION: &str = "app-step-repartition";

/// Why a run ended.
#[derive(Debug)]
enum End {
    /// At a crash point.
    Crash,
    /// It saw something that must not be.
    Wrong(String),
}

impl From<LogError> for End {
    fn from(error: LogError) -> End {
        match error {
            LogError::CrashPoint { .. } => End::Crash,
            error => End::Wrong(error.to_string()),
        }
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> End {
        match error {
            StoreError::CrashPoint { .. } => End::Crash,
            error => End::Wrong(error.to_string()),
        }
    }
}

/// A folder and what a driver was told about it.
struct World {
    dir: tempfile::TempDir,
    power: Option<Arc<PowerLoss>>,
    stores: Stores,
    /// Epochs whose commit has returned.
    acknowledged: Cell<i64>,
    random: Cell<u64>,
}

/// Where the driver keeps its state.
enum Stores {
    /// Quick.
    Memory(MemoryStores),
    /// With crash points of its own.
    Sled,
}

/// The records of an epoch.
fn records(epoch: i64) -> Vec<(&'static str, PartitionId, String)> {
    let big = "x".repeat(if epoch % 7 == 6 { 900 } else { 20 });
    vec![
        ("out", PartitionId(0), format!("{{\"epoch\":{epoch},\"n\":0}}")),
        ("out", PartitionId((epoch % 2) as u32), format!("{{\"epoch\":{epoch},\"n\":1}}")),
        (REPARTITION, PartitionId(0), format!("{epoch} {big}")),
        (CHANGELOG, PartitionId(0), format!("{} {epoch}", epoch % 3)),
    ]
}

/// The state behind so many epochs: the last epoch by key.
fn state(epochs: i64) -> BTreeMap<u32, i64> {
    (0..epochs).map(|epoch| ((epoch % 3) as u32, epoch)).collect()
}

impl World {
    fn new(power: bool, seed: u64, stores: Stores) -> World {
        World {
            dir: tempfile::tempdir().unwrap(),
            power: power.then(Default::default),
            stores,
            acknowledged: Cell::new(0),
            random: Cell::new(seed),
        }
    }

    fn log_dir(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn options(&self, access: Access) -> Options {
        let durability = self.power.clone().map_or(Durability::Os, Durability::Watched);
        Options { durability, segment_bytes: 700, compact_bytes: 1500, ..Options::new(access) }
    }

    /// One life of the driver, from start to the end of its work or to its crash.
    fn live(&self) -> Result<(), End> {
        let mut log = EmbeddedLog::open_or_create(&self.log_dir(), self.options(Access::Run))?;
        for (topic, partitions) in TOPICS {
            if log.partitions(topic)?.is_none() {
                log.create_topic(topic, TopicSettings::user(partitions))?;
            }
        }
        let stores = self.open_stores()?;
        let mut store = stores.open_task("0_0")?;
        let done = self.check(&mut log)?;
        let restored = restore(&mut *store, &mut log)?;
        expect(restored == state(done), || format!("state is {restored:?} behind {done} epochs"))?;
        for epoch in done..EPOCHS {
            self.run_epoch(&mut log, &mut *store, epoch)?;
            if epoch % 3 == 2 {
                stores.flush()?;
            }
        }
        Ok(())
    }

    fn open_stores(&self) -> Result<Box<dyn StateStores>, End> {
        if let Stores::Memory(stores) = &self.stores {
            return Ok(Box::new(stores.clone()));
        }
        let (stores, quarantined) = SledStores::open(&self.dir.path().join("state"))?;
        expect(quarantined.is_none(), || format!("the state was put aside: {quarantined:?}"))?;
        Ok(Box::new(stores))
    }

    fn run_epoch(&self, log: &mut EmbeddedLog, store: &mut dyn StateStore, epoch: i64) -> Result<(), End> {
        for (topic, partition, value) in records(epoch) {
            let value = Some(value.as_bytes());
            log.append(topic, partition, NewRecord { key: None, value, timestamp: Millis(epoch), headers: &[] })?;
        }
        if epoch % 5 == 4 {
            log.trim(REPARTITION, PartitionId(0), Offset(epoch))?;
        }
        let input = ("in".to_owned(), PartitionId(0));
        let offset = CommittedOffset { offset: Offset(epoch + 1), metadata: String::new() };
        let committed = log.commit(GROUP, &BTreeMap::from([(input.clone(), offset)]))?;
        self.acknowledged.set(epoch + 1);
        let changelog = committed.positions[&(CHANGELOG.to_owned(), PartitionId(0))];
        let inputs = BTreeMap::from([(input, Offset(epoch + 1))]);
        let position = Position { changelog, inputs, ..Position::default() };
        Ok(store.apply(StoreBatch { writes: vec![page((epoch % 3) as u32, epoch)], position: Some(position) })?)
    }

    /// Compares everything committed with an undisturbed run of as many epochs, and says how many.
    fn check(&self, log: &mut dyn Log) -> Result<i64, End> {
        let committed = log.committed(GROUP)?;
        let done = committed.get(&("in".to_owned(), PartitionId(0))).map_or(0, |committed| committed.offset.0);
        let acknowledged = self.acknowledged.get();
        expect(done >= acknowledged, || format!("{acknowledged} epochs were acknowledged and {done} are there"))?;
        let mut expected: BTreeMap<TopicPartition, Vec<String>> = BTreeMap::new();
        for (topic, partition, value) in (0..done).flat_map(records) {
            expected.entry((topic.to_owned(), partition)).or_default().push(value);
        }
        for (topic, partitions) in TOPICS {
            for partition in (0..partitions).map(PartitionId) {
                let expected = expected.remove(&(topic.to_owned(), partition)).unwrap_or_default();
                let extent = log.extent(topic, partition)?;
                let found = read(log, topic, partition)?;
                let right = found == expected[(extent.earliest.0 as usize).min(expected.len())..];
                expect(right, || format!("behind {done} epochs, {topic} {partition} is {found:?}"))?;
            }
        }
        Ok(done)
    }

    /// What a reader in another process sees before anybody has put anything right.
    fn look(&self) -> Result<(), End> {
        if !self.log_dir().join("commits").exists() {
            return Ok(());
        }
        let mut log = EmbeddedLog::open(&self.log_dir(), self.options(Access::Client))?;
        if log.topics()?.len() == TOPICS.len() {
            self.check(&mut log)?;
        }
        Ok(())
    }

    fn lose_power(&self) {
        if let Some(power) = &self.power {
            power.strike(|n| {
                let next =
                    self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                self.random.set(next);
                (next >> 33) % n
            });
        }
    }

    /// Lives until the work is done, crashing where the fail points say; says how often it crashed.
    fn live_through(&self) -> Result<u32, String> {
        let mut crashes = 0;
        loop {
            match self.live() {
                Ok(()) => break,
                Err(End::Wrong(message)) => return Err(message),
                Err(End::Crash) => crashes += 1,
            }
            self.lose_power();
            let mut looked = self.look();
            if let Err(End::Crash) = looked {
                looked = Ok(());
            }
            looked.map_err(|end| format!("a reader after the crash: {end:?}"))?;
        }
        let mut log =
            EmbeddedLog::open(&self.log_dir(), self.options(Access::Run)).map_err(|error| error.to_string())?;
        match self.check(&mut log) {
            Ok(EPOCHS) => Ok(crashes),
            other => Err(format!("at the end: {other:?}")),
        }
    }
}

fn expect(right: bool, message: impl FnOnce() -> String) -> Result<(), End> {
    if right { Ok(()) } else { Err(End::Wrong(message())) }
}

fn read(log: &mut dyn Log, topic: &str, partition: PartitionId) -> Result<Vec<String>, LogError> {
    let mut from = log.extent(topic, partition)?.earliest;
    let mut records = Records::new();
    loop {
        let next = log.read(topic, partition, from, ReadLimit::default(), &mut records)?;
        if next == from {
            let values = records.iter().map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap());
            return Ok(values.collect());
        }
        from = next;
    }
}

fn page(bucket: u32, epoch: i64) -> (StoreKey, Option<Vec<u8>>) {
    let page = PageId { pane: 0, bucket };
    (StoreKey::Page { step: "s".to_owned(), page }, Some(epoch.to_string().into_bytes()))
}

/// Pages first, then every change behind the position that they are good for; the pages so changed are stored before the
/// position moves on.
fn restore(store: &mut dyn StateStore, log: &mut dyn Log) -> Result<BTreeMap<u32, i64>, End> {
    let mut state = BTreeMap::new();
    store.scan(&mut |key, content| {
        let StoreKey::Page { page, .. } = key else { panic!("there are only pages") };
        state.insert(page.bucket, std::str::from_utf8(content).unwrap().parse().unwrap());
    })?;
    let mut position = store.position()?.unwrap_or_default();
    let changes = read(log, CHANGELOG, PartitionId(0))?;
    let from = position.changelog.0 as usize;
    expect(from <= changes.len(), || "the store is ahead of the changelog".to_owned())?;
    let mut writes = Vec::new();
    for change in &changes[from..] {
        let (key, epoch) = change.split_once(' ').unwrap();
        let (key, epoch) = (key.parse().unwrap(), epoch.parse().unwrap());
        state.insert(key, epoch);
        writes.push(page(key, epoch));
    }
    position.changelog = Offset(changes.len() as i64);
    store.apply(StoreBatch { writes, position: Some(position) })?;
    Ok(state)
}

/// The crash points of logs and stores; the worker's have tests of their own.
fn points() -> impl Iterator<Item = &'static str> {
    CRASH_POINTS.iter().copied().filter(|point| point.starts_with("log.") || point.starts_with("store."))
}

#[test]
fn every_crash_point_is_survived() {
    let scenario = FailScenario::setup();
    for point in points() {
        let mut hits = 0;
        for hit in [0, 1, 3, 8, 21] {
            for (power, seed) in [(false, 0), (true, 1), (true, 2)] {
                let in_store = point.starts_with("store.");
                if in_store && (power || hit > 3) {
                    continue;
                }
                let stores = if in_store { Stores::Sled } else { Stores::Memory(MemoryStores::new()) };
                let world = World::new(power, seed + 10 * hit, stores);
                fail::cfg(point, &format!("{hit}*off->1*return")).unwrap();
                let crashes = world.live_through();
                fail::remove(point);
                match crashes {
                    Ok(crashes) => hits += crashes,
                    Err(wrong) => panic!("{point}, hit {hit}, power lost: {power}, seed {seed}: {wrong}"),
                }
            }
        }
        assert!(hits > 0, "{point} was never hit");
    }
    scenario.teardown();
}

#[test]
fn crashes_one_after_the_other_are_survived() {
    let scenario = FailScenario::setup();
    for seed in 0..24 {
        let stores = if seed % 6 == 5 { Stores::Sled } else { Stores::Memory(MemoryStores::new()) };
        let world = World::new(seed % 2 == 0, seed, stores);
        let mut crashes = 0;
        for point in points() {
            // The crate's own dice are not seeded; spread the hits by hand.
            let hit = (seed * 7 + point.len() as u64) % 23;
            fail::cfg(point, &format!("{hit}*off->1*return->{}*off->1*return", hit + 3)).unwrap();
        }
        match world.live_through() {
            Ok(count) => crashes += count,
            Err(wrong) => panic!("seed {seed}: {wrong}"),
        }
        points().for_each(fail::remove);
        assert!(crashes > 3, "seed {seed}: {crashes} crashes");
    }
    scenario.teardown();
}

/// Whether taking a guard away is noticed, by a kill or by a loss of power.
fn is_caught(control: &str, power: bool) -> bool {
    fail::cfg(control, "return").unwrap();
    let caught = ["log.commit.written", "log.commit.synced"].iter().any(|point| {
        (0..20).any(|hit| {
            let world = World::new(power, hit, Stores::Memory(MemoryStores::new()));
            fail::cfg(*point, &format!("{hit}*off->1*return")).unwrap();
            let wrong = world.live_through();
            fail::remove(point);
            wrong.is_err()
        })
    });
    fail::remove(control);
    caught
}

#[test]
fn a_commit_record_before_its_data_is_caught() {
    let scenario = FailScenario::setup();
    assert!(is_caught("log.control.commit_before_data", true));
    scenario.teardown();
}

#[test]
fn offsets_in_a_record_of_their_own_are_caught() {
    let scenario = FailScenario::setup();
    assert!(is_caught("log.control.offsets_apart", false));
    scenario.teardown();
}

#[test]
fn after_a_crash_point_the_handle_refuses_to_go_on() {
    let scenario = FailScenario::setup();
    let world = World::new(false, 0, Stores::Memory(MemoryStores::new()));
    let dir: &Path = &world.log_dir();
    let mut log = EmbeddedLog::open_or_create(dir, world.options(Access::Run)).unwrap();
    log.create_topic("t", TopicSettings::user(1)).unwrap();
    let record = NewRecord { key: None, value: None, timestamp: Millis(0), headers: &[] };
    log.append("t", PartitionId(0), record).unwrap();
    fail::cfg("log.commit.written", "return").unwrap();
    assert!(matches!(log.commit(GROUP, &BTreeMap::new()), Err(LogError::CrashPoint { .. })));
    fail::remove("log.commit.written");
    assert!(matches!(log.extent("t", PartitionId(0)), Err(LogError::OutcomeUnknown { .. })));
    drop(log);
    let log = EmbeddedLog::open(dir, world.options(Access::Run)).unwrap();
    assert_eq!(log.extent("t", PartitionId(0)).unwrap().end, Offset(1));
    scenario.teardown();
}

const CHILD: &str = "MILLSTREAM_TEST_CHILD_DIR";
const PARTITION: PartitionId = PartitionId(0);

/// Not a test of its own: the process that the next test kills. It copies its offset into two topics, commit by commit.
#[test]
fn child_that_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let sizes = Options { segment_bytes: 20_000, compact_bytes: 20_000, ..Options::new(Access::Run) };
    let mut log = EmbeddedLog::open(Path::new(&dir), sizes).unwrap();
    let input = ("in".to_owned(), PARTITION);
    let mut next = log.committed("g").unwrap().get(&input).map_or(0, |committed| committed.offset.0);
    loop {
        for topic in ["out", "changelog"] {
            for n in next..next + 5 {
                let value = format!("{{\"n\":{n}}}");
                let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: Millis(n), headers: &[] };
                log.append(topic, PARTITION, record).unwrap();
            }
        }
        next += 5;
        let offset = CommittedOffset { offset: Offset(next), metadata: String::new() };
        log.commit("g", &BTreeMap::from([(input.clone(), offset)])).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_whole_commits() {
    let scenario = FailScenario::setup();
    let dir = tempfile::tempdir().unwrap();
    let mut log = EmbeddedLog::open_or_create(dir.path(), Options::new(Access::Client)).unwrap();
    log.create_topic("out", TopicSettings::user(1)).unwrap();
    log.create_topic("changelog", TopicSettings::internal(1)).unwrap();
    log.create_topic("other", TopicSettings::user(1)).unwrap();
    let mut before = 0;
    for round in 0..8 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let started = std::time::Instant::now();
        while log.extent("out", PARTITION).unwrap().end.0 < before + 20 * (round + 1) {
            assert!(started.elapsed().as_secs() < 60, "the child writes nothing");
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let out = read(&mut log, "out", PARTITION).unwrap();
        let changelog = read(&mut log, "changelog", PARTITION).unwrap();
        let committed = log.committed("g").unwrap()[&("in".to_owned(), PARTITION)].offset.0;
        assert_eq!((out.len() as i64, out.len() % 5), (committed, 0));
        assert!(out.iter().enumerate().all(|(n, value)| *value == format!("{{\"n\":{n}}}")));
        assert!(out == changelog && committed >= before);
        before = committed;
        // Another writer goes on at once, whatever the dead one left.
        let mut records = Records::new();
        records.push(Offset(0), NewRecord { key: None, value: None, timestamp: Millis(0), headers: &[] });
        log.produce("other", PARTITION, &records).unwrap();
        assert_eq!(log.extent("other", PARTITION).unwrap().end.0, round + 1);
    }
    scenario.teardown();
}
