//! The world of one test: topics in some place, a store in memory, a clock on the wall that only the test moves, and a worker that may
//! die at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_engine::ids::PartitionId;
use millstream_engine::ledger::Ledger;
use millstream_engine::plan::Reading;
use millstream_engine::time::Millis;
use millstream_pipeline::case::{Arrival, Input, Row, TestSpec};
use millstream_pipeline::topology::{PartitionCounts, Topology};

use super::message::{self, Message};
use super::place::Place;
use super::schemas::Writers;
use super::{Way, dead_letters, output_topics};
use crate::log::{Header, NewRecord, ReadLimit, Records};
use crate::registry::SchemaCache;
use crate::store::memory::MemoryStores;
use crate::worker::{Progress, Worker, WorkerSettings};

/// What a run left behind.
pub(super) struct Outcome {
    /// The committed messages of every output topic, by partition and in order.
    pub(super) topics: Vec<(String, Vec<Message>)>,
    /// The ledger of the last worker.
    pub(super) ledger: Vec<(String, Ledger)>,
    /// Whether the ledger covers the whole run: no worker died on the way.
    pub(super) ledger_is_whole: bool,
    /// The error that stopped the pipeline.
    pub(super) error: Option<String>,
    /// Whether the order of all input records was given.
    pub(super) serial: bool,
}

pub(super) struct World<'a, P: Place> {
    topology: Arc<Topology>,
    writers: &'a BTreeMap<String, [Writers; 2]>,
    test: &'a TestSpec,
    way: Way,
    place: P,
    stores: MemoryStores,
    worker: Option<Worker<P::Log>>,
    now: Millis,
    /// When a row arrived last.
    heard_at: Millis,
    commits: u64,
    deaths: u64,
    serial: bool,
}

/// Why a run ended early: the pipeline's own error, or a test that makes no sense.
enum Stop {
    Pipeline(String),
    Test(String),
}

/// More epochs than any test has records: a run that needs them goes round in circles.
const MOST_EPOCHS: u64 = 20_000;

/// The clock on the wall at the beginning of every test: 2026-01-01T00:00:00Z.
const BEGINNING: Millis = Millis(1_767_225_600_000);

