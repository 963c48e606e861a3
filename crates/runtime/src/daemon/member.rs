//! One worker thread of the daemon: a member of the pipeline's group that processes the tasks which the group gives it.
//!
//! Whatever fails in an epoch is answered in one way: drop the tasks' memory, take a clean producer, read what is committed,
//! and take the same tasks again. What cannot be answered so ends the thread, and with it this attempt of the pipeline.

mod telling;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use millstream_engine::time::Millis;
use millstream_pipeline::topology::{PartitionCounts, Topology};

use super::NotLowered;
use super::failures::Failures;
use super::pace::{BUSY_RECORDS, Load, Pace, Waiting};
use super::pipeline::Returned;
use crate::clock;
use crate::follow::{Stop, Until};
use crate::log::kafka::{GroupEvent, Guarantee, Interrupt, KafkaCounters, KafkaLog, KafkaLogSettings};
use crate::log::{FailureKind, Log, LogError, TopicPartition};
use crate::panics::{self, Panic};
use crate::store::{StateStores, StoreError};
use crate::telemetry::{Event, Phase, Trouble, WorkerSnapshot, WorkerState, WorkerTelemetry};
use crate::worker::{Place, Progress, Restored, Worker, WorkerError, WorkerSettings};

/// How long a poll waits for the first record where there is nothing to do.
const WAIT: Duration = Duration::from_millis(50);
/// How long one attempt to initialise a producer may hold up the group's polls.
const PRODUCER_WAIT: Duration = Duration::from_millis(500);
/// Input of so many bytes is not left alone behind a commit.
const REST_BYTES: u64 = 256 << 10;
/// How often the snapshot for metrics is taken.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// How often the source topics are asked how many partitions they have.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// While offsets are part of another's transaction they are asked for so often.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How long a take-over may wait for others' transactions before that is told as a failure.
const TAKING_WITHIN: Duration = Duration::from_secs(30);
/// With `--until-end`: how long everything must have been at its end.
const QUIET: Duration = Duration::from_millis(500);
/// While tasks are being restored, those that run have a turn so often.
const RESTORE_TURN: Duration = Duration::from_millis(100);

/// Which threads of a pipeline have come to the end. One that left alone would leave what others still send it unread.
#[derive(Clone)]
pub(super) struct AtEnd(Arc<Ends>);

struct Ends {
    threads: Box<[AtomicBool]>,
    /// All of them were there at one time: those that leave wake others, who have nothing more to wait for.
    reached: AtomicBool,
}

impl AtEnd {
    pub(super) fn of(threads: usize) -> AtEnd {
        let threads = (0..threads).map(|_| AtomicBool::new(false)).collect();
        AtEnd(Arc::new(Ends { threads, reached: AtomicBool::new(false) }))
    }

    fn tell(&self, thread: usize, is_at_end: bool) {
        self.0.threads[thread].store(is_at_end, Ordering::SeqCst);
    }

    fn is_reached(&self) -> bool {
        if self.0.threads.iter().all(|thread| thread.load(Ordering::SeqCst)) {
            self.0.reached.store(true, Ordering::SeqCst);
        }
        self.0.reached.load(Ordering::SeqCst)
    }
}

/// A worker thread to be.
pub(super) struct Member {
    pub(super) topology: Arc<Topology>,
    /// The partitions of source topics that the topology was made for.
    pub(super) counts: PartitionCounts,
    pub(super) log: KafkaLogSettings,
    pub(super) stores: Arc<dyn StateStores + Sync>,
    pub(super) settings: WorkerSettings,
    pub(super) until: Until,
    /// With an end: how long it goes without any broker.
    pub(super) brokers_within: Duration,
    pub(super) thread: usize,
    pub(super) telemetry: WorkerTelemetry,
    pub(super) stop: Stop,
    pub(super) at_end: AtEnd,
    /// Where the thread leaves what ends its waits for a broker.
    pub(super) leash: Arc<OnceLock<Interrupt>>,
    /// Where the first thread of the attempt that commits with all its tasks says when.
    pub(super) committed_since: Arc<OnceLock<Instant>>,
}

