//! State that is restored: how much of it stays in memory, how often the store is read, and what is left to do after a
//! restore that was interrupted.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lowering;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_pipeline::topology::Topology;
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Log, NewRecord, ReadLimit, Records, TopicSettings};
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::store::{Position, StateStore, StateStores, StoreBatch, StoreError, StoreKey};
use millstream_runtime::telemetry::TaskPhase;
use millstream_runtime::worker::{Restored, Worker, WorkerSettings};

use lowering::lowered;

const NOW: Millis = Millis(0);
const KEYS: u64 = 20_000;
const MUCH: usize = 1 << 30;
/// A small part of what the rows of all keys take.
const LITTLE: usize = 256 << 10;

/// Windows of a minute that nothing closes but the end: every key has a row in one of them.
const PIPELINE: &str = "
version: 1
pipeline: restored
sources:
  readings: {format: json, schema: {meter: bigint, ts: timestamp(ms)}, key: meter, event_time: ts}
steps:
  - window: {id: w, by: meter, tumbling: 1m, grace: 1d, aggregates: {n: count(*)}}
sink: {topic: out, key: meter}
";

fn topology() -> Arc<Topology> {
    lowered(PIPELINE, &[("readings", 1)])
}

fn tell(log: &mut MemoryLog, readings: impl Iterator<Item = (u64, u64)>) {
    let mut records = Records::new();
    for (meter, second) in readings {
        let time = format!("2026-01-01T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
        let value = format!(r#"{{"meter":{meter},"ts":"{time}"}}"#);
        let record = NewRecord { key: None, value: Some(value.as_bytes()), timestamp: NOW, headers: &[] };
        records.push(Offset(0), record);
    }
    log.produce("readings", PartitionId(0), &records).unwrap();
}

/// A reading of every meter, in an hour.
fn readings() -> impl Iterator<Item = (u64, u64)> {
    (0..KEYS).map(|meter| (meter, meter * 3600 / KEYS))
}

/// A log with a reading of every meter.
fn filled() -> MemoryLog {
    let mut log = MemoryLog::new();
    log.create_topic("readings", TopicSettings::user(1)).unwrap();
    tell(&mut log, readings());
    log
}

fn settings(state_memory: usize) -> WorkerSettings {
    WorkerSettings {
        read: ReadLimit { records: 500, bytes: 4 << 10 },
        checkpoint_interval: Millis(i64::MAX),
        state_memory,
        ..WorkerSettings::default()
    }
}

fn start(log: &MemoryLog, stores: impl StateStores + 'static, state_memory: usize) -> Worker<MemoryLog> {
    Worker::start(topology(), log.clone(), Box::new(stores), settings(state_memory), NOW, &mut |_, _| {}).unwrap()
}

/// A worker that has its task, but not yet the task's state.
fn take(log: &MemoryLog, stores: impl StateStores + 'static, state_memory: usize) -> Worker<MemoryLog> {
    let settings = settings(state_memory);
    let mut worker = Worker::prepare(topology(), log.clone(), Box::new(stores), settings, NOW).unwrap();
    let all = worker.all_tasks();
    worker.take(&all, NOW).unwrap();
    worker
}

/// Bytes of state in memory, and how many records of the changelog are left to replay.
fn standing(worker: &mut Worker<MemoryLog>) -> (usize, u64) {
    let task = worker.snapshot(NOW).tasks.remove(0);
    let left = match task.phase {
        TaskPhase::Restoring(progress) => progress.records_total - progress.records,
        TaskPhase::Running => 0,
    };
    (task.state_memory_bytes as usize, left)
}

/// Closes the window, and says how many readings the results count.
fn close(mut worker: Worker<MemoryLog>) -> (usize, u64) {
    worker.close(NOW).unwrap();
    let mut log = worker.into_log();
    let (mut next, mut results, mut readings) = (Offset(0), 0, 0);
    let end = log.extent("out", PartitionId(0)).unwrap().end;
    while next < end {
        let mut records = Records::new();
        next = log.read("out", PartitionId(0), next, ReadLimit::default(), &mut records).unwrap();
        for record in records.iter() {
            let row: serde_json::Value = serde_json::from_slice(record.value.unwrap()).unwrap();
            (results, readings) = (results + 1, readings + row["n"].as_u64().unwrap());
        }
    }
    (results, readings)
}

/// Processes what there is, commit by commit.
fn run(worker: &mut Worker<MemoryLog>) {
    while !worker.is_at_end() {
        worker.read_once(NOW).unwrap();
        worker.commit(NOW).unwrap();
    }
    worker.run_until_quiet(NOW).unwrap();
}

/// Stores that count how often a page is read.
#[derive(Clone, Default)]
struct Counted {
    stores: MemoryStores,
    pages_read: Arc<AtomicUsize>,
}

struct CountedStore {
    store: Box<dyn StateStore>,
    pages_read: Arc<AtomicUsize>,
}

impl StateStores for Counted {
    fn open_task(&self, task: &str) -> Result<Box<dyn StateStore>, StoreError> {
        let store = self.stores.open_task(task)?;
        Ok(Box::new(CountedStore { store, pages_read: Arc::clone(&self.pages_read) }))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.stores.flush()
    }

    fn forget_unused(&self, unused_for: Duration) -> Result<Vec<String>, StoreError> {
        self.stores.forget_unused(unused_for)
    }
}

impl StateStore for CountedStore {
    fn position(&self) -> Result<Option<Position>, StoreError> {
        self.store.position()
    }

    fn get(&self, key: &StoreKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.pages_read.fetch_add(usize::from(matches!(key, StoreKey::Page { .. })), Ordering::Relaxed);
        self.store.get(key)
    }

    fn stored_bytes(&self) -> u64 {
        self.store.stored_bytes()
    }

    fn scan(&self, visit: &mut dyn FnMut(StoreKey, &[u8])) -> Result<(), StoreError> {
        self.store.scan(visit)
    }

    fn apply(&mut self, batch: StoreBatch) -> Result<(), StoreError> {
        self.store.apply(batch)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.store.clear()
    }
}

#[test]
fn state_that_fits_into_memory_is_read_once() {
    let (mut log, stores) = (filled(), Counted::default());
    let mut before = start(&log, stores.clone(), MUCH);
    run(&mut before);
    before.checkpoint(NOW).unwrap();
    drop(before);
    assert_eq!(stores.pages_read.load(Ordering::Relaxed), 0);
    let mut after = start(&log, stores.clone(), MUCH);
    let loaded = stores.pages_read.load(Ordering::Relaxed);
    assert!(loaded >= 60, "{loaded} pages");
    tell(&mut log, readings());
    run(&mut after);
    assert_eq!(stores.pages_read.load(Ordering::Relaxed), loaded, "pages were let go and read again");
}

#[test]
fn state_that_is_rebuilt_without_a_store_keeps_to_its_memory() {
    let log = filled();
    let mut before = start(&log, MemoryStores::new(), MUCH);
    run(&mut before);
    let (all, _) = standing(&mut before);
    assert!(all > 8 * LITTLE, "{all} bytes in all");
    drop(before);
    let mut after = take(&log, MemoryStores::new(), LITTLE);
    let mut most = 0;
    while after.restore_some(NOW, &mut |_, _| {}).unwrap() == Restored::More {
        most = most.max(standing(&mut after).0);
    }
    assert!(most > LITTLE / 2 && most < 4 * LITTLE, "{most} bytes at most");
    assert_eq!(close(after), (KEYS as usize, KEYS));
}

#[test]
fn a_restore_that_was_stopped_goes_on_from_what_it_had_stored() {
    let (log, stores) = (filled(), MemoryStores::new());
    run(&mut start(&log, MemoryStores::new(), MUCH));
    let mut stopped = take(&log, stores.clone(), LITTLE);
    let (_, all) = standing(&mut stopped);
    while standing(&mut stopped).1 > all / 4 {
        assert_eq!(stopped.restore_some(NOW, &mut |_, _| {}).unwrap(), Restored::More);
    }
    drop(stopped);
    let mut after = take(&log, stores, LITTLE);
    let (_, left) = standing(&mut after);
    assert!(left > 0 && left < all / 2, "{left} of {all} records are left");
    while after.restore_some(NOW, &mut |_, _| {}).unwrap() == Restored::More {}
    assert_eq!(close(after), (KEYS as usize, KEYS));
}

#[test]
fn pages_that_were_let_go_are_live_state_too() {
    let log = filled();
    let mut worker = start(&log, MemoryStores::new(), 0);
    while !worker.is_at_end() {
        worker.read_once(NOW).unwrap();
        worker.commit(NOW).unwrap();
        worker.checkpoint(NOW).unwrap();
    }
    let task = worker.snapshot(NOW).tasks.remove(0);
    assert!(task.state_memory_bytes < task.state_disk_bytes, "{} bytes in memory", task.state_memory_bytes);
    // Else pages would be rewritten as if most of the changelog were dead.
    assert!(task.changelog_live_bytes > task.changelog_dead_bytes, "{} bytes are live", task.changelog_live_bytes);
}
