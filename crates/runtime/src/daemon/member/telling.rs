//! What a worker thread tells of itself: snapshots for metrics, counts of what has happened, restores in the log.

use std::time::{Duration, Instant};

use millstream_engine::ids::TaskId;

use super::{Running, Stage, TELL_EVERY};
use crate::clock;
use crate::log::kafka::KafkaCounters;
use crate::telemetry::{Event, TaskPhase, Trouble};
use crate::worker::{RestorePace, RestoreProgress};

impl Running {
    /// Since when the tasks that were taken last are being restored, all of them.
    pub(super) fn restoring_for(&self) -> Duration {
        self.restoring_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(super) fn say_restored(&mut self, task: TaskId, progress: RestoreProgress) {
        let took = self.restoring_for();
        if progress.is_complete() {
            self.telemetry.restored(progress, took);
        }
        if progress.is_complete() || self.told_at.elapsed() >= TELL_EVERY {
            let pace = RestorePace { progress, took };
            tracing::info!(pipeline = %self.worker.topology().name, task = %task, "restored {pace}");
        }
    }

    /// Publishes where the worker stands.
    pub(super) fn tell(&mut self) {
        self.told_at = Instant::now();
        let counters = self.worker.log().counters();
        self.count(counters);
        for (client, times) in self.worker.log().take_broker_times() {
            self.telemetry.observe_brokers(client, &times);
        }
        let mut snapshot = self.worker.snapshot(clock::steady());
        snapshot.last_commit = self.last_commit;
        snapshot.trouble = self.last_trouble().filter(|_| self.stage != Stage::Running);
        // Tasks are restored side by side.
        for task in snapshot.tasks.iter_mut().filter(|task| task.phase != TaskPhase::Running) {
            task.restoring_for = Some(self.restoring_for());
        }
        self.telemetry.publish(snapshot);
    }

    /// What went wrong last, in an epoch or at the connections.
    pub(super) fn last_trouble(&mut self) -> Option<Trouble> {
        let said = self.worker.log().last_error().map(|(at, message)| Trouble { at, message });
        [said, self.trouble.clone()].into_iter().flatten().max_by_key(|trouble| trouble.at)
    }

    /// Counts what has happened to the log since the last call.
    pub(super) fn count(&mut self, counters: KafkaCounters) {
        let seen = std::mem::replace(&mut self.seen, counters);
        let events = [
            (Event::Abort, seen.aborts, counters.aborts),
            (Event::Fence, seen.fences, counters.fences),
            (Event::Rebalance, seen.rebalances, counters.rebalances),
            (Event::PartitionsLost, seen.losses, counters.losses),
            (Event::ProducerRetired, seen.retirements, counters.retirements),
            (Event::TrimRefused, seen.trims_refused, counters.trims_refused),
            (Event::TrimWithoutLeader, seen.trims_failed.leader, counters.trims_failed.leader),
            (Event::TrimTimedOut, seen.trims_failed.timeout, counters.trims_failed.timeout),
            (Event::TrimAgainstPolicy, seen.trims_failed.policy, counters.trims_failed.policy),
            (Event::TrimFailed, seen.trims_failed.other, counters.trims_failed.other),
        ];
        for (event, before, after) in events {
            (before..after).for_each(|_| self.telemetry.count(event));
        }
    }
}
