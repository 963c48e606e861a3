//! Which tasks a worker has: taken, restored, parked while a group makes up its mind, and let go.
//!
//! A task may be processed only by who has restored its state up to what was committed: [`Worker::take`] reads the
//! committed offsets first, then the changelog's end, committed or not, and the task waits until all that was committed
//! before it is applied. The changelogs of all tasks are read side by side, and who has something to apply goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use millstream_engine::ids::{Offset, PartitionId, TaskId};
use millstream_engine::task;
use millstream_engine::time::Millis;
use millstream_pipeline::topology::Topology;

use super::build::{self, Building};
use super::lane::Lane;
use super::position::{Beside, check_shape};
use super::replay::{Held, Replay, RestoreProgress};
use super::{Kept, RunningTask, Worker, WorkerError};
use crate::crash;
use crate::log::{CommittedOffset, Log, TopicPartition};
use crate::panics;

/// A task whose state is being rebuilt.
pub(super) struct RestoringTask {
    pub(super) running: RunningTask,
    /// What is left to replay, for a task with state.
    replay: Option<Replay>,
}

impl RestoringTask {
    /// What is left to read of the task's changelog.
    fn left(&self) -> Option<(TopicPartition, Range<Offset>)> {
        let changelog = &self.running.kept.as_ref()?.changelog;
        let left = self.replay.as_ref()?.left();
        (!left.is_empty()).then(|| ((changelog.topic.clone(), changelog.partition), left))
    }

    /// Whether some of the restore can be done without waiting for the log.
    fn is_at_hand<L: Log>(&self, log: &L) -> bool {
        self.left().is_none_or(|((topic, partition), left)| log.is_at_hand(&topic, partition, left.start))
    }

    pub(super) fn progress(&self) -> RestoreProgress {
        let nothing = RestoreProgress { records: 0, records_total: 0, bytes: 0 };
        self.replay.as_ref().map_or(nothing, |replay| replay.standing)
    }
}

/// How far [`Worker::restore_some`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// Tasks are still being restored.
    More,
    /// Every task that was taken runs.
    All,
}

impl<L: Log> Worker<L> {
    /// All tasks of the topology, by subtopology and partition.
    pub fn all_tasks(&self) -> Vec<TaskId> {
        let counts = self.extent.tasks.iter().enumerate();
        counts
            .flat_map(|(subtopology, &count)| {
                (0..count).map(move |partition| TaskId { subtopology, partition: PartitionId(partition) })
            })
            .collect()
    }

    /// Every topic that tasks read, for the group to be subscribed to: brokers keep the offsets of a group that lives only for
    /// topics that it is subscribed to (KIP-211), and those of a quiet input would be gone after a week.
    pub fn input_topics(&self) -> Vec<String> {
        let sources = self.topology.sources.iter().map(|source| &source.topic);
        let topics: BTreeSet<&String> =
            sources.chain(self.topology.exchanges.iter().map(|exchange| &exchange.topic)).collect();
        topics.into_iter().cloned().collect()
    }

    /// The tasks that go with partitions of the lead topics.
    pub fn tasks_of(&self, assigned: &[TopicPartition]) -> Vec<TaskId> {
        let assigned: BTreeSet<(&str, PartitionId)> =
            assigned.iter().map(|(topic, partition)| (topic.as_str(), *partition)).collect();
        let mut tasks = self.all_tasks();
        tasks.retain(|task| assigned.contains(&(self.leads[task.subtopology].as_str(), task.partition)));
        tasks
    }