impl<'a, P: Place> World<'a, P> {
    pub(super) fn new(
        mut place: P,
        topology: &Topology,
        writers: &'a BTreeMap<String, [Writers; 2]>,
        asked: &PartitionCounts,
        test: &'a TestSpec,
        way: Way,
    ) -> Result<World<'a, P>, String> {
        for topic in &topology.topics {
            let source = topology.sources.iter().find(|source| source.topic == *topic);
            let count = asked.get(topic).or_else(|| source.and_then(|source| asked.get(&source.name))).unwrap_or(1);
            place.create_topic(topic, count)?;
        }
        for topic in output_topics(topology) {
            if let Some(count) = asked.get(&topic) {
                place.create_topic(&topic, count)?;
            }
        }
        Ok(World {
            serial: super::is_serial(topology, asked),
            topology: Arc::new(topology.clone()),
            writers,
            test,
            way,
            place,
            stores: MemoryStores::new(),
            worker: None,
            now: BEGINNING,
            heard_at: BEGINNING,
            commits: 0,
            deaths: 0,
        })
    }

    /// Runs the test to its end; an error says what is wrong with the test itself.
    pub(super) fn run(mut self) -> Result<Outcome, String> {
        let mut error = None;
        match self.play() {
            Ok(()) => {}
            Err(Stop::Pipeline(message)) => error = Some(message),
            Err(Stop::Test(message)) => return Err(message),
        }
        let ledger = self.worker.as_mut().map(Worker::ledger).unwrap_or_default();
        self.worker = None;
        Ok(Outcome {
            topics: self.read_outputs()?,
            ledger,
            ledger_is_whole: self.deaths == 0 && error.is_none(),
            error,
            serial: self.serial,
        })
    }

    fn play(&mut self) -> Result<(), Stop> {
        match &self.test.input.value {
            Input::BySource(sources) => {
                for (source, rows) in sources {
                    for row in rows {
                        self.arrive(source, row)?;
                    }
                }
                self.process()?;
            }
            Input::OneByOne(arrivals) => {
                // Where a step reads by event time, that is the order, whenever records came.
                let mut parts = self.topology.subtopologies.iter();
                let as_it_comes = parts.all(|part| part.plan.reading == Reading::AsItComes);
                // Where records stand that have not been read yet.
                let mut unread: Option<(&str, u32)> = None;
                for arrival in arrivals {
                    let place = match &arrival.value {
                        Arrival::Row(source, row) => Some((source.as_str(), message::partition_of(row))),
                        _ => None,
                    };
                    if as_it_comes && place.is_some() && unread.is_some() && unread != place {
                        self.take_in()?;
                    }
                    unread = place;
                    match &arrival.value {
                        Arrival::Row(source, row) => self.arrive(source, row)?,
                        Arrival::Commit => self.process()?,
                        Arrival::Crash => {
                            self.process()?;
                            self.die();
                        }
                        Arrival::AdvanceClock(span) => {
                            self.process()?;
                            self.now = self.now.plus(span.millis());
                            self.process()?;
                        }
                    }
                }
                self.process()?;
            }
        }
        if let Some(span) = &self.test.advance_clock {
            self.now = self.now.plus(span.value.millis());
            self.process()?;
        }
        if self.test.close.as_ref().is_some_and(|close| close.value) {
            let now = self.now;
            self.worker()?.close(now).map_err(stopped)?;
        }
        Ok(())
    }

    fn arrive(&mut self, source: &str, row: &Row) -> Result<(), Stop> {
        let def = self.topology.sources.iter().find(|def| def.name == source).ok_or_else(|| {
            Stop::Test(format!("the test names the source {source}, which the pipeline does not have"))
        })?;
        let writers = self.writers.get(source).ok_or_else(|| Stop::Test(format!("the source {source} is unknown")))?;
        let message = message::encode(row, def, writers).map_err(Stop::Test)?;
        let headers: Vec<Header<'_>> =
            message.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
        let mut records = Records::new();
        let record = NewRecord {
            key: message.key.as_deref(),
            value: message.value.as_deref(),
            timestamp: message.timestamp,
            headers: &headers,
        };
        records.push(Default::default(), record);
        let topic = def.topic.clone();
        self.heard_at = self.now;
        self.place.produce(&topic, PartitionId(message.partition), &records).map_err(Stop::Test)
    }

    /// Processes all that has arrived, before something arrives elsewhere. A commit is only what the way of this run asks for.
    fn take_in(&mut self) -> Result<(), Stop> {
        let now = self.now;
        if self.way != Way::Straight {
            return self.process();
        }
        while self.worker()?.read_once(now).map_err(stopped)? == Progress::Made {}
        Ok(())
    }

    /// Processes all that has arrived, in the way of this run.
    fn process(&mut self) -> Result<(), Stop> {
        let now = self.now;
        match self.way {
            Way::Straight => self.worker()?.run_until_quiet(now).map_err(stopped)?,
            Way::CrashAfter(records) => {
                while self.deaths == 0 && self.worker()?.standing().records_in < records {
                    if self.worker()?.read_once(now).map_err(stopped)? == Progress::None {
                        break;
                    }
                }
                if self.deaths == 0 && self.worker()?.standing().records_in >= records {
                    self.die();
                }
                self.worker()?.run_until_quiet(now).map_err(stopped)?;
            }
            Way::CommitEach => while self.one_epoch()? {},
            Way::CrashEach => loop {
                self.worker()?.read_once(now).map_err(stopped)?;
                self.die();
                let more = self.one_epoch()?;
                self.die();
                if !more {
                    break;
                }
            },
        }
        self.check_balance()
    }

    /// One record of each partition, and a commit; now and then what was committed goes to the store.
    fn one_epoch(&mut self) -> Result<bool, Stop> {
        let now = self.now;
        let worker = self.worker()?;
        let before = worker.processed_rows();
        // Where rows are read in order of event time, one may have to wait for the heads of other partitions.
        while worker.read_once(now).map_err(stopped)? == Progress::Made && worker.processed_rows() == before {}
        let processed = worker.processed_rows() != before;
        let committed = worker.commit(now).map_err(stopped)?;
        self.check_balance()?;
        self.commits += 1;
        if self.commits > MOST_EPOCHS {
            return Err(Stop::Test(format!("it does not come to rest within {MOST_EPOCHS} epochs")));
        }
        if self.commits.is_multiple_of(3) {
            self.worker()?.checkpoint(now).map_err(stopped)?;
        }
        Ok(committed || processed)
    }

    fn check_balance(&mut self) -> Result<(), Stop> {
        let unbalanced = self.worker()?.ledger().into_iter().find(|(_, ledger)| !ledger.balances());
        match unbalanced {
            Some((step, ledger)) => Err(Stop::Test(format!("the ledger of {step} does not balance: {ledger}"))),
            None => Ok(()),
        }
    }

    fn die(&mut self) {
        self.worker = None;
        self.deaths += 1;
    }

    fn worker(&mut self) -> Result<&mut Worker<P::Log>, Stop> {
        if self.worker.is_none() {
            let (records, checkpoint) = match self.way {
                Way::Straight => (ReadLimit::default().records, Millis(i64::MAX)),
                Way::CrashAfter(_) | Way::CommitEach | Way::CrashEach => (1, Millis(i64::MAX)),
            };
            let settings = WorkerSettings {
                read: ReadLimit { records, ..ReadLimit::default() },
                checkpoint_interval: checkpoint,
                // The schemas of a test's rows come with its sources: an id beyond those is one that there is not.
                schemas: SchemaCache::given([]),
                ..WorkerSettings::default()
            };
            let stores = Box::new(self.stores.clone());
            let log = self.place.connect(&self.topology).map_err(Stop::Test)?;
            // Silence is counted from the last arrival, also by a worker that has come back since.
            let worker = Worker::start(self.topology.clone(), log, stores, settings, self.heard_at, &mut |_, _| {});
            self.worker = Some(worker.map_err(stopped)?);
        }
        self.worker.as_mut().ok_or_else(|| Stop::Test("the worker did not start".to_owned()))
    }

    fn read_outputs(&mut self) -> Result<Vec<(String, Vec<Message>)>, String> {
        let mut topics = Vec::new();
        for topic in output_topics(&self.topology) {
            let mut messages = self.place.read(&topic)?;
            dead_letters::sort(&self.topology, &topic, &mut messages);
            topics.push((topic, messages));
        }
        Ok(topics)
    }
}

fn stopped(error: crate::worker::WorkerError) -> Stop {
    Stop::Pipeline(error.to_string())
}