/// Why a worker thread ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum MemberError {
    /// The worker stopped.
    #[error("{0}")]
    Worker(#[from] WorkerError),
    /// No broker answers.
    #[error("{error}")]
    Unreachable { error: LogError, since: Instant },
    /// The pipeline has no topology.
    #[error("{0}")]
    Pipeline(#[from] NotLowered),
    /// The brokers have something against it.
    #[error("{}", .0.join("; and "))]
    Preflight(Vec<String>),
    /// The topology must be made anew.
    #[error("topic {topic} has {now} partitions now, and had {before}: the pipeline is built anew")]
    PartitionsChanged { topic: String, before: u32, now: u32 },
    /// A bug.
    #[error("{0}")]
    Panicked(Panic),
}

impl From<LogError> for MemberError {
    fn from(error: LogError) -> MemberError {
        MemberError::Worker(error.into())
    }
}

impl MemberError {
    /// Where it arose, as far as it knows.
    pub(super) fn place(&self) -> Place<'_> {
        match self {
            MemberError::Worker(error) => error.place(),
            MemberError::PartitionsChanged { topic, .. } => Place { topic: Some(topic), ..Place::default() },
            MemberError::Unreachable { .. }
            | MemberError::Pipeline(_)
            | MemberError::Preflight(_)
            | MemberError::Panicked(_) => Place::default(),
        }
    }

    /// Whether nothing is wrong but that there are partitions which the topology was not made for.
    pub(super) fn is_growth(&self) -> bool {
        matches!(self, MemberError::PartitionsChanged { .. })
    }

    /// Whether the same may succeed when it is tried again.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            MemberError::Worker(WorkerError::Log(error)) => error.kind() != FailureKind::Refused,
            MemberError::Unreachable { .. }
            | MemberError::PartitionsChanged { .. }
            | MemberError::Pipeline(NotLowered::Registry(_)) => true,
            _ => false,
        }
    }
}

impl Member {
    pub(super) fn run(self) -> Returned {
        let (telemetry, at_end) = (self.telemetry.clone(), self.at_end.clone());
        let (pipeline, thread) = (self.topology.name.clone(), self.thread);
        // What is said in the depth of a task need not know whose it is.
        let _span = tracing::error_span!("worker", %pipeline, thread).entered();
        let returned = panics::guard(&pipeline, Some(thread), || self.work());
        let returned = returned.unwrap_or_else(|panic| Returned::nothing(Some(MemberError::Panicked(panic))));
        // A source that has grown is no failure: the pipeline is built anew at once.
        if let Some(error) = returned.error.as_ref().filter(|error| !error.is_growth()) {
            telemetry.failed(super::pipeline::failure(error));
        }
        telemetry.set_state(WorkerState::Stopped);
        // Whatever it left undone: the others need not wait for it.
        at_end.tell(thread, true);
        returned
    }

    fn work(self) -> Returned {
        let mut running = match self.join() {
            Ok(Some(running)) => running,
            Ok(None) => return Returned::nothing(None),
            Err(error) => return Returned::nothing(Some(error)),
        };
        let outcome = running.follow();
        let error = match outcome {
            Ok(()) => running.leave().err(),
            Err(error) => {
                running.worker.forget();
                let _ = running.worker.log().leave();
                Some(error)
            }
        };
        running.tell();
        Returned { standing: running.worker.standing(), busy: running.busy, ledger: running.worker.ledger(), error }
    }

    /// Connects and joins the group; `None` if it is asked to stop before.
    fn join(self) -> Result<Option<Running>, MemberError> {
        // Rows behind a repartition wait for the senders' time, which is told at commits.
        let waiting = match self.log.guarantee {
            Guarantee::AtLeastOnce if self.topology.exchanges.is_empty() => Waiting::Offsets,
            Guarantee::AtLeastOnce | Guarantee::ExactlyOnce => Waiting::Results,
        };
        let transaction_timeout = self.log.properties.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok());
        let mut log = KafkaLog::connect(self.log)?;
        let _ = self.leash.set(log.interrupt());
        if !stable_offsets(&mut log, &self.topology, &self.telemetry, &self.stop)? {
            return Ok(None);
        }
        let interval = Duration::from_millis(self.settings.commit_interval.0.max(0).unsigned_abs());
        let epoch_bytes = self.settings.epoch_bytes;
        let mut worker = Worker::prepare(self.topology, log, Box::new(self.stores), self.settings, clock::steady())?;
        // Since the topology was made a source may have grown: one of a single partition needs no repartition.
        check_partitions(&worker, &self.counts)?;
        let topics = worker.input_topics();
        worker.log().subscribe(&topics)?;
        self.telemetry.set_state(WorkerState::Joining);
        let started = Instant::now();
        Ok(Some(Running {
            worker,
            counts: self.counts,
            until: self.until,
            brokers_within: self.brokers_within,
            thread: self.thread,
            telemetry: self.telemetry,
            stop: self.stop,
            at_end: self.at_end,
            committed_since: self.committed_since,
            stage: Stage::Waiting,
            owned: Vec::new(),
            pace: Pace::new(interval, waiting, started),
            epoch_bytes,
            transaction_timeout: transaction_timeout.map(Duration::from_millis),
            epoch_began: None,
            load: Load::Idle,
            failures: Failures::none(started),
            trouble: None,
            retry_at: started,
            taking_since: started,
            told_at: started,
            counted_at: started,
            unanswered_since: None,
            quiet_since: None,
            seen: KafkaCounters::default(),
            restoring_since: None,
            last_commit: None,
            first_read: None,
            busy: Duration::ZERO,
        }))
    }
}