    /// Takes over `wanted`: tasks that were parked and that nobody has moved since go on at once, others begin to be
    /// restored. Parked tasks that are not wanted are let go. Nothing changes on an error in reading what is committed.
    ///
    /// # Errors
    /// If committed state does not fit the pipeline or is lost, or if the log or the store cannot be read.
    pub fn take(&mut self, wanted: &[TaskId], now: Millis) -> Result<(), WorkerError> {
        let committed = self.log.committed(&self.topology.name)?;
        check_shape(&self.topology, &committed)?;
        let unmoved = self.unmoved(wanted, &committed)?;
        for mut running in std::mem::take(&mut self.parked) {
            if unmoved.contains(&running.task.id()) {
                if let Some(kept) = &mut running.kept {
                    kept.changelog.go_on_in(self.log.generation());
                }
                self.tasks.push(running);
            } else {
                // What is stored spares whoever has the task next on this machine a part of the restore.
                running.checkpoint(0)?;
                self.retire(running);
            }
        }
        self.committed = committed;
        let mut taken = Vec::new();
        for &id in wanted {
            if self.tasks.iter().all(|running| running.task.id() != id) {
                taken.push(self.build(id, now)?);
            }
        }
        // Before any state is loaded, which keeps to it.
        let steps: usize = self.tasks.iter().chain(&taken).map(|running| self.steps_with_rows(running)).sum();
        self.step_budget = self.settings.state_memory / steps.max(1);
        self.restoring = taken.into_iter().map(|running| self.begin_restore(running)).collect::<Result<_, _>>()?;
        self.log.read_ahead(&self.restoring.iter().filter_map(RestoringTask::left).collect())?;
        self.epoch_began.get_or_insert(now);
        Ok(())
    }

    /// How many steps of a task keep rows; a clock alone takes no room.
    fn steps_with_rows(&self, running: &RunningTask) -> usize {
        let subtopology = running.task.id().subtopology;
        self.topology.stores.iter().filter(|store| store.subtopology == subtopology).count()
    }

    fn build(&self, id: TaskId, now: Millis) -> Result<RunningTask, WorkerError> {
        let Worker { topology, counts, extent, settings, .. } = self;
        Building { topology, counts, extent, schemas: &settings.schemas, telling: settings.telling, now }
            .task(id, self.stores.as_ref())
    }

