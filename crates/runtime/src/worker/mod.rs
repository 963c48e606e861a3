//! A worker: feeds the tasks of one pipeline from a log and commits what comes out, epoch by epoch.
//!
//! One commit makes an epoch's outputs, state changes and input positions visible together, and only after it may the
//! state store hear of them. After any error the worker is to be dropped and built again: that is also what a crash does.

mod build;
mod changelog;
mod dead_letter;
mod decoders;
mod error;
mod headers;
mod keys;
mod lane;
pub(crate) mod leads;
mod output;
mod pace;
pub(crate) mod position;
mod rate;
mod refused;
mod replay;
mod schemas;
mod silence;
mod standing;
mod start;
mod tasks;

pub(crate) use decoders::of as decoder;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::compute;
use millstream_engine::batch::Batch;
use millstream_engine::context::{Effect, ExchangeOutput, Output};
use millstream_engine::error::{RowFault, TaskError};
use millstream_engine::ids::{InputId, Offset};
use millstream_engine::ledger::Ledger;
use millstream_engine::operator::{End, Signal};
use millstream_engine::task::{Position, Task};
use millstream_engine::time::Millis;
use millstream_formats::frame::ExchangeFrame;
use millstream_pipeline::topology::{Extent, PartitionCounts, Topology};

use crate::crash::{self, crash_point};
use crate::log::{CommittedOffset, Log, ReadLimit, TopicPartition};
use crate::panics;
use crate::registry::SchemaCache;
use crate::store::shared::SharedStore;
use crate::store::{StateStore, StateStores};

pub(crate) use error::Place;
pub use error::{RecordPlace, WorkerError};
pub use pace::RestorePace;
pub(crate) use position::lead_beside;
pub use position::{are_of_other_topics, check_shape as check_committed};
pub use replay::RestoreProgress;
pub use standing::{Spent, Standing};
pub use tasks::Restored;

use changelog::Changelog;
use lane::{Arrival, Fetched, Lane, Reader};
use output::SinkWriter;
use rate::FailureRate;
use refused::Refusals;
use silence::Questions;
use tasks::RestoringTask;

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// How much one read of a partition may bring.
    pub read: ReadLimit,
    /// How long an epoch may last.
    pub commit_interval: Millis,
    /// How many bytes of output an epoch may hold before it is committed early.
    pub epoch_bytes: usize,
    /// How often committed state goes to the state store.
    pub checkpoint_interval: Millis,
    /// Who makes durable what a checkpoint has written.
    pub flush: Flush,
    /// How many bytes of state stay in memory, about: what is over it, and has been stored, is read back from the store.
    pub state_memory: usize,
    /// Whether topics that sinks write to are made when they are missing.
    pub create_topics: CreateTopics,
    /// The schemas that records may name.
    pub schemas: SchemaCache,
    /// How often tasks tell those behind a repartition of time alone.
    pub telling: Telling,
}

/// Consumed frames of a repartition are given up in groups of so many.
const TRIM_AFTER_FRAMES: i64 = 1024;

/// How often it is told that rows are not put in order.
const TELL_DISORDER_EVERY_MS: i64 = 60_000;

/// Who makes durable what a checkpoint has written. Nothing depends on when: a store that is behind is caught up from the
/// changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// The worker, which waits for the disk.
    AtCheckpoint,
    /// Another thread, every few seconds, so that no record waits for the disk.
    Elsewhere,
}

/// What happens when a topic that is written to is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateTopics {
    /// It is made: as the pipeline says, else with as many partitions as the widest source has.
    WhereMissing,
    /// It is made where the pipeline says how (`create:`); else the worker does not start.
    AsDeclared,
}

/// How often tasks tell those behind a repartition of time alone. No result depends on it, only when windows close, and when
/// `over` and `count` see rows that wait for those of other tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// With each commit.
    AtCommits,
    /// With each commit, or more seldom where many tell many.
    Sparingly,
}

impl Telling {
    /// The least time between two tellings over a repartition of so many partitions, which as many tasks write to: all
    /// together send no more than 20,000 frames a second, up to 200 partitions, and each sends every two seconds at least.
    fn interval(self, partitions: u32) -> Millis {
        match self {
            Telling::Sparingly => Millis((i64::from(partitions).pow(2) / 20).min(2_000)),
            Telling::AtCommits => Millis(0),
        }
    }
}

