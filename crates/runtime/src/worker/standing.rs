//! Where a worker stands, for people and metrics; reading it changes nothing.

use std::time::Duration;

use millstream_engine::ledger::Ledger;
use millstream_engine::operator::End;
use millstream_engine::task::{self, Task};
use millstream_engine::time::{Millis, Watermark};
use millstream_pipeline::topology::PartitionCounts;

use super::changelog::live_bytes;
use super::lane::{Lane, Reader};
use super::{RunningTask, Worker, WorkerError};
use crate::log::Log;
use crate::store::StateStore;
use crate::telemetry::{LaneKind, LaneSnapshot, SchemaWait, Speech, TaskPhase, TaskSnapshot, Traffic, WorkerSnapshot};

/// Where a worker stands, for people and metrics.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Records read since the worker was built.
    pub records_in: u64,
    /// Messages written to sinks.
    pub records_out: u64,
    /// Records given to `on_error`.
    pub errors: u64,
    /// Refusals of late rows by (row, window).
    pub late: u64,
    /// Committed records of the sources that are not read yet.
    pub lag: u64,
    /// The least W_i of the sources that have spoken.
    pub watermark: Option<Watermark>,
    /// Epochs committed.
    pub commits: u64,
    /// Bytes of state in memory.
    pub state_bytes: u64,
}

/// How long a worker has spent on parts of its commits since it was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// On writing state changes to the open transaction.
    pub changelog: Duration,
    /// On writing committed state to the store.
    pub checkpoints: Duration,
}

impl<L: Log> Worker<L> {
    /// How long it has spent on parts of its commits.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// The ledger of each step, all tasks together, those that are parked or were let go too, in the order of the graph.
    pub fn ledger(&mut self) -> Vec<(String, Ledger)> {
        let gone = self.gone.iter().cloned();
        let here = self.tasks.iter_mut().chain(&mut self.parked);
        task::add_up(gone.chain(here.flat_map(|running| running.task.ledgers())))
    }

    /// Rows that all tasks have processed since the worker was built.
    pub fn processed_rows(&self) -> u64 {
        self.tasks.iter().map(|running| running.task.processed_rows()).sum()
    }

    /// Where the worker stands.
    pub fn standing(&mut self) -> Standing {
        let mut standing = Standing {
            records_in: self.records_in,
            records_out: self.records_out,
            commits: self.commits,
            ..Standing::default()
        };
        for running in &mut self.tasks {
            for (_, ledger) in running.task.ledgers() {
                standing.errors += ledger.errors + ledger.result_errors;
                standing.late += ledger.late;
            }
            for lane in running.lanes.iter().filter(|lane| matches!(lane.reader, Reader::Source(_))) {
                standing.lag += (lane.end.0 - lane.reached().0).max(0) as u64;
            }
            standing.watermark = match (standing.watermark, running.task.source_watermark()) {
                (Some(least), Some(watermark)) => Some(least.min(watermark)),
                (least, watermark) => least.or(watermark),
            };
            standing.state_bytes += running.task.states().map(|(_, state)| state.memory_bytes() as u64).sum::<u64>();
        }
        standing
    }

    /// Records read from sources since the worker was built.
    pub fn records_in(&self) -> u64 {
        self.records_in
    }

    /// The least timestamp of a record that was read of a source since the last call; to be asked for behind each commit.
    pub fn take_oldest_read(&mut self) -> Option<Millis> {
        self.oldest_read.take()
    }

    /// How many tasks run.
    pub fn running_tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Whether something has been read or done that is not committed.
    pub fn has_open_epoch(&self) -> bool {
        self.epoch_began.is_some()
    }

    /// Whether everything that was committed to any input has been read, no row waits for those of others, and no sender has
    /// said that it has more.
    pub fn is_at_end(&self) -> bool {
        self.tasks.iter().all(|running| running.end() == End::Reached)
    }

    /// Whether records that were read wait until a schema registry has answered.
    pub fn waits_for_schemas(&self) -> bool {
        self.tasks.iter().flat_map(|running| &running.lanes).any(|lane| lane.held.is_some())
    }