    /// The parked tasks among `wanted` that nobody else has processed: what is committed for their inputs is what it was, and
    /// nothing was written to their changelogs. (An epoch of time alone may close windows and commit another task's input.)
    fn unmoved(
        &mut self,
        wanted: &[TaskId],
        committed: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<BTreeSet<TaskId>, WorkerError> {
        let mut unmoved = BTreeSet::new();
        for running in self.parked.iter().filter(|running| wanted.contains(&running.task.id())) {
            let generation = self.log.generation();
            let is_written = match &running.kept {
                // The group has been made anew: its generations say nothing of those before.
                Some(Kept { changelog, .. }) if generation < changelog.term.generation => true,
                // The marker of this worker's own last commit may not be there yet.
                Some(Kept { changelog, .. }) => {
                    self.log.written_end(&changelog.topic, changelog.partition)? > changelog.next
                }
                None => false,
            };
            if !is_written && running.stands_at(&self.committed, committed) {
                unmoved.insert(running.task.id());
            }
        }
        Ok(unmoved)
    }

    /// Restores some more of the tasks that were taken; those whose state is whole run from the next step on. `progress`
    /// hears of it.
    ///
    /// # Errors
    /// If state cannot be read back, or what is committed does not fit the log.
    pub fn restore_some(
        &mut self,
        now: Millis,
        progress: &mut dyn FnMut(TaskId, RestoreProgress),
    ) -> Result<Restored, WorkerError> {
        let at = self.restoring.iter().position(|restoring| restoring.is_at_hand(&self.log)).unwrap_or(0);
        let Some(restoring) = self.restoring.get_mut(at) else { return Ok(Restored::All) };
        let RestoringTask { running, replay } = restoring;
        let _at = panics::at_task(running.task.id());
        if let (Some(kept), Some(replay)) = (&mut running.kept, replay) {
            let whole = kept.changelog.replay(&mut running.task, replay, &mut self.log, self.settings.read)?;
            if replay.standing.records_total > 0 {
                progress(running.task.id(), replay.standing);
            }
            kept.changelog.keep_to_budget(&mut running.task, &mut kept.store, replay, self.step_budget)?;
            if !whole {
                return Ok(Restored::More);
            }
            let is_trusted = crash::control("worker.control.state_without_offsets");
            if replay.content == Held::Rows && self.log.is_atomic() && !is_trusted {
                check_offsets(&self.topology, &running.lanes, &self.committed)?;
            }
            running.task.restored();
        }
        let mut running = self.restoring.remove(at).running;
        let Worker { topology, counts, extent, settings, .. } = self;
        let building =
            Building { topology, counts, extent, schemas: &settings.schemas, telling: settings.telling, now };
        for lane in &mut running.lanes {
            build::take_up(&building, &mut running.task, lane, &self.committed, &mut self.begun, &mut self.log)?;
            lane.silence.spoke_at = now;
        }
        self.tasks.push(running);
        self.tasks.sort_by_key(|running| running.task.id());
        // Where it begins is committed soon, though nothing may come for long: a second start at the end (`start: latest`) would
        // be another place.
        self.epoch_began.get_or_insert(now);
        Ok(if self.restoring.is_empty() { Restored::All } else { Restored::More })
    }

    /// Where every partition that is read goes on.
    pub fn reading(&self) -> BTreeMap<TopicPartition, Offset> {
        let lanes = self.tasks.iter().flat_map(|running| &running.lanes);
        lanes.map(|lane| ((lane.topic.clone(), lane.partition), lane.next)).collect()
    }

    /// Commits the open epoch and parks all tasks: their memory stays, and nothing is read, until [`take`](Self::take)
    /// says which of them are still this worker's. Tasks that were being restored are let go.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); the tasks are then to be [forgotten](Self::forget).
    pub fn hand_over(&mut self, now: Millis) -> Result<(), WorkerError> {
        self.commit_and_part(now)?;
        self.restoring.clear();
        self.parked.append(&mut self.tasks);
        Ok(())
    }

    /// Drops the open epoch and all tasks with their memory: what is committed decides where they go on.
    pub fn forget(&mut self) {
        self.log.abort();
        self.epoch_began = None;
        self.oldest_read = None;
        self.restoring.clear();
        let (tasks, parked) = (std::mem::take(&mut self.tasks), std::mem::take(&mut self.parked));
        tasks.into_iter().chain(parked).for_each(|running| self.retire(running));
    }

    fn begin_restore(&mut self, mut running: RunningTask) -> Result<RestoringTask, WorkerError> {
        let Some(kept) = &mut running.kept else { return Ok(RestoringTask { running, replay: None }) };
        let committed = running.lanes.iter().filter_map(|lane| {
            let committed = self.committed.get(&(lane.topic.clone(), lane.partition))?;
            Some(Beside::of(committed))
        });
        let committed: Vec<Beside> = committed.collect();
        let since = Offset(committed.iter().map(|beside| beside.since).max().unwrap_or(0));
        let written = self.log.written_extent(&kept.changelog.topic, kept.changelog.partition)?;
        let is_trusted = crash::control("worker.control.trust_changelog");
        if !is_trusted
            && committed.iter().filter_map(|beside| beside.changelog).any(|promised| promised > written.end.0)
        {
            return Err(kept.changelog.lost());
        }
        let (task, Kept { changelog, store }) = (&mut running.task, kept);
        let replay = changelog.begin_restore(task, store, written, since, self.step_budget)?;
        if replay.standing.records_total > 0 {
            // For people to look at, while it takes.
            for lane in &mut running.lanes {
                let committed = self.committed.get(&(lane.topic.clone(), lane.partition));
                lane.next = committed.map_or(lane.next, |committed| committed.offset);
                lane.end = self.log.extent(&lane.topic, lane.partition)?.end;
            }
        }
        Ok(RestoringTask { running, replay: Some(replay) })
    }

    /// Keeps the ledgers of a task that is dropped, so that the sums never fall.
    fn retire(&mut self, mut running: RunningTask) {
        self.deleted_before += running.deleted();
        let gone = std::mem::take(&mut self.gone);
        self.gone = task::add_up(gone.into_iter().chain(running.task.ledgers()));
    }
}

/// State that holds rows was committed together with an offset for each input.
fn check_offsets(
    topology: &Topology,
    lanes: &[Lane],
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<(), WorkerError> {
    match lanes.iter().find(|lane| !committed.contains_key(&(lane.topic.clone(), lane.partition))) {
        Some(lane) => Err(WorkerError::OffsetsLost {
            pipeline: topology.name.clone(),
            topic: lane.topic.clone(),
            partition: lane.partition.0,
        }),
        None => Ok(()),
    }
}

impl RunningTask {
    /// Whether what is committed for its inputs is `now` what it was `then`: nobody else has processed any of them.
    fn stands_at(
        &self,
        then: &BTreeMap<TopicPartition, CommittedOffset>,
        now: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> bool {
        self.lanes.iter().all(|lane| {
            let place = (lane.topic.clone(), lane.partition);
            then.get(&place) == now.get(&place)
        })
    }
}