impl Default for WorkerSettings {
    fn default() -> WorkerSettings {
        WorkerSettings {
            read: ReadLimit::default(),
            commit_interval: Millis(100),
            epoch_bytes: 32 << 20,
            checkpoint_interval: Millis(5_000),
            flush: Flush::AtCheckpoint,
            state_memory: 1 << 30,
            create_topics: CreateTopics::WhereMissing,
            schemas: SchemaCache::default(),
            telling: Telling::AtCommits,
        }
    }
}

/// How long to wait before looking again whether a schema is known, where there is nothing else to do.
const LOOK_FOR_SCHEMAS_EVERY: Duration = Duration::from_millis(5);

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Something was read or committed.
    Made,
    /// There was nothing to do.
    None,
}

/// The tasks of one pipeline, over one log.
pub struct Worker<L: Log> {
    topology: Arc<Topology>,
    settings: WorkerSettings,
    log: L,
    stores: Box<dyn StateStores>,
    counts: PartitionCounts,
    /// By which topics the tasks of each subtopology are given out: it lasts as long as `counts` and `extent`.
    leads: Vec<String>,
    extent: Extent,
    /// In order of their ids.
    tasks: Vec<RunningTask>,
    /// Taken, but not yet whole.
    restoring: Vec<RestoringTask>,
    /// Committed and whole, but perhaps no longer this worker's.
    parked: Vec<RunningTask>,
    /// The ledgers of tasks that were dropped.
    gone: Vec<(String, Ledger)>,
    sinks: Vec<SinkWriter>,
    dead_letter_partitions: u32,
    committed: BTreeMap<TopicPartition, CommittedOffset>,
    /// Ends at which reading has begun (`start: latest`), for as long as nothing is committed there.
    begun: BTreeMap<TopicPartition, Offset>,
    /// For each subtopology, if there is a limit: what it reads of sources or repartitions, and what fails there.
    failure_rates: Vec<FailureRate>,
    epoch_began: Option<Millis>,
    /// The task that reads first in the next round.
    next_task: usize,
    /// When a commit is due though nothing comes.
    due_at: Option<Millis>,
    checkpointed_at: Millis,
    /// How many bytes of state each step of each task may keep in memory.
    step_budget: usize,
    records_in: u64,
    /// The least timestamp of a source's record since it was asked for.
    oldest_read: Option<Millis>,
    bytes_in: u64,
    records_out: u64,
    bytes_out: u64,
    dead_letters: u64,
    /// Records that lanes of tasks that are gone found deleted.
    deleted_before: u64,
    commits: u64,
    spent: Spent,
}

struct RunningTask {
    task: Task,
    lanes: Vec<Lane>,
    /// For tasks with state: its changelog and its store.
    kept: Option<Kept>,
    /// How it stood at the last commit, if tasks behind it want to know.
    told_end: Option<End>,
    /// When it was last told that rows are not put in order.
    told_disorder_at: Option<Millis>,
}

struct Kept {
    changelog: Changelog,
    store: SharedStore,
}

impl RunningTask {
    /// Says, once a minute at the most, that the inputs are too far apart for their rows to be put in order.
    fn tell_if_it_cannot_wait(&mut self, pipeline: &str, now: Millis) {
        let is_told = self.told_disorder_at.is_some_and(|at| now.0 - at.0 < TELL_DISORDER_EVERY_MS);
        if is_told || !self.task.cannot_wait() {
            return;
        }
        self.told_disorder_at = Some(now);
        tracing::warn!(
            pipeline,
            task = %self.task.id(),
            "the inputs of this task are too far apart: so many rows wait for those of others that they are processed in the order \
             in which they came, which `over` and `count` can tell"
        );
    }

    /// Writes committed state to the store and lets go of what is over the budget of each step.
    fn checkpoint(&mut self, step_budget: usize) -> Result<(), WorkerError> {
        match &mut self.kept {
            Some(kept) => kept.changelog.checkpoint(&mut self.task, &mut kept.store, step_budget),
            None => Ok(()),
        }
    }
}