/// Waits until the offsets of the group are part of no open transaction; false if asked to stop. First the producer is made:
/// what an earlier one of this name left open is aborted. Another's may have to time out, which is a wait, not a failure.
fn stable_offsets(
    log: &mut KafkaLog,
    topology: &Topology,
    telemetry: &WorkerTelemetry,
    stop: &Stop,
) -> Result<bool, MemberError> {
    let sources = topology.sources.iter().map(|source| &source.topic);
    for topic in sources.chain(topology.exchanges.iter().map(|exchange| &exchange.topic)) {
        // The log asks for the offsets of partitions that it has heard of.
        log.partitions(topic)?;
    }
    let until = Instant::now() + TAKING_WITHIN;
    let mut is_told = false;
    while !stop.is_asked() {
        let made = log.init_producer(PRODUCER_WAIT);
        let is_made = made.is_ok();
        match made.and_then(|()| log.committed(&topology.name)) {
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == FailureKind::Retriable && Instant::now() < until => {
                tracing::debug!("{error}");
                let trouble = Some(Trouble::now(error.to_string()));
                telemetry.publish(WorkerSnapshot { trouble, ..WorkerSnapshot::default() });
                if is_made && !std::mem::replace(&mut is_told, true) {
                    tracing::info!("it begins when another's transaction has ended: {error}");
                }
                std::thread::sleep(ASK_AGAIN);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// How far the thread is with what the group gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The group has given nothing yet.
    Waiting,
    /// Partitions are given; the tasks are to be taken.
    Taking,
    /// Tasks are taken; the state of some is being restored.
    Restoring,
    /// All tasks run.
    Running,
}

/// A worker thread that has joined its group.
struct Running {
    worker: Worker<KafkaLog>,
    counts: PartitionCounts,
    until: Until,
    brokers_within: Duration,
    /// Since when no broker says how many partitions there are.
    unanswered_since: Option<Instant>,
    thread: usize,
    telemetry: WorkerTelemetry,
    stop: Stop,
    at_end: AtEnd,
    committed_since: Arc<OnceLock<Instant>>,
    stage: Stage,
    owned: Vec<TopicPartition>,
    pace: Pace,
    epoch_bytes: usize,
    transaction_timeout: Option<Duration>,
    epoch_began: Option<Instant>,
    load: Load,
    failures: Failures,
    /// What the last epoch or attempt to take tasks failed by.
    trouble: Option<Trouble>,
    retry_at: Instant,
    taking_since: Instant,
    told_at: Instant,
    counted_at: Instant,
    quiet_since: Option<Instant>,
    seen: KafkaCounters,
    restoring_since: Option<Instant>,
    last_commit: Option<Millis>,
    first_read: Option<Instant>,
    /// From the first record read to the last commit.
    busy: Duration,
}

impl Running {
    /// Runs until it is asked to stop or has come to the end.
    fn follow(&mut self) -> Result<(), MemberError> {
        while !self.stop.is_asked() {
            let wait = self.wait();
            if let Some(event) = self.worker.log().poll(wait).map_err(MemberError::from)? {
                self.answer(event)?;
            }
            if let Err(error) = self.advance() {
                self.recover(error)?;
            }
            if self.told_at.elapsed() >= TELL_EVERY {
                self.tell();
            }
            let count_every = if self.must_count() { TELL_EVERY } else { COUNT_EVERY };
            if self.counted_at.elapsed() >= count_every {
                self.count_partitions()?;
            }
            if self.until != Until::Stopped && self.has_come_to_the_end() {
                break;
            }
        }
        Ok(())
    }

    fn wait(&self) -> Duration {
        match self.stage {
            Stage::Restoring => Duration::ZERO,
            Stage::Waiting | Stage::Taking => WAIT,
            Stage::Running if self.load == Load::Busy => Duration::ZERO,
            Stage::Running => {
                let now = Instant::now();
                let wait = self.pace.longest_wait(self.epoch_began, now, WAIT);
                let rest = self.pace.rest(self.load, now);
                if rest.is_zero() { wait } else { wait.min(rest) }
            }
        }
    }

    /// Does what the group asks.
    fn answer(&mut self, event: GroupEvent) -> Result<(), MemberError> {
        match event {
            GroupEvent::Assigned(partitions) => {
                tracing::info!(
                    pipeline = %self.worker.topology().name, thread = self.thread, "assigned {}", names(&partitions)
                );
                // The group need not wait while state is restored.
                self.worker.log().assign(&Default::default())?;
                self.owned = partitions;
                self.stage = Stage::Taking;
                self.taking_since = Instant::now();
                self.count_partitions()?;
            }
            GroupEvent::Revoked(partitions) => {
                tracing::info!(
                    pipeline = %self.worker.topology().name, thread = self.thread, "asked back {}", names(&partitions)
                );
                if let Err(error) = self.worker.hand_over(clock::steady()) {
                    self.note(&error);
                    self.worker.forget();
                }
                self.let_go()?;
            }
            GroupEvent::Lost(partitions) => {
                tracing::warn!(
                    pipeline = %self.worker.topology().name, thread = self.thread,
                    "lost {}: the group took this worker for dead, and others have its tasks", names(&partitions)
                );
                self.worker.forget();
                self.let_go()?;
            }
        }
        Ok(())
    }

    fn let_go(&mut self) -> Result<(), MemberError> {
        self.worker.log().release()?;
        self.owned.clear();
        self.epoch_began = None;
        self.stage = Stage::Waiting;
        self.telemetry.set_state(WorkerState::Joining);
        self.tell();
        Ok(())
    }

    /// One round: takes tasks, restores, reads, processes, commits, as the stage wants it.
    fn advance(&mut self) -> Result<(), WorkerError> {
        match self.stage {
            Stage::Waiting => Ok(()),
            Stage::Taking if Instant::now() < self.retry_at || self.must_count() => Ok(()),
            Stage::Taking => match self.take() {
                // Another's transaction may have to time out first: that is a wait, not a failure.
                Err(WorkerError::Log(error))
                    if error.kind() == FailureKind::Retriable && self.taking_since.elapsed() < TAKING_WITHIN =>
                {
                    tracing::debug!(pipeline = %self.worker.topology().name, thread = self.thread, "{error}");
                    self.trouble = Some(Trouble::now(error.to_string()));
                    Ok(())
                }
                taken => taken,
            },
            Stage::Restoring => {
                self.restore()?;
                self.process()
            }
            Stage::Running => self.process(),
        }
    }

    fn take(&mut self) -> Result<(), WorkerError> {
        let began = Instant::now();
        // First the producer: what an earlier one of this name left open is aborted, and committed offsets become stable.
        self.worker.log().init_producer(PRODUCER_WAIT)?;
        let wanted = self.worker.tasks_of(&self.owned);
        self.worker.take(&wanted, clock::steady())?;
        let reading = self.worker.reading();
        self.worker.log().assign(&reading)?;
        self.stage = Stage::Restoring;
        self.restoring_since = Some(began);
        self.telemetry.set_state(WorkerState::Restoring);
        Ok(())
    }

    fn restore(&mut self) -> Result<(), WorkerError> {
        let (before, began) = (self.worker.running_tasks(), Instant::now());
        let restored = loop {
            let mut last = None;
            let restored =
                self.worker.restore_some(clock::steady(), &mut |task, progress| last = Some((task, progress)))?;
            if let Some((task, progress)) = last {
                self.say_restored(task, progress);
            }
            if restored == Restored::All || began.elapsed() >= RESTORE_TURN {
                break restored;
            }
        };
        if self.worker.running_tasks() != before {
            let reading = self.worker.reading();
            self.worker.log().assign(&reading)?;
        }
        if restored == Restored::All {
            self.worker.log().end_restore();
            self.stage = Stage::Running;
            self.telemetry.set_state(WorkerState::Running);
            let took = self.restoring_for();
            tracing::info!(
                pipeline = %self.worker.topology().name, thread = self.thread,
                "{} tasks run, after {} ms", self.worker.running_tasks(), took.as_millis()
            );
            self.tell();
        }
        Ok(())
    }

    /// Reads and processes once, and commits when it is time.
    fn process(&mut self) -> Result<(), WorkerError> {
        let began = Instant::now();
        let is_little = self.worker.log().counters().buffered_bytes < REST_BYTES;
        if is_little && !self.pace.rest(self.load, began).is_zero() {
            return Ok(());
        }
        let read_before = self.worker.records_in();
        let progress = self.worker.read_once(clock::steady())?;
        let read = self.worker.records_in() - read_before;
        self.load = match (progress, read) {
            (Progress::None, _) => Load::Idle,
            (Progress::Made, BUSY_RECORDS..) => Load::Busy,
            (Progress::Made, _) => Load::Light,
        };
        if read > 0 {
            self.first_read.get_or_insert(began);
        }
        if progress == Progress::Made {
            self.failures.read();
        }
        if !self.worker.has_open_epoch() {
            if self.failures.are_any() && self.stage == Stage::Running && self.worker.is_at_end() {
                self.failures.at_rest(Instant::now());
            }
            return Ok(());
        }
        let epoch_began = *self.epoch_began.get_or_insert(began);
        let full = self.worker.log().open_bytes() >= self.epoch_bytes;
        if full || self.pace.is_due(epoch_began, self.load, Instant::now()) {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), WorkerError> {
        let began = Instant::now();
        let spent_before = self.worker.spent();
        let committed = self.worker.commit(clock::steady())?;
        let ended = Instant::now();
        if committed {
            self.failures.committed();
            self.telemetry.count(Event::Commit);
            self.pace.committed(ended - began, ended);
            self.last_commit = Some(clock::wall());
            self.busy = self.first_read.map_or(Duration::ZERO, |first| ended - first);
            if let Some(epoch_began) = self.epoch_began {
                self.telemetry.observe(Phase::Epoch, ended - epoch_began);
                self.telemetry.observe(Phase::Process, began - epoch_began);
            }
            if let Some(oldest) = self.worker.take_oldest_read() {
                let age = clock::wall().minus(oldest).0.max(0);
                self.telemetry.observe_latency(Duration::from_millis(age as u64));
            }
            let spent = self.worker.spent();
            self.telemetry.observe(Phase::Changelog, spent.changelog - spent_before.changelog);
            if spent.checkpoints > spent_before.checkpoints {
                self.telemetry.observe(Phase::Store, spent.checkpoints - spent_before.checkpoints);
            }
            let (then, counters) = (self.seen, self.worker.log().counters());
            self.telemetry.observe(Phase::Drain, counters.commit_time.drain - then.commit_time.drain);
            self.telemetry.observe(Phase::Offsets, counters.commit_time.send_offsets - then.commit_time.send_offsets);
            self.telemetry.observe(Phase::Commit, counters.commit_time.end_txn - then.commit_time.end_txn);
            self.count(counters);
        }
        // Tasks that are restored commit while others still are; and behind a failure an epoch without input shows nothing.
        if self.stage == Stage::Running && !self.failures.are_any() {
            let _ = self.committed_since.set(ended);
        }
        self.epoch_began = None;
        Ok(())
    }

    /// Drops everything that is not committed and begins again with the same partitions, if that can help.
    fn recover(&mut self, error: WorkerError) -> Result<(), MemberError> {
        let passes = match &error {
            WorkerError::Log(LogError::CrashPoint { .. }) => false,
            WorkerError::Log(error) => !matches!(error.kind(), FailureKind::Fatal | FailureKind::Refused),
            WorkerError::Store(StoreError::TaskOpen { .. }) => true,
            _ => false,
        };
        let now = Instant::now();
        let Some(wait) = self.failures.another(now).filter(|_| passes) else { return Err(error.into()) };
        self.note(&error);
        self.note_long_epoch(&error);
        self.trouble = Some(Trouble::now(error.to_string()));
        let keeps_tasks = self.stage == Stage::Taking;
        if !keeps_tasks {
            self.worker.forget();
            self.worker.log().assign(&Default::default())?;
        }
        self.epoch_began = None;
        if !keeps_tasks {
            self.taking_since = now;
        }
        self.stage = Stage::Taking;
        // Until the tasks are back nothing is processed, which `/ready` must not hide.
        self.telemetry.set_state(WorkerState::Connecting);
        self.tell();
        self.retry_at = Instant::now() + wait;
        Ok(())
    }

    fn note(&self, error: &WorkerError) {
        let Place { task, topic, partition } = error.place();
        tracing::warn!(
            pipeline = %self.worker.topology().name, thread = self.thread, task, topic, partition,
            "{error}; nothing of the open epoch is visible, its input is taken again"
        );
    }

    /// A coordinator puts out the producer of a transaction that takes too long, and then says what it says of any other.
    fn note_long_epoch(&self, error: &WorkerError) {
        let WorkerError::Log(error) = error else { return };
        let (Some(took), Some(limit)) = (self.epoch_began.map(|began| began.elapsed()), self.transaction_timeout)
        else {
            return;
        };
        if error.kind() == FailureKind::Fenced && took >= limit {
            let (pipeline, thread) = (self.worker.topology().name.as_str(), self.thread);
            let (took, limit) = (took.as_secs(), limit.as_secs());
            tracing::warn!(
                pipeline,
                thread,
                "the epoch took {took} s, and brokers end a transaction after {limit} s: raise `transaction_timeout`, or it will be \
                 repeated without end"
            );
        }
    }

    /// Whether tasks are to be taken, and nobody has answered how many partitions there are: which tasks go with which partitions
    /// is decided by that, and who goes by an old number may take what others have.
    fn must_count(&self) -> bool {
        self.stage == Stage::Taking && self.unanswered_since.is_some()
    }

    /// New partitions mean another topology.
    fn count_partitions(&mut self) -> Result<(), MemberError> {
        self.counted_at = Instant::now();
        match check_partitions(&self.worker, &self.counts) {
            // A broker that does not answer now is no reason to stop, but for whoever waits for an end.
            Err(MemberError::Worker(WorkerError::Log(error))) if error.kind() == FailureKind::Retriable => {
                let since = *self.unanswered_since.get_or_insert_with(Instant::now);
                let is_over = self.until != Until::Stopped && since.elapsed() >= self.brokers_within;
                if is_over { Err(MemberError::Unreachable { error, since }) } else { Ok(()) }
            }
            checked => {
                self.unanswered_since = None;
                checked
            }
        }
    }

    fn has_come_to_the_end(&mut self) -> bool {
        if self.at_end.is_reached() {
            return true;
        }
        let quiet = self.stage == Stage::Running
            && self.load == Load::Idle
            && self.worker.is_at_end()
            && self.epoch_began.is_none();
        if !quiet {
            self.quiet_since = None;
        }
        let is_at_end = quiet && self.quiet_since.get_or_insert_with(Instant::now).elapsed() >= QUIET;
        self.at_end.tell(self.thread, is_at_end);
        is_at_end && self.at_end.is_reached()
    }

    /// Commits, writes a checkpoint and leaves the group.
    fn leave(&mut self) -> Result<(), MemberError> {
        if self.stage == Stage::Running || self.stage == Stage::Restoring {
            if let Err(error) = self.worker.commit_and_part(clock::steady()) {
                self.note(&error);
                self.worker.forget();
            }
            self.worker.checkpoint(clock::steady())?;
        }
        self.tell();
        // Everything is committed: a member that cannot say goodbye is missed after the session time-out.
        if let Err(error) = self.worker.log().leave() {
            let (pipeline, thread) = (self.worker.topology().name.clone(), self.thread);
            tracing::warn!(pipeline, thread, "{error}; its partitions are free when its session has timed out");
        }
        Ok(())
    }
}

/// The topology is still the one for the partitions that the source topics have.
fn check_partitions(worker: &Worker<KafkaLog>, counts: &PartitionCounts) -> Result<(), MemberError> {
    match worker.changed_partitions(counts)? {
        Some((topic, before, now)) => Err(MemberError::PartitionsChanged { topic, before, now }),
        None => Ok(()),
    }
}

/// Partitions for people: `bids 0, 1; trades 3`.
fn names(partitions: &[TopicPartition]) -> String {
    let mut sorted = partitions.to_vec();
    sorted.sort();
    let mut text = String::new();
    let mut last = None;
    for (topic, partition) in &sorted {
        if last == Some(topic) {
            text.push_str(&format!(", {partition}"));
        } else {
            text.push_str(&format!("{}{topic} {partition}", if text.is_empty() { "" } else { "; " }));
        }
        last = Some(topic);
    }
    if text.is_empty() { "nothing".to_owned() } else { text }
}
