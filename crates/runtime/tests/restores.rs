//! State that is restored: how much of it stays in memory, how often the store is read, and what is left to do after a
//! restore that was interrupted.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millstream_engine::ids::{Offset, PartitionId};
use millstream_engine::time::Millis;
use millstream_pipeline::interpolate::no_lookup;
use millstream_pipeline::lower;
use millstream_pipeline::topology::{PartitionCounts, Topology};
use millstream_runtime::log::memory::MemoryLog;
use millstream_runtime::log::{Log, NewRecord, ReadLimit, Records, TopicSettings};
use millstream_runtime::store::memory::MemoryStores;
use millstream_runtime::store::{Position, StateStore, StateStores, StoreBatch, StoreError, StoreKey};
use millstream_runtime::worker::{Worker, WorkerSettings};

const NOW: Millis = Millis(0);
const KEYS: u64 = 20_000;
const MUCH: usize = 1 << 30;

/// One large window, in which every key has a row, and which the last record closes.
const PIPELINE: &str = "
version: 1
pipeline: restored
sources:
  readings: {format: json, schema: {meter: bigint, ts: timestamp(ms)}, key: meter, event_time: ts}
steps:
  - window: {id: w, by: meter, tumbling: 1h, aggregates: {n: count(*)}}
sink: {topic: out, key: meter}
";

fn topology() -> Arc<Topology> {
    let (pipeline, map) =
        millstream_pipeline::parse("restored", PIPELINE, &no_lookup).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let counts: PartitionCounts = [("readings", 1)].into_iter().collect();
    Arc::new(lower::lower(&pipeline, &map, &counts).unwrap_or_else(|wrong| panic!("{wrong:?}")))
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

/// A log with a reading of every meter.
fn filled() -> MemoryLog {
    let mut log = MemoryLog::new();
    log.create_topic("readings", TopicSettings::user(1)).unwrap();
    tell(&mut log, (0..KEYS).map(|meter| (meter, meter % 3600)));
    log
}

fn start(log: &MemoryLog, stores: impl StateStores + 'static, state_memory: usize) -> Worker<MemoryLog> {
    let settings = WorkerSettings {
        read: ReadLimit { records: 500, ..ReadLimit::default() },
        checkpoint_interval: Millis(i64::MAX),
        state_memory,
        ..WorkerSettings::default()
    };
    Worker::start(topology(), log.clone(), Box::new(stores), settings, NOW, &mut |_, _| {}).unwrap()
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
    assert!(loaded >= 64, "{loaded} pages");
    tell(&mut log, (0..KEYS).map(|meter| (meter, meter % 3600)));
    run(&mut after);
    assert_eq!(stores.pages_read.load(Ordering::Relaxed), loaded, "pages were let go and read again");
}