impl<L: Log> Worker<L> {
    /// Reads once from every partition and processes what came; commits when an epoch is due. `now` is the time by
    /// a clock that never jumps ([`steady`](crate::clock::steady)); it decides when to commit and what is idle, never what a result is.
    ///
    /// # Errors
    /// What stops the worker: drop it and build another.
    pub fn step(&mut self, now: Millis) -> Result<Progress, WorkerError> {
        let read = self.read_once(now)?;
        let due = self.epoch_began.is_some_and(|began| now.0 - began.0 >= self.settings.commit_interval.0);
        if due || self.log.open_bytes() >= self.settings.epoch_bytes {
            return Ok(if self.commit(now)? || read == Progress::Made { Progress::Made } else { Progress::None });
        }
        Ok(read)
    }

    /// Steps and commits until nothing is left to read or to commit. Waits for a schema registry, if it must.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn run_until_quiet(&mut self, now: Millis) -> Result<(), WorkerError> {
        loop {
            while self.step(now)? == Progress::Made {}
            if !self.commit(now)? {
                if !self.waits_for_schemas() {
                    return Ok(());
                }
                std::thread::sleep(LOOK_FOR_SCHEMAS_EVERY);
            }
        }
    }

    /// Closes all open windows as if time had come to an end, subtopology by subtopology, and commits.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn close(&mut self, now: Millis) -> Result<(), WorkerError> {
        for subtopology in 0..self.topology.subtopologies.len() {
            self.run_until_quiet(now)?;
            for index in 0..self.tasks.len() {
                if self.tasks[index].task.id().subtopology == subtopology {
                    self.signal(index, Signal::Close)?;
                }
            }
        }
        self.run_until_quiet(now)
    }

    /// Reads once from every partition and processes what came, without a commit. Where that fills the epoch, the other tasks
    /// have their turn first behind the commit.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn read_once(&mut self, now: Millis) -> Result<Progress, WorkerError> {
        if self.due_at.is_some_and(|due_at| due_at <= now) {
            self.epoch_began.get_or_insert(now);
        }
        let mut progress = Progress::None;
        let mut questions = Questions::of_a_round();
        for index in in_turn(self.next_task, self.tasks.len()) {
            if self.log.open_bytes() >= self.settings.epoch_bytes {
                self.next_task = index;
                break;
            }
            if self.read_task(index, now)? == Progress::Made {
                progress = Progress::Made;
                self.epoch_began.get_or_insert(now);
            }
            if self.tasks[index].owes_end() {
                self.epoch_began.get_or_insert(now);
            }
            self.find_idle(index, &mut questions, now)?;
        }
        // Before anything of this round is committed. What is refused by a commit is counted with the next round.
        self.check_failure_rates(now)?;
        Ok(progress)
    }

    /// Commits the open epoch, if there is anything in it: outputs, state changes and input positions become visible
    /// together. Says whether there was anything.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn commit(&mut self, now: Millis) -> Result<bool, WorkerError> {
        self.commit_telling(RunningTask::end, now)
    }

    /// As [`commit`](Self::commit), for who gives its tasks away: those behind hear that there may be more, and wait for who
    /// comes next to say so or not.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn commit_and_part(&mut self, now: Millis) -> Result<bool, WorkerError> {
        self.commit_telling(|_| End::Parting, now)
    }

    fn commit_telling(&mut self, end: impl Fn(&RunningTask) -> End, now: Millis) -> Result<bool, WorkerError> {
        self.epoch_began = None;
        for index in 0..self.tasks.len() {
            let _at = panics::at_task(self.tasks[index].task.id());
            let end = end(&self.tasks[index]);
            self.tasks[index].task.before_commit(now, end).map_err(|error| self.task_error(index, error))?;
            self.tasks[index].told_end = self.tasks[index].told_end.map(|_| end);
            self.route(index)?;
        }
        self.due_at = self.tasks.iter().filter_map(|running| running.task.due_at()).min();
        if self.tasks.iter().any(|running| running.kept.is_some()) {
            // State that is further than results would keep them from ever being made again.
            self.log.write_out()?;
        }
        crash_point!("worker.before_changelog");
        let mut changed = self.log.open_bytes() > 0;
        let began = Instant::now();
        for running in &mut self.tasks {
            let _at = panics::at_task(running.task.id());
            if let Some(kept) = &mut running.kept {
                kept.changelog.append(&mut running.task, kept.store.stored_bytes(), &mut self.log)?;
                changed |= kept.changelog.open_records > 0;
            }
        }
        self.spent.changelog += began.elapsed();
        let mut offsets = self.positions();
        if !changed && offsets.is_empty() {
            self.log.abort();
            return Ok(false);
        }
        if offsets.is_empty() {
            // An epoch of time alone. Offsets are what fences a worker that has been replaced, so it commits one.
            offsets.extend(self.a_position());
        }
        if crash::control("worker.control.state_before_commit") {
            // What a worker must never do. (With the uncommitted position beside it, a restore would notice by itself.)
            self.checkpoint(now)?;
        }
        crash_point!("worker.before_commit");
        self.log.commit(&self.topology.name, &offsets)?;
        crash_point!("worker.after_commit");
        self.committed.extend(offsets);
        self.commits += 1;
        self.after_commit(now)?;
        Ok(true)
    }

    /// Writes committed state to the store. To be called when no epoch is open.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn checkpoint(&mut self, now: Millis) -> Result<(), WorkerError> {
        self.checkpointed_at = now;
        let began = Instant::now();
        for running in &mut self.tasks {
            running.checkpoint(self.step_budget)?;
        }
        crash_point!("worker.before_flush");
        match self.settings.flush {
            Flush::AtCheckpoint => self.stores.flush()?,
            Flush::Elsewhere => {}
        }
        self.spent.checkpoints += began.elapsed();
        Ok(())
    }

    /// The log, for reading what was committed.
    pub fn log(&mut self) -> &mut L {
        &mut self.log
    }

    /// The pipeline that runs.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Gives the log back; whatever was not committed is gone.
    pub fn into_log(mut self) -> L {
        self.log.abort();
        self.log
    }

    fn read_task(&mut self, index: usize, now: Millis) -> Result<Progress, WorkerError> {
        let mut progress = Progress::None;
        let _at = panics::at_task(self.tasks[index].task.id());
        for lane in 0..self.tasks[index].lanes.len() {
            let running = &mut self.tasks[index];
            let wanted = running.lanes[lane].inputs().into_iter().any(|input| running.task.wants(input));
            if !wanted {
                // Its records stay at hand for as long as rows of them wait. What is there all the same is lag.
                let lane = &mut running.lanes[lane];
                lane.end = self.log.extent(&lane.topic, lane.partition)?.end;
                continue;
            }
            match running.lanes[lane].fetch(&mut self.log, self.settings.read, now)? {
                Fetched::Records(arrivals) => {
                    // Also where nothing arrives: frames that were processed before a restart are passed over.
                    progress = Progress::Made;
                    for arrival in arrivals {
                        self.accept(index, lane, arrival)?;
                    }
                }
                Fetched::Nothing => {
                    if let Reader::Source(source) = &running.lanes[lane].reader
                        && !running.task.waits(source.input)
                    {
                        // Offsets without a record have been passed over.
                        running.task.start_at(source.input, Position { offset: running.lanes[lane].next, rows: 0 });
                    }
                }
                Fetched::Waits => {}
            }
        }
        let running = &mut self.tasks[index];
        running.tell_if_it_cannot_wait(&self.topology.name, now);
        let lanes = &running.lanes;
        let ended = OnceCell::new();
        let at_end = |input: InputId| ended.get_or_init(|| inputs_at_end(lanes)).contains(&input);
        let before = running.task.processed_rows();
        running.task.advance(&at_end).map_err(|error| self.task_error(index, error))?;
        if self.tasks[index].task.processed_rows() != before {
            progress = Progress::Made;
        }
        self.route(index)?;
        Ok(progress)
    }

    /// Gives the task what one lane brought, and hands on what comes out of it.
    fn accept(&mut self, index: usize, lane: usize, arrival: Arrival) -> Result<(), WorkerError> {
        let Arrival { input, chunk, bytes, idle } = arrival;
        crash::panic_point("worker.panic");
        let is_source = matches!(self.tasks[index].lanes[lane].reader, Reader::Source(_));
        let records = (chunk.batch.len() + chunk.rejected.len() + chunk.null_values.len()) as u64;
        if is_source {
            self.records_in += records;
            self.oldest_read = oldest(self.oldest_read, &chunk.batch);
            self.bytes_in += bytes as u64;
        }
        if let Some(rate) = self.failure_rate(index) {
            rate.read(records);
        }
        self.tasks[index].task.push(input, chunk).map_err(|error| self.task_error(index, error))?;
        self.route(index)?;
        if idle {
            self.fall_idle(index, input)?;
        }
        Ok(())
    }

    fn fall_idle(&mut self, index: usize, input: InputId) -> Result<(), WorkerError> {
        self.tasks[index].task.falls_idle(input).map_err(|error| self.task_error(index, error))?;
        self.route(index)?;
        Ok(())
    }

    fn signal(&mut self, index: usize, signal: Signal) -> Result<(), WorkerError> {
        self.tasks[index].task.signal(signal).map_err(|error| self.task_error(index, error))?;
        self.route(index)?;
        Ok(())
    }

    /// Sources that have been silent for too long leave the minimum; when all of a task have, time may go on without them.
    fn find_idle(&mut self, index: usize, questions: &mut Questions, now: Millis) -> Result<(), WorkerError> {
        let Worker { tasks, log, .. } = self;
        let seem_idle = tasks[index].lanes.iter_mut().filter(|lane| lane.seems_idle(now));
        let idle: Vec<InputId> = seem_idle.filter_map(|lane| lane.falls_idle(log, questions, now)).collect();
        for input in idle {
            self.epoch_began.get_or_insert(now);
            self.fall_idle(index, input)?;
        }
        let Worker { tasks, log, .. } = self;
        let lanes = &mut tasks[index].lanes;
        let without_rows = |lanes: &[Lane]| {
            let elapsed = lanes.iter().map(|lane| lane.time_without_rows(now)).min().flatten();
            elapsed.filter(|elapsed| elapsed.0 > 0)
        };
        if without_rows(lanes).is_none() || !lanes.iter_mut().all(|lane| lane.listens(log, questions, now)) {
            return Ok(());
        }
        // It may have been heard just now that there is something.
        if let Some(elapsed) = without_rows(lanes) {
            lanes.iter_mut().for_each(|lane| lane.silence.closed_until = Some(now));
            self.epoch_began.get_or_insert(now);
            self.signal(index, Signal::Elapsed(elapsed))?;
        }
        Ok(())
    }

    /// Sends on what a task let out.
    fn route(&mut self, index: usize) -> Result<(), WorkerError> {
        let mut refusals = Refusals::default();
        for effect in self.tasks[index].task.take_effects() {
            match effect {
                Effect::Output(output) => self.write(index, &output, &mut refusals)?,
                Effect::Exchange(exchange) => self.send(index, exchange, &mut refusals)?,
                Effect::DeadLetter(rejected) => self.add_refused(index, rejected, &mut refusals),
            }
        }
        refusals.into_letters().iter().try_for_each(|letter| self.dead_letter(index, letter))
    }

    fn write(&mut self, index: usize, output: &Output, refusals: &mut Refusals) -> Result<(), WorkerError> {
        let partition = self.tasks[index].task.id().partition;
        let writer = &mut self.sinks[output.sink.0];
        let open_bytes = self.log.open_bytes();
        let faults = writer.write(output, partition, &mut self.log)?;
        self.bytes_out += self.log.open_bytes().saturating_sub(open_bytes) as u64;
        self.records_out += (output.batch.len() - faults.len()) as u64;
        if faults.is_empty() {
            return Ok(());
        }
        let node = writer.def().node;
        let step = writer.def().name.clone();
        self.tasks[index].task.count_unwritten(node, faults.len() as u64);
        faults.into_iter().try_for_each(|fault| self.refuse(index, &step, &output.batch, fault, refusals))
    }

    /// Sends rows to another task.
    fn send(&mut self, index: usize, output: ExchangeOutput, refusals: &mut Refusals) -> Result<(), WorkerError> {
        let ExchangeOutput { exchange, partition, batch, idle, end } = output;
        let exchange = &self.topology.exchanges[exchange.0];
        let frame = ExchangeFrame { sender: self.tasks[index].task.id(), idle, end, batch };
        let mut refused = Vec::new();
        output::send_frame(&exchange.topic, partition, frame, &mut self.log, &mut refused)?;
        if refused.is_empty() {
            return Ok(());
        }
        let node = exchange.from_node;
        let step = self.topology.subtopologies[exchange.from].plan.nodes[node.0].name.clone();
        self.tasks[index].task.count_unwritten(node, refused.len() as u64);
        let mut refuse =
            |(row, error): output::Refused| self.refuse(index, &step, &row, RowFault { row: 0, error }, refusals);
        refused.into_iter().try_for_each(&mut refuse)
    }

    /// The rate that what task number `index` reads and refuses counts for, if there is a limit.
    fn failure_rate(&mut self, index: usize) -> Option<&mut FailureRate> {
        self.failure_rates.get_mut(self.tasks[index].task.id().subtopology)
    }

    fn check_failure_rates(&mut self, now: Millis) -> Result<(), WorkerError> {
        let Some(limit) = self.topology.on_error.fail_above else { return Ok(()) };
        let Some(rate) = self.failure_rates.iter_mut().find_map(|rate| rate.is_exceeded(now).then_some(rate)) else {
            return Ok(());
        };
        Err(WorkerError::TooManyFailures {
            pipeline: self.topology.name.clone(),
            // A fraction of 0.07 is not quite 7 percent.
            percent: (limit.fraction * 1e8).round() / 1e6,
            span: millstream_pipeline::spec::Duration(limit.span),
            last: rate.last().to_owned(),
        })
    }

    /// By which topics the tasks of each subtopology are given out.
    pub fn lead_topics(&self) -> &[String] {
        &self.leads
    }

    /// Some input's position, moved or not.
    fn a_position(&self) -> Option<(TopicPartition, CommittedOffset)> {
        let (running, lane) = self.tasks.iter().find_map(|running| Some((running, running.lanes.first()?)))?;
        let changelog = running.kept.as_ref().map(|kept| kept.changelog.reach());
        let position = position::position_of(&self.topology, &self.leads, &running.task, lane, changelog);
        Some(((lane.topic.clone(), lane.partition), position))
    }

    /// The positions that differ from what was committed last.
    fn positions(&self) -> BTreeMap<TopicPartition, CommittedOffset> {
        let mut positions = BTreeMap::new();
        for running in &self.tasks {
            let changelog = running.kept.as_ref().map(|kept| kept.changelog.reach());
            for lane in &running.lanes {
                let place = (lane.topic.clone(), lane.partition);
                let position = position::position_of(&self.topology, &self.leads, &running.task, lane, changelog);
                if self.committed.get(&place).is_none_or(|last| position::moved(last, &position)) {
                    positions.insert(place, position);
                }
            }
        }
        positions
    }

    fn after_commit(&mut self, now: Millis) -> Result<(), WorkerError> {
        for running in &mut self.tasks {
            if let Some(kept) = &mut running.kept {
                kept.changelog.committed(&mut self.log)?;
            }
            for lane in running.lanes.iter_mut().filter(|lane| matches!(lane.reader, Reader::Exchange(_))) {
                let committed = self.committed.get(&(lane.topic.clone(), lane.partition));
                let behind = committed.map_or(lane.trimmed, |position| position.offset);
                if behind.0 - lane.trimmed.0 >= TRIM_AFTER_FRAMES {
                    self.log.trim(&lane.topic, lane.partition, behind)?;
                    lane.trimmed = behind;
                }
            }
        }
        if now.0 - self.checkpointed_at.0 >= self.settings.checkpoint_interval.0 {
            self.checkpoint(now)?;
        }
        Ok(())
    }

    fn task_error(&self, index: usize, source: TaskError) -> WorkerError {
        let (pipeline, task) = (self.topology.name.clone(), self.tasks[index].task.id().to_string());
        match source {
            TaskError::RecordFailed(rejected) => {
                WorkerError::Record { pipeline, task, place: self.place_of(&rejected), rejected }
            }
            source => WorkerError::Task { pipeline, task, source },
        }
    }
}

/// The inputs for which nothing more has been written.
fn inputs_at_end(lanes: &[Lane]) -> BTreeSet<InputId> {
    lanes.iter().filter(|lane| lane.is_at_end()).flat_map(Lane::inputs).collect()
}

/// The numbers below `count`, from `first` on round.
fn in_turn(first: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| (first + step) % count)
}

/// The lesser of a timestamp and those of a source's records, as far as they have one.
fn oldest(known: Option<Millis>, records: &Batch) -> Option<Millis> {
    let times = compute::min(&records.meta.event_time).filter(|&time| time >= 0).map(Millis);
    known.into_iter().chain(times).min()
}