    /// A source topic that has not as many partitions any more as `counts` says, with what it had and has.
    ///
    /// # Errors
    /// If the log cannot say.
    pub fn changed_partitions(&self, counts: &PartitionCounts) -> Result<Option<(String, u32, u32)>, WorkerError> {
        for source in &self.topology.sources {
            let missing = || WorkerError::MissingTopic { topic: source.topic.clone() };
            let now = self.log.partitions(&source.topic)?.ok_or_else(missing)?;
            let before = counts.get(&source.topic).unwrap_or(1);
            if now != before {
                return Ok(Some((source.topic.clone(), before, now)));
            }
        }
        Ok(None)
    }

    /// Everything that metrics tell of this worker.
    pub fn snapshot(&mut self, now: Millis) -> WorkerSnapshot {
        let traffic = Traffic {
            records_in: self.records_in,
            records_out: self.records_out,
            dead_letters: self.dead_letters,
            records_deleted: self.deleted_before
                + self.tasks.iter().chain(&self.parked).map(RunningTask::deleted).sum::<u64>(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        };
        let running = self.tasks.iter_mut().map(|running| running.snapshot(TaskPhase::Running, now));
        let restoring = self.restoring.iter_mut().map(|restoring| {
            let progress = restoring.progress();
            restoring.running.snapshot(TaskPhase::Restoring(progress), now)
        });
        let parked = self.parked.iter_mut().map(|parked| parked.snapshot(TaskPhase::Running, now));
        WorkerSnapshot {
            tasks: running.chain(restoring).collect(),
            parked: parked.collect(),
            traffic,
            ..WorkerSnapshot::default()
        }
    }
}

impl RunningTask {
    /// How it stands to what there is to read, as far as it knows.
    pub(super) fn end(&self) -> End {
        let is_at_end = self.lanes.iter().all(Lane::is_at_end) && self.task.is_at_end();
        if is_at_end { End::Reached } else { End::Ahead }
    }

    /// Whether tasks behind it wait to hear that it stands otherwise.
    pub(super) fn owes_end(&self) -> bool {
        self.told_end.is_some_and(|told| told != self.end())
    }

    /// Records that the log had deleted before the task read them.
    pub(super) fn deleted(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.skipped).sum()
    }

    fn snapshot(&mut self, phase: TaskPhase, now: Millis) -> TaskSnapshot {
        let mut snapshot = TaskSnapshot::new(self.task.id(), phase);
        snapshot.lanes = self.lanes.iter().map(|lane| lane.snapshot(&self.task, now)).collect();
        snapshot.watermark = self.task.watermark();
        snapshot.held_back = self.task.held_back();
        snapshot.ledgers = self.task.ledgers();
        snapshot.state_memory_bytes = self.task.states().map(|(_, state)| state.memory_bytes() as u64).sum();
        if let Some(kept) = &self.kept {
            snapshot.state_disk_bytes = kept.store.stored_bytes();
            let total = kept.changelog.bytes();
            snapshot.changelog_live_bytes = live_bytes(&mut self.task, snapshot.state_disk_bytes).min(total);
            snapshot.changelog_dead_bytes = total - snapshot.changelog_live_bytes;
            snapshot.changelog_written_bytes = kept.changelog.written_bytes;
            snapshot.changelog_largest_row_bytes = kept.changelog.largest_row;
        }
        snapshot
    }
}

impl Lane {
    fn snapshot(&self, task: &Task, now: Millis) -> LaneSnapshot {
        let (kind, speech) = match &self.reader {
            Reader::Source(source) if source.is_idle => (LaneKind::Source, Speech::Idle),
            Reader::Source(_) => (LaneKind::Source, Speech::Speaking),
            Reader::Exchange(_) => (LaneKind::Repartition, Speech::Speaking),
        };
        let newest_event_time = match &self.reader {
            Reader::Source(source) => task.input_watermark(source.input).map(|w| Millis(w.0 + source.out_of_order.0)),
            Reader::Exchange(_) => None,
        };
        LaneSnapshot {
            topic: self.topic.clone(),
            partition: self.partition,
            kind,
            next: self.reached(),
            end: self.end,
            newest_event_time,
            speech,
            waits: self.held.as_ref().map(|held| SchemaWait {
                schemas: held.ids.iter().take(SchemaWait::MOST_NAMED).map(|id| id.0).collect(),
                count: held.ids.len(),
                seconds: ((now.0 - held.since.0).max(0) / 1000) as u64,
                error: held.error.as_deref().map(str::to_owned),
            }),
        }
    }
}
