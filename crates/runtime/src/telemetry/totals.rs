//! What a pipeline has counted in the life of the process: sums that never fall when tasks and workers come and go.
//!
//! A worker publishes counts that begin at 0 whenever a task is built. Here they are added to those of tasks that are gone,
//! so that a counter goes on where it was.

use std::collections::BTreeMap;

use millstream_engine::ids::TaskId;
use millstream_engine::ledger::Ledger;

use super::snapshot::{TaskSnapshot, Traffic, WorkerSnapshot};

/// What one step has counted, with the rows that were let go with the tasks that held them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct StepTotals {
    /// Sums over all tasks; `held` only over those that are here now.
    pub(super) ledger: Ledger,
    /// Rows that tasks held when they were dropped: what another owner finds again as `restored`.
    pub(super) released: u64,
}

/// What one pipeline has counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    pub(super) traffic: Traffic,
    /// By step, in the order of the graph.
    pub(super) steps: Vec<(String, StepTotals)>,
    pub(super) changelog_written_bytes: u64,
}

/// What is left of those that are gone, before those that are here are added.
#[derive(Debug, Clone, Default)]
pub(super) struct Gone(Totals);

impl Gone {
    /// Takes in what a worker counted that is no more.
    pub(super) fn worker(&mut self, last: &WorkerSnapshot) {
        self.0.traffic += last.traffic;
        for task in last.counted() {
            self.task(task);
        }
    }

    /// Takes in what a task counted that is no more.
    fn task(&mut self, last: &TaskSnapshot) {
        self.0.changelog_written_bytes += last.changelog_written_bytes;
        for (step, ledger) in &last.ledgers {
            let totals = self.0.step(step);
            totals.ledger += Ledger { held: 0, ..*ledger };
            totals.released += ledger.held;
        }
    }

    /// Takes in what `last` had counted and `next` no longer counts: its tasks that are not there any more, or that
    /// count from 0 again.
    pub(super) fn superseded(&mut self, last: &WorkerSnapshot, next: &WorkerSnapshot) {
        if fell(&last.traffic, &next.traffic) {
            self.0.traffic += last.traffic;
        }
        let now: BTreeMap<TaskId, &TaskSnapshot> = next.counted().map(|task| (task.id, task)).collect();
        for task in last.counted() {
            if now.get(&task.id).is_none_or(|now| began_anew(task, now)) {
                self.task(task);
            }
        }
    }

    /// The sums with those that are here now.
    pub(super) fn with<'a>(&self, present: impl Iterator<Item = &'a WorkerSnapshot>) -> Totals {
        let mut totals = self.0.clone();
        for snapshot in present {
            totals.traffic += snapshot.traffic;
            for task in snapshot.counted() {
                totals.changelog_written_bytes += task.changelog_written_bytes;
                for (step, ledger) in &task.ledgers {
                    totals.step(step).ledger += *ledger;
                }
            }
        }
        totals
    }
}

impl Totals {
    fn step(&mut self, name: &str) -> &mut StepTotals {
        let at = match self.steps.iter().position(|(step, _)| step == name) {
            Some(at) => at,
            None => {
                self.steps.push((name.to_owned(), StepTotals::default()));
                self.steps.len() - 1
            }
        };
        &mut self.steps[at].1
    }
}

fn fell(last: &Traffic, next: &Traffic) -> bool {
    next.records_in < last.records_in || next.records_out < last.records_out || next.bytes_in < last.bytes_in
}

/// Whether a task was built again between two snapshots, as far as its counts tell.
fn began_anew(last: &TaskSnapshot, next: &TaskSnapshot) -> bool {
    let rows_in = |task: &TaskSnapshot| task.ledgers.iter().map(|(_, ledger)| ledger.rows_in).sum::<u64>();
    rows_in(next) < rows_in(last) || next.changelog_written_bytes < last.changelog_written_bytes
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Traffic) {
        self.records_in += other.records_in;
        self.records_out += other.records_out;
        self.dead_letters += other.dead_letters;
        self.records_deleted += other.records_deleted;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
    }
}

#[cfg(test)]
mod tests {
    use millstream_engine::ids::PartitionId;

    use super::super::state::TaskPhase;
    use super::*;

    fn task(partition: u32, rows_in: u64, held: u64) -> TaskSnapshot {
        let id = TaskId { subtopology: 0, partition: PartitionId(partition) };
        let ledger = Ledger { rows_in, folded: rows_in - held, held, ..Ledger::default() };
        TaskSnapshot { ledgers: vec![("w".to_owned(), ledger)], ..TaskSnapshot::new(id, TaskPhase::Running) }
    }

    fn snapshot(records_in: u64, tasks: Vec<TaskSnapshot>) -> WorkerSnapshot {
        let traffic = Traffic { records_in, ..Traffic::default() };
        WorkerSnapshot { tasks, traffic, ..WorkerSnapshot::default() }
    }

    /// The sum's balance: what came in is folded, held, or was let go.
    fn assert_sum(totals: &Totals, rows_in: u64, held: u64, released: u64) {
        let step = totals.steps[0].1;
        assert_eq!((step.ledger.rows_in, step.ledger.held, step.released), (rows_in, held, released));
        assert_eq!(step.ledger.accounted() + step.released, rows_in);
    }

    #[test]
    fn a_task_that_goes_leaves_its_counts() {
        let mut gone = Gone::default();
        let (first, second) = (snapshot(30, vec![task(0, 10, 2), task(1, 20, 3)]), snapshot(35, vec![task(0, 15, 2)]));
        assert_sum(&gone.with([&first].into_iter()), 30, 5, 0);
        gone.superseded(&first, &second);
        assert_sum(&gone.with([&second].into_iter()), 35, 2, 3);
    }

    #[test]
    fn a_task_that_is_parked_is_counted_once_wherever_it_goes() {
        let mut gone = Gone::default();
        let first = snapshot(30, vec![task(0, 10, 2), task(1, 20, 3)]);
        let parked = WorkerSnapshot { parked: first.tasks.clone(), tasks: Vec::new(), ..first.clone() };
        gone.superseded(&first, &parked);
        assert_sum(&gone.with([&parked].into_iter()), 30, 5, 0);
        // One comes back, the other is let go.
        let back = snapshot(30, vec![task(0, 10, 2)]);
        gone.superseded(&parked, &back);
        assert_sum(&gone.with([&back].into_iter()), 30, 2, 3);
        // Or it is built again by the worker that had it parked.
        let mut gone = Gone::default();
        let anew = snapshot(31, vec![task(0, 10, 2), task(1, 1, 0)]);
        gone.superseded(&parked, &anew);
        assert_sum(&gone.with([&anew].into_iter()), 31, 2, 3);
    }

    #[test]
    fn a_task_that_is_built_again_goes_on_counting() {
        let mut gone = Gone::default();
        let (first, second) = (snapshot(10, vec![task(0, 10, 2)]), snapshot(11, vec![task(0, 1, 0)]));
        gone.superseded(&first, &second);
        let totals = gone.with([&second].into_iter());
        assert_sum(&totals, 11, 0, 2);
        assert_eq!(totals.traffic.records_in, 11, "the worker itself went on");
    }

    #[test]
    fn a_worker_that_goes_leaves_everything() {
        let mut gone = Gone::default();
        gone.worker(&snapshot(10, vec![task(0, 10, 4)]));
        let totals = gone.with([].into_iter());
        assert_sum(&totals, 10, 0, 4);
        assert_eq!(totals.traffic.records_in, 10);
    }
}
